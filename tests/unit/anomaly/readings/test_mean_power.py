from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import SignalRule, daily_readings, parse_rows

PARIS = {"kind": "usage", "timezone": "Europe/Paris"}


def read(rule, *stamps):
    """Days and rejects of rows of 300 (in the rule's unit) at those times."""
    raw = pl.DataFrame({"household": "a", "time": [str(at) for at in stamps], "value": "300"})
    rows, rejects = parse_rows(raw.with_row_index("row", 1), rule)
    days = daily_readings(rows, rule)
    return days.select("value", "quality").rows(), rejects["reason"].to_list()


def every(minutes, first, last):
    return [
        first + timedelta(minutes=minutes) * n for n in range((last - first) // timedelta(minutes=minutes))
    ]


@pytest.mark.parametrize(("stamp", "shift"), [("start", 0), ("end", 1)])
def test_power_times_the_length_of_its_period(stamp, shift):
    """Hourly, then half-hourly: each day is 24 hours of 300 W."""
    rule = SignalRule("power", unit="W", stamp=stamp, **PARIS)
    hourly = [at + timedelta(hours=shift) for at in every(60, datetime(2026, 6, 1), datetime(2026, 6, 3))]
    half = [
        at + timedelta(minutes=30 * shift) for at in every(30, datetime(2026, 6, 3), datetime(2026, 6, 5))
    ]
    days, rejects = read(rule, *hourly, *half)
    assert days == [(7200, "read")] * 4 and not rejects


def test_kilowatts_and_bare_dates():
    kilowatt = SignalRule("power", unit="kW", max_per_day=10**9, **PARIS)
    assert read(kilowatt, "2026-06-01") == ([(7_200_000, "read")], [])
    assert read(kilowatt, "2026-03-29") == ([(6_900_000, "read")], []), "a day of 23 hours"


@pytest.mark.parametrize(("day", "hours"), [(datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)])
def test_days_on_which_the_clocks_change(day, hours):
    first = day.replace(tzinfo=None)
    utc = [first - timedelta(hours=24) + timedelta(hours=n) for n in range(24 * 3)]
    rule = SignalRule("power", unit="W", **PARIS)
    days, _ = read(rule, *(f"{at.isoformat()}Z" for at in utc))
    assert (300 * hours, "read") in days


def test_nothing_is_spread_over_a_gap():
    rule = SignalRule("power", unit="W", **PARIS)
    stamps = every(60, datetime(2026, 6, 1), datetime(2026, 6, 2))
    days, _ = read(rule, *stamps[:10], *stamps[14:])
    assert days == [(300 * 20, "partial")]


def test_rows_whose_period_nothing_tells_are_refused():
    rule = SignalRule("power", unit="W", **PARIS)
    assert read(rule, "2026-06-01 10:00:00") == ([], ["length of the period not known"])
    half_hours = SignalRule("power", unit="W", periods_per_day=48, **PARIS)
    assert read(half_hours, "2026-06-01 10:00:00")[1] == []


def test_one_stamped_row_a_day_is_the_power_of_that_day():
    rule = SignalRule("power", unit="W", **PARIS)
    days, _ = read(rule, *(datetime(2026, 6, day) for day in range(1, 6)))
    assert [value for value, _ in days] == [7200] * 5


@pytest.mark.parametrize("kind", ["count", "register"])
def test_power_is_a_use(kind):
    with pytest.raises(ValueError, match="mean power"):
        SignalRule("power", kind, "kW")
