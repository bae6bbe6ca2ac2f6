"""The section on what came of the doors."""

import polars as pl

from anomaly.report.account import account_view, stopped_sentences
from tests.support.all_pages import ACCOUNT, MISSES, NO_MISSES


def test_the_account_in_words():
    view = account_view(ACCOUNT, MISSES, "en")
    lead = "Homes with a result: 4. False alarms among them: 3 (75 %; 95 % interval: 30–95); predicted: 0.8."
    assert view["lead"] == lead
    assert view["stopped"] == ["more water than usual: no longer listed because of too many false alarms"]
    assert view["misses"].endswith(
        "with a surge: 2 (20 %; 95 % interval: 6–51). That would be about 40 (11–102) of the 200 homes not listed."
    )


def test_rows_are_all_doors_then_kinds_districts_and_months_that_were_answered():
    month = ACCOUNT.head(1).with_columns(grouped_by=pl.lit("month"), name=pl.lit("2026-03"))
    rows = account_view(pl.concat([month, ACCOUNT]), MISSES, "en")["rows"]
    assert [row[0] for row in rows][1] == "more water than usual" and len(rows) == 3
    assert rows[0][1:] == ["9", "4", "0.8", "3", "75 % (30–95)", "20 % → 70 %"]


def test_without_answers_it_says_so():
    view = account_view(ACCOUNT.clear(), NO_MISSES, "zh")
    assert "尚无走访结果" in view["lead"] and "尚未抽查未列入的住户" in view["misses"]
    assert view["rows"] == view["stopped"] == []


def test_what_is_no_longer_listed_is_a_kind_in_words_or_a_district_by_name():
    kind, district = stopped_sentences([("water", 33, 33), ("North", 5, 6)], "en")
    assert kind.startswith("More water than usual") and "33" in kind
    assert district.startswith("North") and "5" in district and "6" in district
