"""The sample: homes that are fitted from all their days and say what holds for every home of the site.

Of a small site everybody is in the sample. Of a large one it is drawn over all districts, and only its last year has a
say; what was usual for its homes rests on their whole past, as anybody's.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.detectors import Scores
from anomaly.expected import Expected, Grid
from anomaly.peer_stats import PeerStats
from anomaly.readings import ReadingArrays
from anomaly.tables import UNKNOWN
from anomaly.tail_model import TailModel, tail_by_night
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.scoring.rarity import score_homes
from pipelines.storage.home_numbers import HOMES_PER_BLOCK, hash_order
from pipelines.storage.stored_readings import StoredReadings

PEERS_PER_DISTRICT = (
    20  # homes of a district in the sample, where it has them and there are not too many districts
)
SCORED_DAYS = 364  # of the sample before a night, and up to a period more: without a season that is as wide as tonight's the usual spread is taken too high, or too low
FULL_SAMPLE_DAYS = 240  # up to so many scored days the whole sample is asked; with more of them fewer homes, so that a night costs the same
PERIOD_DAYS = 28  # the nights of a period score the sample from the same day on
STEADY_DAYS = 35  # of these days pass before a score counts: the night's spread and the scale rest on so many


@dataclass(frozen=True)
class HomeIndex:
    """The homes of a site by number.

    names: (N,) household ids. judgeable: (N,) bool, whether the home may be judged. group: (N,) int32, number of its district,
    0 where unknown. groups: how many of these numbers there are. sample: numbers of the homes in the sample, in the order
    of their ids: the same whatever the order in which the site's files were loaded.
    """

    names: np.ndarray
    judgeable: np.ndarray
    group: np.ndarray
    groups: int
    sample: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def everybody_sampled(self) -> bool:
        """Whether the sample is everybody: no home is left to be judged by what others say."""
        return len(self.sample) == len(self.names)

    def block(self, homes: range) -> "HomeIndex":
        """Return the index of some consecutive homes alone, numbered from 0."""
        here = slice(homes.start, homes.stop)
        inside = (self.sample >= homes.start) & (self.sample < homes.stop)
        return HomeIndex(
            self.names[here],
            self.judgeable[here],
            self.group[here],
            self.groups,
            self.sample[inside] - homes.start,
        )

    def rows_in_sample(self, numbers: np.ndarray) -> np.ndarray:
        """Return the places of homes among those of the sample; −1 for a home that is not in it."""
        rows = np.full(len(self), -1)
        rows[self.sample] = np.arange(len(self.sample))
        return rows[numbers]

    def among(self, households: Collection[str]) -> np.ndarray:
        """Return (N,) bool: whether a home is one of those."""
        wanted = pl.Series(sorted(households), dtype=pl.String)
        return pl.Series(self.names, dtype=pl.String).is_in(wanted.implode()).to_numpy()


def samples_everybody(settings: Settings, inputs: Inputs) -> bool:
    """Return whether everybody is in the sample: at a small site, and where the model is one that a sample cannot speak for."""
    return inputs.dwellings.height <= settings.engine.sample_homes or settings.expected.model != "usual"


def index_homes(settings: Settings, inputs: Inputs, scored_days: int = FULL_SAMPLE_DAYS) -> HomeIndex:
    """Number the site's homes and draw the sample for so many scored days.

    The sample is the first homes of each district by a hash of their ids, in proportion to its size. Homes that are never judged, such
    as shops, are in it only where everybody is, and say nothing.
    """
    names = inputs.stored.households
    districts = inputs.dwellings["district"].unique().drop_nulls().sort().to_frame()
    places = inputs.dwellings.join(
        districts.with_row_index("group", offset=1), on="district", how="left"
    ).select("household", pl.col("group").fill_null(0), judgeable=True)
    placed = names.to_frame("household").join(places, on="household", how="left", maintain_order="left")
    judgeable = placed["judgeable"].fill_null(False).to_numpy()
    group = placed["group"].fill_null(0).cast(pl.Int32).to_numpy()
    groups = districts.height + 1
    if samples_everybody(settings, inputs):
        sample = np.arange(len(names))
    else:
        most = settings.engine.sample_homes * min(1.0, FULL_SAMPLE_DAYS / max(1, scored_days))
        sample = _draw_sample(hash_order(names), judgeable, group, groups, most)
    by_id = names.gather(sample).arg_sort().to_numpy()
    return HomeIndex(names.to_numpy(), judgeable, group, groups, sample[by_id])


def _draw_sample(
    order: np.ndarray, judgeable: np.ndarray, group: np.ndarray, groups: int, most: float
) -> np.ndarray:
    """Return the numbers of about `most` homes: the first of each group by `order`, in proportion to its homes that may be judged."""
    share = min(1.0, most / max(1, judgeable.sum()))
    least = PEERS_PER_DISTRICT if PEERS_PER_DISTRICT * groups <= 2 * most else 0
    number = np.flatnonzero(judgeable)
    ranked = number[np.lexsort((number, order[number], group[number]))]
    size = np.bincount(group[ranked], minlength=groups)
    rank_in_group = np.arange(len(ranked)) - np.repeat(size.cumsum() - size, size)
    wanted = np.maximum(np.ceil(size * share), np.minimum(size, least))
    return ranked[rank_in_group < wanted[group[ranked]]]


def sample_since(night: dt.date) -> dt.date:
    """Return the first day on which a drawn sample has a say in a night: the same alone as among other nights."""
    back = SCORED_DAYS - 1
    return night - dt.timedelta(days=back + (night.toordinal() - back) % PERIOD_DAYS)


def sample_days(since: dt.date, first: dt.date) -> int:
    """Return how many days the sample is scored on the first of the nights that score it from `since` on.

    first: the first day with readings.
    """
    return SCORED_DAYS - max(0, (first - since).days)


# readings as grids


def make_float_grid(
    settings: Settings, homes: HomeIndex, numbers: np.ndarray, readings: ReadingArrays, calendar: pl.DataFrame
) -> Grid:
    """Return the grid of those homes, with the resolution of their series. readings: theirs, on the calendar's days.

    Homes that are never judged are empty in it.
    """
    value = np.where(homes.judgeable[numbers][:, None], readings.float_values, np.nan)
    grid = make_integer_grid(settings, homes, numbers, readings, calendar)
    return dataclasses.replace(grid, value=value, resolution=expected.resolution(value, readings.lag))


def make_integer_grid(
    settings: Settings, homes: HomeIndex, numbers: np.ndarray, readings: ReadingArrays, calendar: pl.DataFrame
) -> Grid:
    """Return the grid of those homes for `expected.expect_recent_fused`: whole numbers, and no resolution."""
    signals = tuple(sorted(settings.rules))
    return Grid(
        households=tuple(homes.names[numbers]),
        signals=signals,
        units=tuple(settings.rules[name].base for name in signals),
        first=first_day(calendar),
        value=readings.value,
        lag=readings.lag,
        weekday=calendar["weekday"].to_numpy().astype(np.int8),
        group=homes.group[numbers],
        resolution=np.empty((0, 0, 0)),
    )


def first_day(calendar: pl.DataFrame) -> dt.date:
    """Return the first of the calendar's days."""
    return calendar["day"].to_list()[0]


