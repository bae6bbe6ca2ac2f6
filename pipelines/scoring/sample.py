"""The sample: homes that are fitted from all their days and say what holds for every home of the site.

Of a small site everybody is in it, and all days have a say. Of a large one it is drawn (see `homes`), and
only its last year has a say; what was usual for its homes rests on their whole past, as anybody's.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.detectors import Scores
from anomaly.peer_stats import PeerStats
from anomaly.readings import ReadingArrays
from anomaly.tail_model import TailModel, fit_tail
from pipelines.config.settings import Settings
from pipelines.scoring.homes import ExpectedHomes, HomeIndex, first_day, make_float_grid
from pipelines.scoring.rarity import score_homes
from pipelines.storage.home_numbers import HOMES_PER_BLOCK
from pipelines.storage.stored_readings import StoredReadings

SCORED_DAYS = 364
"""Days on which a drawn sample has a say, and up to a period more. Every season must be among them: without
one that is as wide as tonight's the usual spread is taken too high, or too low."""
PERIOD_DAYS = 28
"""The nights of a period score the sample from the same day on."""
STEADY_DAYS = 35
"""Days that pass before a score counts: the night's spread and the scale rest on so many."""


# from which day on it has a say


def sample_since(night: dt.date) -> dt.date:
    """Return the first day on which a drawn sample has a say in a night, alone or among other nights."""
    return _period_start(night, SCORED_DAYS)


def everybody_since(settings: Settings, night: dt.date) -> dt.date:
    """Return the first day that may have a say in a night where everybody is in the sample.

    What is older than readings are kept has none, be it there still or not; nor has a row with a wrong year.
    """
    return _period_start(night, settings.retention.readings_days)


def _period_start(night: dt.date, days: int) -> dt.date:
    """Return the day that lies so many days before the period of a night."""
    back = days - 1
    return night - dt.timedelta(days=back + (night.toordinal() - back) % PERIOD_DAYS)


def sample_days(since: dt.date, first_reading: dt.date) -> int:
    """Return on how many days the sample is scored for the first of the nights that score it since that
    day."""
    return SCORED_DAYS - max(0, (first_reading - since).days)


# reading it


class FirstBlockCache:
    """Reads the sample and blocks of homes; the first block, which as a rule holds the sample, once for both.

    What is held is given away once, or dropped when something else is asked for. None of it goes to another
    machine.
    """

    def __init__(self) -> None:
        self._held: tuple[tuple, ReadingArrays] | None = None

    def __reduce__(self):
        return FirstBlockCache, ()

    def read_sample(self, stored: StoredReadings, homes: HomeIndex, calendar: pl.DataFrame) -> ReadingArrays:
        """Read the sample on the calendar's days."""
        first = range(min(HOMES_PER_BLOCK, len(homes)))
        if homes.everybody_sampled or homes.sample.max(initial=-1) >= first.stop:
            return _read(stored, homes.sample, calendar)
        readings = _read(stored, np.arange(first.stop), calendar)
        self._held = _key(first, calendar), readings
        return readings.select_homes(homes.sample)

    def read_block(self, stored: StoredReadings, homes: range, calendar: pl.DataFrame) -> ReadingArrays:
        """Read some consecutive homes on the calendar's days."""
        held, self._held = self._held, None
        if held is not None and held[0] == _key(homes, calendar):
            return held[1]
        return _read(stored, np.arange(homes.start, homes.stop), calendar)


def _read(stored: StoredReadings, homes: np.ndarray, calendar: pl.DataFrame) -> ReadingArrays:
    return stored.read_arrays(homes, first_day(calendar), calendar.height)


def _key(homes: range, calendar: pl.DataFrame) -> tuple[range, dt.date, int]:
    return homes, first_day(calendar), calendar.height


# fitting it


@dataclass(frozen=True)
class ExpectedSample(ExpectedHomes):
    """The homes of the sample with what was expected of them, and what they say of each day."""

    readings: ReadingArrays
    """The same readings as arrays."""
    peers: PeerStats
    """Statistics of all days, by which homes outside the sample are judged."""


@dataclass(frozen=True)
class FittedSample(ExpectedSample):
    """The homes of the sample with what was expected of them and their scores."""

    scores: list[Scores]
    """On the days of `expected`; NaN before the sample is scored."""

    def tails(self, night: dt.date) -> list[TailModel]:
        """Return for each of the scores its tail before the night, by which every home is judged."""
        return [fit_tail(one.score, self.expected.grid.index(night)) for one in self.scores]


def expect_sample(
    settings: Settings, homes: HomeIndex, readings: ReadingArrays, calendar: pl.DataFrame, days: int
) -> ExpectedSample:
    """Work out what was to be expected of the sample on so many last days. readings: those of the sample."""
    grid = make_float_grid(settings, homes, homes.sample, readings, calendar)
    peers = PeerStats(homes.district_count)
    expectation, vacant = expected.expect_recent(grid, settings.expected, peers, min(days, grid.days))
    return ExpectedSample(grid, expectation, vacant, readings, peers)


def fit_sample(
    settings: Settings,
    homes: HomeIndex,
    readings: ReadingArrays,
    calendar: pl.DataFrame,
    scored_days: int,
    expected_days: int,
) -> FittedSample:
    """Work out what was to be expected of the sample, and its scores.

    readings: those of the sample, on the calendar's days. scored_days, expected_days: how many of the last
    days are asked, not more scored than expected ones. Where a sample has a longer past the first of its
    scores do not count.
    """
    sample = expect_sample(settings, homes, readings, calendar, expected_days)
    scores = score_homes(settings, sample.expected.last_days(scored_days), sample.peers)
    if scored_days < sample.grid.days:
        for one in scores:
            one.score[:, :STEADY_DAYS] = np.nan
    padded = [one.pad_to(sample.expected.grid.days) for one in scores]
    return FittedSample(**vars(sample), scores=padded)
