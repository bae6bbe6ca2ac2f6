"""Look closely at some homes: those that stand out on a night and those with a case, on the days that pages
show."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly import evidence, expected
from anomaly.detectors import Scores
from anomaly.expected import Expectation
from anomaly.peer_stats import PeerStats
from anomaly.readings import ReadingArrays
from pipelines.config.settings import Settings
from pipelines.scoring.blocks import WINDOW_DAYS, Night, ScoredHomes
from pipelines.scoring.homes import ExpectedHomes, HomeIndex, make_integer_grid
from pipelines.scoring.rarity import (
    RARITY_SCHEMA,
    evidence_for_night,
    evidence_rarity,
    largest_rarity,
    rarity_table,
    rate_scores,
    score_homes,
)
from pipelines.scoring.sample import ExpectedSample, FittedSample

MIN_SHOWN_DAYS = 120
"""Days that a page shows, where no more are published."""


@dataclass(frozen=True)
class DetailedHomes(ExpectedHomes):
    """Homes with what was expected of them on the days that a page shows, and their scores on the night."""

    scores: list[Scores]


def shown_days(settings: Settings) -> int:
    """Return how many days before a night may be shown or published of a home."""
    return max(settings.publish.expected_days, MIN_SHOWN_DAYS)


def look_closely(
    settings: Settings,
    homes: HomeIndex,
    sample: FittedSample,
    night: Night,
    scored: Sequence[ScoredHomes],
    days: int,
) -> list[DetailedHomes]:
    """Return the homes that stand out: of the sample as it was fitted, others with so many last days."""
    in_sample = np.concatenate([part.standing_out for part in scored if part.readings is None])
    rows, at = homes.rows_in_sample(in_sample), sample.expected.grid.index(night.date)
    scores = [one.select(rows, at) for one in sample.scores]
    detailed = [DetailedHomes(**vars(select_sampled(homes, sample, night.date, in_sample)), scores=scores)]

    others = [(part.standing_out, part.readings) for part in scored if part.readings is not None]
    numbers = np.concatenate([np.empty(0, np.int64), *(standing_out for standing_out, _ in others)])
    if len(numbers):
        readings = ReadingArrays.concatenate([readings for _, readings in others])
        found = expect_others(settings, homes, sample, night.calendar, numbers, readings, days)
        scores = score_homes(settings, found.expected.last_days(WINDOW_DAYS), sample.peers)
        detailed.append(DetailedHomes(**vars(found), scores=scores))
    return detailed


def select_sampled(
    homes: HomeIndex, sample: ExpectedSample, night: dt.date, numbers: np.ndarray
) -> ExpectedHomes:
    """Return homes of the sample, by their numbers, as they were fitted, on the days up to the night."""
    rows, days = homes.rows_in_sample(numbers), sample.grid.index(night) + 1
    return ExpectedHomes(
        grid=sample.grid.select(rows, days),
        expected=sample.expected.select(rows, sample.expected.grid.index(night) + 1),
        vacant=sample.vacant[rows, :days],
    )


def expect_others(
    settings: Settings,
    homes: HomeIndex,
    sample: ExpectedSample,
    calendar: pl.DataFrame,
    numbers: np.ndarray,
    readings: ReadingArrays,
    days: int,
) -> ExpectedHomes:
    """Return homes outside the sample, by their numbers, with what was to be expected of them by what it
    says.

    readings: those of the homes, on the calendar's days. days: how many of the last are asked.
    """
    grid = make_integer_grid(settings, homes, numbers, readings, calendar)
    expectation, vacant = expected.expect_recent_fused(
        grid, settings.expected, sample.peers, min(days, grid.days)
    )
    return ExpectedHomes(grid, expectation, vacant)


class NightEvidence(NamedTuple):
    """What the homes that stand out on a night give."""

    evidence: pl.DataFrame
    """The night's evidence (see `evidence_for_night`)."""
    rarities: pl.DataFrame
    """household, rarity, as in `rarity_table`: of the homes with a failed sensor."""


def find_evidence(
    settings: Settings,
    detailed: Sequence[DetailedHomes],
    night: Night,
    peers: PeerStats,
    failed_sensors: pl.DataFrame,
) -> NightEvidence:
    """Return the night's evidence; what a sensor gave that seems to have failed has no part in it.

    Homes with such a sensor are scored again as if it had given nothing, if they stood out with it.
    peers: the statistics that homes outside the sample are judged by. failed_sensors: household, signal.
    """
    failed = set(failed_sensors.select("household", "signal").iter_rows())
    with_failed = {household for household, _ in failed}
    has_failed = pl.col("household").is_in(with_failed)
    found, rarities = [], [pl.DataFrame(schema=RARITY_SCHEMA)]
    for homes in detailed:
        last = homes.expected.grid.days - 1
        rated = _rate_last_night(settings, homes.scores, last, night)
        found.append(evidence_for_night(settings, homes.expected, rated, last).filter(~has_failed))

        rare = largest_rarity(rated, last, len(homes.grid.households)) >= evidence_rarity(settings)
        odd = [home in with_failed for home in homes.grid.households]
        rows = np.flatnonzero(rare & np.array(odd, dtype=bool))
        if len(rows):
            without = _without_sensors(homes.expected.select(rows, last + 1), failed)
            scores = score_homes(settings, without.last_days(WINDOW_DAYS), peers)
            rated = _rate_last_night(settings, scores, last, night)
            found.append(evidence_for_night(settings, without, rated, last))
            rarities.append(rarity_table(settings, without.grid.households, rated, last))
    return NightEvidence(pl.concat(found).sort("household", "detector", "signal"), pl.concat(rarities))


def _rate_last_night(
    settings: Settings, scores: Sequence[Scores], last: int, night: Night
) -> list[evidence.RatedScores]:
    """Return the rarities of the night, whose scores are the last, as column `last`."""
    return rate_scores(settings, [one.pad_to(last + 1) for one in scores], last, night.tails)


def _without_sensors(expectation: Expectation, failed: Collection[tuple[str, str]]) -> Expectation:
    """Return the same as if some sensors, (household, signal), had given nothing; of the last night."""
    grid = expectation.grid
    is_failed = np.array([[(home, signal) in failed for home in grid.households] for signal in grid.signals])
    return dataclasses.replace(
        expectation,
        expected=np.where(is_failed[:, :, None], np.nan, expectation.expected),
        surprise=np.where(is_failed[:, :, None], np.nan, expectation.surprise),
        scored_nights=1,
    )


def expected_of(parts: Sequence[ExpectedHomes], households: Collection[str], days: int) -> pl.DataFrame:
    """Return what was expected of some of the homes on their last days, as in `expected.expected_frame`."""
    frames = []
    for homes in parts:
        rows = _rows(homes.grid.households, households)
        frames.append(expected.expected_frame(homes.expected, homes.expected.grid.days - 1, rows, days))
    return pl.concat(frames).sort("household", "signal", "day")


def with_all_days(parts: Sequence[ExpectedHomes], households: Collection[str]) -> Expectation:
    """Return some of the homes on all their days."""
    found = []
    for homes in parts:
        expectation = homes.on_all_days(_rows(homes.grid.households, households), homes.grid.days)
        resolution = expected.resolution(expectation.grid.value, expectation.grid.lag)
        found.append(
            dataclasses.replace(
                expectation, grid=dataclasses.replace(expectation.grid, resolution=resolution)
            )
        )
    return functools.reduce(Expectation.concat_homes, found)


def _rows(names: Sequence[str], wanted: Collection[str]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.array(names, dtype=str), sorted(wanted)))