@dataclass(frozen=True)
class ExpectedHomes:
    """Homes with what was expected of them. grid: their readings of all days; seen: what was expected on the last of
    these days; vacant: (H, T) bool, of all days.
    """

    grid: Grid
    seen: Expected
    vacant: np.ndarray

    def on_all_days(self, homes: np.ndarray, days: int) -> Expected:
        """Return some homes (places in the grid) on the first `days` days; nothing was expected of those before `seen`."""
        grid = self.grid.select(homes, days)
        value = np.where(grid.value == UNKNOWN, np.nan, grid.value)
        seen = self.seen.select(homes, days - (self.grid.days - self.seen.grid.days))
        return seen.pad_to(dataclasses.replace(grid, value=value), self.vacant[homes, :days])

    def reasons_not_judged(self, settings: Settings, night: int, asked: np.ndarray) -> pl.DataFrame:
        """Return household, signal, reason: why the night, a column of the grid, cannot judge the signals asked for.

        asked: (S, H) bool, signals that it does not judge.
        """
        homes = np.flatnonzero(asked.any(axis=0))
        some = self.on_all_days(homes, night + 1)
        s, h = np.nonzero(asked[:, homes])
        wanted = pl.DataFrame(
            {
                "household": pl.Series(some.grid.households, dtype=pl.String).gather(h),
                "signal": pl.Series(some.grid.signals, dtype=pl.String).gather(s),
            }
        )
        reasons = expected.not_judged_frame(some, night, settings.expected)
        return reasons.join(wanted, on=["household", "signal"], how="semi")


