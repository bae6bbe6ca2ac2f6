import datetime as dt
import tracemalloc

import polars as pl
import pytest

from anomaly.readings import SignalRule
from anomaly.tables import QUALITIES
from pipelines.storage.daily_readings import (
    MAX_LOOSE_PARTITIONS,
    STORED_CELL_SCHEMA,
    DailyReadings,
    to_labelled_frame,
    with_effective_quality,
)
from pipelines.storage.partitions import collect, scan

FIRST = dt.date(2026, 1, 30)
READ, DOUBTFUL, MISSING = (QUALITIES.index(name) for name in ("read", "doubtful", "missing"))


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def cells(*given: tuple[int, int, int | None]) -> pl.DataFrame:
    """Cells of (home, day, value)."""
    rows = [
        (home, day(number), value, READ if value is not None else MISSING, 0, 0, 0)
        for home, number, value in given
    ]
    return pl.DataFrame(rows, schema=STORED_CELL_SCHEMA, orient="row")


def read(daily: DailyReadings, **bounds) -> list[tuple]:
    """Cells as (home, day, value), sorted."""
    found = daily.read(**bounds).select("home", (pl.col("day") - FIRST).dt.total_days(), "value")
    return sorted(found.rows())


@pytest.fixture
def daily(store) -> DailyReadings:
    return DailyReadings(store, "water")


def test_cells_are_read_by_day_and_home(daily):
    assert read(daily) == [] and daily.read().schema == pl.Schema(STORED_CELL_SCHEMA)
    daily.add(cells((1, 0, 10), (0, 1, 20), (0, 0, 30), (2, 2, None)))
    assert read(daily) == [(0, 0, 30), (0, 1, 20), (1, 0, 10), (2, 2, None)]
    assert read(daily, first=day(1), last=day(1)) == [(0, 1, 20)]
    assert read(daily, homes=range(1, 3)) == [(1, 0, 10), (2, 2, None)]
    assert read(daily, homes=pl.Series([0], dtype=pl.UInt32), last=day(0)) == [(0, 0, 30)]
    assert daily.read(columns=("value",)).columns == ["value"]


def test_a_partition_is_sorted_by_day_and_home(daily):
    daily.add(cells((1, 0, 10), (0, 1, 20), (0, 0, 30)))
    assert daily.read().select("home", "value").rows() == [(0, 30), (1, 10), (0, 20)]


@pytest.mark.parametrize("home", [3, 100_000])  # few homes with high numbers go another way
def test_of_one_home_and_day_the_cell_written_last_counts(daily, home):
    daily.add(cells((home, 0, 10), (home, 1, 20), (0, 0, 1)))
    daily.add(cells((home, 1, None)))
    daily.add(cells((home, 1, 22)))
    assert read(daily) == [(0, 0, 1), (home, 0, 10), (home, 1, 22)] and daily.height == 5
    assert daily.read(columns=("quality",)).height == 3


def test_a_day_decades_before_all_others_lies_by_itself_and_costs_no_memory(daily):
    """One row dated 2001 at 32,000 homes: a table of all homes and days would take two gigabytes."""
    homes, wrong_year = 32_000, (dt.date(2001, 1, 1) - FIRST).days
    daily.add(cells((7, wrong_year, 5), *((home, 0, home) for home in range(homes))))
    daily.add(cells((8, wrong_year, 6), (8, 0, 9)))
    spans = [(one.first, one.last) for one in daily.partitions()]
    assert spans == [(day(wrong_year),) * 2, (FIRST, FIRST)] * 2
    assert daily.count_days() == 2 and daily.count_days(FIRST) == 1 and daily.count_days(day(1)) == 0
    daily.add(cells((9, wrong_year, 7)).vstack(cells((9, 0, 10))))
    for partition in daily.partitions():  # as one was written before there were holes
        daily.table.append(collect(scan([partition]), [partition]), day(wrong_year), FIRST)
    tracemalloc.start()
    found = daily.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.height == homes + 3 and peak < 50e6
    assert dict(found.filter(pl.col("day") == FIRST).select("home", "value").rows()) == {
        **{home: home for home in range(homes)},
        8: 9,
        9: 10,
    }


def test_batches_give_the_same_in_the_order_of_writing(daily):
    daily.add(cells((0, 0, 10), (0, 1, 20)))
    daily.add(cells((0, 1, 21)))
    daily.add(cells((0, 5, 50), (9, 5, 51)))
    latest: dict[tuple, int] = {}
    for frame in daily.read_in_batches(day(0), day(9), range(3), ("home", "day", "value")):
        latest |= {(home, on): value for home, on, value in frame.rows()}
    assert latest == {(0, day(0)): 10, (0, day(1)): 21, (0, day(5)): 50}


def test_homes_with_earlier_cells_are_told(daily):
    daily.add(cells((0, 0, 10), (1, 3, 10), (2, 0, 10)))
    asked = pl.Series([0, 1], dtype=pl.UInt32)
    assert daily.homes_seen_before(day(1), asked).to_list() == [0]
    assert daily.homes_seen_before(day(0), asked).to_list() == []


def test_clear_leaves_no_cell(daily):
    daily.add(cells((0, 0, 10)))
    daily.clear()
    assert read(daily) == [] and daily.partitions() == []


def test_many_partitions_are_put_together_by_month(daily):
    daily.add(cells((0, 0, 1), (40_000, 0, 2), (1, 2, None)))  # 30 January … 1 February
    for number in range(MAX_LOOSE_PARTITIONS):
        daily.add(cells((0, 2, 100 + number), (2, number, number)))
        before = read(daily)
    assert len(daily.partitions()) == MAX_LOOSE_PARTITIONS + 1
    daily.compact()  # one beyond two months' worth is still too few
    assert len(daily.partitions()) == MAX_LOOSE_PARTITIONS + 1
    daily.add(cells((3, 3, 7)))
    before = read(daily)
    daily.compact()
    assert [(one.first, one.last) for one in daily.partitions()] == [(day(0), day(1)), (day(2), day(11))]
    assert read(daily) == before and daily.height == len(before)
    assert (0, 2, 111) in before
    daily.compact()
    assert read(daily) == before


def test_a_compaction_that_was_broken_off_does_no_harm(daily, monkeypatch):
    for number in range(MAX_LOOSE_PARTITIONS + 2):
        daily.add(cells((0, 0, number), (1, number % 5, number)))
    before = read(daily)
    monkeypatch.setattr("pathlib.Path.unlink", lambda path, missing_ok=False: path.name[0] == "0" and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        daily.compact()
    monkeypatch.undo()
    assert read(daily) == before
    daily.compact()
    assert read(daily) == before


def test_a_day_that_the_doors_contradict_is_doubtful():
    frame = cells((0, 0, 10), (0, 1, 20)).with_columns(mark=pl.Series([0, 1], dtype=pl.UInt8))
    assert with_effective_quality(frame)["quality"].to_list() == [READ, DOUBTFUL]


def test_cells_are_labelled(daily):
    rule = SignalRule("water", "register", "m3")
    frame = cells((1, 0, 10), (0, 1, None))
    labelled = to_labelled_frame(frame, pl.Series(["h0", "h1"]), rule)
    assert labelled.select("household", "signal", "day", "value", "unit", "quality").rows() == [
        ("h1", "water", day(0), 10, "litre", "read"),
        ("h0", "water", day(1), None, "litre", "missing"),
    ]
