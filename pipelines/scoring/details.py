"""Look closely at some homes: those that stand out on a night and those with a case, on the days that pages
show."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.detectors import Scores
from anomaly.expected import Expectation
from anomaly.readings import ReadingArrays
from pipelines.config.settings import Settings
from pipelines.scoring.blocks import WINDOW_DAYS, Night, ScoredHomes
from pipelines.scoring.homes import ExpectedHomes, HomeIndex, make_integer_grid
from pipelines.scoring.rarity import evidence_for_night, rank_scores, score_homes
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
    seen, vacant = expected.expect_recent_fused(grid, settings.expected, sample.peers, min(days, grid.days))
    return ExpectedHomes(grid, seen, vacant)


def find_evidence(
    settings: Settings, detailed: Sequence[DetailedHomes], night: Night, failed_sensors: pl.DataFrame
) -> pl.DataFrame:
    """Return the night's evidence of these homes (see `evidence_for_night`)."""
    found = []
    for homes in detailed:
        days = homes.expected.grid.days
        scores = [one.pad_to(days) for one in homes.scores]
        ranked = rank_scores(settings, scores, days - 1, night.tails)
        found.append(evidence_for_night(settings, homes.expected, ranked, days - 1, failed_sensors))
    return pl.concat(found).sort("household", "detector", "signal")


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
        seen = homes.on_all_days(_rows(homes.grid.households, households), homes.grid.days)
        resolution = expected.resolution(seen.grid.value, seen.grid.lag)
        found.append(dataclasses.replace(seen, grid=dataclasses.replace(seen.grid, resolution=resolution)))
    return functools.reduce(Expectation.concat_homes, found)


def _rows(names: Sequence[str], wanted: Collection[str]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.array(names, dtype=str), sorted(wanted)))
