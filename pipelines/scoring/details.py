"""Homes that are looked at closely: those that stand out on a night, and those with a case, with as many days as a page shows."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import expected
from anomaly.detectors import Scores
from anomaly.expected import Expected
from anomaly.readings import ReadingArrays
from pipelines.config.settings import Settings
from pipelines.scoring.blocks import WINDOW_DAYS, Night, ScoredHomes
from pipelines.scoring.rarity import evidence_for_night, rank_scores, score_homes
from pipelines.scoring.sample import ExpectedHomes, FittedSample, HomeIndex, make_integer_grid

MIN_SHOWN_DAYS = 120  # of homes that are looked at closely, where no more are published


@dataclass(frozen=True)
class DetailedHomes:
    """Homes with what was expected of them on the days that a page shows, and their scores on the night."""

    homes: ExpectedHomes
    scores: list[Scores]


def shown_days(settings: Settings) -> int:
    """Return of how many days before a night the expectations may be shown or published."""
    return max(settings.publish.expected_days, MIN_SHOWN_DAYS)


def look_closely(
    settings: Settings,
    homes: HomeIndex,
    sample: FittedSample,
    night: Night,
    scored: Sequence[ScoredHomes],
    days: int,
) -> list[DetailedHomes]:
    """Return the homes that stand out: those of the sample as it was fitted, the others fitted anew on their last `days` days."""
    in_sample = [part.standing_out for part in scored if part.readings is None]
    detailed = [detail_sampled_homes(homes, sample, night.date, np.concatenate(in_sample))]
    others = [(part.standing_out, part.readings) for part in scored if part.readings is not None]
    numbers = np.concatenate([np.empty(0, np.int64), *(standing_out for standing_out, _ in others)])
    if len(numbers):
        readings = ReadingArrays.concatenate([readings for _, readings in others])
        detailed.append(detail_other_homes(settings, homes, sample, night.calendar, numbers, readings, days))
    return detailed


def detail_sampled_homes(
    homes: HomeIndex, sample: FittedSample, night: dt.date, numbers: np.ndarray
) -> DetailedHomes:
    """Return homes of the sample as it saw them until the night."""
    places = homes.rows_in_sample(numbers)
    grid, seen, vacant = sample.homes.grid, sample.homes.seen, sample.homes.vacant
    days, at = grid.index(night) + 1, seen.grid.index(night)
    until_night = ExpectedHomes(grid.select(places, days), seen.select(places, at + 1), vacant[places, :days])
    return DetailedHomes(until_night, [one.select(places, at) for one in sample.scores])


def detail_other_homes(
    settings: Settings,
    homes: HomeIndex,
    sample: FittedSample,
    calendar: pl.DataFrame,
    numbers: np.ndarray,
    readings: ReadingArrays,
    days: int,
) -> DetailedHomes:
    """Return homes outside the sample, with the sample for peers. readings: theirs, on the calendar's days."""
    grid = make_integer_grid(settings, homes, numbers, readings, calendar)
    seen, vacant = expected.expect_recent_fused(grid, settings.expected, sample.peers, min(days, grid.days))
    scores = score_homes(settings, seen.last_days(WINDOW_DAYS), sample.peers)
    return DetailedHomes(ExpectedHomes(grid, seen, vacant), scores)


def find_evidence(
    settings: Settings, detailed: Sequence[DetailedHomes], night: Night, failed_sensors: pl.DataFrame
) -> pl.DataFrame:
    """Return the night's evidence; see `evidence_for_night`."""
    found = []
    for one in detailed:
        days = one.homes.seen.grid.days
        scores = [scores.pad_to(days) for scores in one.scores]
        ranked = rank_scores(settings, scores, days - 1, night.tails)
        found.append(evidence_for_night(settings, one.homes.seen, ranked, days - 1, failed_sensors))
    return pl.concat(found).sort("household", "detector", "signal")


def expected_of(detailed: Sequence[DetailedHomes], households: Collection[str], days: int) -> pl.DataFrame:
    """Return what was expected of some of the homes on their last days; the columns of `expected.expected_frame`."""
    frames = []
    for one in detailed:
        seen = one.homes.seen
        places = _places(seen.grid.households, households)
        frames.append(expected.expected_frame(seen, seen.grid.days - 1, places, days))
    return pl.concat(frames).sort("household", "signal", "day")


def with_all_days(detailed: Sequence[DetailedHomes], households: Collection[str]) -> Expected:
    """Return some of the homes on all days up to the night."""
    found = []
    for one in detailed:
        grid = one.homes.grid
        seen = one.homes.on_all_days(_places(grid.households, households), grid.days)
        resolution = expected.resolution(seen.grid.value, seen.grid.lag)
        found.append(dataclasses.replace(seen, grid=dataclasses.replace(seen.grid, resolution=resolution)))
    return functools.reduce(Expected.concat_homes, found)


def _places(names: Sequence[str], wanted: Collection[str]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.array(names, dtype=str), sorted(wanted)))
