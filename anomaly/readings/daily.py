"""Typed rows of one signal -> one reading a home and local day."""

from datetime import date

import numpy as np
import polars as pl

from anomaly.readings import meter, midnight
from anomaly.readings.periods import sum_days
from anomaly.readings.rule import SignalRule

READINGS = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "unit": pl.String,
    "quality": pl.String,
    "known_on": pl.Date,
    "note": pl.String,
}

JITTER = {"litre": 20, "Wh": 20}  # base units a register may seem to run backwards; other units 5
FLOORS = {"litre": 2_000.0, "Wh": 60_000.0}  # day use that needs no second reading; other units: the home's own days tell
_DAY_QUALITY = ("read", "interpolated", "missing", "doubtful", "doubtful", "doubtful")
_DAY_NOTE = (None, None, "gap", "unconfirmed", "glitch", "reset")


def daily_readings(rows: pl.DataFrame, rule: SignalRule, first: date | None = None, last: date | None = None) -> pl.DataFrame:
    """READINGS, sorted by (household, day): a row for every day between a home's first and last; its days in first … last.

    rows: columns of `parse_rows`, one row per (household, time, dated); any order.
    value: base units, null where unknown. quality: one of tables.QUALITIES. note: the rule that spoke, or null:
    "gap" (no reading near a midnight), "partial", "reset", "rollover", "glitch", "rollback", "unconfirmed" (waits for
    a later reading), "exits". known_on: the day whose night is the first to know this row. Cut the rows at the end of
    any day (registers: + boundary_hours), and whatever was known by then comes out the same.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=READINGS)
    days = _register_days(rows, rule) if rule.kind == "register" else sum_days(rows, rule)
    if rule.day_cap is not None:
        over = pl.col("value") > rule.day_cap
        days = days.with_columns(
            quality=pl.when(over).then(pl.lit("doubtful")).otherwise("quality"), note=pl.when(over).then(pl.lit("glitch")).otherwise("note")
        )
    if first is not None:
        days = days.filter(pl.col("day") >= first)
    if last is not None:
        days = days.filter(pl.col("day") <= last)
    days = days.with_columns(signal=pl.lit(rule.name), unit=pl.lit(rule.base))
    return days.select(pl.col(name).cast(kind) for name, kind in READINGS.items())


def _register_days(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    within = int(rule.boundary_hours * 3600e6)
    # a reading dated D is the one at the midnight that ends D; a stamped one closes the day before up to `within` after midnight
    at = pl.when("dated").then(pl.col("time").dt.truncate("1d") + pl.duration(days=1)).otherwise("time").dt.epoch("us")
    known = pl.when("dated").then(pl.col("time").dt.epoch("us")).otherwise(pl.col("time").dt.epoch("us") - within - 1) // meter.DAY
    points = rows.select("household", "dated", "value", at=at, known=known).sort("household", "at", "dated", "value")
    points = points.unique(["household", "at"], keep="last", maintain_order=True)  # a day's end and a stamp at midnight may coincide
    homes = points.group_by("household", maintain_order=True).agg(n=pl.len(), start=pl.col("at").first(), end=pl.col("at").last())
    starts = np.concatenate(([0], homes["n"].to_numpy().cumsum())).astype(np.int64)
    times = points["at"].to_numpy()
    settled = meter.settle(times, points["value"].to_numpy(), starts, _limits(rule))
    spans = np.empty((len(homes), 3), np.int64)
    spans[:, 0] = (homes["start"].to_numpy() - 1) // meter.DAY
    spans[:, 1] = (homes["end"].to_numpy() - 1) // meter.DAY
    length = spans[:, 1] - spans[:, 0] + 1
    spans[:, 2] = np.concatenate(([0], length.cumsum()[:-1]))
    out = midnight.days_between(times, settled, points["known"].to_numpy(), starts, spans, within)
    return _register_frame(homes["household"], spans, length, out)


def _register_frame(names: pl.Series, spans: np.ndarray, length: np.ndarray, out: np.ndarray) -> pl.DataFrame:
    day = np.arange(len(out)) - np.repeat(spans[:, 2] - spans[:, 0], length)
    frame = pl.DataFrame(
        {
            "household": names.gather(np.repeat(np.arange(len(names)), length)),
            "day": pl.Series(day.astype(np.int32)).cast(pl.Date),
            "value": out[:, midnight.USE],
            "state": out[:, midnight.STATE],
            "known_on": pl.Series(out[:, midnight.KNOWN].astype(np.int32)).cast(pl.Date),
            "word": out[:, midnight.WORD],
        }
    )
    state, word = pl.col("state"), pl.col("word")
    told = word.replace_strict(range(len(meter.NOTES)), [name or None for name in meter.NOTES], return_dtype=pl.String)
    return frame.with_columns(
        value=pl.when(state <= midnight.INTERPOLATED).then("value"),
        quality=state.replace_strict(range(len(_DAY_QUALITY)), _DAY_QUALITY, return_dtype=pl.String),
        note=pl.coalesce(state.replace_strict(range(len(_DAY_NOTE)), _DAY_NOTE, return_dtype=pl.String), told),
    )


def _limits(rule: SignalRule) -> meter.Limits:
    per_day = np.inf if rule.day_cap is None else float(rule.day_cap)
    return meter.Limits(JITTER.get(rule.base, 5), per_day, FLOORS.get(rule.base, np.inf))
