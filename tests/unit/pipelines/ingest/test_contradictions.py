"""A meter that stands still behind busy doors is marked, also where the days come one by one."""

import datetime as dt

import polars as pl
import pytest

from anomaly.readings import SignalRule, mark_contradictions
from pipelines.ingest import contradictions
from pipelines.ingest.contradictions import update_contradictions
from pipelines.ingest.incremental import ReadingChanges
from pipelines.storage.daily_readings import STORED_CELL_SCHEMA, DailyReadings
from pipelines.storage.home_numbers import HomeNumbers
from pipelines.storage.state import Store

FIRST = dt.date(2026, 1, 1)
RULES = {"doors": SignalRule("doors", "count"), "power": SignalRule("power", "usage", "Wh")}
# Both homes are busy every day; the meter of home 1 stands still on days 40 and 41.
DAYS = 45
DOORS = [[10] * DAYS, [10] * DAYS]
POWER = [[100] * DAYS, [0 if day in (40, 41) else 100 for day in range(DAYS)]]
ZERO, CATCH_UP = 1, 2
MARKED = {(1, 40): ZERO, (1, 41): ZERO, (1, 42): CATCH_UP}


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "anomaly.duckdb")
    made.prepare()
    HomeNumbers(made).replace_ids(pl.DataFrame({"household": ["a", "b"]}))
    return made


def add(store: Store, first: int, last: int, homes=(0, 1)) -> pl.DataFrame:
    """Write the days first … last of both signals; the cells of the meter."""
    for name, values in (("doors", DOORS), ("power", POWER)):
        rows = [
            (home, FIRST + dt.timedelta(days=day), values[home][day], 0, 0, 0, 0)
            for home in homes
            for day in range(first, last + 1)
        ]
        cells = pl.DataFrame(rows, schema=STORED_CELL_SCHEMA, orient="row")
        DailyReadings(store, name).add(cells)
    return cells


def marks(store: Store) -> dict[tuple[int, int], int]:
    """(home, day) → mark of the meter's days, those that say nothing of the doors left out."""
    cells = DailyReadings(store, "power").read()
    found = {(row["home"], (row["day"] - FIRST).days): row["mark"] & 3 for row in cells.rows(named=True)}
    return {place: mark for place, mark in sorted(found.items()) if mark}


def test_zeros_behind_busy_doors_and_the_day_after_are_marked(store):
    add(store, 0, DAYS - 1)
    update_contradictions(store, RULES, ReadingChanges(everything=True))
    assert marks(store) == MARKED


def test_day_by_day_gives_what_all_at_once_gives(store):
    changes = ReadingChanges()
    changes.add_new_days(add(store, 0, 39))
    update_contradictions(store, RULES, changes)
    assert marks(store) == {}
    for day in range(40, DAYS):
        changes = ReadingChanges()
        changes.add_new_days(add(store, day, day))
        update_contradictions(store, RULES, changes)
    assert marks(store) == MARKED


def test_of_named_homes_every_day_is_compared(store):
    add(store, 0, DAYS - 1)
    update_contradictions(store, RULES, ReadingChanges(homes=[pl.Series([0], dtype=pl.UInt32)]))
    assert marks(store) == {}
    update_contradictions(store, RULES, ReadingChanges(homes=[pl.Series([1], dtype=pl.UInt32)]))
    assert marks(store) == MARKED


def test_a_mark_is_taken_back_when_the_meter_did_count(store):
    add(store, 0, DAYS - 1)
    update_contradictions(store, RULES, ReadingChanges(everything=True))
    late = DailyReadings(store, "power").read().filter(pl.col("value") == 0)
    DailyReadings(store, "power").add(late.with_columns(value=pl.lit(90), mark=pl.lit(0)))
    update_contradictions(store, RULES, ReadingChanges(homes=[pl.Series([1], dtype=pl.UInt32)]))
    assert marks(store) == {}


def test_a_home_that_was_silent_for_long_is_looked_at_from_its_first_day(store):
    """Home 1 gave nothing for more days than are looked back on: what was usual before is still known."""
    add(store, 0, 39)
    late = [(1, FIRST + dt.timedelta(days=day), 0, 0, 0, 0, 0) for day in (200,)]
    cells = pl.DataFrame(late, schema=STORED_CELL_SCHEMA, orient="row")
    DailyReadings(store, "power").add(cells)
    DailyReadings(store, "doors").add(cells.with_columns(value=pl.lit(10)))
    changes = ReadingChanges()
    changes.add_new_days(cells)
    update_contradictions(store, RULES, changes)
    once = DailyReadings(store, "power").read().sort("home", "day")
    update_contradictions(store, RULES, ReadingChanges(everything=True))
    assert DailyReadings(store, "power").read().sort("home", "day").equals(once)


def test_a_day_decades_before_all_others_adds_no_decades_to_what_is_laid_out(store, monkeypatch):
    """Of all days, and of the last ones; and the same marks where few homes are laid out at once."""
    widths = []

    def measured(meter, *others):
        widths.append(meter.shape)
        return mark_contradictions(meter, *others)

    monkeypatch.setattr(contradictions, "mark_contradictions", measured)
    wrong_year = pl.DataFrame(
        [(1, dt.date(2001, 1, 1), 5, 0, 0, 0, 0)], schema=STORED_CELL_SCHEMA, orient="row"
    )
    DailyReadings(store, "power").add(wrong_year)
    add(store, 0, DAYS - 1)
    update_contradictions(store, RULES, ReadingChanges(everything=True))
    assert marks(store) == MARKED and widths == [(2, 1 + 60 + DAYS)]

    widths.clear()
    monkeypatch.setattr(contradictions, "MAX_GRID_CELLS", 1)
    DailyReadings(store, "power").add(DailyReadings(store, "power").read().with_columns(mark=pl.lit(0)))
    update_contradictions(store, RULES, ReadingChanges(everything=True))
    assert marks(store) == MARKED and widths == [(1, DAYS), (1, 1 + 60 + DAYS)]
