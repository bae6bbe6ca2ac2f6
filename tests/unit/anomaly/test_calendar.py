"""The calendar: made-up workdays, moving windows, what is settled, and overrides."""

import tomllib
import warnings
from datetime import date

import polars as pl
import pytest

from anomaly.calendar import calendar_days, calendar_status
from tests.support.paths import ROOT

EXAMPLE = ROOT / "pipelines" / "config" / "calendars" / "CN" / "2027.toml"


def _row(frame: pl.DataFrame, day: date) -> dict:
    return frame.row(by_predicate=pl.col("day") == day, named=True)


def test_china_2026_days():
    days = calendar_days("CN", date(2026, 1, 1), date(2026, 12, 31))
    assert days.height == 365
    assert days["day"].is_sorted()
    assert days.null_count().drop("window").row(0) == (0,) * 6
    # Saturday 14 February is worked in exchange for Friday the 20th, Sunday 20 September for Tuesday 6
    # October.
    expected = {
        date(2026, 2, 14): (4, "workday", "Made-up workday", "调休上班"),
        date(2026, 2, 20): (
            6,
            "holiday",
            "Day off (substituted from 02/14/2026)",
            "休息日（由 2026-02-14 调休）",
        ),
        date(2026, 9, 20): (0, "workday", "Made-up workday", "调休上班"),
        date(2026, 10, 1): (6, "holiday", "National Day", "国庆节"),
        date(2026, 2, 13): (4, "window", "Spring Festival", "春节"),
        date(2026, 3, 20): (4, "", "", ""),
        date(2026, 3, 21): (5, "", "", ""),
    }
    got = {
        day: tuple(_row(days, day)[key] for key in ("weekday", "kind", "name_en", "name_zh"))
        for day in expected
    }
    assert got == expected


def test_spring_festival_window_reaches_20_days_both_ways():
    days = calendar_days("CN", date(2026, 1, 1), date(2026, 4, 1)).filter(
        pl.col("window") == "Spring Festival"
    )
    # New year's day is 17 February 2026.
    assert (days["day"].min(), days["day"].max(), days.height) == (date(2026, 1, 28), date(2026, 3, 9), 41)


def test_a_window_of_the_next_year_reaches_back():
    # New year's day is 22 January 2023: the window opens on 2 January, and a frame that ends there must know
    # it.
    days = calendar_days("CN", date(2023, 1, 1), date(2023, 1, 2))
    assert days["window"].to_list() == [None, "Spring Festival"]


@pytest.mark.parametrize(
    ("country", "first", "last"),
    [("SA", date(2026, 2, 17), date(2026, 3, 18)), ("TR", date(2026, 2, 18), date(2026, 3, 19))],
)
def test_ramadan_is_the_30_days_before_eid(country, first, last):
    days = calendar_days(country, date(2026, 1, 1), date(2026, 12, 31)).filter(pl.col("window") == "Ramadan")
    assert (days["day"].min(), days["day"].max(), days.height) == (first, last, 30)


def test_windows_only_where_the_feast_is_kept():
    for country in ("GB", "US"):
        assert calendar_days(country, date(2026, 1, 1), date(2026, 12, 31))["window"].null_count() == 365
    # Egypt's "Spring Festival" in April is another feast and opens no window.
    egypt = calendar_days("EG", date(2026, 1, 1), date(2026, 12, 31))
    assert set(egypt["window"].drop_nulls()) == {"Ramadan"}
    for country in ("HK", "KR", "SG", "VN"):
        assert "Spring Festival" in set(
            calendar_days(country, date(2026, 1, 1), date(2026, 12, 31))["window"]
        )


def test_where_the_weekend_is_friday_a_holiday_is_its_last_day():
    days = calendar_days("SA", date(2026, 9, 23), date(2026, 9, 23))
    assert days["weekday"].to_list() == [5]


