"""What the pages say of a night judged again."""

import polars as pl
import pytest

from anomaly import report
from tests.support.html_reader import text_of
from tests.support.report_pages import CHANGES, TWICE, case, case_page, night_page

AGAIN = {
    "en": "This night was reassessed 2 times, most recently on 18 Mar 2026, 04:05 (UTC).",
    "zh": "当日已重新评估2次，最近一次为2026年3月18日 04:05（UTC）。",
}
DOORS = {
    "en": " No longer listed: 2; newly listed: 1; still listed, with a different rank, rarity or code: 1. "
    "No longer listed: c260312-9 and c260309-8.",
    "zh": "不再列入：2户；新列入：1户；仍在清单，但序号、罕见度或编号有变：1户。"
    "不再列入：c260312-9、c260309-8。",
}


def night_text(language: str, revisions: pl.DataFrame, **run: object) -> str:
    page = night_page([case()], again=TWICE | run, revisions=revisions)
    return text_of(report.night_html(page, language))


@pytest.mark.parametrize("language", AGAIN)
def test_a_night_judged_again_names_the_doors_that_went(language):
    text = night_text(language, CHANGES)
    assert AGAIN[language] + DOORS[language] in text
    assert "c260312-0" not in text  # it was on no list


def test_a_night_judged_once_says_nothing_and_one_that_changed_no_door_says_so():
    assert "reassessed" not in night_text("en", CHANGES.clear(), revised=0)
    once = "This night was reassessed once, on 18 Mar 2026, 04:05 (UTC). Its list has not changed."
    assert once in night_text("en", CHANGES[4:], revised=1)


def test_of_many_doors_that_went_the_first_are_named():
    gone = [
        CHANGES[2:3].with_columns(case_id_before=pl.lit(f"g{n:02}"), rank_before=pl.lit(n, pl.Int32))
        for n in range(1, 23)
    ]
    text = night_text("en", pl.concat(gone).sample(fraction=1, shuffle=True, seed=1))
    assert "No longer listed: 22;" in text and "No longer listed, the first 20: g01, g02," in text
    assert "g19 and g20." in text and "g21" not in text


@pytest.mark.parametrize(
    ("row", "language", "before"),
    [
        (0, "en", "c260310-1, no. 3 on the list, expected by chance once in 410,000 household-nights."),
        (0, "zh", "此前该事项编号为c260310-1，清单序号3，约每410,000户日偶然出现一次。"),
        (1, "en", "Before that, there was no such case."),
        (1, "zh", "此前没有这一事项。"),
    ],
)
def test_a_case_of_a_night_judged_again_says_what_it_was(row, language, before):
    page = case_page(revised=CHANGES.row(row, named=True) | TWICE)
    text = text_of(report.case_html(page, language, "case.png"))
    assert AGAIN[language] in text and before in text


def test_a_case_that_was_not_listed_before_says_so_and_one_that_is_the_same_says_nothing():
    unlisted = CHANGES.row(0, named=True) | TWICE | {"rank_before": None}
    text = text_of(report.case_html(case_page(revised=unlisted), "en", "case.png"))
    assert "the case was c260310-1, not listed, expected by chance" in text
    assert "reassessed" not in report.case_html(case_page(), "en", "case.png")
