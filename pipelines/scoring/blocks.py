"""What each part of the site gives to a night: the sample from what was fitted, the other homes block by block.

A block is scored from what it is handed and from the readings in the store alone: it may be scored on another machine.
"""

import datetime as dt
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.peer_stats import PeerStats
from anomaly.readings import ReadingArrays
from anomaly.tail_model import TailModel
from pipelines.config.settings import Settings
from pipelines.errors import StateError
from pipelines.ingest.inputs import Inputs
from pipelines.runtime.engine import Engine
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.rarity import (
    largest_rarity,
    rank_scores,
    rarity_table,
    rarity_written,
    score_homes,
)
from pipelines.scoring.sample import (
    ExpectedHomes,
    FirstBlockCache,
    FittedSample,
    HomeIndex,
    make_integer_grid,
)
from pipelines.scoring.sensors import SensorState, sensor_state
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.partitions import Partition
from pipelines.storage.stored_readings import StoredReadings

WINDOW_DAYS = 14  # the longest window a detector looks back on
TONIGHT = -1  # column of the night among the scores of its last days


@dataclass(frozen=True)
class Night:
    """A night that is being judged.

    calendar: the days of the arrays, the night last. tails: for each of the sample's scores, its tail before the night.
    tracked: (N,) bool, homes to be looked at closely whatever their scores. with_history: whether what was expected of every home is asked.
    """

    date: dt.date
    calendar: pl.DataFrame
    tails: list[TailModel]
    tracked: np.ndarray
    with_history: bool

    @property
    def column(self) -> int:
        """Its place among the days of the calendar."""
        return self.calendar.height - 1


@dataclass(frozen=True)
class ScoredHomes:
    """What some of the homes gave to a night; H homes by their numbers.

    has_readings: (S, H) bool, any reading of the signal up to the night. judged: (H,) bool, by at least one signal.
    not_judged: household, signal, reason. rarities: household, rarity. standing_out: numbers of the homes to be looked at closely.
    readings: theirs, None where the sample has them. history: what was expected of the homes, empty unless asked.
    """

    homes: np.ndarray
    has_readings: np.ndarray
    judged: np.ndarray
    not_judged: pl.DataFrame
    rarities: pl.DataFrame
    standing_out: np.ndarray
    readings: ReadingArrays | None
    sensors: SensorState
    history: pl.DataFrame


def score_sample(
    settings: Settings, homes: HomeIndex, sample: FittedSample, night: Night, history_days: int
) -> ScoredHomes:
    """Return what the homes of the sample give to the night. history_days: how many days of what was expected are asked."""
    at = sample.homes.seen.grid.index(night.date)
    ranked = rank_scores(settings, sample.scores, at, night.tails)
    readings = sample.readings.first_days(night.calendar.height)
    judgeable = homes.judgeable[homes.sample]
    judged_signals = expected.judgeable_signals(sample.homes.seen, at)
    rare = largest_rarity(ranked, at, len(judgeable)) >= rarity_written(settings)
    return ScoredHomes(
        homes=homes.sample,
        has_readings=readings.has_readings,
        judged=np.any(judged_signals, axis=0),
        not_judged=sample.homes.reasons_not_judged(
            settings, night.column, readings.has_readings & ~judged_signals & judgeable
        ),
        rarities=rarity_table(sample.homes.grid.households, ranked, at),
        standing_out=homes.sample[judgeable & (rare | night.tracked[homes.sample])],
        readings=None,
        sensors=sensor_state(settings, homes.sample, readings, np.arange(len(judgeable)), keep_all=True),
        history=expected.expected_frame(
            sample.homes.seen, at, np.flatnonzero(judgeable & night.with_history), history_days
        ),
    )


def score_other_homes(
    settings: Settings,
    inputs: Inputs,
    homes: HomeIndex,
    sample: FittedSample,
    night: Night,
    cache: FirstBlockCache,
    engine: Engine,
    progress: ReportProgress,
) -> Iterator[ScoredHomes]:
    """Yield what the homes outside the sample give to the night, block by block; where everybody is in it there are none."""
    in_sample = np.zeros(len(homes), dtype=bool)
    in_sample[homes.sample] = True
    ranges = [block for block in home_blocks(len(homes)) if not in_sample[block.start : block.stop].all()]
    blocks = (Block(block, homes.block(block), night.tracked[block.start : block.stop]) for block in ranges)
    task = ScoreBlock(settings, inputs.stored, cache, stored_parts(inputs.stored), sample.peers, night)
    for block, scored in zip(ranges, engine.map(task, blocks), strict=True):
        yield scored
        progress(Progress(f"judging {night.date}", block.stop, len(homes), "homes"))


@dataclass(frozen=True)
class Block:
    """A block of homes: their numbers, their index alone, and which of them are tracked."""

    numbers: range
    homes: HomeIndex
    tracked: np.ndarray


@dataclass(frozen=True)
class ScoreBlock:
    """Scores the homes of a block that are not in the sample by their last days, with the sample for peers."""

    settings: Settings
    stored: StoredReadings
    cache: FirstBlockCache
    parts: list[list[Partition]]
    peers: PeerStats
    night: Night

    def fetch(self, block: Block) -> ReadingArrays:
        """Read the block; raises StateError on a machine that finds other readings than the one that handed it out."""
        if stored_parts(self.stored) != self.parts:
            raise StateError(
                f"{self.stored.store.state}: {socket.gethostname()} finds other readings there; it must lie on storage that all machines of the cluster share"
            )
        return self.cache.read_block(self.stored, block.numbers, self.night.calendar)

    def work(self, block: Block, readings: ReadingArrays) -> ScoredHomes:
        """Score the block."""
        settings, homes, night = self.settings, block.homes, self.night
        every = np.arange(len(homes))
        grid = make_integer_grid(settings, homes, every, readings, night.calendar)
        days = min(WINDOW_DAYS, grid.days)
        seen, vacant = expected.expect_recent_fused(grid, settings.expected, self.peers, days)
        ranked = rank_scores(settings, score_homes(settings, seen, self.peers), TONIGHT, night.tails)

        others = np.setdiff1d(every, homes.sample)
        judgeable = homes.judgeable & np.isin(every, others)
        judged_signals = expected.judgeable_signals(seen, days - 1)
        rare = largest_rarity(ranked, TONIGHT, len(every)) >= rarity_written(settings)
        standing_out = np.flatnonzero(judgeable & (rare | block.tracked))
        names = pl.Series(homes.names[judgeable], dtype=pl.String)
        return ScoredHomes(
            homes=block.numbers.start + others,
            has_readings=readings.has_readings[:, others],
            judged=np.any(judged_signals[:, others] & judgeable[others], axis=0),
            not_judged=ExpectedHomes(grid, seen, vacant).reasons_not_judged(
                settings, night.column, readings.has_readings & ~judged_signals & judgeable
            ),
            rarities=rarity_table(grid.households, ranked, TONIGHT).filter(
                pl.col("household").is_in(names.implode())
            ),
            standing_out=block.numbers.start + standing_out,
            readings=readings.select_homes(standing_out),
            sensors=sensor_state(settings, block.numbers.start + others, readings, others),
            history=expected.expected_frame(seen, days - 1, np.flatnonzero(judgeable & night.with_history), 1),
        )


def stored_parts(stored: StoredReadings) -> list[list[Partition]]:
    """Return the files that hold the readings of each signal."""
    return [DailyReadings(stored.store, name).partitions() for name in sorted(stored.rules)]
