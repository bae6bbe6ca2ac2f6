"""The page over all nights, read back."""

import dataclasses
import re
from datetime import date, datetime, timedelta

import polars as pl

from anomaly import report, tables
from tests.support.all_pages import ACCOUNT, MISSES
from tests.support.html_reader import HtmlReader, table_cells, text_of
from tests.support.report_pages import NIGHT, SITE, overview_page


def html_of(page, language="en"):
    return report.overview_html(page, language)


def test_the_nights_that_have_a_folder_are_linked_latest_first():
    page = HtmlReader(html_of(overview_page(3)))
    links = [a["href"] for a in page.all("a") if a["href"].startswith("2026")]
    assert links == ["2026-03-14/index.en.html"] * 2  # calendar and list
    assert page.text.index("14 Mar 2026") < page.text.index("13 Mar 2026") < page.text.index("12 Mar 2026")


def test_a_night_run_twice_is_one_row_and_a_long_history_stays_small():
    page = overview_page(900)
    second = page.runs.head(1).with_columns(run=pl.lit("run-x"), judged=pl.lit(77, pl.Int64))
    runs = pl.concat([page.runs, second])
    html = html_of(dataclasses.replace(page, runs=runs, reported=frozenset(runs["night"])), "zh")
    assert len(html.encode()) <= 150_000 and "仅显示最近31个日期" in html
    assert html.count("2026年3月14日") == 1 and ">77<" in html


def test_only_the_latest_months_are_shown_of_a_long_history():
    html = html_of(overview_page(900))
    assert NIGHT - timedelta(days=899) < date(2024, 12, 1)
    assert html.count('class="month"') == 13
    assert "2024" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_an_overview_of_nothing():
    nothing = report.OverviewPage(SITE, tables.empty(tables.Runs), tables.empty(tables.Cases))
    text = text_of(html_of(nothing))
    assert "No night has been assessed yet." in text and "There are no cases." in text


def test_the_calendar_says_how_many_were_new_where_a_night_was_judged():
    new, notes = pl.Series([7, 0], dtype=pl.Int64), pl.Series(["", "water: stopped"])
    runs = overview_page(2).runs.with_columns(cases_new=new, notes=notes)
    page = report.OverviewPage(SITE, runs, overview_page(2).cases, reported=frozenset({NIGHT}))
    html = html_of(page)
    march = [cell for row in table_cells(html, "Mar 2026")[1:] for cell in row if cell]
    assert len(march) == 31
    assert [" ".join(cell.split()) for cell in march[11:15]] == ["12", "13 0!", "14 7", "15"]
    assert '<a href="2026-03-14/index.en.html">14</a>' in html


def test_months_tell_what_was_opened_promised_and_found():
    caption = "Cases opened, false alarms expected, and results of visits and decisions"
    head, *months = table_cells(html_of(overview_page(20)), caption)
    assert head[:3] == ["Month", "Cases opened", "False alarms expected"]
    assert head[3:] == ["Confirmed", "Ordinary cause", "No answer", "Not visited", "Contested"]
    assert months == [
        ["Mar 2026", "1", "4.2", "0", "1", "0", "0", "0"],
        ["Feb 2026", "0", "1.8", "0", "0", "0", "0", "0"],
    ]  # 14 and 6 nights at 0.3


def test_cases_are_counted_by_kind_and_status():
    head, row = table_cells(html_of(overview_page(1)), "Cases by kind and status")
    assert head == ["Kind", "new", "ongoing", "fading", "closed"]
    assert row == ["more people than usual", "0", "1", "0", "0"]


def test_a_run_says_how_long_it_took():
    started, finished = datetime(2026, 3, 15, 1, 0), datetime(2026, 3, 15, 1, 1, 30)
    runs = overview_page(1).runs.with_columns(started_utc=started, finished_utc=finished)
    html = html_of(report.OverviewPage(SITE, runs, overview_page(1).cases))
    assert 'data-label="Seconds">90<' in html


def test_quality_is_told_for_the_whole_site_and_for_districts_large_enough():
    rows = table_cells(
        html_of(overview_page(1)), "Share of days that could be assessed, by district and signal"
    )
    # Mill has 14 homes
    assert rows == [["District", "Homes", "Water"], ["All homes", "60", "90 %"], ["North", "46", "87 %"]]


def test_what_could_be_found_is_told_or_said_to_be_unmeasured():
    text = text_of(html_of(overview_page(1)))
    assert "Measured on the readings up to 28 Feb 2026:" in text
    assert "×3 people for 10 to 40 days: 80 of 100 such surges are found" in text
    unmeasured = report.OverviewPage(SITE, overview_page(1).runs, overview_page(1).cases)
    assert "Not measured yet" in text_of(html_of(unmeasured))


def test_the_account_stands_on_it_where_there_is_one():
    page = dataclasses.replace(overview_page(1), account=ACCOUNT, misses=MISSES)
    assert "Homes with a result: 4. False alarms among them: 3" in text_of(html_of(page))
    assert "Homes with a result" not in text_of(html_of(overview_page(1)))
