"""The sheets for a round, read back."""

import re

from anomaly import report
from tests.support.html_reader import HtmlReader, table_cells
from tests.support.report_pages import case, night_page


def test_doors_are_by_district_then_home_with_boxes_to_tick():
    doors = [case(1, district="South"), case(2), case(3, district=None), case(4)]
    html = report.round_html(night_page(doors), "en")
    captions = re.findall(r"<caption>(.*?)</caption>", html)
    assert captions == ["North: 2 homes", "South: 1 home", "No district: 1 home"]
    _, first, second = table_cells(html, "North: 2 homes")
    assert first[0] == second[0] == "☐" and first[1].split()[0] == "NM-03-0402"
    assert "That is about what 4 extra people would add (2–7)." in first[3] and first[4].count("☐") == 5
    assert html.count("Safety:") == html.count("For Overcrowding &amp; leaks 2026") == 3


def test_two_thousand_doors_are_cut_into_sheets_that_stay_small():
    night = night_page([case(rank, district=f"D{rank % 7}") for rank in range(1, 2001)])
    sheets = [report.round_html(night, "zh", part) for part in range(1, len(report.round_parts(night)) + 1)]
    assert max(len(sheet.encode()) for sheet in sheets) <= 150_000
    assert sum(sheet.count('class="tick"') for sheet in sheets) == 2000
    assert {"href": "round-2.html"} in HtmlReader(sheets[0]).all("a")
    assert {"href": "round.html"} in HtmlReader(sheets[1]).all("a")


def test_a_round_without_doors_says_so():
    assert "No home to visit tonight." in report.round_html(night_page([]), "en")


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert(1)</script>"
    html = report.round_html(night_page([case(1, district=evil)]), "zh")
    assert evil not in html and "&lt;script&gt;" in html
