"""The readings that count: whose they are, from which day on, and the forms in which they are read."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest

from anomaly.readings import SignalRule
from anomaly.tables import QUALITIES, UNKNOWN
from pipelines.storage.daily_readings import STORED_CELL_SCHEMA, DailyReadings
from pipelines.storage.stored_readings import DaySpan, StoredReadings

FIRST = dt.date(2026, 1, 30)
RULES = {"water": SignalRule("water", "register", "litre"), "power": SignalRule("power", "usage", "Wh")}
READ, PARTIAL, DOUBTFUL = (QUALITIES.index(name) for name in ("read", "partial", "doubtful"))


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def add(store, signal: str, *cells: tuple[int, int, int, int]) -> None:
    """Store cells of (home, day, value, quality)."""
    rows = [(home, day(number), value, quality, 0, 0, 0) for home, number, value, quality in cells]
    DailyReadings(store, signal).add(pl.DataFrame(rows, schema=STORED_CELL_SCHEMA, orient="row"))


@pytest.fixture
def stored(store) -> StoredReadings:
    """Homes d, b and a stranger c, of which b moved in on day 1."""
    add(store, "water", (0, 0, 10, READ), (0, 1, 11, PARTIAL), (1, 0, 20, READ), (1, 1, 21, READ))
    add(store, "water", (2, 0, 30, READ))
    add(store, "power", (0, 1, 3_000_000_000, READ), (1, 2, 500, DOUBTFUL))
    return StoredReadings(
        store,
        RULES,
        households=pl.Series(["d", "b", "c"]),
        unregistered=pl.Series([2], dtype=pl.UInt32),
        stays=pl.DataFrame(
            {"household": ["b"], "moved_in": [day(1)], "moved_out": [None]},
            schema_overrides={"moved_out": pl.Date},
        ),
    )


@pytest.fixture
def empty(store) -> StoredReadings:
    none = pl.DataFrame(schema={"household": pl.String, "moved_in": pl.Date, "moved_out": pl.Date})
    return StoredReadings(store, RULES, pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.UInt32), none)


def test_homes_that_the_register_lacks_do_not_count(stored):
    assert stored.home_numbers().rows() == [(0, "d"), (1, "b")]
    assert stored.count_cells() == 7


def test_cells_are_those_of_homes_that_count_from_the_day_they_moved_in(stored):
    power, water = 0, 1
    cells = stored.cells().sort("signal", "home", "day")
    assert cells.rows() == [
        (0, power, day(1), 3_000_000_000, READ),
        (1, power, day(2), 500, DOUBTFUL),
        (0, water, day(0), 10, READ),
        (0, water, day(1), 11, PARTIAL),
        (1, water, day(1), 21, READ),
    ]
    assert stored.cells(day(2))["value"].to_list() == [500]


def test_readings_from_the_day_a_home_moved_out_do_not_count(stored):
    stays = pl.DataFrame(
        {"household": ["b", "d"], "moved_in": [None, None], "moved_out": [day(1), day(2)]},
        schema_overrides={"moved_in": pl.Date},
    )
    moved = dataclasses.replace(stored, stays=stays)
    assert moved.cells().select("home", "signal", "day").sort(pl.all()).rows() == [
        (0, 0, day(1)),
        (0, 1, day(0)),
        (0, 1, day(1)),
        (1, 1, day(0)),
    ]
    assert moved.read_arrays(np.array([1]), FIRST, 2).value[1].tolist() == [[20, UNKNOWN]]


def test_arrays_have_homes_in_the_order_asked_and_unknown_where_a_day_must_not_be_judged(stored):
    arrays = stored.read_arrays(np.array([1, 0]), FIRST, 2)
    power, water = arrays.value
    # of b what was before it moved in, and of d what was partial
    assert water.tolist() == [[UNKNOWN, 21], [10, UNKNOWN]]
    # more than 32 bits hold
    assert power.tolist() == [[UNKNOWN, UNKNOWN], [UNKNOWN, 3_000_000_000]]
    assert arrays.has_readings.tolist() == [[False, True], [True, True]]


def test_labelled_readings_are_in_the_order_of_signal_household_and_day(stored):
    every = stored.read_labelled()
    assert every.select("signal", "household", "day", "value", "quality").rows() == [
        ("power", "b", day(2), 500, "doubtful"),
        ("power", "d", day(1), 3_000_000_000, "read"),
        ("water", "b", day(1), 21, "read"),
        ("water", "d", day(0), 10, "read"),
        ("water", "d", day(1), 11, "partial"),
    ]
    one = stored.read_labelled(pl.Series([0], dtype=pl.UInt32), first=day(1))
    assert one["value"].to_list() == [3_000_000_000, 11]


def test_qualities_and_sums_leave_out_what_does_not_count(stored):
    assert sorted(stored.count_qualities(day(1)).rows()) == [
        ("power", "read", 1),
        ("water", "partial", 1),
        ("water", "read", 1),
    ]
    assert stored.sum_by_home(day(0), day(1)).sort("signal", "home").rows() == [
        (0, "power", 3_000_000_000, 1, 1),
        (0, "water", 21, 2, 1),
        (1, "water", 21, 1, 1),
    ]


def test_the_span_is_that_of_all_signals(stored, empty):
    assert stored.span() == DaySpan(day(0), day(2))


def test_without_readings_there_is_no_span_no_night_and_nothing_to_read(empty):
    assert empty.find_span() is None and empty.find_latest_night() is None
    assert empty.cells().is_empty() and empty.read_labelled().is_empty()
    with pytest.raises(ValueError, match="holds no readings"):
        empty.span()


@pytest.mark.parametrize("days_alone", [0, 5])
def test_the_latest_night_is_the_last_on_which_the_sources_were_whole(empty, days_alone):
    """Ten homes for forty days; then one of them goes on alone."""
    store = empty.store
    whole = [(home, number, 1, READ) for home in range(10) for number in range(40)]
    alone = [(0, number, 1, READ) for number in range(40, 40 + days_alone)]
    add(store, "water", *whole, *alone)
    homes = pl.Series([str(home) for home in range(10)])
    stored = StoredReadings(store, RULES, homes, empty.unregistered, empty.stays)
    assert stored.find_latest_night() == day(39)
