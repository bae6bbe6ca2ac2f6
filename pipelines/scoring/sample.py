"""What a sample of a large site's homes says for all of them: of each day, of a night's spread, and how rare a score is.

Its homes go through the same functions as those of a small site, over the last year.
"""

import dataclasses
import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import detectors, expected
from anomaly.detectors import Scores
from anomaly.expected import Expected, Grid
from anomaly.peer_stats import PeerStats
from anomaly.readings import ReadingArrays
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.storage.home_numbers import HOMES_PER_BLOCK, hash_order
from pipelines.storage.stored_readings import StoredReadings

PEERS = 20  # homes of a district in the sample, where it has them and there are not too many districts
SCORED_DAYS = 364  # of the sample before a night, and up to a period more: without a season that is as wide as tonight's the usual spread is taken too high, or too low
FULL_DAYS = 240  # up to so many the whole sample is heard; with more of them fewer homes, so that a night costs the same
PERIOD_DAYS = 28  # the nights of a period hear the sample from the same day on
STEADY_DAYS = 35  # of these days pass before a score counts: the night's spread and the scale rest on so many


@dataclass(frozen=True)
class HomeIndex:
    """Homes by number: their names, which may be judged, their district's group (0 unknown) and which are in the sample."""

    names: np.ndarray
    judged: np.ndarray
    group: np.ndarray
    groups: int
    sample: np.ndarray

    def part(self, homes: range) -> "HomeIndex":
        """Those homes by themselves, numbered from 0."""
        here = slice(homes.start, homes.stop)
        of_sample = self.sample[(self.sample >= homes.start) & (self.sample < homes.stop)] - homes.start
        return HomeIndex(self.names[here], self.judged[here], self.group[here], self.groups, of_sample)


def index_homes(settings: Settings, inputs: Inputs, days: int = FULL_DAYS) -> HomeIndex:
    """The site's homes, and the sample that is heard for so many days: the first of each district by a hash of their ids, in proportion to its homes."""
    names = inputs.stored.names.to_numpy()
    codes = (
        inputs.dwellings["district"].unique().drop_nulls().sort().to_frame().with_row_index("group", offset=1)
    )
    places = inputs.dwellings.join(codes, on="district", how="left").select(
        "household", pl.col("group").fill_null(0), judged=True
    )
    placed = inputs.stored.names.to_frame("household").join(
        places, on="household", how="left", maintain_order="left"
    )
    judged, group = (
        placed["judged"].fill_null(False).to_numpy(),
        placed["group"].fill_null(0).cast(pl.Int32).to_numpy(),
    )
    order = hash_order(names)
    most = settings.engine.sample_homes * min(1.0, FULL_DAYS / max(1, days))
    share = min(1.0, most / max(1, judged.sum()))
    groups = codes.height + 1
    least = PEERS if PEERS * groups <= 2 * most else 0
    number = np.flatnonzero(judged)
    ranked = number[np.lexsort((number, order[number], group[number]))]
    size = np.bincount(group[ranked], minlength=groups)
    place = np.arange(len(ranked)) - np.repeat(size.cumsum() - size, size)
    wanted = np.maximum(np.ceil(size * share), np.minimum(size, least))
    return HomeIndex(names, judged, group, groups, np.sort(ranked[place < wanted[group[ranked]]]))


@dataclass(frozen=True)
class FittedSample:
    """What the sample says: its readings, expectations and scores, and through `peers` what holds for all.

    vacant: (homes, days) of grid; seen: of the last days of grid; scores: of the days of seen, NaN before the sample is heard.
    """

    grid: Grid
    vacant: np.ndarray
    seen: Expected
    scores: list[Scores]
    peers: PeerStats

    @property
    def looked(self) -> tuple[Grid, Expected, np.ndarray]:
        return self.grid, self.seen, self.vacant


def sample_since(night: dt.date) -> dt.date:
    """The first day on which the sample has a say in a night, the same alone as among other nights."""
    back = SCORED_DAYS - 1
    return night - dt.timedelta(days=back + (night.toordinal() - back) % PERIOD_DAYS)


