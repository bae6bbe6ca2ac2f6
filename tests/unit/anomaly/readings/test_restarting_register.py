from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import SignalRule, daily_readings, parse_rows

RULE = SignalRule("power", "register", "kWh", restarts="daily")


def read(*cells):
    raw = pl.DataFrame(
        [("a", str(at), str(v)) for at, v in cells], schema=["household", "time", "value"], orient="row"
    )
    rows, _ = parse_rows(raw.with_row_index("row", 1), RULE)
    return [(d.day, v, q) for d, v, q in daily_readings(rows, RULE).select("day", "value", "quality").rows()]


def day_of(number, total, last_hour=23, first_hour=0):
    start = datetime(2026, 6, number)
    return [(start + timedelta(hours=h), total * h / 23) for h in range(first_hour, last_hour + 1)]


def test_the_last_value_of_a_day_is_its_use():
    assert read(*day_of(1, 9.691), *day_of(2, 10.055), *day_of(3, 4)) == [
        (1, 9691, "read"), (2, 10055, "read"), (3, 4000, "read"),
    ]  # fmt: skip


def test_the_total_at_midnight_closes_the_day_before():
    late = [(datetime(2026, 6, 2), 9.8), *day_of(2, 5, first_hour=1), (datetime(2026, 6, 3, 0, 0, 7), 5.5)]
    assert read(*day_of(1, 9.691), *late)[:2] == [(1, 9800, "read"), (2, 5500, "read")]


def test_a_day_that_ends_early_or_begins_anew_within_is_partial():
    assert read(*day_of(1, 9, last_hour=18), *day_of(2, 5))[0][2] == "partial"
    again = [*day_of(1, 9, last_hour=12), *((at, v - 4) for at, v in day_of(1, 9, first_hour=13))]
    assert read(*again)[0][2] == "partial"


def test_bare_dates_hold_the_total_and_lost_days_are_missing():
    assert read(("2026-06-01", 7), ("2026-06-03", 6)) == [
        (1, 7000, "read"), (2, None, "missing"), (3, 6000, "read"),
    ]  # fmt: skip


def test_only_a_register_restarts():
    with pytest.raises(ValueError, match="restarts belongs to a register"):
        SignalRule("power", "usage", "kWh", restarts="daily")
