"""Measure the minimum night flow: the least use of a home while people sleep, where leaks show."""

import polars as pl

from anomaly.readings.period_days import round_once
from anomaly.readings.signal_rule import SignalRule

NIGHT_HOURS = 6  # from midnight on, where use is least (leakage practice takes 2 to 4 o'clock)
MIN_KNOWN_HOURS = 4  # of them


def has_night_flow(rule: SignalRule) -> bool:
    """Return whether a signal is one whose least use at night is a sign of a leak: water, by its name."""
    return rule.name == "water" and rule.base == "litre"


def minimum_night_flow(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return household, day, flow: the least use of any hour from midnight to six.

    flow: base units an hour, Int64. Sorted by household and day.

    rows: ROW_SCHEMA, one for each home and time. A day is there where four of those six hours are known: of a
    register, hours with a reading in them and in the hour before; of a use, hours with as many rows as the
    home's usual hour. A home without readings finer than a day gives none; an hour in which a register runs
    backwards is not known.
    """
    hourly = _register_hours(rows) if rule.kind == "register" else _usage_hours(rows, rule)
    day = pl.col("hour").dt.date()
    at_night = hourly.filter((pl.col("hour").dt.hour() < NIGHT_HOURS) & (pl.col("use") >= 0))
    nights = at_night.group_by("household", day=day).agg(flow=pl.col("use").min(), hours=pl.len())
    return (
        nights.filter(pl.col("hours") >= MIN_KNOWN_HOURS)
        .select("household", "day", round_once(pl.col("flow")).cast(pl.Int64))
        .sort("household", "day")
    )


def _register_hours(rows: pl.DataFrame) -> pl.DataFrame:
    """Return household, hour, use: from the last reading in the hour before to the last one in the hour."""
    series = ["household", *(name for name in ("meter",) if name in rows.columns)]
    stamped = rows.filter(~pl.col("dated")).sort(*series, "time")
    hour = (pl.col("time") - pl.duration(microseconds=1)).dt.truncate(
        "1h"
    )  # a reading on the hour closes the one before
    last = stamped.group_by(*series, hour=hour, maintain_order=True).agg(pl.col("value").last())
    follows = pl.col("hour").shift().over(series) == pl.col("hour") - pl.duration(hours=1)
    use = pl.col("value") - pl.col("value").shift().over(series)
    uses = last.select("household", "hour", use=pl.when(follows).then(use)).drop_nulls("use")
    return uses if len(series) == 1 else uses.group_by("household", "hour").agg(pl.col("use").sum())


def _usage_hours(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return household, hour, use of hours with as many rows as the home's usual hour has."""
    stamped = rows.filter(~pl.col("dated"))
    in_period = pl.col("time") - pl.duration(microseconds=1 if rule.stamp == "end" else 0)
    hours = stamped.group_by("household", hour=in_period.dt.truncate("1h")).agg(
        use=pl.col("value").sum(), n=pl.len()
    )
    has_usual_rows = pl.col("n") >= pl.col("n").median().over("household")
    return hours.filter(has_usual_rows).select("household", "hour", "use")
