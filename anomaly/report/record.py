"""The public record of the tool's use, with a draft impact assessment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from anomaly.messages import (
    format_day,
    format_list,
    format_number,
    message,
    message_list,
    translate,
    translate_signature,
)
from anomaly.report.account import account_view
from anomaly.report.fairness import fairness_view
from anomaly.report.page import Site, page_links, render


@dataclass(frozen=True)
class RecordPage:
    """What the record states.

    account, misses: as in `tables`. groups: of `anomaly.outcomes.fairness_table`. kinds: kinds of case that
    may be listed. signals: (name, kind, unit). chance_cases: new cases by chance that the settings allow per
    1,000 homes and 30 nights.
    """

    site: Site
    account: pl.DataFrame
    misses: pl.DataFrame
    groups: pl.DataFrame
    night: date
    kinds: Sequence[str]
    signals: Sequence[tuple[str, str, str | None]]
    has_pseudonyms: bool
    chance_cases: float
    doors_per_night: int


def record_html(page: RecordPage, language: str) -> str:
    """Return the record with the draft impact assessment."""
    site = page.site
    risks, measures = (message_list(language, f"record.{name}") for name in ("risks", "measures"))
    chance_cases = format_number(language, page.chance_cases, 1)
    return render(
        "record.html.j2",
        site,
        language,
        title=message(language, "record.title"),
        links=page_links(site, language),
        draft=message(language, "record.draft"),
        state=message(
            language,
            "record.state",
            night=format_day(language, page.night),
            version=site.version,
            settings=site.settings_sha256[:12],
        ),
        lists={name: message_list(language, f"record.{name}_lines") for name in ("what", "people", "open")},
        kinds=format_list(language, [translate_signature(language, kind) for kind in page.kinds]),
        data=_data_lines(page, language),
        how=[
            *message_list(language, "record.how_lines"),
            message(language, "record.chance_cases", number=chance_cases),
            message(language, "record.doors", number=page.doors_per_night),
        ],
        account=account_view(page.account, page.misses, language),
        fairness=fairness_view(page.groups, language),
        risks=list(zip(risks, measures, strict=True)),
    )


def _data_lines(page: RecordPage, language: str) -> list[str]:
    """Return which data are used and how they are kept."""
    signals = [
        message(
            language,
            "record.signal",
            name=translate(language, "signals", name),
            kind=translate(language, "kinds", kind),
            unit=translate(language, "base_units", unit or "count"),
        )
        for name, kind, unit in page.signals
    ]
    pseudonyms = "record.pseudonyms_on" if page.has_pseudonyms else "record.pseudonyms_off"
    return [*signals, *message_list(language, "record.data_lines"), message(language, pseudonyms)]
