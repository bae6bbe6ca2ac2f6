"""Fairness on live outcomes and the record for the public: as tables, and as pages beside the reports."""

from pathlib import Path

import polars as pl

from anomaly import outcomes, report
from pipelines.cases import outcome_journal
from pipelines.cases.build import first_listings, fold
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NotFound
from pipelines.publish.frames import outcome_frames
from pipelines.reporting import writer
from pipelines.reporting.night_report import site_of
from pipelines.storage.state import Store


def groups(settings: Settings, store: Store) -> pl.DataFrame:
    """Rates by district and dwelling class over all judged nights (account.FAIRNESS)."""
    if not store.judged_nights():
        raise NotFound(f"{store.folder}: no night has been judged; run `anomaly nightly --settings …` first")
    places = outcome_journal.register(settings, store).filter(
        ~pl.col("ambiguous") & (pl.col("class").is_null() | (pl.col("class") == "dwelling"))
    )
    listed = fold(settings, store).worklist.with_columns(district=pl.lit(None, pl.String))
    return outcomes.fairness_table(
        places.select("household", "district", "class"),
        first_listings(listed),
        outcome_journal.answers(store),
        settings.account,
    )


def write_fairness(settings: Settings, found: pl.DataFrame) -> Path:
    """The page of fairness, in every language; returns the first."""
    rule = {"stop_times": settings.account.stop_times, "least_outcomes": settings.account.least_outcomes}
    page = report.FairnessPage(site_of(settings), found, rule)
    return writer.write_page(
        settings.reports / "fairness",
        settings.site.languages,
        lambda language: report.fairness_html(page, language),
    )


def write_record(settings: Settings) -> Path:
    """The transparency record with the draft impact assessment, in every language; returns the first."""
    store = Store(settings.store)
    found = groups(settings, store)
    frames = outcome_frames(settings, store, fold(settings, store))
    facts = {
        "night": max(store.judged_nights()),
        "kinds": listed_signatures(settings),
        "signals": [(name, rule.kind, rule.unit) for name, rule in settings.rules.items()],
        "pseudonyms": settings.pseudonyms is not None,
        "chance_cases": settings.evidence.chance_cases,
        "doors": settings.worklist.doors_per_night,
    }
    page = report.RecordPage(site_of(settings), frames["account"], frames["misses"], found, facts)
    return writer.write_page(
        settings.reports / "record",
        settings.site.languages,
        lambda language: report.record_html(page, language),
    )


def table(found: pl.DataFrame) -> str:
    """The rates as people read them."""
    view = report.fairness_view(found, "en")
    rows = [view["heads"], *view["rows"]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(view["heads"]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, *view["stops"]]) + "\n"
