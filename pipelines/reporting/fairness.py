"""Fairness on live outcomes and the record for the public: as tables, and as pages beside the reports."""

from pathlib import Path

import polars as pl

from anomaly import outcomes, report
from anomaly.messages import align_columns
from pipelines.cases import outcome_journal
from pipelines.cases.build import build_cases, first_listings
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NotFound
from pipelines.publish.frames import outcome_frames
from pipelines.reporting import writer
from pipelines.reporting.night_report import report_site
from pipelines.storage.state import Store


def fairness_rates(settings: Settings, store: Store) -> pl.DataFrame:
    """Return how often homes are listed, visited, confirmed and wrong, by district and dwelling class.

    Over all judged nights; columns of `anomaly.outcomes.FAIRNESS_SCHEMA`. Raises NotFound where no night was
    judged.
    """
    if not store.judged_nights():
        raise NotFound(f"{store.folder}: no night has been judged; run `anomaly nightly --settings …` first")
    register = outcome_journal.read_register(settings, store)
    is_dwelling = pl.col("class").is_null() | (pl.col("class") == "dwelling")
    homes = register.filter(~pl.col("ambiguous") & is_dwelling).select("household", "district", "class")
    listed = build_cases(settings, store).worklist.with_columns(district=pl.lit(None, pl.String))
    return outcomes.fairness_table(
        homes, first_listings(listed), outcome_journal.answers_frame(store), settings.account
    )


def write_fairness_page(settings: Settings, rates: pl.DataFrame) -> Path:
    """Write the page of fairness in every language and return the first. rates: of `fairness_rates`."""
    rule = {"stop_times": settings.account.stop_times, "least_outcomes": settings.account.least_outcomes}
    page = report.FairnessPage(report_site(settings), rates, rule)
    return writer.write_index_page(
        settings.reports / "fairness",
        settings.site.languages,
        lambda language: report.fairness_html(page, language),
    )


def write_record_page(settings: Settings) -> Path:
    """Write the transparency record with the draft impact assessment in every language; return the first."""
    store = Store(settings.store)
    rates = fairness_rates(settings, store)
    frames = outcome_frames(settings, store, build_cases(settings, store))
    page = report.RecordPage(
        site=report_site(settings),
        account=frames["account"],
        misses=frames["misses"],
        groups=rates,
        night=max(store.judged_nights()),
        kinds=listed_signatures(settings),
        signals=[(name, rule.kind, rule.unit) for name, rule in settings.rules.items()],
        has_pseudonyms=settings.pseudonyms is not None,
        chance_cases=settings.evidence.chance_cases,
        doors_per_night=settings.worklist.doors_per_night,
    )
    return writer.write_index_page(
        settings.reports / "record",
        settings.site.languages,
        lambda language: report.record_html(page, language),
    )


def fairness_text(rates: pl.DataFrame) -> str:
    """Return the rates as a table in text, with a line on what stopped or that nothing did."""
    view = report.fairness_view(rates, "en")
    rows = [view["heads"], *view["rows"]]
    return "\n".join([*align_columns(rows), *view["stops"]]) + "\n"
