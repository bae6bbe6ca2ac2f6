"""Judge nights: from the stored readings to a folder in the store for each night.

There is one way for sites of any size. Fit the sample; score the other homes, block by block; look closely at what stands out;
write the night. A small site is one whose sample is everybody: no other homes are left to be scored.
"""

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.expected import Expected, Grid
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.runtime.engine import Engine
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.scoring.blocks import Night, ScoredHomes, score_other_homes, score_sample
from pipelines.scoring.details import (
    DetailedHomes,
    detail_other_homes,
    detail_sampled_homes,
    expected_of,
    find_evidence,
    look_closely,
    shown_days,
    with_all_days,
)
from pipelines.scoring.rarity import rarity_needed
from pipelines.scoring.sample import (
    FirstBlockCache,
    HomeIndex,
    first_day,
    fit_sample,
    index_homes,
    sample_days,
    sample_since,
    samples_everybody,
)
from pipelines.scoring.sensors import find_failed_sensors

FROZEN_DAYS = 28  # of a home that stood out, kept with the night
LOOK_BACK_DAYS = 700  # of a drawn sample and of the homes it judges; what is older has no say in a night
MAX_HISTORY_CELLS = 5_000_000  # homes × signals × days of what was expected, kept of the latest night where everybody is in the sample
NOT_JUDGED = {"household": pl.String, "signal": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class TrackedHomes:
    """Homes that have a case, whatever a night says of them."""

    on_pages: frozenset[str] = frozenset()
    """May be on a page of one of the nights."""
    with_history: frozenset[str] = frozenset()
    """Of these more than the last day is published."""

    def with_new_cases(self, households: frozenset[str]) -> "TrackedHomes":
        """Return these and the homes of new cases: a case that opens stays on the lists of the nights after, quiet or not."""
        return TrackedHomes(self.on_pages | households, self.with_history | households)


@dataclass(frozen=True)
class JudgedNights:
    """What judging gives beside the night folders, for what is frozen with the nights and shown on their pages."""

    expected: Expected
    """Homes that a page may show, on all days up to the last night."""
    neighbours: Grid
    """Readings of the homes of the sample on the days that pages show."""
    calendar: pl.DataFrame
    households: np.ndarray
    """(N,) ids of all homes with readings."""
    judged: Mapping[dt.date, np.ndarray]
    """Night → (N,) bool, the homes that it judged by at least one signal."""

    def judged_households(self, night: dt.date) -> list[str]:
        """Return the ids of the homes that the night judged."""
        return self.households[self.judged[night]].tolist()


def judge_nights(
    settings: Settings,
    inputs: Inputs,
    nights: Sequence[dt.date],
    tracked: TrackedHomes,
    engine: Engine,
    progress: ReportProgress = no_progress,
) -> JudgedNights:
    """Judge the nights and write a folder for each: what it saw is what it would have seen alone.

    engine: where the blocks of homes outside the sample are scored.
    """
    nights = sorted(nights)
    cache, judged = FirstBlockCache(), {}
    for period in _periods(settings, inputs, nights):
        homes, calendar = period.homes, period.calendar
        progress(Progress(f"asking {len(homes.sample)} homes what was to be expected"))
        readings = cache.read_sample(inputs.stored, homes, calendar)
        sample = fit_sample(settings, homes, readings, calendar, period.scored_from, period.expected_from)
        for date in period.nights:
            at = sample.homes.seen.grid.index(date)
            night = Night(
                date=date,
                calendar=calendar.filter(pl.col("day") <= date),
                tails=[tail_of(at) for tail_of in sample.tails],
                tracked=homes.among(tracked.on_pages | tracked.with_history if date == nights[-1] else ()),
                with_history=date == nights[-1],
            )
            progress(Progress(f"judging {date}"))
            scored = [
                score_sample(settings, homes, sample, night, _history_days(settings, homes)),
                *score_other_homes(settings, inputs, homes, sample, night, cache, engine, progress),
            ]
            days = shown_days(settings) + (date - nights[0]).days
            detailed = look_closely(settings, homes, sample, night, scored, days)
            judged[date] = _judged_homes(homes, scored)
            opened = _write_night(settings, inputs, homes, night, scored, detailed)
            tracked = tracked.with_new_cases(opened)
    _write_history(settings, inputs, homes, night, scored, detailed, tracked)
    return JudgedNights(
        expected=with_all_days(detailed, tracked.on_pages),
        neighbours=sample.homes.grid.last_days(min(days, sample.homes.grid.days)),
        calendar=calendar,
        households=homes.names,
        judged=judged,
    )


@dataclass(frozen=True)
class _Period:
    """Nights that score the sample from the same day on, and are judged from one fit of it.

    calendar: the days of the arrays, the last of the nights last. expected_from: the first day of which expectations are asked.
    """

    nights: list[dt.date]
    homes: HomeIndex
    calendar: pl.DataFrame
    scored_from: dt.date
    expected_from: dt.date


def _periods(settings: Settings, inputs: Inputs, nights: Sequence[dt.date]) -> Iterator[_Period]:
    """Yield the periods of the nights, in order. Where everybody is in the sample there is one, with all readings since the first."""
    first, _ = inputs.stored.span()
    everybody = samples_everybody(settings, inputs)
    for scored_from, group in itertools.groupby(
        nights, key=lambda night: first if everybody else sample_since(night)
    ):
        period = list(group)
        shown_before = nights[0] if period[-1] == nights[-1] else period[0]
        expected_from = min(scored_from, shown_before - dt.timedelta(days=shown_days(settings) - 1))
        looked_back_to = min(expected_from, period[0] - dt.timedelta(days=LOOK_BACK_DAYS - 1))
        yield _Period(
            nights=period,
            homes=index_homes(settings, inputs, sample_days(scored_from, first)),
            calendar=calendar_in_force(settings, max(first, looked_back_to), period[-1]),
            scored_from=scored_from,
            expected_from=expected_from,
        )


def expect_homes(settings: Settings, inputs: Inputs, households: Collection[str], night: dt.date) -> Expected:
    """Return what was to be expected of a few homes on all days up to the night. Nothing is written."""
    (period,) = _periods(settings, inputs, [night])
    homes, calendar, cache = period.homes, period.calendar, FirstBlockCache()
    readings = cache.read_sample(inputs.stored, homes, calendar)
    sample = fit_sample(settings, homes, readings, calendar, period.scored_from, period.expected_from)
    wanted = homes.among(households) & homes.judgeable
    others = np.setdiff1d(np.flatnonzero(wanted), homes.sample)
    detailed = [detail_sampled_homes(homes, sample, night, homes.sample[wanted[homes.sample]])]
    if len(others):
        readings = inputs.stored.read_arrays(others, first_day(calendar), calendar.height)
        days = shown_days(settings)
        detailed.append(detail_other_homes(settings, homes, sample, calendar, others, readings, days))
    return with_all_days(detailed, households)


# writing the night


def _write_night(
    settings: Settings,
    inputs: Inputs,
    homes: HomeIndex,
    night: Night,
    scored: Sequence[ScoredHomes],
    detailed: Sequence[DetailedHomes],
) -> frozenset[str]:
    """Write the folder of the night; return the homes whose evidence may open a case.

    Of several reasons why a signal cannot be judged the first is kept.
    """
    failed = find_failed_sensors(settings, inputs, homes, night.date, [part.sensors for part in scored])
    found = find_evidence(settings, detailed, night, failed)
    given = _signals_with_readings(settings, homes, scored)
    silent = (
        _silent_homes(inputs, given) if settings.households is not None else pl.DataFrame(schema=NOT_JUDGED)
    )
    excluded = excluded_homes(inputs, pl.concat([given, silent.drop("reason")]))
    not_judged = pl.concat([failed, *(part.not_judged for part in scored), excluded, silent])
    reasons = not_judged.unique(["household", "signal"], keep="first", maintain_order=True)
    rarities = pl.concat([part.rarities for part in scored])
    judged = sum(int(part.judged.sum()) for part in scored)

    store, folder = inputs.stored.store, f"nights/{night.date}"
    store.write(f"{folder}/evidence.parquet", found)
    store.write(f"{folder}/rarities.parquet", rarities.sort("household"))
    store.write(f"{folder}/not_judged.parquet", reasons.sort("household", "signal"))
    store.write(f"{folder}/expected.parquet", expected_of(detailed, found["household"].unique(), FROZEN_DAYS))
    store.write_json(
        f"{folder}/done.json", {"night": night.date, "judged": judged, "not_judged": reasons.height}
    )
    return frozenset(found.filter("opens", pl.col("rarity") >= rarity_needed(settings))["household"])


def _judged_homes(homes: HomeIndex, scored: Sequence[ScoredHomes]) -> np.ndarray:
    """Return (N,) bool: the homes that were judged by at least one signal."""
    judged = np.zeros(len(homes), dtype=bool)
    for part in scored:
        judged[part.homes] = part.judged
    return judged


def _signals_with_readings(
    settings: Settings, homes: HomeIndex, scored: Sequence[ScoredHomes]
) -> pl.DataFrame:
    """Return household, signal: what each home has given by the night."""
    numbers = np.concatenate([part.homes for part in scored])
    s, h = np.nonzero(np.concatenate([part.has_readings for part in scored], axis=1))
    return pl.DataFrame(
        {
            "household": pl.Series(homes.names, dtype=pl.String).gather(numbers[h]),
            "signal": pl.Series(sorted(settings.rules), dtype=pl.String).gather(s),
        }
    )


def _silent_homes(inputs: Inputs, given: pl.DataFrame) -> pl.DataFrame:
    """Return household, signal, reason: every signal that anybody has given, of homes of the register that gave none."""
    silent = inputs.register.select("household").join(given, on="household", how="anti")
    signals = given.select("signal").unique()
    return silent.join(signals, how="cross").with_columns(reason=pl.lit("no whole day yet"))


def excluded_homes(inputs: Inputs, had: pl.DataFrame) -> pl.DataFrame:
    """Return household, signal, reason of the homes that are never judged: not a dwelling, or an id that the register gives twice.

    had: household, signal to be given a reason.
    """
    reason = (
        pl.when(pl.col("ambiguous"))
        .then(pl.lit("the register gives this id more than once, with different places"))
        .otherwise(pl.format("class {}: only dwellings are judged", "class"))
    )
    homes = inputs.register.filter(
        pl.col("ambiguous") | (pl.col("class").is_not_null() & (pl.col("class") != "dwelling"))
    )
    return had.join(homes.select("household", reason=reason), on="household").select(NOT_JUDGED.keys())


def _history_days(settings: Settings, homes: HomeIndex) -> int:
    """Return of how many days the latest night keeps what was expected of every home.

    One where a sample speaks for others; as many as a small site can afford where everybody is in it.
    """
    if not homes.everybody_sampled:
        return 1
    cells = max(1, len(homes) * len(settings.rules))
    return int(np.clip(MAX_HISTORY_CELLS // cells, 1, settings.publish.expected_days))


def _write_history(
    settings: Settings,
    inputs: Inputs,
    homes: HomeIndex,
    night: Night,
    scored: Sequence[ScoredHomes],
    detailed: Sequence[DetailedHomes],
    tracked: TrackedHomes,
) -> None:
    """Write what the latest night expected of every judged home, and of those with a case on the days before as well."""
    since = night.date - dt.timedelta(days=_history_days(settings, homes) - 1)
    before = expected_of(detailed, tracked.with_history, settings.publish.expected_days)
    history = pl.concat([*(part.history for part in scored), before.filter(pl.col("day") < since)])
    inputs.stored.store.write(
        f"nights/{night.date}/history.parquet", history.sort("household", "signal", "day")
    )
