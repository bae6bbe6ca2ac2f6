"""Every page of the reports once, for tests of what holds for all of them."""

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl

from anomaly import charts, outcomes, report, tables
from tests.support.report_pages import (
    CHANGES,
    NIGHT,
    ONSET,
    SITE,
    TWICE,
    UNITS,
    case,
    case_page,
    evaluation_page,
    night_page,
    overview_page,
)

ACCOUNT = pl.DataFrame(
    [
        ("all", "all", 9, 4, 1, 3, 0.8, 0.75, 0.301, 0.954, 0.2, 0.7, False),
        ("signature", "water", 6, 4, 1, 3, 0.8, 0.75, 0.301, 0.954, 0.2, 0.7, True),
        ("district", "<b>North", 3, 0, 0, 0, 0.0, None, None, None, None, None, False),
    ],
    schema=tables.empty(tables.Account).schema,
    orient="row",
)
MISSES = pl.DataFrame(
    [(12, 10, 2, 0.2, 0.057, 0.51, 200, 40.0, 11.0, 102.0)],
    schema=tables.empty(tables.Misses).schema,
    orient="row",
)
NO_MISSES = pl.DataFrame(
    [(1, 0, 0, None, None, None, 200, None, None, None)],
    schema=tables.empty(tables.Misses).schema,
    orient="row",
)
_RATE = (0.1, 0.03, 0.3)
RATES = pl.DataFrame(
    [
        (
            *("district", "North", 20, 2, 2, 0, 2),
            *_RATE,
            1.0,
            0.34,
            1.0,
            0.0,
            0.0,
            0.66,
            1.0,
            0.34,
            1.0,
            True,
        ),
        (*("district", "South", 40, 0, 0, 0, 0), 0.0, 0.0, 0.09, *[None] * 9, False),
    ],
    schema=outcomes.FAIRNESS_SCHEMA,
    orient="row",
)
FAIRNESS = report.FairnessPage(SITE, RATES, {"stop_times": 1.5, "least_outcomes": 30})
RECORD = report.RecordPage(
    site=SITE,
    account=ACCOUNT,
    misses=NO_MISSES,
    groups=RATES,
    night=date(2026, 3, 14),
    kinds=["people", "water"],
    signals=[("water", "register", "m3")],
    has_pseudonyms=True,
    chance_cases=5.0,
    doors_per_night=20,
)


def drawing(language: str) -> str:
    """Return the decomposition of the case's signals over the last days."""
    parts = case_page().parts.filter(pl.col("day") > NIGHT - timedelta(days=9))
    return charts.decomposition_svg(parts, UNITS, ONSET, NIGHT, language)


def every_page(language: str) -> dict[str, str]:
    """Return name → page."""
    return {
        "case": report.case_html(case_page(), language, "case.png", drawing(language)),
        "night": report.night_html(night_page([case(1, status="new"), case(2, signature="water")]), language),
        "empty": report.night_html(night_page([]), language),
        "round": report.round_html(night_page([case(1), case(2, district=None)]), language),
        "overview": report.overview_html(overview_page(3), language),
        "evaluation": report.evaluation_html(evaluation_page(), language, ("a.png", "b.png")),
        "fairness": report.fairness_html(FAIRNESS, language),
        "record": report.record_html(RECORD, language),
    }


GOLDEN_PAGES: dict[str, Callable[[str], str]] = {
    "case": lambda language: report.case_html(
        case_page(revised=CHANGES.row(0, named=True) | TWICE), language, "case.png", drawing(language)
    ),
    "night": lambda language: report.night_html(
        night_page([case(1, status="new"), case(2, signature="water")], again=TWICE, revisions=CHANGES),
        language,
    ),
    "round": lambda language: report.round_html(
        night_page([case(1), case(2, signature="water", district=None, extra_people=None)]), language
    ),
    "overview": lambda language: report.overview_html(overview_page(2), language),
    "letter": lambda language: report.resident_letter(case_page(), language),
}
"""Name → what is compared byte for byte with a file of tests/golden."""
