"""Daily readings laid out as (signal, household, day) arrays."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.expected import kernels
from anomaly.tables import JUDGED_QUALITIES, MAX_LAG


@dataclass(frozen=True)
class Grid:
    """Readings as arrays: S signals, H households, T consecutive local days.

    value: (S, H, T) float64 in base units, NaN where the day is not to be judged. lag: (S, H, T) int16, days
    from the day to the day on which its value became known. weekday: (T,) int8, 0–6, the effective place in
    the week (a public holiday is a Sunday). group: (H,) int32, the peer group (district) of each household; 0
    where unknown. resolution: (S, H, T) float64, the step a household's series moved in until a week before
    that day, base units.
    """

    households: tuple[str, ...]
    signals: tuple[str, ...]
    units: tuple[str, ...]
    first: dt.date
    value: np.ndarray
    lag: np.ndarray
    weekday: np.ndarray
    group: np.ndarray
    resolution: np.ndarray

    @property
    def days(self) -> int:
        """Number of days that the grid spans."""
        return self.value.shape[2]

    @property
    def ordinal(self) -> int:
        """Days from the epoch to the first day; weekly and monthly anchors are counted from the epoch."""
        return (self.first - dt.date(1970, 1, 1)).days

    def last_days(self, days: int) -> "Grid":
        """Return the last `days` days alone, or all where there are no more."""
        days = min(days, self.days)
        end, first = slice(self.days - days, None), self.day(self.days - days)
        arrays = {
            name: np.ascontiguousarray(getattr(self, name)[:, :, end])
            for name in ("value", "lag", "resolution")
            if getattr(self, name).size
        }
        return dataclasses.replace(self, first=first, weekday=self.weekday[end], **arrays)

    def select(self, homes: np.ndarray, days: int) -> "Grid":
        """Return those homes (places in the grid) and the first `days` days."""
        box = (slice(None), homes, slice(days))
        arrays = {
            name: getattr(self, name)[box]
            for name in ("value", "lag", "resolution")
            if getattr(self, name).size
        }
        return dataclasses.replace(
            self,
            households=tuple(self.households[h] for h in homes),
            weekday=self.weekday[:days],
            group=self.group[homes],
            **arrays,
        )

    def concat_homes(self, other: "Grid") -> "Grid":
        """Return the homes of both, which must share signals and days."""
        arrays = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
            for name in ("value", "lag", "resolution")
        }
        households = (*self.households, *other.households)
        group = np.concatenate([self.group, other.group])
        return dataclasses.replace(self, households=households, group=group, **arrays)

    def index(self, day: dt.date) -> int:
        """Return the position of a day on the day axis; it may lie outside it."""
        return (day - self.first).days

    def day(self, index: int) -> dt.date:
        """Return the day of an index."""
        return self.first + dt.timedelta(days=int(index))


def make_grid(readings: pl.DataFrame, calendar: pl.DataFrame, districts: Mapping[str, str | None]) -> Grid:
    """Readings (tables.Readings + known_on) to arrays; the day axis is the calendar's.

    calendar: day, weekday; consecutive days. districts: household → district, for the homes to be judged.
    Rows of other homes or days are left out; row order does not matter.
    """
    households = tuple(sorted(districts))
    units = dict(sorted(readings.select("signal", "unit").unique().iter_rows()))
    signals = tuple(units)
    first = calendar["day"].min() if calendar.height else dt.date(1970, 1, 1)
    shape = (len(signals), len(households), calendar.height)
    value = np.full(shape, np.nan)
    lag = np.zeros(shape, dtype=np.int16)
    home_index = pl.DataFrame(
        {"household": households, "home": range(len(households))},
        schema={"household": pl.String, "home": pl.Int64},
    )
    for s, signal in enumerate(signals):
        cells = (
            readings.filter(
                (pl.col("signal") == signal)
                & pl.col("quality").is_in(JUDGED_QUALITIES)
                & pl.col("value").is_not_null()
            )
            .join(home_index, on="household", maintain_order="left")
            .select(
                "home",
                "value",
                at=(pl.col("day") - first).dt.total_days(),
                lag=(pl.col("known_on") - pl.col("day")).dt.total_days().clip(0, MAX_LAG).cast(pl.Int16),
            )
            .filter(pl.col("at").is_between(0, shape[2] - 1))
        )
        home, at = cells["home"].to_numpy(), cells["at"].to_numpy()
        value[s, home, at] = cells["value"].to_numpy()
        lag[s, home, at] = cells["lag"].to_numpy()
    names = sorted({d for d in districts.values() if d is not None})
    codes = {name: i + 1 for i, name in enumerate(names)}
    group = np.array([codes.get(districts[h], 0) for h in households], dtype=np.int32)
    weekday = calendar.sort("day")["weekday"].to_numpy().astype(np.int8)
    return Grid(
        households, signals, tuple(units.values()), first, value, lag, weekday, group, resolution(value, lag)
    )


def resolution(value: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the step that each series moved in until a week before each day, (S, H, T) float64.

    It is the greatest common divisor of the values so far: 1000 for a register that moves in cubic metres.
    Only what is a week old, and became known within that week, has a say: a day never changes its own step.
    """
    step = np.ones(value.shape)
    for s in range(len(value)):
        kernels.fill_steps(value[s], lag[s], step[s])
    return step
