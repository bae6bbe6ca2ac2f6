"""Hold what was to be expected of the homes of a grid, as arrays."""

from dataclasses import dataclass

import numpy as np

from anomaly.expected.grid import Grid

CELL_ARRAYS = ("expected", "low", "high", "surprise", "log_ratio", "history_days", "span_days")
"""Fields of Expected with a value for every signal, home and day."""


@dataclass(frozen=True)
class Expected:
    """What was to be expected of every signal, home and day of a grid; arrays are (S, H, T) float64 unless said otherwise.

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

    def select(self, homes: np.ndarray, days: int) -> "Expected":
        """Return those homes (places in the grid) and the first `days` days."""
        cells = {name: getattr(self, name)[:, homes, :days] for name in CELL_ARRAYS}
        return Expected(grid=self.grid.select(homes, days), vacant=self.vacant[homes, :days], **cells)

    def last_days(self, days: int) -> "Expected":
        """Return the last `days` days, or all where there are no more."""
        if days >= self.grid.days:
            return self
        cells = {name: np.ascontiguousarray(getattr(self, name)[:, :, -days:]) for name in CELL_ARRAYS}
        grid, vacant = self.grid.last_days(days), self.vacant[:, -days:]
        return Expected(grid=grid, vacant=vacant, scored_nights=self.scored_nights, **cells)

    def concat_homes(self, other: "Expected") -> "Expected":
        """Return the homes of both, which must share signals and days."""
        cells = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1) for name in CELL_ARRAYS
        }
        vacant = np.concatenate([self.vacant, other.vacant])
        return Expected(grid=self.grid.concat_homes(other.grid), vacant=vacant, **cells)

    def pad_to(self, grid: Grid, vacant: np.ndarray) -> "Expected":
        """Return the same on all days of `grid`, which ends on the same day: nothing was expected of those before.

        vacant: (H, T) bool, of all days of `grid`.
        """
        fill = {"history_days": 0, "span_days": 1}
        cells = {}
        for name in CELL_ARRAYS:
            ours = getattr(self, name)
            cells[name] = np.full(grid.value.shape, fill.get(name, np.nan), ours.dtype)
            cells[name][:, :, -self.grid.days :] = ours
        return Expected(grid=grid, vacant=vacant, **cells)
