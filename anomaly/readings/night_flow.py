"""What a meter with readings finer than a day says of the night: its least flow while people sleep."""

import polars as pl

from anomaly.readings.signal_rule import SignalRule

NIGHT_HOURS = (
    6  # from midnight on, where use is least (minimum night flow: leakage practice takes 2 to 4 o'clock)
)
LEAST_HOURS = 4  # of them must be known


def minimum_night_flow(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """household, day, flow (base units an hour, Int64): the least use of any hour from midnight to six, sorted.

    rows: as for `daily_readings`, one a home and time. A day is there where four of those six hours are known: of a
    register, hours with a reading in them and in the hour before; of a use, hours with as many rows as the home's usual
    hour. A home without readings finer than a day gives none; a register that runs backwards in an hour says nothing of it.
    """
    hourly = _register_hours(rows, rule) if rule.kind == "register" else _usage_hours(rows, rule)
    day = pl.col("hour").dt.date()
    at_night = hourly.filter((pl.col("hour").dt.hour() < NIGHT_HOURS) & (pl.col("use") >= 0))
    nights = at_night.group_by("household", day=day).agg(flow=pl.col("use").min(), hours=pl.len())
    return (
        nights.filter(pl.col("hours") >= LEAST_HOURS)
        .select("household", "day", pl.col("flow").cast(pl.Int64))
        .sort("household", "day")
    )


def _register_hours(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """household, hour, use: from the last reading in the hour before to the last one in the hour."""
    stamped = rows.filter(~pl.col("dated"))
    hour = (pl.col("time") - pl.duration(microseconds=1)).dt.truncate(
        "1h"
    )  # a reading on the hour closes the one before
    last = (
        stamped.sort("household", "time")
        .group_by("household", hour=hour, maintain_order=True)
        .agg(pl.col("value").last())
    )
    before = pl.col("hour").shift().over("household") == pl.col("hour") - pl.duration(hours=1)
    use = pl.col("value") - pl.col("value").shift().over("household")
    return last.select("household", "hour", use=pl.when(before).then(use)).drop_nulls("use")


def _usage_hours(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """household, hour, use of hours with as many rows as the home's usual hour has."""
    stamped = rows.filter(~pl.col("dated"))
    starts = pl.col("time") - pl.duration(microseconds=1 if rule.stamp == "end" else 0)
    hours = stamped.group_by("household", hour=starts.dt.truncate("1h")).agg(
        use=pl.col("value").sum(), n=pl.len()
    )
    return hours.filter(pl.col("n") >= pl.col("n").median().over("household")).select(
        "household", "hour", "use"
    )
