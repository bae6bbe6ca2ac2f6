"""The page of rates by district and dwelling class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from anomaly.messages import format_number, format_percent, format_percent_range, message, translate
from anomaly.outcomes import RATE_DENOMINATORS
from anomaly.report.page import Site, page_links, render


@dataclass(frozen=True)
class FairnessPage:
    """Rates by group. groups: of `anomaly.outcomes.fairness_table`. rule: stop_times and least_outcomes."""

    site: Site
    groups: pl.DataFrame
    rule: Mapping[str, float]


def fairness_html(page: FairnessPage, language: str) -> str:
    """Return the page of rates."""
    site = page.site
    times = format_number(language, page.rule["stop_times"], 1)
    return render(
        "fairness.html.j2",
        site,
        language,
        title=message(language, "fairness.title"),
        links=page_links(site, language),
        rule=message(language, "fairness.rule", times=times, least=page.rule["least_outcomes"]),
        **fairness_view(page.groups, language),
    )


def fairness_view(groups: pl.DataFrame, language: str) -> dict[str, Any]:
    """Return the table's heads and rows, and a sentence for each group whose doors are wrong too often."""
    rows = [_group_row(row, language) for row in groups.iter_rows(named=True)]
    stops = [
        message(
            language,
            "fairness.stop",
            name=row["name"],
            wrong=row["wrong"],
            answered=row["confirmed"] + row["wrong"],
        )
        for row in groups.filter("stop").iter_rows(named=True)
    ]
    return {
        "heads": [message(language, f"fairness.{name}") for name in ("group", "homes", *RATE_DENOMINATORS)],
        "rows": rows,
        "stops": stops or [message(language, "fairness.fine")],
    }


def _group_row(row: Mapping[str, Any], language: str) -> list[str]:
    own_name = translate(language, "classes", row["name"]) if row["grouped_by"] == "class" else row["name"]
    name = message(language, f"fairness.{row['grouped_by']}", name=own_name)
    rates = [_rate(row, rate, language) for rate in RATE_DENOMINATORS]
    return [name, format_number(language, row["homes"]), *rates]


def _rate(row: Mapping[str, Any], rate: str, language: str) -> str:
    """Return a rate with its count and interval; a dash where there is nothing to be a share of."""
    if row[f"{rate}_share"] is None:
        return format_number(language, None)
    return message(
        language,
        "fairness.rate",
        count=format_number(language, row[rate]),
        share=format_percent(language, row[f"{rate}_share"]),
        range=format_percent_range(language, row[f"{rate}_low"], row[f"{rate}_high"]),
    )
