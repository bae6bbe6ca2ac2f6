"""The homes of a site: by number with the sample among them, as grids, and with what was expected of them."""

import dataclasses
import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.expected import Expectation, Grid
from anomaly.readings import ReadingArrays
from anomaly.tables import UNKNOWN
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.storage.home_numbers import hash_order

HOMES_PER_DISTRICT = 20
"""In the sample, of a district that has so many, unless there are too many districts."""
FULL_SAMPLE_DAYS = 240
"""With more scored days than these a smaller sample is drawn, so that a night costs the same."""


@dataclass(frozen=True)
class HomeIndex:
    """The N homes of a site by number."""

    names: np.ndarray
    """(N,) household ids."""
    judgeable: np.ndarray
    """(N,) bool: may be judged; shops may not, for example."""
    district: np.ndarray
    """(N,) int32: number of the home's district, 0 where unknown."""
    district_count: int
    """How many district numbers there are, the unknown one included."""
    sample: np.ndarray
    """Numbers of the homes in the sample, in the order of their ids: it must not matter in which order the
    site's files were loaded."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def everybody_sampled(self) -> bool:
        """Return whether everybody is in the sample, so that no home is judged by what others say."""
        return len(self.sample) == len(self.names)

    def block(self, homes: range) -> "HomeIndex":
        """Return the index of some consecutive homes alone, numbered from 0."""
        here = slice(homes.start, homes.stop)
        inside = (self.sample >= homes.start) & (self.sample < homes.stop)
        return HomeIndex(
            names=self.names[here],
            judgeable=self.judgeable[here],
            district=self.district[here],
            district_count=self.district_count,
            sample=self.sample[inside] - homes.start,
        )

    def rows_in_sample(self, homes: np.ndarray) -> np.ndarray:
        """Return the place of each home in `sample`; −1 for a home that is not in it."""
        rows = np.full(len(self), -1)
        rows[self.sample] = np.arange(len(self.sample))
        return rows[homes]

    def among(self, households: Collection[str]) -> np.ndarray:
        """Return (N,) bool: whether a home is one of those."""
        wanted = pl.Series(sorted(households), dtype=pl.String)
        return pl.Series(self.names, dtype=pl.String).is_in(wanted.implode()).to_numpy()


def samples_everybody(settings: Settings, inputs: Inputs) -> bool:
    """Return whether everybody is in the sample: at a small site, or with a model no sample can speak for."""
    return inputs.dwellings.height <= settings.engine.sample_homes or settings.expected.model != "usual"


def index_homes(settings: Settings, inputs: Inputs, scored_days: int = FULL_SAMPLE_DAYS) -> HomeIndex:
    """Number the site's homes and draw the sample, which is scored on so many days.

    Homes that are never judged are in it only where everybody is, and have no say.
    """
    names = inputs.stored.households
    districts = inputs.dwellings["district"].unique().drop_nulls().sort().to_frame()
    numbered = districts.with_row_index("number", offset=1)
    places = inputs.dwellings.join(numbered, on="district", how="left").select(
        "household", pl.col("number").fill_null(0), judgeable=True
    )
    placed = names.to_frame("household").join(places, on="household", how="left", maintain_order="left")
    judgeable = placed["judgeable"].fill_null(False).to_numpy()
    district = placed["number"].fill_null(0).cast(pl.Int32).to_numpy()
    if samples_everybody(settings, inputs):
        sample = np.arange(len(names))
    else:
        share_of_days = min(1.0, FULL_SAMPLE_DAYS / max(1, scored_days))
        homes = settings.engine.sample_homes * share_of_days
        sample = _draw_sample(hash_order(names), judgeable, district, districts.height + 1, homes)
    by_id = names.gather(sample).arg_sort().to_numpy()
    return HomeIndex(names.to_numpy(), judgeable, district, districts.height + 1, sample[by_id])


def _draw_sample(
    order: np.ndarray, judgeable: np.ndarray, district: np.ndarray, district_count: int, homes: float
) -> np.ndarray:
    """Return numbers of about so many homes: the first by `order` of each district, as many as its size
    asks."""
    share = min(1.0, homes / max(1, judgeable.sum()))
    at_least = HOMES_PER_DISTRICT if HOMES_PER_DISTRICT * district_count <= 2 * homes else 0
    numbers = np.flatnonzero(judgeable)
    ranked = numbers[np.lexsort((numbers, order[numbers], district[numbers]))]
    size = np.bincount(district[ranked], minlength=district_count)
    rank_in_district = np.arange(len(ranked)) - np.repeat(size.cumsum() - size, size)
    wanted = np.maximum(np.ceil(size * share), np.minimum(size, at_least))
    return ranked[rank_in_district < wanted[district[ranked]]]


# as grids


def make_float_grid(
    settings: Settings, homes: HomeIndex, numbers: np.ndarray, readings: ReadingArrays, calendar: pl.DataFrame
) -> Grid:
    """Return the grid of some homes, with the resolution of their series; homes that are never judged are
    empty.

    readings: those of the homes, on the calendar's days.
    """
    value = np.where(homes.judgeable[numbers][:, None], readings.float_values, np.nan)
    grid = make_integer_grid(settings, homes, numbers, readings, calendar)
    return dataclasses.replace(grid, value=value, resolution=expected.resolution(value, readings.lag))


def make_integer_grid(
    settings: Settings, homes: HomeIndex, numbers: np.ndarray, readings: ReadingArrays, calendar: pl.DataFrame
) -> Grid:
    """Return the same with whole numbers, UNKNOWN where not judged, and without the resolution.

    That is all `expected.expect_recent_fused` needs, and half the memory.
    """
    signals = tuple(sorted(settings.rules))
    return Grid(
        households=tuple(homes.names[numbers]),
        signals=signals,
        units=tuple(settings.rules[name].base for name in signals),
        first=first_day(calendar),
        value=readings.value,
        lag=readings.lag,
        weekday=calendar["weekday"].to_numpy().astype(np.int8),
        group=homes.district[numbers],
        resolution=np.empty((0, 0, 0)),
    )


def first_day(calendar: pl.DataFrame) -> dt.date:
    """Return the first of the calendar's days."""
    return calendar["day"].to_list()[0]


