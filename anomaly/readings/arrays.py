"""Daily readings as arrays, a row for each home and a column for each day: what scoring works on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.compiled import compiled
from anomaly.readings.cells import DOUBTFUL, INTERPOLATED, READ
from anomaly.readings.doors_and_meters import DOUBTFUL_MARKS
from anomaly.tables import MAX_LAG, UNKNOWN

EPOCH = date(1970, 1, 1)
COUNTS_ALWAYS = np.iinfo(np.int32).min
"""In `ArrayLayout.counts_from`: all readings of the home are its own."""
COUNTS_NEVER = np.iinfo(np.int32).max
"""In `ArrayLayout.counts_from`: no reading of the home counts."""
NO_READING = np.iinfo(np.int32).max
"""In `ReadingArrays.first_reading`: the home has no reading of the signal."""


@dataclass(frozen=True)
class ReadingArrays:
    """Readings of some homes over some days, for S signals, H homes and T days.

    value: (S, H, T) int32, or int64 where a value does not fit; base units, UNKNOWN where the day must not be
    judged.
    lag: (S, H, T) int16; days until the value was known.
    contradicted_zero: (S, H, T) bool; the meter showed zero while the doors were busy, so the day must not be
    judged.
    first_reading: (S, H) int32; column of the first day with any reading of the signal, whatever its quality;
    NO_READING where there is none.
    """

    value: np.ndarray
    lag: np.ndarray
    contradicted_zero: np.ndarray
    first_reading: np.ndarray

    @classmethod
    def unknown(cls, signals: int, homes: int, days: int, dtype: type = np.int32) -> "ReadingArrays":
        """Return arrays of which no cell has been written yet. `dtype` is that of the values."""
        shape = (signals, homes, days)
        return cls(
            value=np.full(shape, UNKNOWN, dtype),
            lag=np.zeros(shape, np.int16),
            contradicted_zero=np.zeros(shape, dtype=bool),
            first_reading=np.full(shape[:2], NO_READING, np.int32),
        )

    @property
    def float_values(self) -> np.ndarray:
        """The values as float64, NaN where the day must not be judged."""
        return np.where(self.value == UNKNOWN, np.nan, self.value)

    @property
    def days(self) -> int:
        """Number of days T."""
        return self.value.shape[2]

    @property
    def has_readings(self) -> np.ndarray:
        """(S, H) bool; the home has any reading of the signal on these days."""
        return self.first_reading < self.days

    @classmethod
    def concatenate(cls, parts: Sequence["ReadingArrays"]) -> "ReadingArrays":
        """Return the homes of all parts, which share signals and days, in their order."""
        return cls(
            value=np.concatenate([part.value for part in parts], axis=1),
            lag=np.concatenate([part.lag for part in parts], axis=1),
            contradicted_zero=np.concatenate([part.contradicted_zero for part in parts], axis=1),
            first_reading=np.concatenate([part.first_reading for part in parts], axis=1),
        )

    def first_days(self, days: int) -> "ReadingArrays":
        """Return the first `days` days only, as views."""
        return ReadingArrays(
            value=self.value[:, :, :days],
            lag=self.lag[:, :, :days],
            contradicted_zero=self.contradicted_zero[:, :, :days],
            first_reading=self.first_reading,
        )

    def select_homes(self, homes: np.ndarray) -> "ReadingArrays":
        """Return a copy with those rows only."""
        return ReadingArrays(
            value=np.take(self.value, homes, axis=1),
            lag=np.take(self.lag, homes, axis=1),
            contradicted_zero=np.take(self.contradicted_zero, homes, axis=1),
            first_reading=np.take(self.first_reading, homes, axis=1),
        )


@dataclass(frozen=True)
class ArrayLayout:
    """Which cell of the arrays belongs to which home and day.

    row_of_home: (homes of the site,) row of each home by its number, −1 for homes that have no row.
    counts_from: (homes of the site,) int32, the day (since 1970) from which a home's readings are its own,
    because other people lived there before; COUNTS_ALWAYS or COUNTS_NEVER where no such day divides them.
    first_day: the day of the first column.
    counts_until: (homes of the site,) int32, the day from which on they are not its own any more, because its
    people moved out; None: that day comes for no home.
    """

    row_of_home: np.ndarray
    counts_from: np.ndarray
    first_day: date
    counts_until: np.ndarray | None = None


class _CellColumns(NamedTuple):
    """Columns of some cells of one signal; day since 1970, value UNKNOWN where null."""

    home: np.ndarray
    day: np.ndarray
    value: np.ndarray
    quality: np.ndarray
    lag: np.ndarray
    mark: np.ndarray


def write_cells(cells: pl.DataFrame, layout: ArrayLayout, arrays: ReadingArrays, signal: int) -> bool:
    """Write cells of one signal into the arrays; return False where a value is too large for their dtype.

    cells: home, day, value, quality, lag, mark; at most one for each home and day. They replace what earlier
    calls wrote for the same home and day. After False the arrays are half written: start again with int64
    values.
    """
    cells = cells.select(
        "home", pl.col("day").to_physical(), pl.col("value").fill_null(UNKNOWN), "quality", "lag", "mark"
    )
    counts_until = layout.counts_until
    if counts_until is None:
        counts_until = np.full(len(layout.counts_from), COUNTS_NEVER, np.int32)
    first_reading = arrays.first_reading[signal]
    replace = bool((first_reading != NO_READING).any())
    return all(
        _write_columns(
            _CellColumns(*columns),
            layout.row_of_home,
            layout.counts_from,
            counts_until,
            (layout.first_day - EPOCH).days,
            replace,
            arrays.value[signal],
            arrays.lag[signal],
            arrays.contradicted_zero[signal],
            first_reading,
        )
        for columns in _chunks(cells)
    )


def _chunks(cells: pl.DataFrame) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the columns chunk by chunk. Nothing is copied where all columns are cut at the same places."""
    chunks = [column.get_chunks() for column in cells]
    if len({tuple(map(len, column)) for column in chunks}) > 1:
        chunks = [[column.rechunk()] for column in cells]
    return (tuple(column.to_numpy() for column in chunk) for chunk in zip(*chunks, strict=True))


