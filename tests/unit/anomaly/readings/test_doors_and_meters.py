from datetime import date, timedelta
from itertools import accumulate, zip_longest

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import READING_SCHEMA, cross_check
from anomaly.readings.doors_and_meters import CATCH_UP, UNKNOWN, ZERO, mark_contradictions
from tests.support import naive

KINDS = {"entries": "count", "water": "register", "power": "usage"}
FIRST = date(2026, 1, 1)


def days(signal, values, home="a", late=()):
    """One value a day from 1 January; None: missing. late: days by which each became known later, at the
    earliest with the day before."""
    known = accumulate(
        (n + wait for n, wait in zip_longest(range(len(values)), late[: len(values)], fillvalue=0)), max
    )
    rows = [
        (
            home,
            signal,
            FIRST + timedelta(n),
            v,
            "count",
            "missing" if v is None else "read",
            FIRST + timedelta(k),
            None,
        )
        for (n, v), k in zip(enumerate(values), known, strict=True)
    ]
    return pl.DataFrame(rows, schema=READING_SCHEMA, orient="row")


def marks(*frames):
    """(signal, day number, note) of the days that became doubtful."""
    readings = pl.concat(frames)
    checked = cross_check(readings, KINDS)
    assert checked.select("household", "signal", "day", "value").equals(
        readings.sort("household", "signal", "day").select("household", "signal", "day", "value")
    )
    told = checked.filter(pl.col("quality") == "doubtful").select("signal", "day", "note")
    return [(signal, (day - FIRST).days, note) for signal, day, note in told.iter_rows()]


USUAL = [200, 210, 190, 205, 195] * 4


def test_a_meter_at_zero_behind_a_busy_door():
    assert marks(days("water", [*USUAL, 0, 0, 600, 200]), days("entries", [6] * 24)) == [
        ("water", 20, "zero"),
        ("water", 21, "zero"),
        ("water", 22, "catch_up"),
    ]


def test_nobody_home():
    # the door says so too: neither the zeros nor the homecoming are held against the home
    assert marks(days("water", [*USUAL, 0, 0, 600, 200]), days("entries", [6] * 20 + [0, 0, 6, 6])) == []
    assert marks(days("water", [*USUAL, 0, 200]), days("entries", [2] * 20 + [1, 2])) == []


def test_half_as_busy_as_usual():
    assert marks(days("water", [*USUAL, 0]), days("entries", [8] * 20 + [4])) == [("water", 20, "zero")]
    assert marks(days("water", [*USUAL, 0]), days("entries", [8] * 20 + [3])) == []


def test_zeros_that_are_usual_say_nothing():
    assert marks(days("water", [0, 1000, 0, 0, 1000] * 6), days("entries", [6] * 30)) == []
    # 14 known days are needed
    assert marks(days("water", [200] * 13 + [0, 400]), days("entries", [6] * 15)) == []


def test_a_tenth_of_the_days_before():
    busy = days("entries", [6] * 21)
    assert marks(days("water", [0, 200, 0, *[200] * 17, 0]), busy) == [("water", 20, "zero")]
    assert marks(days("water", [0, 200, 0, 200, 0, *[200] * 15, 0]), busy) == []


def test_a_long_outage_does_not_make_itself_usual():
    found = marks(days("water", [*USUAL, *[0] * 10, 2_000, 200]), days("entries", [6] * 32))
    assert found == [*(("water", n, "zero") for n in range(20, 30)), ("water", 30, "catch_up")]


def test_without_doors():
    assert marks(days("power", [*USUAL, 0, 600, 200])) == [("power", 21, "catch_up")]
    assert marks(days("power", [*USUAL, 0, 205, 200])) == []
    # 14 known days before
    assert marks(days("power", [*[200] * 13, 0, 600])) == []
    assert marks(days("power", [*[200] * 14, 0, 600])) == [("power", 15, "catch_up")]
    assert marks(days("power", [*USUAL, 0, None, 600])) == [("power", 22, "catch_up")]


def test_other_homes_and_order_change_nothing():
    one, two = days("water", [*USUAL, 0, 600]), days("water", [*USUAL, 0, 600], home="b")
    doors = days("entries", [6] * 22, home="b")
    together = cross_check(pl.concat([two, doors, one]).sort("day", descending=True), KINDS)
    alone = pl.concat([cross_check(one, KINDS), cross_check(pl.concat([two, doors]), KINDS)])
    assert together.equals(alone)
    assert together.filter(pl.col("note") == "zero")["household"].to_list() == ["b"]


def test_no_readings():
    assert cross_check(pl.DataFrame(schema=READING_SCHEMA), KINDS).is_empty()
    assert cross_check(days("entries", [1, 2]), KINDS).equals(days("entries", [1, 2]))


VALUES = st.lists(st.sampled_from([200, 220, 200, 0, 900, None]), min_size=20, max_size=40)
PASSAGES = st.lists(st.sampled_from([6, 5, 0, 1, None]), min_size=20, max_size=40)


@settings(deadline=None, max_examples=150)
@given(
    VALUES, PASSAGES, VALUES, st.lists(st.sampled_from([0, 0, 0, 0, 1, 2]), max_size=60), st.integers(17, 50)
)
def test_no_night_sees_what_comes_later(water, doors, power, late, night):
    full = pl.concat(
        [
            days("water", [*USUAL, *water], late=late),
            days("entries", [5] * 14 + doors),
            days("power", [*USUAL, *power], home="b", late=late),
        ]
    )
    last = FIRST + timedelta(night)
    # what that night had: a day not known yet is there, waiting, without a value
    waits = pl.col("known_on") > last
    then = full.filter(pl.col("day") <= last).with_columns(
        value=pl.when(~waits).then("value"),
        quality=pl.when(waits).then(pl.lit("doubtful")).otherwise("quality"),
        known_on=pl.when(waits).then("day").otherwise("known_on"),
    )
    on = ["household", "signal", "day"]
    known = full.filter(~waits & (pl.col("day") <= last)).select(on)
    seen, now = (
        cross_check(frame, KINDS).join(known, on=on, how="semi", maintain_order="left")
        for frame in (full, then)
    )
    assert seen.equals(now)


@settings(deadline=None, max_examples=150)
@given(VALUES, PASSAGES, st.integers(0, 59))
def test_contradictions_agree_with_their_slow_twin_from_any_day_on(water, doors, first):
    meter, passages = [*USUAL, *water], [5] * 14 + doors
    length = max(len(meter), len(passages))
    meter, passages = (days + [None] * (length - len(days)) for days in (meter, passages))
    arrays = [np.array([[UNKNOWN if v is None else v for v in days]]) for days in (meter, passages)]
    whole = mark_contradictions(*arrays, np.zeros((1, length), np.uint8), 0)
    assert [
        ("zero" if b & ZERO else "catch_up" if b & CATCH_UP else None) for b in whole[0]
    ] == naive.mark_contradictions(meter, passages)
    before = np.where(np.arange(length) < first, whole, 255).astype(np.uint8)
    before[:, first:] = 0
    assert (mark_contradictions(*arrays, before, first) == whole).all()
