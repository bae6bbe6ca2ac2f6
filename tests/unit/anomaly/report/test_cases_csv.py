"""The list of a night for a spreadsheet, read back."""

import csv
import io

from anomaly import report
from tests.support.report_pages import case, night_page


def rows_of(doors):
    return list(csv.DictReader(io.StringIO(report.cases_csv(night_page(doors)))))


def test_a_row_has_the_further_people_the_ratios_and_the_reason_in_words():
    (row,) = rows_of([case()])
    assert (row["extra_people"], row["extra_people_low"], row["extra_people_high"]) == ("4.2", "2.1", "7.4")
    assert row["ratios"] == "entries=3.10; water=2.40; power=1.00"
    assert row["because_en"] == case()["because_en"] and row["because_zh"] == case()["because_zh"]


def test_rows_come_by_rank_and_end_as_spreadsheets_expect():
    doors = [case(3), case(1), case(2)]
    assert [row["rank"] for row in rows_of(doors)] == ["1", "2", "3"]
    assert report.cases_csv(night_page(doors)).count("\r\n") == 4


def test_no_cell_is_a_formula_and_what_is_not_known_is_empty():
    signs = ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]
    doors = [case(rank, household=sign) for rank, sign in enumerate(signs, 1)]
    rows = rows_of([*doors, case(7, household="x=1", district=None)])
    assert [row["household"] for row in rows] == ["'" + sign for sign in signs] + ["x=1"]
    assert rows[6]["district"] == ""