def sample_days(heard: dt.date, first: dt.date) -> int:
    """How many days the sample is heard on the first night of those that hear it from `heard` on, where there are readings from `first` on."""
    return SCORED_DAYS - max(0, (first - heard).days)


def fit_sample(
    settings: Settings,
    store: tuple[StoredReadings, "FirstBlockCache"],
    site: HomeIndex,
    days: pl.DataFrame,
    since: tuple[dt.date, dt.date],
) -> FittedSample:
    """since: from which on the sample is heard, and from which on, if not later, its expectations are asked for."""
    kept, hand = store
    heard, told = ((days["day"].max() - day).days + 1 for day in since)
    grid = grid_of(settings, site, (site.sample, hand.sample(kept, site, days)), days)
    peers = PeerStats(site.groups)
    seen, vacant = expected.expect_recent(grid, settings.expected, peers, min(told, grid.days))
    scores = scores_of(settings, seen.last_days(heard), peers)
    if heard < grid.days:
        for one in scores:
            one.score[:, :STEADY_DAYS] = np.nan
    return FittedSample(grid, vacant, seen, [one.pad_to(seen.grid.days) for one in scores], peers)


class FirstBlockCache:
    """The readings of the first block of homes, which hold those of the sample as a rule: read once for both.

    They are given away once, or dropped when something else is wanted; another machine gets nothing of them.
    """

    def __init__(self) -> None:
        self._held: tuple[object, ReadingArrays] | None = None

    def __reduce__(self):
        return FirstBlockCache, ()

    def sample(self, kept: StoredReadings, site: HomeIndex, days: pl.DataFrame) -> ReadingArrays:
        """The readings of the sample."""
        first = range(min(HOMES_PER_BLOCK, len(site.names)))
        if len(site.sample) and site.sample[-1] >= first.stop:
            return _laid(kept, site.sample, days)
        laid = _laid(kept, np.arange(first.stop), days)
        self._held = _of(first, days), laid
        return laid.select_homes(site.sample)

    def take(self, kept: StoredReadings, homes: range, days: pl.DataFrame) -> ReadingArrays:
        """The readings of a block of homes."""
        held, self._held = self._held, None
        if held is not None and held[0] == _of(homes, days):
            return held[1]
        return _laid(kept, np.arange(homes.start, homes.stop), days)


def _laid(kept: StoredReadings, homes: np.ndarray, days: pl.DataFrame) -> ReadingArrays:
    return kept.arrays(homes, days["day"].min(), days.height)


def _of(homes: range, days: pl.DataFrame) -> tuple[range, dt.date, int]:
    return homes, days["day"].min(), days.height


def scores_of(settings: Settings, seen: Expected, peers: PeerStats) -> list[Scores]:
    return [
        one for detector in detectors.chosen_detectors(settings.detectors) for one in detector(seen, peers)
    ]


def grid_of(
    settings: Settings, site: HomeIndex, homes: tuple[np.ndarray, ReadingArrays], days: pl.DataFrame
) -> Grid:
    """A grid of those homes: their numbers and readings."""
    numbers, laid = homes
    value = laid.float_values
    return dataclasses.replace(
        bare_grid(settings, site, homes, days), value=value, resolution=expected.resolution(value, laid.lag)
    )


def bare_grid(
    settings: Settings, site: HomeIndex, homes: tuple[np.ndarray, ReadingArrays], days: pl.DataFrame
) -> Grid:
    """The same for `expect_recent_fused`: with whole numbers, and without the resolution of their series."""
    numbers, laid = homes
    signals = tuple(sorted(settings.rules))
    units = tuple(settings.rules[name].base for name in signals)
    weekday = days["weekday"].to_numpy().astype(np.int8)
    return Grid(
        tuple(site.names[numbers]),
        signals,
        units,
        days["day"].min(),
        laid.value,
        laid.lag,
        weekday,
        site.group[numbers],
        np.empty((0, 0, 0)),
    )
