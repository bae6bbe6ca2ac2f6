"""Registers that are read about once a day, at any time of it."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import ROW_SCHEMA, SignalRule, daily_readings

POWER = SignalRule("power", "register", "kWh")
FIRST = datetime(2026, 6, 1)


def register(*times, use=7_000):
    """Readings of a register that counts `use` between one and the next."""
    rows = [("a", time, False, 400_000 + use * n, None, None, n) for n, time in enumerate(times)]
    return pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row")


def daily(clock, days=6, jitter=lambda n: 0):
    hour, minute, second = map(int, clock.split(":"))
    start = FIRST + timedelta(hours=hour, minutes=minute, seconds=second)
    return [start + timedelta(days=n, minutes=jitter(n)) for n in range(days)]


def days_of(rows, rule=POWER):
    """Day of June → (value, quality), without days that are missing."""
    days = daily_readings(rows, rule).filter(pl.col("quality") != "missing")
    return {
        day.day: (value, quality) for day, value, quality in days.select("day", "value", "quality").rows()
    }


@pytest.mark.parametrize(
    ("clock", "quality", "first"),
    [
        ("23:59:59", "read", 2),
        ("23:46:00", "read", 2),
        ("00:00:07", "read", 1),
        ("00:14:00", "read", 1),
        ("06:00:00", "interpolated", 1),
        ("12:00:00", "interpolated", 1),  # at noon the earlier day
        ("13:00:00", "interpolated", 2),
        ("20:30:00", "interpolated", 2),
        ("23:40:00", "interpolated", 2),
    ],
)
def test_a_day_of_each_reading(clock, quality, first):
    expected = dict.fromkeys(range(first, first + 5), (7_000, quality))
    assert days_of(register(*daily(clock))) == expected
    if quality == "interpolated":
        wide = SignalRule("power", "register", "kWh", boundary_hours=11)
        assert days_of(register(*daily(clock)), wide) == expected


@pytest.mark.parametrize("clock", ["12:00:00", "13:00:00", "00:05:00", "06:30:00"])
@pytest.mark.parametrize("minutes", [1, 50])
def test_a_reader_that_is_not_on_time_misses_no_day(clock, minutes):
    jitter = [0, 1, -1, -1, 1, 1, 0, -1, 1, 0, 1, -1]
    rows = register(*daily(clock, len(jitter), lambda n: minutes * jitter[n]))
    found = days_of(rows)
    assert len(found) == len(jitter) - 1
    assert {value for value, _ in found.values()} == {7_000}


def test_a_reading_that_lacks_takes_both_its_days():
    times = daily("06:00:00", 8)
    rows = register(*times).filter(pl.col("time") != times[3])
    assert sorted(days_of(rows)) == [1, 2, 5, 6, 7]


def test_a_further_reading_takes_the_day_it_falls_on():
    assert sorted(days_of(register(*sorted([*daily("06:00:00", 6), FIRST + timedelta(days=2, hours=10)])))) == [1, 2, 4, 5]  # fmt: skip


def test_a_register_read_more_often_keeps_the_rule_of_two_sides():
    hours = [FIRST + timedelta(hours=n) for n in range(120)]
    gap = [time for time in hours if not timedelta(hours=30) < time - FIRST < timedelta(hours=54)]
    # 24 hours lie between the readings on both sides of the gap: they are no metering day
    assert sorted(days_of(register(*gap, use=300))) == [1, 4]


def test_a_reset_is_no_metering_day():
    rows = register(*daily("06:00:00", 12)).with_columns(
        value=pl.when(pl.col("row") >= 6).then(pl.col("value") - 440_000).otherwise("value")
    )
    assert {quality for _, quality in days_of(rows).values()} <= {"interpolated", "doubtful"}
    assert days_of(rows)[6][1] == "doubtful"
    assert {value for value, quality in days_of(rows).values() if quality == "interpolated"} == {7_000}
