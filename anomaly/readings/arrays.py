"""Daily readings in numbers laid out as arrays, a row a home and a column a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numba
import numpy as np
import polars as pl

from anomaly.readings.doors_and_meters import MARKED
from anomaly.tables import QUALITIES, UNKNOWN

EPOCH = date(1970, 1, 1)
ALWAYS = np.iinfo(np.int32).min  # a home's readings are its own from the beginning …
NEVER = np.iinfo(np.int32).max  # … or none of them is
LONGEST_LAG = 32_000  # days
READ, INTERPOLATED, DOUBTFUL = (QUALITIES.index(name) for name in ("read", "interpolated", "doubtful"))


@dataclass(frozen=True)
class Laid:
    """Readings of some homes as (S, H, T) arrays.

    value: whole base units (int32, or int64 where they do not fit), UNKNOWN where the day is not to be judged; lag: int16, days
    until it was known; zero: where the value is a zero that the doors contradict; had: (S, H), whether the home has any
    reading of the signal among these days.
    """

    value: np.ndarray
    lag: np.ndarray
    zero: np.ndarray
    had: np.ndarray

    @property
    def floats(self) -> np.ndarray:
        """The values as float64, NaN where the day is not to be judged."""
        return np.where(self.value == UNKNOWN, np.nan, self.value)

    def only(self, homes: np.ndarray) -> "Laid":
        """Those rows."""
        return Laid(*(np.take(one, homes, axis=1) for one in (self.value, self.lag, self.zero, self.had)))


@dataclass(frozen=True)
class Place:
    """Where cells belong: row of each home by number, −1 for none; days since 1970 from which its readings count; the first day."""

    row: np.ndarray
    since: np.ndarray
    first: date


def empty(signals: int, homes: int, days: int, kind: type = np.int32) -> Laid:
    """Arrays in which nothing is known yet."""
    shape = (signals, homes, days)
    return Laid(
        np.full(shape, UNKNOWN, kind),
        np.zeros(shape, np.int16),
        np.zeros(shape, dtype=bool),
        np.zeros(shape[:2], dtype=bool),
    )


def lay(cells: pl.DataFrame, place: Place, laid: Laid, signal: int) -> bool:
    """Write cells (home, day, value, quality, lag, mark) of a signal into the arrays, in place; each home and day once.

    They take the places of those that earlier frames have written.

    False where a value is too large for the arrays: lay them all again into larger ones.
    """
    cells = cells.select(
        "home", pl.col("day").to_physical(), pl.col("value").fill_null(UNKNOWN), "quality", "lag", "mark"
    )
    out = (laid.value[signal], laid.lag[signal], laid.zero[signal], laid.had[signal])
    over = bool(laid.had[signal].any())
    return all(
        _lay(columns, (place.row, place.since), (place.first - EPOCH).days, over, out)
        for columns in _pieces(cells)
    )


def _pieces(cells: pl.DataFrame) -> Iterator[tuple[np.ndarray, ...]]:
    """The columns as they lie in memory, piece by piece, where all are cut at the same places: nothing is copied."""
    chunks = [column.get_chunks() for column in cells]
    if len({tuple(map(len, column)) for column in chunks}) > 1:
        chunks = [[column.rechunk()] for column in cells]
    return (tuple(one.to_numpy() for one in piece) for piece in zip(*chunks, strict=True))


@numba.njit(cache=True, nogil=True)
def _lay(cells, place, first, over, out):
    """`over`: whether a cell may stand in the place of another one, which it then replaces whole."""
    home, day, amount, quality, late, mark = cells
    row, since = place
    value, lag, zero, had = out
    largest = np.iinfo(value.dtype).max
    for k in range(len(home)):
        h, t = row[home[k]], day[k] - first
        if h < 0 or t < 0 or t >= value.shape[1] or day[k] < since[home[k]] or since[home[k]] == NEVER:
            continue
        if amount[k] > largest:
            return False
        doubtful = quality[k] == DOUBTFUL or mark[k] & MARKED > 0
        had[h] = True
        value[h, t] = (
            amount[k] if (quality[k] == READ or quality[k] == INTERPOLATED) and not doubtful else UNKNOWN
        )
        if over or late[k] > 0:
            lag[h, t] = min(max(late[k], 0), LONGEST_LAG)
        if over or (doubtful and amount[k] == 0):
            zero[h, t] = doubtful and amount[k] == 0
    return True


def add_up(cells: pl.DataFrame, sums: np.ndarray) -> None:
    """Add cells (home, value, quality, mark) to (homes, 3): the sum of each home's values, its days, and those of them fit to be judged."""
    for columns in _pieces(cells.select("home", pl.col("value").fill_null(0), "quality", "mark")):
        _add_up(columns, sums)


@numba.njit(cache=True, nogil=True)
def _add_up(cells, out):
    home, value, quality, mark = cells
    for k in range(len(home)):
        out[home[k], 0] += value[k]
        out[home[k], 1] += 1
        out[home[k], 2] += (quality[k] == READ or quality[k] == INTERPOLATED) and mark[k] & MARKED == 0
