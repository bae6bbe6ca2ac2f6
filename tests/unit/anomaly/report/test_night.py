"""The page of a night, read back."""

import re

import polars as pl
import pytest

from anomaly import report
from tests.support.html_reader import HtmlReader, table_cells, text_of
from tests.support.report_pages import case, night_page

LIST = "Homes to visit, strongest evidence first"


def text(page, language="en"):
    return text_of(report.night_html(page, language))


def test_an_empty_night_is_a_good_night():
    shown = text(night_page([]))
    assert "No home to visit tonight. An empty list is good news." in shown
    assert "No home is listed for the first time tonight." in shown
    assert "What could not be assessed, and why" in shown


def test_a_night_tells_what_it_promises_and_what_it_could_not_judge():
    doors = [case(1, status="new"), case(2, status="new"), case(3)]
    night = night_page(doors, again={"notes": "water.csv: half the usual rows"})
    shown = text(night)
    for sentence in (
        "3 homes to visit.",
        "2 new, 1 ongoing, 0 fading.",
        "Of the 2 homes listed for the first time tonight, about 0.3 are",
        "entries 3.1×, water 2.4× and power 1.0×",
        "water.csv: half the usual rows",
        "no complete day yet",
        "too few complete days in the last week",
        "value is negative",
        "1,204",
    ):
        assert sentence in shown, sentence
    chinese = text(night, "zh")
    assert "最近一周的完整日太少" in chinese and "数值为负" in chinese


def test_the_list_names_the_home_and_the_further_people():
    night = night_page([case(1), case(2, extra_people=None, signature="water")])
    head, first, second = table_cells(report.night_html(night, "en"), LIST)
    assert head[2] == "Home" and first[2].split() == ["NM-03-0401", "North"]
    assert (head[5], first[5], second[5]) == ("Extra people", "4 (2–7)", "")


def test_a_list_without_people_cases_has_no_such_column():
    assert "Extra people" not in report.night_html(night_page([case(1, extra_people=None)]), "en")


def test_rows_carry_plain_values_to_sort_and_filter_by():
    night = night_page([case(1, chance_wrong=0.083), case(2, district="Mill", status="new")])
    html = report.night_html(night, "zh")
    row = '<tr data-kind="people" data-district="North" data-status="ongoing">.*?</tr>'
    values = re.findall(r'data-v="([^"]*)"', re.search(row, html)[0])
    assert values == ["2026-03-06", "3.10", "4.2", "890123", "0.083"]
    # there is one kind only, so no choice of it
    options = re.findall(r'<option value="([^"]*)">', html)
    assert options == ["", "Mill", "North", "", "new", "ongoing"]


def test_the_choices_wait_for_the_script():
    assert '<div id="tools" class="tools" hidden>' in report.night_html(night_page([case()]), "en")
    assert "tools" not in text(night_page([]))


def test_doors_first_listed_tonight_are_those_the_worklist_says():
    doors = [case(1), case(2)]
    listed = night_page(doors).worklist.with_columns(first_listed=pl.Series([True, True]))
    assert "Of the 2 homes listed for the first time" in text(night_page(doors, worklist=listed))


def test_cases_that_are_open_but_not_listed_are_counted():
    listed, waiting = case(1), case(2)
    cases = night_page([listed, waiting, case(3, status="closed")]).cases
    shown = text(night_page([listed], cases=cases))
    assert "1 other case is open but not listed tonight" in shown


def test_reasons_that_differ_by_their_numbers_are_one_row_and_rare_ones_share_the_last():
    reasons = [f"{n} whole days between 7 and 258 days old, 10 are needed" for n in range(5)]
    reasons += [f"odd reason {n:02d}" for n in range(40)]
    frame = pl.DataFrame({"reason": reasons, "signal": "water", "homes": [2] * 5 + [1] * 40})
    html = report.night_html(night_page([], not_judged=frame), "en")
    rows = table_cells(html, "Signals of homes that could not be assessed")[1:]
    assert len(rows) == 31  # thirty and the rest
    assert rows[0] == ["too little history", "water", "10"]
    assert rows[-2] == ["odd reason 28", "water", "1"]
    assert rows[-1] == ["other, less common reasons", "–", "11"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_two_thousand_doors_are_cut_into_pages_that_stay_small(language):
    statuses = ("new", "ongoing", "fading")
    doors = [case(rank, status=statuses[rank % 3]) for rank in range(1, 2001)]
    night = night_page(doors)
    parts = report.night_parts(night)
    pages = [report.night_html(night, language, part) for part in range(1, parts + 1)]
    assert max(len(page.encode()) for page in pages) <= 150_000
    ending = ".en.html" if language == "en" else ".html"
    linked = re.findall(r'href="cases/([^"]+)"', "".join(pages))
    assert linked == [door["case_id"] + ending for door in doors]
    first = HtmlReader(pages[0]).all("a")
    assert {"href": f"index-2{ending}"} in first and {"href": f"index-{parts}{ending}"} in first


def test_districts_are_shown_unless_they_are_small_or_dominated():
    districts = pl.DataFrame(
        {
            "district": ["Harbour", "Mill", "Hill"],
            "homes": [15, 14, 400],
            "doors": [1, 1, 2],
            "largest_share": [0.15, 0.1, 0.16],
        }
    )
    html = report.night_html(night_page([case()], districts=districts), "en")
    assert table_cells(html, "Homes to visit, by district")[1:] == [["Harbour", "15", "1"]]
    assert "By district" not in report.night_html(night_page([case()]), "en")


def test_row_order_changes_nothing():
    doors = [case(1), case(2), case(3)]
    night = night_page(doors)
    turned = night_page(doors[::-1], not_judged=night.not_judged.reverse(), quality=night.quality.reverse())
    assert report.night_html(night, "en") == report.night_html(turned, "en")


def test_a_night_says_what_is_no_longer_listed():
    html = report.night_html(night_page([], stopped=[("water", 33, 33)]), "zh")
    assert "已有结果的33户中误报33户" in html


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert(1)</script>"
    rejects = pl.DataFrame({"source": [evil], "reason": [evil], "rows": [1]})
    night = night_page([case(1, district=evil)], again={"notes": evil}, rejects=rejects)
    html = report.night_html(night, "zh")
    assert evil not in html and "&lt;script&gt;" in html
