"""The page of one case, read back."""

import dataclasses
import datetime as dt
import re

import polars as pl
import pytest

from anomaly import report, tables
from tests.support.html_reader import HtmlReader, table_cells, text_of
from tests.support.report_pages import NIGHT, ONSET, case, case_page


def html_of(page, language="en"):
    return report.case_html(page, language, "case.png")


def text(page, language="en"):
    return text_of(html_of(page, language))


def test_a_case_reads_in_order():
    shown, at = text(case_page()), 0
    order = (
        *("Case NM-03-0401-people-20260310", "Purpose", "Home", "Building", "District"),
        *("Entries 3.1×, water", "Use over time", "The last 14 days in figures"),
        *("Basis for this case", "For and against", "How certain this is"),
        *("Consider ordinary explanations", "Check by phone", "Check on the visit", "Safety:"),
        *("Decision", "A case is a reason to look"),
    )
    for heading in order:
        assert heading in shown[at:], heading
        at = shown.index(heading, at)


@pytest.mark.parametrize(
    "sentence",
    [
        "about once in 230,000 household-nights",
        "Of 100 homes listed like this one, about 8 turn out",
        "about once in 890,000 household-nights",
        "Power at 1.0× the expected level: no marked rise.",
        "Water: 1 of the days in question could not be assessed.",
        "3 of the days in question are public holidays",
        "Power: only 61 days of history",
        "History before this night: entries 412 days and water 405 days.",
        "The meter counts in coarse steps",
        "Power was not assessed on this night: meter repeats the same value.",
        "The calendar for these days is the official one.",
    ],
)
def test_a_case_tells_its_numbers(sentence):
    assert sentence in text(case_page())


def test_the_table_of_numbers_is_the_last_fourteen_days_the_missing_one_a_dash():
    html = html_of(case_page())
    water = table_cells(html, "Water, L a day")
    assert len(water) == 15 and "Similar homes" not in water[0]
    assert water[-1] == ["14 Mar", "720", "300", "180–450", "actual"]
    assert water[-3] == ["12 Mar", "–", "300", "180–450", "missing"]
    marked = html.split("Water, L a day</caption>")[1].split("</table>")[0].count('class="marked"')
    assert marked == 9  # 6 to 14 March
    entries = table_cells(html, "Entries, passages a day")
    assert entries[0][4] == "Similar homes" and {row[4] for row in entries[1:]} == {"7"}


def test_the_level_of_each_signal_is_told_by_whether_it_moved():
    sentences = html_of(dataclasses.replace(case_page(), parts=None))
    assert "the trend rises" not in sentences  # without the drawing there is no such section
    shown = text_of(report.case_html(case_page(), "en", "case.png", "<svg></svg>"))
    assert "Entries: the trend rises from about 6 to 19 passages a day around 6 Mar." in shown
    assert "Power: the trend holds at about 9.1 kWh a day." in shown
    falls = case_page().shifts.with_columns(pl.col("after") / 4)
    page = dataclasses.replace(case_page(), shifts=falls)
    shown = text_of(report.case_html(page, "en", "case.png", "<svg></svg>"))
    assert "Water: the trend falls from about 300 to 180 L a day around 6 Mar." in shown


def test_a_case_without_evidence_chance_or_second_signal_says_so():
    page = case_page(
        evidence=tables.empty(tables.Evidence),
        notes=(),
        chance_wrong=None,
        rarity_night=None,
        ratios={"water": 2.4},
        signature="water",
    )
    shown = text(page)
    assert "Nothing new on this night" in shown
    assert "too few results so far" in shown
    assert "No second signal supports it." in shown
    assert "Does water run at night" in shown


def test_on_a_quiet_night_the_rarity_is_that_of_the_last_evidence():
    """A home that stands out by nothing has a rarity of 1 on the night."""
    seen, quiet = (text(case_page(rarity=500.0, rarity_night=number)) for number in (40.0, 1.0))
    assert "once in 40 " in seen and "once in 500 " in quiet


def test_a_past_record_is_told_where_there_is_one():
    kind = "Results here so far, more people than usual"
    record = {"visited": 40, "wrong": 22, "low": 0.398, "high": 0.694}
    shown = text(dataclasses.replace(case_page(), record=record))
    assert f"{kind}: 40 homes visited, 22 with an ordinary cause (40–69 of 100)." in shown
    assert "Results here" not in text(case_page())


def test_a_case_of_a_further_signal_has_explanations_and_checks_too():
    shown = text(case_page(signature="gas"))
    assert "Gas: more than usual" in shown and "A change of tariff" in shown


def test_the_further_people_are_told_with_what_they_rest_on():
    page = case_page(extra_people=4.2, extra_people_low=2.1, extra_people_high=7.4)
    assert "for 9 days. That is about what 4 extra people would add (2–7)." in html_of(page)
    assert "85, 188, 220, 282 and 413 L a day" in html_of(page)
    assert "约相当于增加4人（2～7人）。" in html_of(page, "zh")


def test_a_page_without_an_estimate_does_not_speak_of_people():
    nobody = {"extra_people": None, "extra_people_low": None, "extra_people_high": None}
    for page in (case_page(extra_people=None), case_page(signature="water", **nobody)):
        html = html_of(page)
        assert "more people (" not in html and "413 L a day" not in html


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert(1)</script>"
    html = html_of(case_page(household=evil, desk='"><img src=x>', notes=((None, evil),)))
    assert "<script" not in html and "<img src=x" not in html and "&lt;script&gt;" in html


def test_languages_are_linked_to_one_another():
    first, other = (HtmlReader(html_of(case_page(), language)).all("a") for language in ("zh", "en"))
    case_id = case()["case_id"]
    assert {"href": f"{case_id}.en.html", "lang": "en", "hreflang": "en"} in first
    assert {"href": f"{case_id}.html", "lang": "zh", "hreflang": "zh"} in other
    assert {"href": "../index.en.html"} in other and {"href": "../index.html"} in first


def page_with_flow(before, since):
    """Return the page of a water case with the least flow of 40 nights, before and since the onset."""
    days = [NIGHT - dt.timedelta(days=back) for back in reversed(range(40))]
    flow = [since if day >= ONSET else before for day in days]
    frame = pl.DataFrame({"signal": "water", "day": days, "flow": flow}).drop_nulls("flow")
    return dataclasses.replace(case_page(signature="water"), flow=frame)


def test_water_that_runs_all_night_agrees_with_a_leak():
    html = html_of(page_with_flow(0, 12))
    assert "at least 12 L in every hour of the 9 nights since" in html
    assert "Before, the night-time minimum was usually 0 L an hour." in html
    assert "不少于12升" in html_of(page_with_flow(0, 12), "zh")
    assert "The night-time minimum before is not known." in html_of(page_with_flow(None, 12))


def test_water_that_stands_still_speaks_against_one():
    html = html_of(page_with_flow(0, 0))
    assert "On 9 of the 9 nights since, no water ran for an hour or more" in html
    assert "in every hour" not in html


def test_a_flow_that_was_there_before_says_nothing():
    html = html_of(page_with_flow(12, 12))
    assert "in every hour" not in html and "stood still" not in html


def test_the_picture_has_its_text_alternative():
    (image,) = HtmlReader(html_of(case_page())).all("img")
    assert image["src"] == "case.png"
    assert re.match(
        r"Daily charts of entries, water and power from 15 Nov 2025 to 14 Mar 2026\.", image["alt"]
    )