@compiled(nogil=True)
def _write_columns(
    cells,
    row_of_home,
    counts_from,
    counts_until,
    first_day,
    replace,
    value,
    lag,
    contradicted_zero,
    first_reading,
):
    """Write cells into the (H, T) arrays of their signal; `replace`: some may have been written before."""
    largest = np.iinfo(value.dtype).max
    for k in range(len(cells.home)):
        home, day, amount, quality = cells.home[k], cells.day[k], cells.value[k], cells.quality[k]
        h, t = row_of_home[home], day - first_day
        if h < 0 or t < 0 or t >= value.shape[1]:
            continue
        if day < counts_from[home] or day >= counts_until[home] or counts_from[home] == COUNTS_NEVER:
            continue
        if amount > largest:
            return False
        doubtful = quality == DOUBTFUL or cells.mark[k] & DOUBTFUL_MARKS > 0
        judgeable = quality in (READ, INTERPOLATED) and not doubtful
        first_reading[h] = min(first_reading[h], t)
        value[h, t] = amount if judgeable else UNKNOWN
        if replace or cells.lag[k] > 0:
            lag[h, t] = min(max(cells.lag[k], 0), MAX_LAG)
        if replace or (doubtful and amount == 0):
            contradicted_zero[h, t] = doubtful and amount == 0
    return True


def add_home_totals(cells: pl.DataFrame, totals: np.ndarray) -> None:
    """Add cells (home, value, quality, mark) of one signal to the totals of their homes, in place.

    totals: (homes, 3) int64: the sum of a home's values, its days, and its days fit to be judged.
    """
    columns = cells.select("home", pl.col("value").fill_null(0), "quality", "mark")
    for home, value, quality, mark in _chunks(columns):
        _add_columns(home, value, quality, mark, totals)


@compiled(nogil=True)
def _add_columns(home, value, quality, mark, totals):
    for k in range(len(home)):
        judgeable = quality[k] in (READ, INTERPOLATED) and mark[k] & DOUBTFUL_MARKS == 0
        totals[home[k], 0] += value[k]
        totals[home[k], 1] += 1
        totals[home[k], 2] += judgeable
