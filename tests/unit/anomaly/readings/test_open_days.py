"""Rows of a day that was not over when they were read."""

from datetime import date, datetime

import polars as pl
import pytest

from anomaly.readings import (
    IncrementalState,
    SignalRule,
    advance,
    daily_readings,
    homes_to_rebuild,
    merge_rows,
    parse_rows,
)

DOOR = SignalRule("entries", "count")
POWER = SignalRule("power", "usage", "Wh")
NIGHT = datetime(2026, 6, 4, 2)
TODAY = NIGHT.date()


def read(rule, *cells, at=NIGHT, home="a"):
    """Rows of (time, value) as they are read at that time."""
    raw = pl.DataFrame([(home, *cell) for cell in cells], schema=["household", "time", "value"], orient="row")
    rows, rejects = parse_rows(raw.with_row_index("row", 1), rule, at and at.date(), at)
    assert rejects.is_empty()
    return rows


def told(rows, rule):
    """Day of June → (value, quality)."""
    days = daily_readings(rows, rule)
    return {
        day.day: (value, quality) for day, value, quality in days.select("day", "value", "quality").rows()
    }


def test_a_dated_row_of_today_is_partial():
    rows = read(DOOR, ("2026-06-02", "8"), ("2026-06-03", "9"), ("2026-06-04", "0"))
    assert told(rows, DOOR) == {2: (8, "read"), 3: (9, "read"), 4: (0, "partial")}
    # read once more when the day was over
    later = read(DOOR, ("2026-06-04", "7"), at=datetime(2026, 6, 5, 2))
    assert told(later, DOOR) == {4: (7, "read")}
    # a minute before midnight the day is not over yet; at midnight it is
    for at, quality in ((datetime(2026, 6, 4, 23, 59), "partial"), (datetime(2026, 6, 5), "read")):
        assert told(read(DOOR, ("2026-06-04", "7"), at=at), DOOR)[4] == (7, quality)


def test_the_row_of_the_day_that_was_over_wins_whatever_the_files_are_called():
    early = read(DOOR, ("2026-06-04", "1")).with_columns(order=pl.lit("b"))
    late = read(DOOR, ("2026-06-04", "7"), at=datetime(2026, 6, 5, 2)).with_columns(order=pl.lit("a"))
    for one, two in ((early, late), (late, early)):
        assert merge_rows(one, two)[0]["value"].to_list() == [7]


def test_today_goes_on_tomorrow_without_a_look_at_all_rows():
    first = read(DOOR, ("2026-06-03", "9"), ("2026-06-04", "1"))
    days, state = advance(first, DOOR, IncrementalState.initial())
    assert days["quality"].to_list() == [0, 2]
    again = read(DOOR, ("2026-06-04", "8"), ("2026-06-05", "2"), at=datetime(2026, 6, 5, 2))
    assert homes_to_rebuild(again, DOOR, state).is_empty()
    days, state = advance(again, DOOR, state)
    assert days.select("day", "value", "quality").rows() == [
        (date(2026, 6, 4), 8, 0),
        (date(2026, 6, 5), 2, 2),
    ]
    # where the day does not come again, it stays as it was
    days, _ = advance(read(DOOR, ("2026-06-06", "5"), at=datetime(2026, 6, 7, 2)), DOOR, state)
    assert days["day"].to_list() == [date(2026, 6, 6)]


def hours(first, count, value="1", day=3):
    return [(f"2026-06-{day + n // 24:02} {n % 24:02}:00", value) for n in range(first, first + count)]


def test_periods_that_are_filled_in_until_midnight_make_no_day():
    rows = read(POWER, *hours(0, 26), *hours(26, 22, "0"))
    assert told(rows, POWER) == {3: (24, "read"), 4: (2, "partial")}


def test_the_rest_of_a_day_in_the_next_file_makes_it_whole():
    rows = pl.concat(
        [read(POWER, *hours(0, 26)), read(POWER, *hours(26, 24), at=datetime(2026, 6, 5, 2))], how="vertical"
    )
    assert told(rows, POWER) == {3: (24, "read"), 4: (24, "read"), 5: (2, "partial")}


@pytest.mark.parametrize("clock", ["00:00", "10:30"])
def test_a_stamped_row_a_day_is_as_a_dated_one(clock):
    rows = read(
        POWER, *((f"2026-06-{day:02} {clock}", "5") for day in range(1, 5)), at=datetime(2026, 6, 4, 11)
    )
    assert told(rows, POWER)[3] == (5, "read") and told(rows, POWER)[4] == (5, "partial")


def test_events_of_today_are_partial_until_a_later_row_is_read():
    events = [("2026-06-02 08:11", "1"), ("2026-06-03 19:40", "2"), ("2026-06-04 00:30", "1")]
    assert told(read(DOOR, *events), DOOR)[4] == (1, "partial")
    later = read(DOOR, ("2026-06-05 00:10", "1"), at=datetime(2026, 6, 5, 2))
    days = told(pl.concat([read(DOOR, *events), later]), DOOR)
    assert days[4][1] == "partial" and days[5][1] == "partial"  # as far as is known
    after = read(DOOR, ("2026-06-05 09:00", "1"), at=datetime(2026, 6, 6, 2))
    assert told(pl.concat([read(DOOR, *events), later, after]), DOOR)[4][1] == "read"


def test_a_period_that_ends_at_midnight_was_over():
    rule = SignalRule("power", "usage", "Wh", stamp="end")
    rows = read(rule, *((f"2026-06-{day:02} 00:00", "5") for day in range(1, 5)), at=NIGHT)
    assert {quality for _, quality in told(rows, rule).values()} == {"read"}


def test_a_registers_reading_of_today_is_the_reading_of_that_moment():
    rule = SignalRule("water", "register", "litre")
    rows = read(rule, ("2026-06-02", "100"), ("2026-06-03", "200"), ("2026-06-04", "210"))
    assert rows["time"].to_list()[-1] == NIGHT and rows["dated"].to_list() == [True, True, False]
    assert told(rows, rule)[3] == (100, "read") and told(rows, rule)[4][1] == "missing"
    again = read(rule, ("2026-06-04", "300"), at=datetime(2026, 6, 5, 2))
    assert told(pl.concat([rows, again]), rule)[4] == (100, "read")


def test_where_the_clock_was_wrong_no_day_is_open():
    rows = read(DOOR, *((f"2026-06-{day:02}", "5") for day in range(20, 25)))
    assert {quality for _, quality in told(rows, DOOR).values()} == {"read"}
