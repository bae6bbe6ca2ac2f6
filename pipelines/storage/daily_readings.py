"""The daily readings kept: numbers, not words, in parts that are added and put together by month, never rewritten for a day.

A part holds cells (CELLS), sorted by block of homes, day and home. Where two parts speak of the same home and day, the
later one counts. Homes are numbered in the order in which they were first seen.
"""

import datetime as dt
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import readings as room
from anomaly.tables import QUALITIES
from pipelines.storage.state import Part, Store, collected, of_homes

CELLS = {"home": pl.UInt32} | room.CELL_SCHEMA | {"mark": pl.UInt8}
BLOCK = 1 << 15  # homes that lie together
LOOSE_PARTS = 12  # parts beyond one a month from which on they are put together
HOMES = "homes.parquet"


class Homes:
    """Household ids by number, as the store knows them."""

    def __init__(self, store: Store):
        self.store = store
        self.names = store.read(HOMES, {"household": pl.String})["household"]

    def numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with `home` in place of `household`; ids not seen before get the next numbers, in an order that means nothing.

        So the homes that are drawn for a sample, the first in that order, lie together.
        """
        found = self._with_numbers(rows)
        if found["home"].null_count():
            new = found.filter(pl.col("home").is_null())["household"].unique().sort()
            new = new.gather(np.argsort(drawn(new), kind="stable"))
            self.names = pl.concat([self.names, new])
            self.store.write(HOMES, self.names.to_frame())
            found = self._with_numbers(rows)
        return found.drop("household")

    def _with_numbers(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(
            self.names.to_frame().with_row_index("home"), on="household", how="left", maintain_order="left"
        )


def drawn(names: Iterable[str]) -> np.ndarray:
    """Numbers that say in which order ids are drawn: as good as by lot, and the same for ever."""
    return np.fromiter(map(zlib.crc32, map(str.encode, names)), np.uint32)


@dataclass(frozen=True)
class Days:
    """The cells of one signal."""

    store: Store
    signal: str

    @property
    def folder(self) -> str:
        return f"days/{self.signal}"

    def parts(self) -> list[Part]:
        return self.store.parts(self.folder)

    @property
    def height(self) -> int:
        """Cells of all parts."""
        return sum(
            pl.scan_parquet(part.path, glob=False).select(pl.len()).collect().item() for part in self.parts()
        )

    def add(self, cells: pl.DataFrame) -> None:
        """Cells that are new or replace older ones."""
        if cells.height:
            cells = cells.select(CELLS.keys()).cast(CELLS)
            if not cells["home"].is_sorted():
                cells = cells.sort("home", maintain_order=True)
            self._write(cells[_by_block_and_day(cells)])

    def read(
        self,
        first: dt.date | None = None,
        last: dt.date | None = None,
        homes: range | pl.Series | None = None,
        columns: Sequence[str] = tuple(CELLS),
    ) -> pl.DataFrame:
        """Cells of those days and homes in no particular order, one a home and day."""
        told = []
        for some in _overlapping(self._touching(first, last)):
            read = columns if len(some) == 1 else tuple(dict.fromkeys((*columns, "home", "day")))
            frames = [
                collected(_between(of_homes(part, homes), part, first, last).select(read), part)
                for part in some
            ]
            told.append(_last_said(pl.concat(frames)).select(columns) if len(some) > 1 else frames[0])
        return pl.concat([pl.DataFrame(schema={name: CELLS[name] for name in columns}), *told])

    def frames(
        self, first: dt.date, last: dt.date, homes: range, columns: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        """As `read`, some at a time; of cells of one home and day in several frames the last one counts."""
        bunches = _overlapping(self._touching(first, last))
        if alone := [some[0] for some in bunches if len(some) == 1]:
            yield collected(of_homes(alone, homes).select(columns), alone)
        for part in (part for some in bunches if len(some) > 1 for part in some):
            yield collected(of_homes(part, homes).select(columns), part)

    def _touching(self, first: dt.date | None, last: dt.date | None) -> list[Part]:
        return [
            p
            for p in self.parts()
            if (first is None or p.last >= first) and (last is None or p.first <= last)
        ]

    def seen_before(self, day: dt.date, homes: pl.Series) -> pl.Series:
        """Those of the homes that have a cell before that day."""
        if homes.is_empty() or not any(part.first < day for part in self.parts()):
            return homes.clear()
        return self.read(last=day - dt.timedelta(days=1), homes=homes, columns=("home", "day"))[
            "home"
        ].unique()

    def clear(self) -> None:
        """Forget every cell."""
        for part in self.parts():
            part.path.unlink()

    def compact(self) -> None:
        """Put the cells of each month together once there are many more parts than months; done twice, or broken off, it does no harm."""
        parts = self.parts()
        months = {
            month: [p for p in parts if p.first <= month[1] and p.last >= month[0]]
            for month in _months(parts)
        }
        if len(parts) - len(months) < LOOSE_PARTS:
            return
        done: set[Part] = set()
        for (start, end), touching in months.items():
            if len(touching) > 1 or touching[0].first < start or touching[0].last > end:
                cells = self._month_of_cells(touching, start, end)
                if cells.height:  # a part may pass over a whole month
                    self._write(cells)
                done |= set(touching)
        for part in done:  # each of their months has been written anew
            part.path.unlink()

    def _write(self, cells: pl.DataFrame) -> None:
        self.store.add_part(self.folder, cells, cells["day"].min(), cells["day"].max())

    def _month_of_cells(self, parts: list[Part], start: dt.date, end: dt.date) -> pl.DataFrame:
        """What the parts hold of a month, put in its place without sorting: by block of homes, day and home."""
        frames = [collected(_between(of_homes(part, None), part, start, end), part) for part in parts]
        frames = [
            frame.with_columns(at=(pl.col("day") - start).dt.total_days()) for frame in frames if frame.height
        ]
        if not frames:
            return pl.DataFrame(schema=CELLS)
        days, homes = (end - start).days + 1, int(max(frame["home"].max() for frame in frames)) + 1
        width = min(BLOCK, homes)
        there = np.zeros(-(-homes // width) * days * width, dtype=bool)
        places = [
            (f["home"].to_numpy() // width * days + f["at"].to_numpy()) * width + f["home"].to_numpy() % width
            for f in frames
        ]
        for place in places:
            there[place] = True
        kept = np.flatnonzero(there)
        columns = {
            "home": (kept // (days * width) * width + kept % width).astype(np.uint32),
            "day": kept // width % days,
        }
        for name in ("value", "quality", "note", "lag", "mark"):
            dense = np.zeros(
                there.size, dtype=np.int64 if name == "value" else frames[0][name].to_numpy().dtype
            )
            for frame, place in zip(frames, places, strict=True):
                dense[place] = frame[name].fill_null(NULL).to_numpy()
            columns[name] = dense[kept]
        cells = pl.DataFrame(columns)
        day = (pl.lit(start) + pl.duration(days="day")).cast(pl.Date)
        return cells.select(pl.col(name) for name in CELLS).with_columns(
            day=day, value=pl.when(pl.col("value") != NULL).then("value")
        )


def _by_block_and_day(cells: pl.DataFrame) -> np.ndarray:
    """Where the cells stand, which are in the order of homes, once they are in that of blocks and days."""
    day = cells["day"].to_physical() - cells["day"].to_physical().min()
    return room.argsort_integers(
        (cells["home"] // BLOCK).cast(pl.Int64).to_numpy() * (int(day.max()) + 1) + day.to_numpy()
    )


NULL = -(1 << 62)  # in place of a value that is not known, while cells are put in their places


def _overlapping(parts: list[Part]) -> list[list[Part]]:
    """Parts that touch the same days, each bunch in the order in which it was written."""
    bunches: list[list[Part]] = []
    reached = dt.date.min
    for part in sorted(parts, key=lambda part: part.first):
        if part.first > reached:
            bunches.append([])
        bunches[-1].append(part)
        reached = max(reached, part.last)
    return [sorted(bunch, key=lambda part: part.number) for bunch in bunches]


def _last_said(cells: pl.DataFrame) -> pl.DataFrame:
    """Of the cells of one home and day the last one."""
    if cells.is_empty():
        return cells
    first, home = cells["day"].min(), cells["home"].to_numpy()
    day = cells.select((pl.col("day") - first).dt.total_days()).to_series().to_numpy()
    numbers, at = (
        np.unique(home, return_inverse=True)
        if int(home.max()) > len(home)
        else (np.arange(int(home.max()) + 1), home)
    )
    place, last = at * (int(day.max()) + 1) + day, np.zeros(len(numbers) * (int(day.max()) + 1), np.int64)
    row = np.arange(len(place))
    last[place] = row
    return cells.filter(pl.Series(last[place] == row))


def _between(frame: pl.LazyFrame, part: Part, first: dt.date | None, last: dt.date | None) -> pl.LazyFrame:
    """Its rows of the days first … last; nothing is asked where the part holds no others."""
    if first is not None and part.first < first:
        frame = frame.filter(pl.col("day") >= first)
    if last is not None and part.last > last:
        frame = frame.filter(pl.col("day") <= last)
    return frame


def _months(parts: list[Part]) -> list[tuple[dt.date, dt.date]]:
    """The months that any of the parts touches, in order."""
    found = set()
    for part in parts:
        month = _month(part.first)
        while month[0] <= part.last:
            found.add(month)
            month = _month(month[1] + dt.timedelta(days=1))
    return sorted(found)


def _month(day: dt.date) -> tuple[dt.date, dt.date]:
    """First and last day of its month."""
    start = day.replace(day=1)
    return start, (start + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)


def believed(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells with the days that the doors contradict called doubtful."""
    marked = (pl.col("mark") & room.DOUBTFUL_MARKS) > 0
    return cells.with_columns(
        quality=pl.when(marked).then(pl.lit(QUALITIES.index("doubtful"), pl.UInt8)).otherwise("quality")
    )


def to_labelled_frame(cells: pl.DataFrame, names: pl.Series, rule: room.SignalRule) -> pl.DataFrame:
    """Cells to the readings they stand for."""
    marked = pl.col("mark") & room.DOUBTFUL_MARKS
    note = pl.when(marked > 0).then(marked + (room.NOTE_LABELS.index("zero") - 1)).otherwise("note")
    return room.to_labelled_frame(
        believed(cells).with_columns(household=names.gather(cells["home"]), note=note), rule
    )
