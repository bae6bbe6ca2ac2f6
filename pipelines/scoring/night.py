"""Judge nights: from the stored readings to a folder in the store for each night.

There is one way for sites of any size: fit the sample; score the other homes, block by block; look closely at
what stands out; write the night. A small site is one whose sample is everybody: then there are no other homes
to score.
"""

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.expected import Expectation, Grid
from anomaly.peer_stats import PeerStats
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.runtime.engine import Engine
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.scoring.blocks import Night, ScoredHomes, score_other_homes, score_sampled_homes
from pipelines.scoring.details import (
    DetailedHomes,
    expect_others,
    expected_of,
    find_evidence,
    look_closely,
    select_sampled,
    shown_days,
    with_all_days,
)
from pipelines.scoring.homes import HomeIndex, first_day, index_homes, samples_everybody
from pipelines.scoring.rarity import opening_rarity
from pipelines.scoring.sample import (
    FirstBlockCache,
    everybody_since,
    expect_sample,
    fit_sample,
    sample_days,
    sample_since,
)
from pipelines.scoring.sensors import find_failed_sensors

FROZEN_DAYS = 28
"""Days of a home that stood out that are kept with the night."""
LOOK_BACK_DAYS = 700
"""Days of a drawn sample, and of the homes that it judges; what is older has no say in a night."""
MAX_HISTORY_CELLS = 5_000_000
"""Homes × signals × days of what the latest night expected of everybody, where everybody is in the sample."""
NOT_JUDGED_SCHEMA = {"household": pl.String, "signal": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class TrackedHomes:
    """Homes with a case, which are looked at closely whatever a night says of them."""

    on_pages: frozenset[str] = frozenset()
    """May be on a page of one of the nights."""
    with_history: frozenset[str] = frozenset()
    """Of these what was expected is published for more days than the last."""

    def with_new_cases(self, households: frozenset[str]) -> "TrackedHomes":
        """Return these and the homes of new cases: they stay on the lists of the next nights, quiet or
        not."""
        return TrackedHomes(self.on_pages | households, self.with_history | households)


@dataclass(frozen=True)
class JudgedNights:
    """The arrays behind the judged nights, for what is frozen with them and shown on their pages."""

    expected: Expectation
    """Homes that a page may show, on all days up to the last night."""
    neighbours: Grid
    """Readings of the sample on the days that pages show."""
    calendar: pl.DataFrame
    households: np.ndarray
    """(N,) ids of all homes with readings."""
    judged: Mapping[dt.date, np.ndarray]
    """Night → (N,) bool: the homes that it judged by at least one signal."""

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
    """Judge the nights and write a folder for each; it says what it would have said alone.

    engine: where the homes outside the sample are scored.
    """
    nights = sorted(nights)
    cache, judged = FirstBlockCache(), {}
    for period in _periods(settings, inputs, nights):
        homes, calendar = period.homes, period.calendar
        progress(Progress(f"asking {len(homes.sample)} homes what was to be expected"))
        readings = cache.read_sample(inputs.stored, homes, calendar)
        sample = fit_sample(settings, homes, readings, calendar, period.scored_days, period.expected_days)
        for date in period.nights:
            progress(Progress(f"judging {date}"))
            is_last = date == nights[-1]
            night = Night(
                date=date,
                calendar=calendar.filter(pl.col("day") <= date),
                tails=sample.tails(date),
                tracked=homes.among(tracked.on_pages | tracked.with_history if is_last else ()),
                history_days=_history_days(settings, homes) if is_last else 0,
            )
            scored = [
                score_sampled_homes(settings, homes, sample, night),
                *score_other_homes(settings, inputs, homes, sample, night, cache, engine, progress),
            ]
            days = shown_days(settings) + (date - nights[0]).days
            detailed = look_closely(settings, homes, sample, night, scored, days)
            new_cases = _write_night(settings, inputs, homes, night, scored, detailed, sample.peers)
            tracked = tracked.with_new_cases(new_cases)
            judged[date] = _judged_homes(homes, scored)
    _write_history(settings, inputs, night, scored, detailed, tracked)
    return JudgedNights(
        expected=with_all_days(detailed, tracked.on_pages),
        neighbours=sample.grid.last_days(days),
        calendar=calendar,
        households=homes.names,
        judged=judged,
    )


def expect_homes(
    settings: Settings, inputs: Inputs, households: Collection[str], night: dt.date
) -> Expectation:
    """Return what was to be expected of some homes on all days up to the night; homes not judged are left
    out.

    For questions that come after the night; nothing is written.
    """
    (period,) = _periods(settings, inputs, [night])
    homes, calendar = period.homes, period.calendar
    readings = FirstBlockCache().read_sample(inputs.stored, homes, calendar)
    sample = expect_sample(settings, homes, readings, calendar, period.expected_days)
    wanted = np.flatnonzero(homes.among(households) & homes.judgeable)
    in_sample = homes.rows_in_sample(wanted) >= 0
    found = [select_sampled(homes, sample, night, wanted[in_sample])]
    others = wanted[~in_sample]
    if len(others):
        readings = inputs.stored.read_arrays(others, first_day(calendar), calendar.height)
        days = shown_days(settings)
        found.append(expect_others(settings, homes, sample, calendar, others, readings, days))
    return with_all_days(found, households)


@dataclass(frozen=True)
class _Period:
    """Nights that score the sample from the same day on, and so are judged from one fit of it."""

    nights: list[dt.date]
    homes: HomeIndex
    calendar: pl.DataFrame
    """The days of the readings; they end with the last of the nights."""
    scored_days: int
    """How many of the last days have a say."""
    expected_days: int
    """Of how many of the last days it is asked what was to be expected; not fewer."""


def _periods(settings: Settings, inputs: Inputs, nights: Sequence[dt.date]) -> Iterator[_Period]:
    """Yield the periods of the nights, in order; as a rule one where everybody is in the sample."""
    first_reading = inputs.stored.span().first
    everybody = samples_everybody(settings, inputs)

    def scored_from(night: dt.date) -> dt.date:
        return max(first_reading, everybody_since(settings, night)) if everybody else sample_since(night)

    for since, group in itertools.groupby(nights, scored_from):
        period = list(group)
        last = period[-1]
        # pages are made with the last of all nights, and show the days before the first of them as well
        first_shown = nights[0] if last == nights[-1] else period[0]
        expected_from = min(since, first_shown - dt.timedelta(days=shown_days(settings) - 1))
        looked_back_to = min(expected_from, period[0] - dt.timedelta(days=LOOK_BACK_DAYS - 1))
        yield _Period(
            nights=period,
            homes=index_homes(settings, inputs, sample_days(since, first_reading)),
            calendar=calendar_in_force(settings, max(first_reading, looked_back_to), last),
            scored_days=(last - since).days + 1,
            expected_days=(last - expected_from).days + 1,
        )


# writing the night


def _write_night(
    settings: Settings,
    inputs: Inputs,
    homes: HomeIndex,
    night: Night,
    scored: Sequence[ScoredHomes],
    detailed: Sequence[DetailedHomes],
    peers: PeerStats,
) -> frozenset[str]:
    """Write the folder of the night; return the homes whose evidence may open a case."""
    failed = find_failed_sensors(settings, inputs, homes, night.date, [part.sensors for part in scored])
    found, of_failed = find_evidence(settings, detailed, night, peers, failed)
    rarities = pl.concat([part.rarities for part in scored]).join(failed, on="household", how="anti")
    not_judged = _reasons_not_judged(settings, inputs, homes, scored, failed)
    judged = int(_judged_homes(homes, scored).sum())

    store, folder = inputs.stored.store, f"nights/{night.date}"
    store.write(f"{folder}/evidence.parquet", found)
    store.write(f"{folder}/rarities.parquet", pl.concat([rarities, of_failed]).sort("household"))
    store.write(f"{folder}/not_judged.parquet", not_judged)
    store.write(f"{folder}/expected.parquet", expected_of(detailed, found["household"].unique(), FROZEN_DAYS))
    counts = {"night": night.date, "judged": judged, "not_judged": not_judged.height}
    store.write_json(f"{folder}/done.json", counts)
    return frozenset(found.filter("opens", pl.col("rarity") >= opening_rarity(settings))["household"])


def _judged_homes(homes: HomeIndex, scored: Sequence[ScoredHomes]) -> np.ndarray:
    """Return (N,) bool: the homes that were judged by at least one signal."""
    judged = np.zeros(len(homes), dtype=bool)
    for part in scored:
        judged[part.homes] = part.judged
    return judged


def _reasons_not_judged(
    settings: Settings,
    inputs: Inputs,
    homes: HomeIndex,
    scored: Sequence[ScoredHomes],
    failed_sensors: pl.DataFrame,
) -> pl.DataFrame:
    """Return NOT_JUDGED_SCHEMA, by household and signal, with the first of several reasons for a signal."""
    given = _signals_with_readings(settings, homes, scored)
    silent = pl.DataFrame(schema=NOT_JUDGED_SCHEMA)
    if settings.households is not None:
        silent = silent_homes(inputs, given)
    excluded = excluded_homes(inputs, pl.concat([given, silent.drop("reason")]))
    reasons = pl.concat([failed_sensors, *(part.not_judged for part in scored), excluded, silent])
    first = reasons.unique(["household", "signal"], keep="first", maintain_order=True)
    return first.sort("household", "signal")


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


def silent_homes(inputs: Inputs, given: pl.DataFrame) -> pl.DataFrame:
    """Return household, signal, reason of homes of the register that gave nothing, for every signal of the
    others.

    given: household, signal of all readings.
    """
    silent = inputs.register.select("household").join(given, on="household", how="anti")
    signals = given.select("signal").unique()
    return silent.join(signals, how="cross").with_columns(reason=pl.lit("no whole day yet"))


def excluded_homes(inputs: Inputs, signals: pl.DataFrame) -> pl.DataFrame:
    """Return household, signal, reason of homes that are never judged, for their signals among those given.

    They are no dwellings, or have an id that the register gives twice. signals: household, signal.
    """
    reason = (
        pl.when(pl.col("ambiguous"))
        .then(pl.lit("the register gives this id more than once, with different places"))
        .otherwise(pl.format("class {}: only dwellings are judged", "class"))
    )
    homes = inputs.register.filter(
        pl.col("ambiguous") | (pl.col("class").is_not_null() & (pl.col("class") != "dwelling"))
    )
    excluded = homes.select("household", reason=reason)
    return signals.join(excluded, on="household").select(NOT_JUDGED_SCHEMA.keys())


def _history_days(settings: Settings, homes: HomeIndex) -> int:
    """Return for how many days it is kept what the latest night expected of every home of the sample.

    One where the sample is a part; as many as a small site can afford where it is everybody.
    """
    if not homes.everybody_sampled:
        return 1
    cells = max(1, len(homes) * len(settings.rules))
    return int(np.clip(MAX_HISTORY_CELLS // cells, 1, settings.publish.expected_days))


def _write_history(
    settings: Settings,
    inputs: Inputs,
    night: Night,
    scored: Sequence[ScoredHomes],
    detailed: Sequence[DetailedHomes],
    tracked: TrackedHomes,
) -> None:
    """Write what the last night expected of every judged home, and of those with a case on the days
    before."""
    since = night.date - dt.timedelta(days=night.history_days - 1)
    before = expected_of(detailed, tracked.with_history, settings.publish.expected_days)
    history = pl.concat([*(part.history for part in scored), before.filter(pl.col("day") < since)])
    inputs.stored.store.write(
        f"nights/{night.date}/history.parquet", history.sort("household", "signal", "day")
    )
