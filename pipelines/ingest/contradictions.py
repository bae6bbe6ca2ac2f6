"""Mark the days of meters that the door counts of the same home contradict, where a load has changed either.

The rule is `anomaly.readings.mark_contradictions`; it looks back CROSS_CHECK_DAYS days. Marks are kept with
the readings.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.readings import CROSS_CHECK_DAYS, SignalRule, mark_contradictions
from anomaly.tables import UNKNOWN
from pipelines.ingest.incremental import ReadingChanges
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import HOMES_PER_BLOCK, HomeNumbers, home_blocks
from pipelines.storage.state import Store

MAX_GRID_CELLS = 1 << 23
"""Days of homes that are laid out at once: a cell takes some fifty bytes."""


class _CellArrays(NamedTuple):
    """Cells as arrays; `place` is a pair (home, day) of index arrays into a grid of homes and days."""

    place: tuple[np.ndarray, np.ndarray]
    value: np.ndarray
    known: np.ndarray


def update_contradictions(store: Store, rules: Mapping[str, SignalRule], changes: ReadingChanges) -> None:
    """Write the marks of the meters' days anew as far as `changes` may have changed them."""
    homes = len(HomeNumbers(store))
    if changes.everything:
        for block in home_blocks(homes, _homes_at_once(store, rules, None)):
            _update(store, rules, block, None)
        return
    from_their_first_day = list(changes.homes)
    if changes.since is not None:
        for block in home_blocks(homes, _homes_at_once(store, rules, changes.since)):
            from_their_first_day.append(_update(store, rules, block, changes.since))
    if from_their_first_day:
        named = pl.concat(from_their_first_day).unique().sort()
        at_once = _homes_at_once(store, rules, None)
        for start in range(0, len(named), at_once):
            _update(store, rules, named.slice(start, at_once), None)


def _homes_at_once(store: Store, rules: Mapping[str, SignalRule], since: dt.date | None) -> int:
    """Return how many homes are laid out at once: few where their days are many."""
    start = since and since - dt.timedelta(days=CROSS_CHECK_DAYS)
    days = max((DailyReadings(store, name).count_days(start) for name in rules), default=0)
    return min(HOMES_PER_BLOCK, max(1, MAX_GRID_CELLS // max(1, days)))


def _update(
    store: Store, rules: Mapping[str, SignalRule], homes: range | pl.Series, since: dt.date | None
) -> pl.Series:
    """Write the marks that change from day `since` on (None: every day) of some homes, numbers in order.

    Returns the homes of which earlier days must be seen to tell: those that gave nothing in the days looked
    back on.
    """
    start = since and since - dt.timedelta(days=CROSS_CHECK_DAYS)
    readings = {name: DailyReadings(store, name) for name in rules}
    cells = {name: readings[name].read(first=start, homes=homes) for name in rules}
    unsure = pl.Series(dtype=pl.UInt32)
    there = [frame for frame in cells.values() if frame.height]
    if not there:
        return unsure
    columns = _lay_out_days(there)
    earlier = columns.filter(pl.col("day") < since)["column"] if since else columns["column"].clear()
    begin = earlier[-1] + 1 if earlier.len() else 0
    numbers = np.arange(homes.start, homes.stop) if isinstance(homes, range) else homes.to_numpy()
    shape = len(numbers), columns["column"][-1] + 1
    doors = np.full(shape, UNKNOWN)
    for name in (name for name in rules if rules[name].kind == "count"):
        count = _to_arrays(cells[name].filter(pl.col("quality") == 0), numbers, columns)
        doors[count.place] = np.maximum(doors[count.place], 0) + count.value
    for name in (name for name in rules if rules[name].kind != "count"):
        use = _to_arrays(cells[name], numbers, columns)
        meter, marks = np.full(shape, UNKNOWN), np.zeros(shape, np.uint8)
        meter[use.place] = np.where(use.known, use.value, UNKNOWN)
        before = cells[name]["mark"].to_numpy()
        marks[use.place] = before
        after = mark_contradictions(meter, doors, marks, begin)[use.place]
        changed = cells[name].with_columns(mark=pl.Series(after)).filter(pl.Series(after != before))
        readings[name].add(changed)
        if start:
            silent = (meter[:, :begin] == UNKNOWN).all(axis=1) & (meter[:, begin:] != UNKNOWN).any(axis=1)
            homes_silent = pl.Series(numbers[silent].astype(np.uint32))
            unsure = pl.concat([unsure, readings[name].homes_seen_before(start, homes_silent)])
    return unsure


def _lay_out_days(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return day, column of the days that have cells, in order.

    Where days are missing columns are left empty, but only as many as are looked back on: a row with a wrong
    year adds no decades.
    """
    days = pl.concat([frame["day"].unique() for frame in frames]).unique().sort()
    steps = days.diff().dt.total_days().fill_null(0).clip(upper_bound=CROSS_CHECK_DAYS + 1)
    return pl.DataFrame({"day": days, "column": steps.cum_sum()})


def _to_arrays(cells: pl.DataFrame, numbers: np.ndarray, columns: pl.DataFrame) -> _CellArrays:
    """Return cells as arrays; numbers: of the grid's homes, in order; columns: see `_lay_out_days`."""
    home = cells["home"].to_numpy()
    follow_one_another = numbers[-1] - numbers[0] == len(numbers) - 1
    home = home - numbers[0] if follow_one_another else np.searchsorted(numbers, home)
    first, last = columns["day"][0], columns["day"][-1]
    column_of_day = np.zeros((last - first).days + 1, np.int64)
    column_of_day[(columns["day"] - first).dt.total_days().to_numpy()] = columns["column"].to_numpy()
    day = cells.select((pl.col("day") - first).dt.total_days()).to_series().to_numpy()
    known = cells.select((pl.col("quality") <= 1) & pl.col("value").is_not_null()).to_series().to_numpy()
    return _CellArrays((home, column_of_day[day]), cells["value"].fill_null(UNKNOWN).to_numpy(), known)
