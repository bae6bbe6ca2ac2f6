"""Make days of a register that begins anew each day: the day's use is the last value shown on it."""

import polars as pl

from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.timestamps import DAY

LATE_RESTART = 900_000_000  # µs; a value that soon after midnight may still be that of the day before


def restarting_days(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return household, day, value, exits, [estimated,] whole: a row for each day with a reading.

    rows: ROW_SCHEMA [, estimated], one for each home and time. A bare date holds its day's total. A reading
    at midnight, or shortly after it, that is not below the one before belongs to the day before. A day is
    whole where its last reading lies within `boundary_hours` of its end and no reading on it falls below
    another.
    """
    flags = [name for name in rows.columns if name == "estimated"]
    at = pl.col("time").dt.epoch("us")
    rows = rows.select("household", "dated", "value", "exits", *flags, at=at).sort("household", "at", "dated")
    day_number = pl.col("at") // DAY
    before = {name: pl.col(name).shift().over("household") for name in ("at", "value")}
    is_early = ~pl.col("dated") & (pl.col("at") % DAY <= LATE_RESTART)
    still_yesterday = (
        is_early
        & (before["at"] // DAY == day_number - 1)
        & (pl.col("value") >= before["value"])
        & (pl.col("value") > 0)
    )
    rows = rows.with_columns(day_number=day_number - still_yesterday.fill_null(False).cast(pl.Int64))
    of_day = ["household", "day_number"]
    falls = (pl.col("value") < pl.col("value").shift().over(of_day)).fill_null(False)
    end_of_day = (pl.col("day_number") + 1) * DAY
    is_near_end = pl.col("dated") | (end_of_day - pl.col("at") <= rule.boundary_hours * 3600e6)
    days = (
        rows.with_columns(falls=falls, near_end=is_near_end)
        .group_by(of_day, maintain_order=True)
        .agg(
            pl.col("value").last().round(0).cast(pl.Int64),
            pl.col("exits").last(),
            *(pl.col(name).any() for name in flags),
            whole=pl.col("near_end").last() & ~pl.col("falls").any(),
        )
    )
    day = pl.col("day_number").cast(pl.Int32).cast(pl.Date)
    return days.select("household", "value", "exits", *flags, "whole", day=day).sort("household", "day")