@dataclass(frozen=True)
class ExpectedHomes:
    """H homes with what was expected of them on their last days."""

    grid: Grid
    """Their readings on all days, as floats or as whole numbers."""
    expected: Expectation
    """On the last of these days."""
    vacant: np.ndarray
    """(H, T) bool, of all days."""

    def on_all_days(self, rows: np.ndarray, days: int) -> Expectation:
        """Return some of the homes on the first days; before those of `expected` nothing was expected."""
        grid = self.grid.select(rows, days)
        value = np.where(grid.value == UNKNOWN, np.nan, grid.value)
        expectation = self.expected.select(rows, days - (self.grid.days - self.expected.grid.days))
        return expectation.pad_to(dataclasses.replace(grid, value=value), self.vacant[rows, :days])

    def reasons_not_judged(self, settings: Settings, night: dt.date, asked: np.ndarray) -> pl.DataFrame:
        """Return household, signal, reason: why the night cannot judge the signals asked for, (S, H) bool."""
        rows, at = np.flatnonzero(asked.any(axis=0)), self.grid.index(night)
        some = self.on_all_days(rows, at + 1)
        s, h = np.nonzero(asked[:, rows])
        wanted = pl.DataFrame(
            {
                "household": pl.Series(some.grid.households, dtype=pl.String).gather(h),
                "signal": pl.Series(some.grid.signals, dtype=pl.String).gather(s),
            }
        )
        reasons = expected.not_judged_frame(some, at, settings.expected)
        return reasons.join(wanted, on=["household", "signal"], how="semi")
