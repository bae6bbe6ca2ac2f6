"""Judge nights: readings in, what each night knew and saw written to its folder in the store."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import detectors, evidence, expected, sensor_faults
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, listed_signatures
from pipelines.ingest.inputs import Inputs
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.storage.state import Store

SHEET_RARITY = 10.0  # below it a night's rarity is not written down: nothing out of the ordinary
FROZEN_DAYS = 28  # of a home that stood out, kept with the night
NOT_JUDGED = {"household": pl.String, "signal": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class JudgedNights:
    """What judging gives beside the night folders: the arrays, for the caller's own questions."""

    expected: expected.Expected
    calendar: pl.DataFrame


def expect_all(settings: Settings, inputs: Inputs, last: dt.date) -> JudgedNights:
    """Expectations of every home and day up to `last`; each day knows its own past only."""
    homes = inputs.dwelling_districts
    daily = inputs.readings.filter(pl.col("day") <= last)
    first = daily["day"].min() or last
    days = calendar_in_force(settings, first, last)
    grid = expected.make_grid(daily, days, homes)
    return JudgedNights(expected.expect(grid, settings.expected), days)


def judge(
    settings: Settings,
    inputs: Inputs,
    store: Store,
    nights: Sequence[dt.date],
    progress: ReportProgress = no_progress,
) -> JudgedNights:
    """Judge the nights, which may be many, and write a folder for each: what it saw is what it would have seen alone."""
    progress(Progress("working out what was to be expected"))
    judged_nights = expect_all(settings, inputs, max(nights))
    seen, grid = judged_nights.expected, judged_nights.expected.grid
    at = {night: grid.index(night) for night in nights}
    progress(Progress("asking the detectors"))
    scores = [one for detector in detectors.chosen_detectors(settings.detectors) for one in detector(seen)]
    rated = evidence.score_rarity(scores, at.values(), needed(settings), settings.detectors.second_opinions)
    failed = _failed_sensors(settings, inputs, nights)
    for night in nights:
        progress(Progress(f"judging {night}"))
        found = evidence_for_night(settings, seen, rated, at[night], failed[night])
        had = _signals_with_readings(settings, inputs, night)
        cannot = expected.not_judged_frame(seen, at[night], settings.expected).join(
            had, on=["household", "signal"], how="semi"
        )
        cannot = pl.concat([failed[night], cannot, excluded_homes(inputs, had)])
        long = expected.expected_frame(seen, at[night], _with_evidence(grid, found), FROZEN_DAYS)
        judged = int(expected.judgeable_signals(seen, at[night]).any(axis=0).sum())
        write_night(store, night, Outcome(found, rarity_table(seen, rated, at[night]), cannot, judged, long))
    _write_history(settings, store, max(nights), seen)
    return judged_nights


def needed(settings: Settings) -> float:
    """Rarity that opens a case."""
    return evidence.case_rarity(settings.evidence, len(listed_signatures(settings)))


def evidence_for_night(settings: Settings, seen, rated, at: int, failed: pl.DataFrame) -> pl.DataFrame:
    """The evidence of a night that the purpose allows, where no sensor seems to have failed."""
    found = evidence.evidence_frame(seen, rated, at, needed(settings) * settings.evidence.kept_share)
    return found.filter(pl.col("signature").is_in(listed_signatures(settings))).join(
        failed, on=["household", "signal"], how="anti"
    )


def _with_evidence(grid, found: pl.DataFrame) -> np.ndarray:
    return np.flatnonzero(np.isin(np.array(grid.households, dtype=str), found["household"].to_list()))


def rarity_table(seen, rated, night: int) -> pl.DataFrame:
    """household, rarity: the largest of the night, where it is at all out of the ordinary."""
    homes = seen.grid.households
    largest = np.ones(len(homes))
    for one in (one for one in rated if one.opens):
        largest = np.fmax(largest, one.rarity[night])
    keep = np.flatnonzero(largest >= SHEET_RARITY)
    return pl.DataFrame(
        {"household": [homes[h] for h in keep], "rarity": largest[keep]},
        schema={"household": pl.String, "rarity": pl.Float64},
    )


def _failed_sensors(
    settings: Settings, inputs: Inputs, nights: Sequence[dt.date]
) -> dict[dt.date, pl.DataFrame]:
    """night → household, signal, reason of what looked like a failed sensor, in homes that may be judged."""
    kind = {name: rule.kind for name, rule in settings.rules.items()}
    notes = sensor_faults.find_sensor_faults(inputs.readings, inputs.register, kind, nights).filter(
        pl.col("household").is_in(list(inputs.dwelling_districts))
    )
    return {night: notes.filter(pl.col("night") == night).drop("night") for night in nights}


@dataclass(frozen=True)
class Outcome:
    """What one night came to: evidence, largest rarities, signals not judged, homes judged, and the days behind the evidence."""

    found: pl.DataFrame
    rarity_table: pl.DataFrame
    cannot: pl.DataFrame
    judged: int
    long: pl.DataFrame


def write_night(store: Store, night: dt.date, came: Outcome) -> None:
    """Write a night's folder; of several reasons why a signal cannot be judged the first is kept."""
    folder = f"nights/{night}"
    cannot = came.cannot.unique(["household", "signal"], keep="first", maintain_order=True)
    store.write(f"{folder}/evidence.parquet", came.found)
    store.write(f"{folder}/rarities.parquet", came.rarity_table)
    store.write(f"{folder}/not_judged.parquet", cannot.sort("household", "signal"))
    store.write(f"{folder}/expected.parquet", came.long)
    store.write_json(
        f"{folder}/done.json", {"night": night, "judged": came.judged, "not_judged": cannot.height}
    )


def _signals_with_readings(settings: Settings, inputs: Inputs, night: dt.date) -> pl.DataFrame:
    """household, signal: what each home has given by that night; every signal where the register knows a home that gave none."""
    had = inputs.readings.filter(pl.col("day") <= night).select("household", "signal").unique()
    if settings.households is None:
        return had
    silent = inputs.register.select("household").join(had, on="household", how="anti")
    return pl.concat([had, silent.join(had.select("signal").unique(), how="cross")])


def _write_history(settings: Settings, store: Store, night: dt.date, seen) -> None:
    """What the latest night expected of every judged home, as many days as a small site can afford."""
    homes = np.arange(len(seen.grid.households))
    cells = max(1, len(homes) * len(seen.grid.signals))
    days = int(np.clip(5_000_000 // cells, 1, settings.publish.expected_days))
    store.write(
        f"nights/{night}/history.parquet", expected.expected_frame(seen, seen.grid.index(night), homes, days)
    )


def excluded_homes(inputs: Inputs, had: pl.DataFrame) -> pl.DataFrame:
    """Signals of the homes that are never judged: not a dwelling, or an id that the register gives twice."""
    reason = (
        pl.when(pl.col("ambiguous"))
        .then(pl.lit("the register gives this id more than once, with different places"))
        .otherwise(pl.format("class {}: only dwellings are judged", "class"))
    )
    homes = inputs.register.filter(
        pl.col("ambiguous") | (pl.col("class").is_not_null() & (pl.col("class") != "dwelling"))
    )
    return had.join(homes.select("household", reason=reason), on="household").select(NOT_JUDGED.keys())
