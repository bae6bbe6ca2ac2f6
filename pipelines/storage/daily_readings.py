"""Keep the daily readings in partitions that are added and put together by month, never rewritten for a day.

A reading is kept as a cell of numbers: the home by its number, quality and note by their place in the lists
of them. A partition is sorted by block of homes, day and home. Where two partitions speak of the same home
and day, the later counts.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import readings
from anomaly.tables import QUALITIES
from pipelines.storage.home_numbers import HOMES_PER_BLOCK
from pipelines.storage.partitions import (
    Month,
    Partition,
    PartitionedTable,
    collect,
    count_rows,
    group_overlapping,
    in_days,
    months_touched,
    scan,
    touching,
)
from pipelines.storage.state import Store

STORED_CELL_SCHEMA = pl.Schema({"home": pl.UInt32, **readings.CELL_SCHEMA, "mark": pl.UInt8})
MAX_LOOSE_PARTITIONS = 12
"""Partitions beyond one a month from which on they are put together."""
MIN_HOLE_DAYS = 62
"""Days without any cell from which on those before and after them are partitions of their own: whatever looks
at a few days, or at a month, then passes over what lies years away."""
MIN_FILLED_SHARE = 0.25
"""Share of a table of homes and days that must be cells for it to be laid out."""
_NO_VALUE = -(1 << 62)
"""In place of a null value while cells are arrays."""


@dataclass(frozen=True)
class DailyReadings:
    """The daily readings of one signal, as cells (STORED_CELL_SCHEMA)."""

    store: Store
    signal: str

    @property
    def table(self) -> PartitionedTable:
        """The partitions that hold the cells."""
        return PartitionedTable(self.store.path(f"days/{self.signal}"))

    def partitions(self) -> list[Partition]:
        """Return the partitions in the order in which they were written."""
        return self.table.partitions()

    @property
    def height(self) -> int:
        """Number of cells in all partitions; one that was written twice counts twice."""
        return count_rows(self.partitions())

    def add(self, cells: pl.DataFrame) -> None:
        """Write cells that are new or take the place of older ones; none is no partition."""
        if cells.height:
            cells = cells.select(STORED_CELL_SCHEMA.keys()).cast(STORED_CELL_SCHEMA)
            if not cells["home"].is_sorted():
                cells = cells.sort("home", maintain_order=True)
            cells = cells[_order_by_block_and_day(cells)]
            for part in _split_at_holes(cells):
                self._append(part)

    def count_days(self, first: dt.date | None = None) -> int:
        """Return on how many days from `first` on (None: all) there may be cells, by names of partitions."""
        days, reached = 0, first and first - dt.timedelta(days=1)
        for partition in sorted(self.partitions(), key=lambda partition: partition.first):
            begin = max(partition.first, reached + dt.timedelta(days=1)) if reached else partition.first
            days += max(0, (partition.last - begin).days + 1)
            reached = max(reached or partition.last, partition.last)
        return days

    def read(
        self,
        first: dt.date | None = None,
        last: dt.date | None = None,
        homes: range | pl.Series | None = None,
        columns: Sequence[str] = tuple(STORED_CELL_SCHEMA),
    ) -> pl.DataFrame:
        """Read the cells of some days and homes (None: all), one a home and day, in no particular order."""
        found = [pl.DataFrame(schema={name: STORED_CELL_SCHEMA[name] for name in columns})]
        for group in group_overlapping(touching(self.partitions(), first, last)):
            alone = len(group) == 1
            needed = columns if alone else tuple(dict.fromkeys((*columns, "home", "day")))
            frames = [
                collect(in_days(scan([one], homes), one, first, last).select(needed), [one]) for one in group
            ]
            found.append(frames[0] if alone else _keep_latest(pl.concat(frames)).select(columns))
        return pl.concat(found)

    def read_in_batches(
        self, first: dt.date, last: dt.date, homes: range, columns: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        """Yield what `read` gives in several frames, and possibly cells of other days.

        Of cells of the same home and day in several frames the last one counts.
        """
        groups = group_overlapping(touching(self.partitions(), first, last))
        if alone := [group[0] for group in groups if len(group) == 1]:
            yield collect(scan(alone, homes).select(columns), alone)
        for one in (one for group in groups if len(group) > 1 for one in group):
            yield collect(scan([one], homes).select(columns), [one])

    def homes_seen_before(self, day: dt.date, homes: pl.Series) -> pl.Series:
        """Return those of the homes that have a cell before that day."""
        if homes.is_empty() or not any(partition.first < day for partition in self.partitions()):
            return homes.clear()
        before = self.read(last=day - dt.timedelta(days=1), homes=homes, columns=("home", "day"))
        return before["home"].unique()

    def clear(self) -> None:
        """Remove every cell."""
        for partition in self.partitions():
            partition.path.unlink()

    def compact(self) -> None:
        """Put the cells of each month together once there are many more partitions than months.

        Done twice, or broken off at any point, it does no harm.
        """
        partitions = self.partitions()
        months = {
            month: touching(partitions, month.first, month.last) for month in months_touched(partitions)
        }
        if len(partitions) - len(months) < MAX_LOOSE_PARTITIONS:
            return
        done: set[Partition] = set()
        for month, parts in months.items():
            if len(parts) > 1 or parts[0].first < month.first or parts[0].last > month.last:
                cells = _merge_month(parts, month)
                if cells.height:  # a partition may pass over a whole month
                    self._append(cells)
                done |= set(parts)
        for partition in done:  # each of their months has been written anew
            partition.path.unlink()

    def _append(self, cells: pl.DataFrame) -> None:
        self.table.append(cells, cells["day"].min(), cells["day"].max())


def with_effective_quality(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the cells with quality `doubtful` on days that the door counts contradict (`mark`)."""
    contradicted = (pl.col("mark") & readings.DOUBTFUL_MARKS) > 0
    doubtful = pl.lit(QUALITIES.index("doubtful"), pl.UInt8)
    return cells.with_columns(quality=pl.when(contradicted).then(doubtful).otherwise("quality"))