# fitting


@dataclass(frozen=True)
class FittedSample:
    """The homes of the sample with what was expected of them, and what they say of every home of the site.

    readings: as arrays, on all days. homes: what was expected, on the last of these days. scores: of the days of `homes.seen`, NaN
    before the sample is scored. tails: for each of the scores, its tail before a night (a column of `homes.seen`). peers: the statistics
    of all days that judge homes outside the sample.
    """

    readings: ReadingArrays
    homes: ExpectedHomes
    scores: list[Scores]
    tails: list[Callable[[int], TailModel]]
    peers: PeerStats


def fit_sample(
    settings: Settings,
    homes: HomeIndex,
    readings: ReadingArrays,
    calendar: pl.DataFrame,
    scored_from: dt.date,
    expected_from: dt.date,
) -> FittedSample:
    """Fit the sample to its readings on the calendar's days.

    scored_from: the first day on which it has a say; expected_from: the first day of which expectations are asked, not later.
    """
    last = calendar["day"].to_list()[-1]
    scored_days, expected_days = ((last - day).days + 1 for day in (scored_from, expected_from))
    grid = make_float_grid(settings, homes, homes.sample, readings, calendar)
    peers = PeerStats(homes.groups)
    seen, vacant = expected.expect_recent(grid, settings.expected, peers, min(expected_days, grid.days))
    scores = score_homes(settings, seen.last_days(scored_days), peers)
    if scored_days < grid.days:
        for one in scores:
            one.score[:, :STEADY_DAYS] = np.nan
    scores = [one.pad_to(seen.grid.days) for one in scores]
    return FittedSample(
        readings,
        ExpectedHomes(grid, seen, vacant),
        scores,
        [tail_by_night(one.score) for one in scores],
        peers,
    )


class FirstBlockCache:
    """Reads the homes of the sample and of blocks; the first block, in which a sample lies as a rule, is read once for both.

    What is held is given away once, or dropped when something else is wanted; nothing of it goes to another machine.
    """

    def __init__(self) -> None:
        self._held: tuple[tuple, ReadingArrays] | None = None

    def __reduce__(self):
        return FirstBlockCache, ()

    def read_sample(self, stored: StoredReadings, homes: HomeIndex, calendar: pl.DataFrame) -> ReadingArrays:
        """Return the readings of the sample."""
        first = range(min(HOMES_PER_BLOCK, len(homes)))
        if homes.everybody_sampled or homes.sample.max(initial=-1) >= first.stop:
            return _read(stored, homes.sample, calendar)
        readings = _read(stored, np.arange(first.stop), calendar)
        self._held = _key(first, calendar), readings
        return readings.select_homes(homes.sample)

    def read_block(self, stored: StoredReadings, homes: range, calendar: pl.DataFrame) -> ReadingArrays:
        """Return the readings of a block of homes."""
        held, self._held = self._held, None
        if held is not None and held[0] == _key(homes, calendar):
            return held[1]
        return _read(stored, np.arange(homes.start, homes.stop), calendar)


def _read(stored: StoredReadings, numbers: np.ndarray, calendar: pl.DataFrame) -> ReadingArrays:
    return stored.read_arrays(numbers, first_day(calendar), calendar.height)


def _key(homes: range, calendar: pl.DataFrame) -> tuple[range, dt.date, int]:
    return homes, first_day(calendar), calendar.height
