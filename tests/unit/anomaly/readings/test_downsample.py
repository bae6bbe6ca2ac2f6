"""Finer rows brought down to the daily grain: what is made from them stays what it was."""

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import SignalRule, daily_readings, to_daily_grain
from tests.unit.anomaly.readings.test_period_days import DOOR, every, stamped

FIRST, BEFORE = datetime(2026, 3, 1), date(2026, 3, 8)
METER = SignalRule("water", "register", "m3")
USE = SignalRule("power", "usage", "kWh", stamp="end")


def hourly(days, values=None, missing=(), first=FIRST):
    rows = every(60, first, first + timedelta(days=days))
    return stamped(
        [
            (time, values[i % len(values)] if values else 1)
            for i, (time, _) in enumerate(rows)
            if i not in missing
        ]
    )


@pytest.mark.parametrize("rule", [DOOR, USE], ids=lambda rule: rule.name)
def test_one_row_a_whole_day_remains_and_recent_days_keep_theirs(rule):
    rows = hourly(
        10, [1, 2, 3], first=FIRST + timedelta(hours=rule.stamp == "end")
    )  # an hour that ends at midnight is the day's before
    left = to_daily_grain(rows, rule, BEFORE)
    assert left.filter("dated").sort("time").select(pl.col("time").dt.day(), "value").rows() == [
        (d, 48) for d in range(1, 8)
    ]
    assert left.filter(~pl.col("dated")).height == 3 * 24
    before, after = daily_readings(rows, rule), daily_readings(left, rule)
    assert before.filter(pl.col("quality") == "read").equals(after.filter(pl.col("quality") == "read"))


def test_a_day_of_which_hours_are_missing_stays_unjudged():
    rows = hourly(10, missing=(24 * 2 + 5,))
    left = to_daily_grain(rows, DOOR, BEFORE)
    quality = dict(daily_readings(left, DOOR).select("day", "quality").iter_rows())
    assert quality[date(2026, 3, 3)] == "missing" and quality[date(2026, 3, 2)] == "read"
    assert daily_readings(rows, DOOR).filter(pl.col("day") == date(2026, 3, 3))["quality"][0] == "partial"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=24, max_size=24), st.sampled_from([15, 60, 180]), st.integers(0, 50)
)
def test_a_register_gives_the_same_days_from_four_readings_a_day(uses, minutes, offset):
    total, told = 100_000, []
    for i, (time, _) in enumerate(
        every(minutes, FIRST + timedelta(minutes=offset), FIRST + timedelta(days=10))
    ):
        total += uses[i % 24]
        told.append((time, total))
    rows = stamped(told)
    left = to_daily_grain(rows, METER, BEFORE)
    assert left.filter(pl.col("time") < pl.lit(BEFORE)).height <= 28 < rows.height
    assert daily_readings(left, METER).drop("note").equals(daily_readings(rows, METER).drop("note"))


def test_daily_rows_and_recent_ones_are_left_as_they_are():
    daily = stamped([]).vstack(
        pl.DataFrame(
            [("a", FIRST + timedelta(days=d), True, 5, None, None, d) for d in range(9)],
            schema=stamped([]).schema,
            orient="row",
        )
    )
    assert to_daily_grain(daily, DOOR, BEFORE).equals(daily)
    assert to_daily_grain(hourly(3), DOOR, date(2026, 3, 1)).equals(hourly(3))


def test_exits_are_summed_with_their_entries():
    rows = hourly(9).with_columns(exits=pl.lit(2, pl.Int64))
    assert to_daily_grain(rows, DOOR, BEFORE).filter("dated")["exits"].unique().to_list() == [48]
