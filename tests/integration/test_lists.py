"""What is made to be worked through: the night's list, sheets for a round, the CSV, and the overview's tables."""

import csv
import io
import re
from datetime import date, datetime, timedelta

import polars as pl

from anomaly import report
from tests.support.report_pages import NIGHT, SITE, case, night_page, overview_page
from tests.unit.anomaly.report.test_case import Reader


def cells(html, table):
    """Rows of a table with this caption, as lists of text."""
    body = html.split(f"<caption>{table}</caption>")[1].split("</table>")[0]
    return [
        [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]


def test_the_list_names_the_home_and_the_further_people():
    rows = cells(
        report.night_html(night_page([case(1), case(2, extra_people=None, signature="water")]), "en"),
        "Doors in the order of the evidence, the rarest first",
    )
    assert rows[0][2] == "Home" and rows[0][5] == "More people"
    assert rows[1][2].split() == ["NM-03-0401", "North"] and rows[1][5] == "4 (2–7)" and rows[2][5] == ""


def test_a_list_without_people_cases_has_no_such_column():
    assert "More people" not in report.night_html(night_page([case(1, extra_people=None)]), "en")


def test_rows_carry_plain_values_to_sort_and_filter_by():
    html = report.night_html(
        night_page([case(1, chance_wrong=0.083), case(2, district="Mill", status="new")]), "zh"
    )
    first = re.findall(r'<tr data-kind="people" data-district="North" data-status="ongoing">.*?</tr>', html)[
        0
    ]
    assert re.findall(r'data-v="([^"]*)"', first) == ["2026-03-06", "3.10", "4.2", "890123", "0.083"]
    assert re.findall(r'<option value="([^"]*)">', html) == [
        "",
        "Mill",
        "North",
        "",
        "new",
        "ongoing",
    ]  # one kind only: no choice of it


def test_the_choices_wait_for_the_script():
    assert '<div id="tools" class="tools" hidden>' in report.night_html(night_page([case()]), "en")
    assert "tools" not in Reader(report.night_html(night_page([]), "en")).text


def test_a_round_is_by_district_then_home_with_boxes_to_tick():
    doors = [case(1, district="South"), case(2), case(3, district=None), case(4)]
    html = report.round_html(night_page(doors), "en")
    assert re.findall(r"<caption>(.*?)</caption>", html) == [
        "North: 2 doors",
        "South: 1 door",
        "No district: 1 door",
    ]
    north = cells(html, "North: 2 doors")
    assert [row[0] for row in north[1:]] == ["☐", "☐"] and north[1][1].split()[0] == "NM-03-0402"
    assert "That is like 4 more people (2–7)." in north[1][3] and north[1][4].count("☐") == 5
    assert html.count("Safety:") == html.count("For Overcrowding &amp; leaks 2026") == 3


def test_a_round_of_two_thousand_doors_is_cut_into_sheets_that_stay_small():
    night = night_page([case(rank, district=f"D{rank % 7}") for rank in range(1, 2001)])
    sheets = [report.round_html(night, "zh", part) for part in range(1, len(report.round_parts(night)) + 1)]
    assert max(len(sheet.encode()) for sheet in sheets) <= 150_000
    assert sum(sheet.count('class="tick"') for sheet in sheets) == 2000
    assert {"href": "round-2.html"} in Reader(sheets[0]).all("a") and {"href": "round.html"} in Reader(
        sheets[1]
    ).all("a")


def test_a_round_without_doors_says_so():
    assert "Nothing to visit tonight." in report.round_html(night_page([]), "en")


def test_the_csv_has_the_further_people_and_their_range():
    (row,) = csv.DictReader(io.StringIO(report.cases_csv(night_page([case()]))))
    assert (row["extra_people"], row["extra_people_low"], row["extra_people_high"]) == ("4.2", "2.1", "7.4")


# --- all nights -----------------------------------------------------------------------------------------------------------


def test_the_calendar_says_how_many_were_new_where_a_night_was_judged():
    runs = overview_page(2).runs.with_columns(
        cases_new=pl.Series([7, 0], dtype=pl.Int64), notes=pl.Series(["", "water: stopped"])
    )
    html = report.overview_html(
        report.OverviewPage(SITE, runs, overview_page(2).cases, reported=frozenset({NIGHT})), "en"
    )
    march = [cell for row in cells(html, "Mar 2026")[1:] for cell in row if cell]
    assert len(march) == 31
    assert [" ".join(cell.split()) for cell in march[11:15]] == ["12", "13 0!", "14 7", "15"]
    assert '<a href="2026-03-14/index.en.html">14</a>' in html


def test_months_tell_what_was_opened_promised_and_found():
    rows = cells(
        report.overview_html(overview_page(20), "en"),
        "Cases opened, doors expected to be wrong, and what was decided or found",
    )
    assert rows[0] == [
        "Month",
        "Cases opened",
        "Expected wrong doors",
        "Confirmed",
        "Ordinary cause",
        "Nobody there",
        "Not visited",
        "Contested",
    ]
    assert rows[1:] == [
        ["Mar 2026", "1", "4.2", "0", "1", "0", "0", "0"],
        ["Feb 2026", "0", "1.8", "0", "0", "0", "0", "0"],
    ]  # 14 and 6 nights at 0.3


def test_a_run_says_how_long_it_took():
    runs = overview_page(1).runs.with_columns(
        started_utc=datetime(2026, 3, 15, 1, 0), finished_utc=datetime(2026, 3, 15, 1, 1, 30)
    )
    html = report.overview_html(report.OverviewPage(SITE, runs, overview_page(1).cases), "en")
    assert 'data-label="Seconds">90<' in html


def test_quality_is_told_for_the_whole_site_and_for_districts_large_enough():
    rows = cells(
        report.overview_html(overview_page(1), "en"), "Share of days fit to be judged, by district and signal"
    )
    assert rows == [
        ["District", "Homes", "Water"],
        ["All homes", "60", "90 %"],
        ["North", "46", "87 %"],
    ]  # Mill has 14 homes


def test_what_could_be_found_is_told_or_said_to_be_unmeasured():
    text = Reader(report.overview_html(overview_page(1), "en")).text
    assert (
        "Measured on the readings up to 28 Feb 2026:" in text
        and "×3 people for 10 to 40 days: 80 of 100 such surges found" in text
    )
    empty = report.OverviewPage(SITE, overview_page(1).runs, overview_page(1).cases)
    assert "Not measured yet" in Reader(report.overview_html(empty, "en")).text


def test_only_the_latest_months_are_shown_of_a_long_history():
    html = report.overview_html(overview_page(900), "en")
    assert len(re.findall(r'class="month"', html)) == 13 and (NIGHT - timedelta(days=899)) < date(2024, 12, 1)
    assert "2024" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
