"""Rows taken in part by part, each from the carry of those before, give the days that all of them give at
once."""

from datetime import date, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import (
    CELL_SCHEMA,
    ROW_SCHEMA,
    IncrementalState,
    SignalRule,
    advance,
    daily_readings,
    homes_to_rebuild,
    to_labelled_frame,
)
from tests.unit.anomaly.readings.test_register_cleaning import RULES, WALKS, WATER, as_rows, dated

DOOR = SignalRule("entries", "count")


def in_parts(parts: list[pl.DataFrame], rule: SignalRule) -> pl.DataFrame:
    """The days after taking in each part from the carry before it; the later word on a day counts."""
    carry, told = IncrementalState.initial(), []
    for part in parts:
        assert homes_to_rebuild(part, rule, carry).is_empty()
        days, carry = advance(part, rule, carry)
        assert dict(days.drop("household").schema) == CELL_SCHEMA
        told.append(days)
    days = (
        pl.concat(told)
        .unique(["household", "day"], keep="last", maintain_order=True)
        .sort("household", "day")
    )
    return to_labelled_frame(days, rule)


def counts(*values, home="a", start=date(2026, 1, 1)):
    rows = [
        (home, datetime.combine(start + timedelta(n), datetime.min.time()), True, v, None, None, n)
        for n, v in enumerate(values)
        if v is not None
    ]
    return pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row")


def test_a_day_at_a_time():
    rows = pl.concat([dated(100, 350, 350, None, 900, 1000), dated(5, None, 900, 1700, 5, 40, home="b")])
    parts = [rows.filter(pl.col("time") == day) for day in sorted(rows["time"].unique())]
    days, carry = advance(rows, WATER, IncrementalState.initial())
    assert in_parts(parts, WATER).equals(daily_readings(rows, WATER)) and days.height == 12
    # home a: its last reading is all that the next one needs; home b: its last two contradict the line and
    # wait
    assert dict(carry.rows.group_by("household").len().sort("household").iter_rows()) == {"a": 1, "b": 3}


def test_a_gap_between_two_loads_is_filled_by_the_second():
    rows = counts(3, 4, None, None, 5)
    assert in_parts([rows[:2], rows[2:]], DOOR).equals(daily_readings(rows, DOOR))
    assert in_parts([rows[:2], rows[2:]], DOOR)["quality"].to_list() == [
        "read",
        "read",
        "missing",
        "missing",
        "read",
    ]


def test_a_gap_of_years_has_no_days_and_its_edges_are_as_ever():
    """400 days are laid out; a longer gap, such as after a row with a wrong year, is not."""
    longest, too_long = date(2026, 1, 1) + timedelta(403), date(2026, 1, 1) + timedelta(404)
    for again, days_told in ((longest, 3 + 400 + 3), (too_long, 3 + 3)):
        for before, after, rule in (
            (counts(1, 2, 3), counts(4, 5, 6, start=again), DOOR),
            (dated(100, 350, 350), dated(900, 1000, 1100, start=again), WATER),
        ):
            told = daily_readings(pl.concat([before, after]), rule)
            assert told.height == days_told and told["day"].max() == again + timedelta(2)
            assert in_parts([before, after], rule).equals(told), (again, rule)
    # a reading that was waiting before the gap is decided behind it, as over a short one
    rows = pl.concat([dated(100, 350, 900_000), dated(400, 410, 420, start=too_long)])
    told = daily_readings(rows, WATER)
    assert told["day"].to_list()[2:4] == [date(2026, 1, 3), too_long]
    assert told.row(2, named=True)["note"] == "glitch" and in_parts([rows[:3], rows[3:]], WATER).equals(told)


def test_who_is_late():
    _, carry = advance(pl.concat([counts(3, 4), counts(3, 4, home="b")]), DOOR, IncrementalState.initial())
    new = pl.concat(
        [counts(4, start=date(2026, 1, 2)), counts(4, home="b", start=date(2026, 1, 3)), counts(4, home="c")]
    )
    assert homes_to_rebuild(new, DOOR, carry).to_list() == [
        "a"
    ]  # its day was given already; b goes on, c is new
    stamped = new.with_columns(dated=pl.lit(False), time=pl.col("time") + pl.duration(hours=60))
    assert homes_to_rebuild(stamped, DOOR, carry).sort().to_list() == [
        "a",
        "b",
    ]  # finer rows of counts are seen whole
    assert homes_to_rebuild(
        dated(7, home="a", start=date(2026, 1, 2)), WATER, carry
    ).is_empty()  # read at the end of 2 January


@settings(deadline=None, max_examples=300)
@given(WALKS, WALKS, st.booleans(), RULES, st.lists(st.floats(0, 1), max_size=6))
def test_any_cut_gives_the_same_days(one, two, whole_days, rule, cuts):
    rows = pl.concat([as_rows(one, "a", whole_days), as_rows(two, "b")]).sort("time", maintain_order=True)
    at = [rows["time"][int(share * (rows.height - 1))] for share in sorted(cuts)]
    edges = [datetime(2000, 1, 1), *at, datetime(2100, 1, 1)]
    parts = [
        rows.filter((pl.col("time") > low) & (pl.col("time") <= high))
        for low, high in zip(edges, edges[1:], strict=False)
    ]
    if whole_days:  # a reading of a day lies at its end, after the stamps of that day
        rows = rows.filter("dated")
        parts = [part.filter("dated") for part in parts]
    assert in_parts([p for p in parts if p.height], rule).equals(daily_readings(rows, rule))