def to_labelled_frame(cells: pl.DataFrame, households: pl.Series, rule: readings.SignalRule) -> pl.DataFrame:
    """Return the readings (READING_SCHEMA) that cells stand for; households: ids by home number."""
    mark = pl.col("mark") & readings.DOUBTFUL_MARKS
    note = pl.when(mark > 0).then(mark + (readings.NOTE_LABELS.index("zero") - 1)).otherwise("note")
    cells = with_effective_quality(cells).with_columns(household=households.gather(cells["home"]), note=note)
    return readings.to_labelled_frame(cells, rule)


def _split_at_holes(cells: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the cells in parts that lie more than MIN_HOLE_DAYS days without any cell apart."""
    days = cells["day"].unique().sort()
    last_before = days.filter(days.diff(null_behavior="ignore").shift(-1).dt.total_days() > MIN_HOLE_DAYS)
    parts = []
    for last in last_before:
        parts.append(cells.filter(pl.col("day") <= last))
        cells = cells.filter(pl.col("day") > last)
    return [*parts, cells]


def _order_by_block_and_day(cells: pl.DataFrame) -> np.ndarray:
    """Return the places of cells sorted by home, once they are sorted by block of homes, day and home."""
    day = cells["day"].to_physical() - cells["day"].to_physical().min()
    block = (cells["home"] // HOMES_PER_BLOCK).cast(pl.Int64).to_numpy()
    return readings.argsort_integers(block * (int(day.max()) + 1) + day.to_numpy())


def _keep_latest(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the last of the cells of each home and day; a table of places is faster than `unique` by far."""
    if cells.is_empty():
        return cells
    first, home = cells["day"].min(), cells["home"].to_numpy()
    day = cells.select((pl.col("day") - first).dt.total_days()).to_series().to_numpy()
    days = int(day.max()) + 1
    if int(home.max()) > len(home):  # few homes with high numbers
        homes, home = np.unique(home, return_inverse=True)
        count = len(homes)
    else:
        count = int(home.max()) + 1
    if count * days * MIN_FILLED_SHARE > len(home):  # such as one day that lies decades before all others
        return cells.unique(["home", "day"], keep="last", maintain_order=True)
    place, row = home * days + day, np.arange(len(home))
    last = np.zeros(count * days, np.int64)
    last[place] = row
    return cells.filter(pl.Series(last[place] == row))


def _merge_month(partitions: Sequence[Partition], month: Month) -> pl.DataFrame:
    """Return the cells of a month, by block of homes, day and home; put in place without sorting."""
    frames = [collect(in_days(scan([one]), one, month.first, month.last), [one]) for one in partitions]
    frames = [
        frame.with_columns(at=(pl.col("day") - month.first).dt.total_days())
        for frame in frames
        if frame.height
    ]
    if not frames:
        return pl.DataFrame(schema=STORED_CELL_SCHEMA)
    days = (month.last - month.first).days + 1
    homes = int(max(frame["home"].max() for frame in frames)) + 1
    width = min(HOMES_PER_BLOCK, homes)
    present = np.zeros(-(-homes // width) * days * width, dtype=bool)
    places = []
    for frame in frames:
        home, day = frame["home"].to_numpy(), frame["at"].to_numpy()
        places.append((home // width * days + day) * width + home % width)
        present[places[-1]] = True
    kept = np.flatnonzero(present)
    columns = {
        "home": (kept // (days * width) * width + kept % width).astype(np.uint32),
        "day": kept // width % days,
    }
    for name in ("value", "quality", "note", "lag", "mark"):
        kind = np.dtype(np.int64) if name == "value" else frames[0][name].to_numpy().dtype
        dense = np.zeros(present.size, dtype=kind)
        for frame, place in zip(
            frames, places, strict=True
        ):  # a later partition takes the place of an earlier
            dense[place] = frame[name].fill_null(_NO_VALUE).to_numpy()
        columns[name] = dense[kept]
    dates = (pl.lit(month.first) + pl.duration(days="day")).cast(pl.Date)
    value = pl.when(pl.col("value") != _NO_VALUE).then("value")
    return pl.DataFrame(columns).select(STORED_CELL_SCHEMA.keys()).with_columns(day=dates, value=value)
