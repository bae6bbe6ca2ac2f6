"""Hold what was to be expected of the homes of a grid, as arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from anomaly.expected.grid import Grid

CELL_ARRAYS = ("expected", "low", "high", "surprise", "log_ratio", "history_days", "span_days")
"""Fields of Expectation with a value for every signal, home and day."""


@dataclass(frozen=True)
class Expectation:
    """What was to be expected of every signal, home and day of a grid.

    Arrays are (S, H, T) float64 unless said otherwise.

    expected, low, high: base units, NaN where nothing was expected.
    surprise: (log value − log expected) / spread, NaN where not judged. log_ratio: log value − log expected.
    history_days: int16, days that the expectation rests on.
    vacant: (H, T) bool, days on which nobody seems to have been at home.
    span_days: int8, days that each value of the judged series spans: 1, or more for coarse registers.
    scored_nights: of how many of the last nights detectors give scores, 0 for all.
    """

    grid: Grid
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    surprise: np.ndarray
    log_ratio: np.ndarray
    history_days: np.ndarray
    vacant: np.ndarray
    span_days: np.ndarray
    scored_nights: int = 0

    def select(self, homes: np.ndarray, days: int) -> "Expectation":
        """Return those homes (places in the grid) and the first `days` days."""
        cells: dict[str, Any] = {name: getattr(self, name)[:, homes, :days] for name in CELL_ARRAYS}
        return Expectation(grid=self.grid.select(homes, days), vacant=self.vacant[homes, :days], **cells)

    def last_days(self, days: int) -> "Expectation":
        """Return the last `days` days, or all where there are no more."""
        if days >= self.grid.days:
            return self
        cells: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[:, :, -days:]) for name in CELL_ARRAYS
        }
        grid, vacant = self.grid.last_days(days), self.vacant[:, -days:]
        return Expectation(grid=grid, vacant=vacant, scored_nights=self.scored_nights, **cells)

    def concat_homes(self, other: "Expectation") -> "Expectation":
        """Return the homes of both, which must share signals and days."""
        cells: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1) for name in CELL_ARRAYS
        }
        vacant = np.concatenate([self.vacant, other.vacant])
        return Expectation(grid=self.grid.concat_homes(other.grid), vacant=vacant, **cells)

    def pad_to(self, grid: Grid, vacant: np.ndarray) -> "Expectation":
        """Return the same on all days of `grid`, which ends on the same day, with nothing expected before.

        vacant: (H, T) bool, of all days of `grid`.
        """
        fill = {"history_days": 0, "span_days": 1}
        cells: dict[str, Any] = {}
        for name in CELL_ARRAYS:
            ours = getattr(self, name)
            cells[name] = np.full(grid.value.shape, fill.get(name, np.nan), ours.dtype)
            cells[name][:, :, -self.grid.days :] = ours
        return Expectation(grid=grid, vacant=vacant, **cells)


def expected_frame(expected: Expectation, night: int, homes: np.ndarray, days: int) -> pl.DataFrame:
    """Return tables.ExpectedDays, without night and unit, of the last `days` days as the night saw them.

    night: day index. homes: places in the grid.
    """
    grid = expected.grid
    at = np.arange(max(0, night - days + 1), night + 1)
    cells = np.ix_(np.arange(len(grid.signals)), homes, at)
    known = ~np.isnan(expected.expected[cells])
    s, h, d = np.nonzero(known)
    value = np.where(grid.lag[cells] + at <= night, grid.value[cells], np.nan)[known]
    surprise = np.where(np.isnan(value), np.nan, expected.surprise[cells][known])
    frame = pl.DataFrame(
        {
            "household": np.array(grid.households, dtype=object)[homes][h] if len(homes) else [],
            "signal": np.array(grid.signals, dtype=object)[s] if len(grid.signals) else [],
            "day": (at[d] + grid.ordinal).astype("datetime64[D]"),
            "value": value,
            "expected": expected.expected[cells][known],
            "low": expected.low[cells][known],
            "high": expected.high[cells][known],
            "surprise": surprise,
        },
        schema_overrides={"household": pl.String, "signal": pl.String, "day": pl.Date},
        nan_to_null=True,
    )
    return frame.with_columns(
        pl.col("value").cast(pl.Int64),
        pl.col("expected", "low", "high").round(2),
        pl.col("surprise").round(4),
    ).sort("household", "signal", "day")
