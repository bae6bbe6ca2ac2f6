"""The parts of a site on a night: the homes of the sample, as they were fitted, and the other homes block by
block.

A block is scored from what it is handed and from the readings in the store alone: another machine may do it.
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
from pipelines.scoring.homes import ExpectedHomes, HomeIndex, make_integer_grid
from pipelines.scoring.rarity import evidence_rarity, largest_rarity, rarity_table, rate_scores, score_homes
from pipelines.scoring.sample import FirstBlockCache, FittedSample
from pipelines.scoring.sensors import SensorState, sensor_state
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.partitions import Partition
from pipelines.storage.stored_readings import StoredReadings

WINDOW_DAYS = 14
"""The longest window that a detector looks back on."""
TONIGHT = -1
"""Column of the night among the scores of a block, which are those of the night alone."""


@dataclass(frozen=True)
class Night:
    """A night that is being judged."""

    date: dt.date
    calendar: pl.DataFrame
    """The days of the readings, the night last."""
    tails: list[TailModel]
    """For each of the sample's scores its tail before the night."""
    tracked: np.ndarray
    """(N,) bool: homes that are looked at closely whatever their scores are."""
    history_days: int
    """For how many days it is asked what was expected of the sample; 0: it is not asked, of any home."""


@dataclass(frozen=True)
class ScoredHomes:
    """What a part of the site, H homes, gives to a night."""

    homes: np.ndarray
    """(H,) their numbers."""
    has_readings: np.ndarray
    """(S, H) bool: there is any reading of the signal up to the night."""
    judged: np.ndarray
    """(H,) bool: by at least one signal."""
    not_judged: pl.DataFrame
    """household, signal, reason"""
    rarities: pl.DataFrame
    """household, rarity, as in `rarity_table`"""
    standing_out: np.ndarray
    """Numbers of the homes to be looked at closely."""
    readings: ReadingArrays | None
    """Those of the homes that stand out; None for homes of the sample, which has them."""
    sensors: SensorState
    history: pl.DataFrame
    """What was expected of the homes, as in `expected.expected_frame`: outside the sample that night
    alone."""


def score_sampled_homes(
    settings: Settings, homes: HomeIndex, sample: FittedSample, night: Night
) -> ScoredHomes:
    """Return what the homes of the sample give to the night."""
    at = sample.expected.grid.index(night.date)
    rated = rate_scores(settings, sample.scores, at, night.tails)
    readings = sample.readings.first_days(night.calendar.height)
    judgeable = homes.judgeable[homes.sample]
    judged_signals = expected.judgeable_signals(sample.expected, at)
    rare = largest_rarity(rated, at, len(judgeable)) >= evidence_rarity(settings)
    asked_history = np.flatnonzero(judgeable & (night.history_days > 0))
    return ScoredHomes(
        homes=homes.sample,
        has_readings=readings.has_readings,
        judged=np.any(judged_signals, axis=0),
        not_judged=sample.reasons_not_judged(
            settings, night.date, readings.has_readings & ~judged_signals & judgeable
        ),
        rarities=rarity_table(settings, sample.grid.households, rated, at),
        standing_out=homes.sample[judgeable & (rare | night.tracked[homes.sample])],
        readings=None,
        sensors=sensor_state(settings, homes.sample, readings, np.arange(len(judgeable)), keep_all=True),
        history=expected.expected_frame(sample.expected, at, asked_history, night.history_days),
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
    """Yield what the homes outside the sample give to the night, block by block; nothing if all are in it."""
    in_sample = np.zeros(len(homes), dtype=bool)
    in_sample[homes.sample] = True
    ranges = [block for block in home_blocks(len(homes)) if not in_sample[block.start : block.stop].all()]
    blocks = (Block(block, homes.block(block), night.tracked[block.start : block.stop]) for block in ranges)
    task = ScoreBlock(settings, inputs.stored, cache, stored_files(inputs.stored), sample.peers, night)
    for block, scored in zip(ranges, engine.map(task, blocks), strict=True):
        yield scored
        progress(Progress(f"judging {night.date}", block.stop, len(homes), "homes"))


@dataclass(frozen=True)
class Block:
    """Some consecutive homes."""

    numbers: range
    homes: HomeIndex
    """Of these homes alone."""
    tracked: np.ndarray
    """(H,) bool, as in `Night`."""


@dataclass(frozen=True)
class ScoreBlock:
    """The task of scoring the homes of a block that are not in the sample, by what the sample says."""

    settings: Settings
    stored: StoredReadings
    cache: FirstBlockCache
    files: list[list[Partition]]
    """The files with the readings, as the machine that gives the task found them."""
    peers: PeerStats
    night: Night

    def fetch(self, block: Block) -> ReadingArrays:
        """Read the block; raises StateError where this machine finds other files than the one that gave the
        task."""
        if stored_files(self.stored) != self.files:
            raise StateError(
                f"{self.stored.store.state}: {socket.gethostname()} finds other readings there;"
                " it must lie on storage that all machines of the cluster share"
            )
        return self.cache.read_block(self.stored, block.numbers, self.night.calendar)

    def work(self, block: Block, readings: ReadingArrays) -> ScoredHomes:
        """Score the block: all its homes together, and then those of the sample, a few, are left out."""
        settings, homes, night = self.settings, block.homes, self.night
        every = np.arange(len(homes))
        grid = make_integer_grid(settings, homes, every, readings, night.calendar)
        days = min(WINDOW_DAYS, grid.days)
        expectation, vacant = expected.expect_recent_fused(grid, settings.expected, self.peers, days)
        rated = rate_scores(settings, score_homes(settings, expectation, self.peers), TONIGHT, night.tails)

        others = np.setdiff1d(every, homes.sample)
        judgeable = homes.judgeable & np.isin(every, others)
        judged_signals = expected.judgeable_signals(expectation, days - 1)
        rare = largest_rarity(rated, TONIGHT, len(every)) >= evidence_rarity(settings)
        standing_out = np.flatnonzero(judgeable & (rare | block.tracked))
        asked_history = np.flatnonzero(judgeable & (night.history_days > 0))
        names = pl.Series(homes.names[judgeable], dtype=pl.String)
        rarities = rarity_table(settings, grid.households, rated, TONIGHT)
        return ScoredHomes(
            homes=block.numbers.start + others,
            has_readings=readings.has_readings[:, others],
            judged=np.any(judged_signals[:, others] & judgeable[others], axis=0),
            not_judged=ExpectedHomes(grid, expectation, vacant).reasons_not_judged(
                settings, night.date, readings.has_readings & ~judged_signals & judgeable
            ),
            rarities=rarities.filter(pl.col("household").is_in(names.implode())),
            standing_out=block.numbers.start + standing_out,
            readings=readings.select_homes(standing_out),
            sensors=sensor_state(settings, block.numbers.start + others, readings, others),
            history=expected.expected_frame(expectation, days - 1, asked_history, 1),
        )


def stored_files(stored: StoredReadings) -> list[list[Partition]]:
    """Return the files that hold the readings of each signal."""
    return [DailyReadings(stored.store, name).partitions() for name in sorted(stored.rules)]
