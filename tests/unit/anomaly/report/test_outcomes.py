"""The pages of what came of the doors: the account on the overview, fairness, the record."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from anomaly import report, tables
from anomaly.outcomes import FAIRNESS_SCHEMA
from tests.support.report_pages import SITE, night_page, overview_page
from tests.unit.anomaly.report.test_case import FORBIDDEN, Reader

ACCOUNT = pl.DataFrame(
    [
        ("all", "all", 9, 4, 1, 3, 0.8, 0.75, 0.301, 0.954, 0.2, 0.7, False),
        ("signature", "water", 6, 4, 1, 3, 0.8, 0.75, 0.301, 0.954, 0.2, 0.7, True),
        ("district", "<b>North", 3, 0, 0, 0, 0.0, None, None, None, None, None, False),
    ],
    schema=tables.empty(tables.Account).schema, orient="row",
)  # fmt: skip
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
RATE = (0.1, 0.03, 0.3)
GROUPS = pl.DataFrame(
    [("district", "North", 20, 2, 2, 0, 2, *RATE, 1.0, 0.34, 1.0, 0.0, 0.0, 0.66, 1.0, 0.34, 1.0, True), ("district", "South", 40, 0, 0, 0, 0, 0.0, 0.0, 0.09, *[None] * 9, False)],
    schema=FAIRNESS_SCHEMA, orient="row",
)  # fmt: skip
FACTS = {
    "night": date(2026, 3, 14), "kinds": ["people", "water"], "signals": [("water", "register", "m3")], "pseudonyms": True, "chance_cases": 5.0, "doors": 20,
}  # fmt: skip


def pages(language):
    return {
        "overview": report.overview_html(replace(overview_page(2), account=ACCOUNT, misses=MISSES), language),
        "fairness": report.fairness_html(
            report.FairnessPage(SITE, GROUPS, {"stop_times": 1.5, "least_outcomes": 30}), language
        ),
        "record": report.record_html(report.RecordPage(SITE, ACCOUNT, NO_MISSES, GROUPS, FACTS), language),
    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_they_are_pages_like_all_others(language):
    for name, html in pages(language).items():
        page = Reader(html)
        assert (
            page.all("html") == [{"lang": language}]
            and SITE.purpose["name"] in page.text
            and SITE.purpose["contact"] in page.text
        ), name
        assert len(page.all("table")) == len(page.all("caption")) and not page.all(
            "script", "form", "link"
        ), name
        assert all(cell.get("scope") in ("row", "col") for cell in page.all("th")), name
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids)) and {
            attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs
        } <= set(ids), name
        assert not FORBIDDEN.search(html) and "<b>North" not in html, name


def test_the_account_in_words():
    text = Reader(pages("en")["overview"]).text
    assert "Of 4 answered doors 3 were wrong (75 %; 95 %: 30–95). 0.8 wrong ones had been promised." in text
    assert "20 % → 70 %" in text and "more water than usual: no longer listed" in text
    assert "2 had a surge (20 %; 95 %: 6–51). That is about 40 (11–102) of the 200 homes not listed." in text
    nothing = replace(overview_page(1), account=ACCOUNT.clear(), misses=NO_MISSES)
    empty = Reader(report.overview_html(nothing, "zh")).text
    assert "尚无门户得到答复" in empty and "尚未核查任何对照门户" in empty


def test_a_group_without_answers_has_a_dash_and_one_that_stops_is_named():
    text = Reader(pages("en")["fairness"]).text
    assert (
        "Stop: in North, 2 of 2 answered doors were wrong, far more often than elsewhere." in text
        and "0: 0 % (0–9) – – –" in text
    )
    fine = report.fairness_html(
        report.FairnessPage(SITE, GROUPS.filter(~pl.col("stop")), {"stop_times": 1.5, "least_outcomes": 30}),
        "en",
    )
    assert "No group's doors are wrong far more often" in Reader(fine).text


def test_the_record_says_what_it_rests_on_and_that_it_is_a_draft():
    text = Reader(pages("en")["record"]).text
    for words in (
        "Draft, made from the settings",
        "Night 14 Mar 2026, version 0.1.0",
        "water: register, m3",
        "HMAC-SHA-256",
        "At most 5.0 new cases by chance",
        "more people than usual and more water than usual",
        "What is left, to be completed",
    ):
        assert words in text, words


def test_a_night_says_what_has_stopped():
    html = report.night_html(night_page([], stopped=[("water", 33, 33)]), "zh")
    assert "已答复的33户中有33户判断错误" in html
