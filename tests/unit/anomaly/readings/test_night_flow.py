from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import SignalRule, has_night_flow, minimum_night_flow
from anomaly.readings.parse import ROW_SCHEMA

REGISTER = SignalRule("water", "register", "litre")
USAGE = SignalRule("water", "usage", "litre")
DAY = datetime(2026, 3, 1)


def rows(*stamped, dated=False):
    """(household, hours after midnight of the first day, value) to rows."""
    table = [
        (home, DAY + timedelta(hours=at), dated, value, None, None, n)
        for n, (home, at, value) in enumerate(stamped)
    ]
    return pl.DataFrame(table, schema=ROW_SCHEMA, orient="row")


def told(frame):
    return [(home, day.day, flow) for home, day, flow in frame.iter_rows()]


@pytest.mark.parametrize(
    ("name", "unit", "has_flow"),
    [("water", "m3", True), ("water", "litre", True), ("gas", "m3", False), ("water", "cent", False)],
)
def test_water_alone_has_a_night_flow_by_its_name_and_unit(name, unit, has_flow):
    assert has_night_flow(SignalRule(name, "usage", unit)) == has_flow


def test_the_least_hour_of_the_night_by_a_register():
    # read at :30 of every hour from 23:30 on; a leak of 3 L/h, and 40 L at three o'clock
    level, leak = 1000, []
    for hour in range(-1, 8):
        level += 43 if hour == 3 else 3
        leak.append(("a", hour + 0.5, level))
    assert told(minimum_night_flow(rows(*leak), REGISTER)) == [("a", 1, 3)]


def test_a_reading_on_the_hour_closes_the_hour_before():
    leak = [("a", hour, 1000 + 9 * max(0, hour)) for hour in range(-2, 8)]  # from midnight on
    assert told(minimum_night_flow(rows(*leak), REGISTER)) == [("a", 1, 9)]


def test_a_tight_home_stands_still_at_night():
    still = [("a", hour + 0.5, 1000 + 20 * (hour > 4)) for hour in range(-1, 8)]
    assert told(minimum_night_flow(rows(*still), REGISTER)) == [("a", 1, 0)]


def test_hours_without_a_reading_before_them_are_unknown_and_four_are_needed():
    # readings in the hours 23, 0, 1, 2, 4, 5: known are 0, 1, 2 and 5; without the last one only three
    seen = [("a", hour + 0.5, 1000 + 7 * hour) for hour in (-1, 0, 1, 2, 4, 5)]
    assert told(minimum_night_flow(rows(*seen), REGISTER)) == [("a", 1, 7)]
    assert told(minimum_night_flow(rows(*seen[:-1]), REGISTER)) == []


def test_a_register_that_runs_backwards_says_nothing_of_that_hour():
    seen = [("a", hour + 0.5, 1000 + 7 * hour - 100 * (hour >= 2)) for hour in range(-1, 6)]
    assert told(minimum_night_flow(rows(*seen), REGISTER)) == [("a", 1, 7)]


@pytest.mark.parametrize(("stamp", "late"), [("start", 0.0), ("end", 0.5)])
def test_the_least_hour_of_the_night_by_use_in_half_hours(stamp, late):
    rule = SignalRule("water", "usage", "litre", stamp=stamp)
    half_hours = [("a", half / 2 + late, 5) for half in range(48)]
    assert told(minimum_night_flow(rows(*half_hours), rule)) == [("a", 1, 10)]
    # an hour with one of its two rows is not an hour of half the use
    assert told(minimum_night_flow(rows(*half_hours[:4], *half_hours[5:]), rule)) == [("a", 1, 10)]


def test_daily_rows_say_nothing_of_the_night():
    for rule in (REGISTER, USAGE):
        assert minimum_night_flow(rows(("a", 0, 100), ("a", 24, 200), dated=True), rule).is_empty()
        assert minimum_night_flow(rows(("a", 7, 100), ("a", 31, 200)), rule).is_empty()
        assert minimum_night_flow(rows(), rule).schema == {
            "household": pl.String,
            "day": pl.Date,
            "flow": pl.Int64,
        }


def test_the_order_of_rows_does_not_matter():
    seen = rows(*[(home, hour + 0.5, 1000 + 7 * hour) for home in "ab" for hour in range(-1, 30)])
    assert minimum_night_flow(seen.sample(fraction=1, shuffle=True, seed=1), REGISTER).equals(
        minimum_night_flow(seen, REGISTER)
    )