def test_status_of_years():
    assert [calendar_status("CN", year) for year in (2025, 2026, 2090, 2101, 1800)] == ["official"] * 2 + [
        "provisional"
    ] * 3
    assert calendar_status("GB", 2027) == "official"
    assert calendar_status("TR", 2026) == "official"
    assert calendar_status("TR", 2040) == "provisional"  # its feasts follow the moon and are still estimates
    assert calendar_days("CN", date(2089, 12, 31), date(2090, 1, 1))["provisional"].to_list() == [True, True]


def test_overrides_win_and_settle_their_year():
    override = {
        "holidays": [{"day": date(2090, 3, 6), "en": "Day off", "zh": "放假"}],
        "workdays": [{"day": date(2090, 3, 11)}, {"day": date(2090, 10, 2)}],
        "windows": [
            {"first": date(2090, 7, 10), "last": date(2090, 8, 31), "en": "School holidays", "zh": "暑假"}
        ],
        "provisional": False,
    }
    days = calendar_days("CN", date(2090, 1, 1), date(2091, 12, 31), [override])
    kept = [
        tuple(_row(days, day)[key] for key in ("weekday", "kind"))
        for day in (date(2090, 3, 6), date(2090, 3, 11))
    ]
    assert kept == [(6, "holiday"), (4, "workday")]  # 11 March 2090 is a Saturday
    assert (
        _row(days, date(2090, 10, 2))["kind"] == "workday"
    )  # a National Day that the override makes a working day
    assert _row(days, date(2090, 7, 10))["window"] == "School holidays"
    status = (
        days.group_by(pl.col("day").dt.year().alias("year")).agg(pl.col("provisional").unique()).sort("year")
    )
    assert status["provisional"].to_list() == [[False], [True]]
    later = calendar_days(
        "CN", date(2090, 3, 6), date(2090, 3, 6), [override, {"workdays": [{"day": date(2090, 3, 6)}]}]
    )
    assert later["kind"].to_list() == ["workday"]


def test_the_example_override_reads_and_claims_nothing_that_is_not_law():
    override = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    days = calendar_days("CN", date(2027, 1, 1), date(2027, 12, 31), [override])
    assert days["provisional"].all()
    assert _row(days, date(2027, 2, 5))["name_zh"] == "除夕"
    plain = calendar_days("CN", date(2027, 1, 1), date(2027, 12, 31))
    assert days.drop("name_en", "name_zh").equals(
        plain.drop("name_en", "name_zh")
    )  # it ships in force: dates stay the package's
    # With its examples uncommented it is still TOML that reads.
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and ("[[" in line or " = " in line[:12]) else line
        for line in lines
    )
    full = calendar_days("CN", date(2027, 1, 1), date(2027, 12, 31), [tomllib.loads(text)])
    assert _row(full, date(2027, 8, 1))["name_zh"] == "学校暑假"
    assert (_row(full, date(2027, 2, 11))["kind"], _row(full, date(2027, 2, 20))["kind"]) == (
        "holiday",
        "workday",
    )


@pytest.mark.parametrize(
    ("country", "word"),
    [("CHN1", "CHN"), ("XX", "did you mean"), ("GB-ZZZ", "ENG"), ("", "CN"), ("HolidayBase", "CN")],
)
def test_an_unknown_country_is_one_line_with_a_remedy(country, word):
    with pytest.raises(ValueError, match=word) as refused:
        calendar_days(country, date(2026, 1, 1), date(2026, 1, 2))
    assert "\n" not in str(refused.value)


def test_subdivisions_are_known():
    easter_monday = date(2026, 4, 6)
    assert calendar_days("GB-ENG", easter_monday, easter_monday)["kind"].to_list() == ["holiday"]
    assert calendar_days("GB", easter_monday, easter_monday)["kind"].to_list() == [""]


def test_many_countries_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for country in ("CN", "TW", "HK", "JP", "IN", "DE", "ES", "FR", "BR", "ZA", "AE", "ID", "RU", "AU"):
            days = calendar_days(country, date(2025, 12, 1), date(2026, 2, 1))
            assert days.height == 63
