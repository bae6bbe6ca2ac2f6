"""Hours that come twice or never, without an offset to tell them apart."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import SignalRule, daily_readings, parse_rows
from anomaly.readings.clock_changes import clock_changes, separate_passes

BERLIN = SignalRule("power", "usage", "Wh", timezone="Europe/Berlin")
HOUR = timedelta(hours=1)


def times(*clocks, home="a", rule=BERLIN):
    rows = pl.DataFrame({"time": [datetime.fromisoformat(f"2026-10-25 {clock}") for clock in clocks]})
    rows = rows.select(pl.lit(home).alias("household"), "time", dated=False)
    return [str(time)[11:] for time in separate_passes(rows, rule)["time"]]


def test_the_changes_of_a_year():
    assert clock_changes("Europe/Berlin", 2026) == (
        (datetime(2026, 3, 29, 1), HOUR),
        (datetime(2026, 10, 25, 1), -HOUR),
    )
    assert clock_changes("Australia/Lord_Howe", 2026)[0] == (datetime(2026, 4, 4, 15), -HOUR / 2)
    assert clock_changes("Asia/Shanghai", 2026) == clock_changes("UTC", 2026) == ()


@pytest.mark.parametrize(
    "clocks",
    [
        ["01:00", "02:00", "02:00", "03:00"],
        ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"],
        ["01:30", "02:00", "02:00", "02:30", "02:30", "03:00"],
    ],
)
def test_the_second_of_two_is_the_second_pass(clocks):
    told = times(*clocks)
    assert len(set(told)) == len(clocks)
    assert [time[:5] for time in told] == clocks


def test_the_end_of_the_hour_may_come_twice():
    """An export that names the ends of its hours may write 03:00 for both passes."""
    assert times("02:00", "03:00", "03:00", "04:00") == [
        "02:00:00",
        "03:00:00",
        "03:00:00.000001",
        "04:00:00",
    ]


def test_what_comes_twice_beside_the_hour_too_is_restated():
    clocks = ["01:00", "01:00", "02:00", "02:00", "03:00"]
    assert times(*clocks) == [f"{clock}:00" for clock in clocks]


def test_rows_of_other_days_and_zones_stay():
    assert times("02:00", "02:00", rule=SignalRule("power", "usage")) == ["02:00:00", "02:00:00"]


def test_a_source_of_another_zone_goes_on_an_hour_later():
    rule = SignalRule("power", "usage", timezone="Asia/Shanghai", source_timezone="Europe/Berlin")
    # 02:00 of Berlin's summer is 08:00 of Shanghai
    assert times("08:00", "08:00", "10:00", rule=rule) == ["08:00:00", "09:00:00", "10:00:00"]


def hourly(clock, rule, days=3, start=datetime(2026, 10, 24)):
    """Rows of 1 Wh for each hour, as a source with that clock writes them without an offset."""
    zone = pl.datetime_range(
        start, start + timedelta(days=days), "1h", closed="left", time_zone=clock, eager=True
    )
    cells = zone.dt.strftime("%Y-%m-%d %H:%M")
    raw = pl.DataFrame({"household": "a", "time": cells, "value": "1"}).with_row_index("row", 1)
    rows, _ = parse_rows(raw, rule)
    return rows


@pytest.mark.parametrize(
    ("clock", "rule", "values"),
    [
        ("Europe/Berlin", BERLIN, [(24, "read"), (25, "read"), (24, "read")]),
        # a source without summer time has no second pass: an hour seems to lack until the settings name it
        ("Etc/GMT-1", BERLIN, [(24, "read"), (24, "partial"), (24, "read")]),
        (
            "Etc/GMT-1",
            SignalRule("power", "usage", "Wh", timezone="Europe/Berlin", source_timezone="Etc/GMT-1"),
            [(23, "partial"), (25, "read"), (24, "read")],
        ),
    ],
)
def test_the_day_of_25_hours(clock, rule, values):
    days = daily_readings(hourly(clock, rule), rule)
    assert days.select("value", "quality").rows()[: len(values)] == values
