"""Make days of register readings: clean them, read the register off at the midnights, and subtract."""

from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.readings import midnights, register_cleaning
from anomaly.readings.cells import INTERPOLATED, LONGEST_GAP, READ, note_code
from anomaly.readings.incremental import IncrementalState, row_position
from anomaly.readings.register_cleaning import STATE_SIZE, RegisterLimits
from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.sorting import sort_rows
from anomaly.readings.timestamps import DAY

JITTER = {"litre": 20, "Wh": 20}
"""Base units by which a register may seem to run backwards."""
DEFAULT_JITTER = 5
FLOORS = {"litre": 2_000.0, "Wh": 60_000.0}
"""Use of a day that needs no second reading; for other units only the home's own days tell."""
SMALLEST_DIALS = {"litre": 1e7, "Wh": 1e7}
"""Base units at which the smallest dial begins anew: household meters have four whole digits of m³ or kWh at
least (old dial meters; newer ones five or six). Below it a fall to 0 is a reset."""

_NOTE_OF_READING = np.array([note_code(label) for label in register_cleaning.READING_NOTES], np.uint8)


class _Spans(NamedTuple):
    """Spans of days, in order: place of the home, first and last day (since 1970) of each."""

    home: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray


def register_to_days(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    """Return the days that new readings of a register make or change, and the state after them.

    Days: household and CELL_SCHEMA.

    See `daily.advance`; the state holds only the homes of `rows`.
    """
    max_distance = int(rule.boundary_hours * 3600e6)
    readings = _with_remembered(rows, rule, state, max_distance)
    homes = (
        readings.group_by("household", maintain_order=True)
        .agg(n=pl.len(), start=pl.col("at").first(), end=pl.col("at").last())
        .join(
            state.homes.select("household", "day", "state"), on="household", how="left", maintain_order="left"
        )
    )
    starts = np.concatenate(([0], homes["n"].to_numpy().cumsum())).astype(np.int64)
    times, values = readings["at"].to_numpy(), readings["value"].to_numpy()

    states = register_cleaning.initial_states(times, values, starts)
    is_known = homes["state"].is_not_null().to_numpy()
    states[is_known] = homes["state"].drop_nulls().to_numpy().reshape(-1, STATE_SIZE)
    cleaned = register_cleaning.clean(times, values, starts, register_limits(rule), states)

    day_of_start = (homes["start"].to_numpy() - 1) // DAY
    first_day = np.where(is_known, homes["day"].fill_null(0).to_numpy(), day_of_start)
    last_day = (homes["end"].to_numpy() - 1) // DAY
    spans = _spans_of_days((times - 1) // DAY, starts, first_day, last_day)
    days = midnights.daily_use(
        times,
        cleaned.readings,
        cleaned.midnights,
        readings["night_of"].to_numpy(),
        starts,
        *spans,
        max_distance,
    )

    new_homes = homes.select(
        "household",
        at="end",
        day=pl.Series(cleaned.first_open_day),
        whole=pl.lit(False),
        meter=pl.lit(None, pl.UInt32),
        state=pl.Series(cleaned.resume_state, dtype=pl.Array(pl.Int64, STATE_SIZE)),
    )
    needed_again = np.arange(len(times)) >= np.repeat(cleaned.resume_index, np.diff(starts))
    new_rows = readings.filter(pl.Series(needed_again)).select(state.rows.columns)
    return _cells(homes["household"], spans, days), IncrementalState(new_homes, new_rows)


def register_limits(rule: SignalRule) -> RegisterLimits:
    """Return what a register of this signal can do."""
    return RegisterLimits(
        jitter=JITTER.get(rule.base, DEFAULT_JITTER),
        max_per_day=np.inf if rule.day_cap is None else float(rule.day_cap),
        floor_per_day=FLOORS.get(rule.base, np.inf),
        dial_unit=rule.factor * rule.multiplier,
        smallest_dial=SMALLEST_DIALS.get(rule.base, 10_000.0) * rule.multiplier,
    )


def _with_remembered(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState, max_distance: int
) -> pl.DataFrame:
    """Return the new readings together with those remembered of their homes, sorted.

    Columns: household, time, dated, value, at (`row_position`), night_of.

    night_of: the day (since 1970) whose night is the first that may use the reading: a stamped one still
    closes the day before up to `max_distance` (µs) after midnight.
    """
    rows = rows.with_columns(pl.col("value").cast(pl.Int64))
    remembered = state.rows.join(rows.select("household").unique(), on="household", how="semi")
    if remembered.height:
        rows = pl.concat([remembered, rows.select(remembered.columns)])
    time = pl.col("time").dt.epoch("us")
    night_of = pl.when("dated").then(time).otherwise(time - max_distance - 1) // DAY
    readings = rows.select(
        "household", "time", "dated", "value", at=row_position(rule.kind), night_of=night_of
    )
    readings = sort_rows(readings, ("household", "at", "dated", "value"))
    same_home = pl.col("household") == pl.col("household").shift()
    same_position = same_home & (pl.col("at") == pl.col("at").shift())
    if readings.select(same_position.any()).item():
        # a day's end and a stamp at midnight may coincide: the day's row counts
        readings = readings.unique(["household", "at"], keep="last", maintain_order=True)
    return readings


def _spans_of_days(
    day: np.ndarray, starts: np.ndarray, first_day: np.ndarray, last_day: np.ndarray
) -> _Spans:
    """Return the days of each home from its first to its last, without gaps above LONGEST_GAP.

    day: (readings,) the day (since 1970) of each reading, in order within homes. starts: as for
    `register_cleaning.clean`. first_day, last_day: (homes,)
    """
    homes = np.arange(len(first_day))
    before = np.flatnonzero(np.diff(day) > LONGEST_GAP + 1)
    home = np.searchsorted(starts, before, side="right") - 1
    within_home = before + 1 < starts[home + 1]
    home, before = home[within_home], before[within_home]
    if not home.size:
        return _Spans(homes, first_day, last_day)
    begins = pl.DataFrame(
        {"home": np.concatenate([homes, home]), "day": np.concatenate([first_day, day[before + 1]])}
    )
    ends = pl.DataFrame(
        {"home": np.concatenate([homes, home]), "day": np.concatenate([last_day, day[before]])}
    )
    begins, ends = begins.sort("home", "day"), ends.sort("home", "day")
    holds_days = begins["day"] <= ends["day"]  # the days before a gap may have been final already
    columns = (begins["home"], begins["day"], ends["day"])
    return _Spans(*(column.filter(holds_days).to_numpy() for column in columns))


def _cells(households: pl.Series, spans: _Spans, days: np.ndarray) -> pl.DataFrame:
    """Return the days of `midnights.daily_use` as cells with their household."""
    length = spans.last_day - spans.first_day + 1
    first_row = length.cumsum() - length
    day = np.arange(len(days)) - np.repeat(first_row - spans.first_day, length)
    quality, note = days[:, midnights.QUALITY], days[:, midnights.NOTE]
    is_known = (quality == READ) | (quality == INTERPOLATED)
    note_of_readings = _NOTE_OF_READING[days[:, midnights.HEAVIEST]]
    return pl.DataFrame(
        {
            "household": households.gather(np.repeat(spans.home, length)),
            "day": pl.Series(day.astype(np.int32)).cast(pl.Date),
            "value": pl.Series(days[:, midnights.USE]).set(pl.Series(~is_known), None),
            "quality": quality.astype(np.uint8),
            "note": np.where(is_known, note_of_readings, note.astype(np.uint8)),
            "lag": (days[:, midnights.KNOWN_ON] - day).astype(np.int32),
        }
    )
