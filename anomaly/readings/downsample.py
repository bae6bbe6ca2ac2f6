"""Finer readings brought down to the daily grain, once they are too old for late rows to matter.

Readings made from the rows that are left are those made from all of them: of a count or a use one row a whole day remains,
of a register the first and the last reading of each day, between which midnight lies.
"""

from datetime import date

import polars as pl

from anomaly.readings.daily import daily_readings
from anomaly.readings.signal_rule import SignalRule


def to_daily_grain(rows: pl.DataFrame, rule: SignalRule, before: date) -> pl.DataFrame:
    """The rows (household, which may be a number, time, dated, value, exits, periods and any more) with those finer than a day from before that day
    brought down. A day of which periods are missing stays missing: its rows go.
    """
    moment = (
        pl.col("time") - pl.duration(microseconds=1)
        if rule.stamp == "end" and rule.kind != "register"
        else pl.col("time")
    )
    rows = rows.with_columns(day=moment.dt.date())
    finer = ~pl.col("dated") & (pl.col("day") < before)
    fine = rows.filter(finer).sort("household", "time")
    if fine.is_empty():
        return rows.drop("day")
    kept = _ends(fine) if rule.kind == "register" else _whole_days(fine, rows.drop("day"), rule)
    return pl.concat([rows.filter(~finer), kept.select(rows.columns)]).drop("day")


def _ends(fine: pl.DataFrame) -> pl.DataFrame:
    days = fine.group_by("household", "day", maintain_order=True)
    return (
        pl.concat([days.first(), days.last()])
        .select(fine.columns)
        .unique(["household", "time"], maintain_order=True)
    )


def _whole_days(fine: pl.DataFrame, rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    told = daily_readings(rows.with_columns(pl.col("household").cast(pl.String)), rule).filter(
        ~pl.col("quality").is_in(["partial", "missing"])
    )
    exits = pl.when(pl.col("exits").null_count() < pl.len()).then(pl.col("exits").sum())
    last = [
        pl.col(name).last()
        for name in fine.columns
        if name not in ("household", "time", "dated", "value", "exits", "periods", "day")
    ]
    days = fine.group_by("household", "day", maintain_order=True).agg(pl.col("value").sum(), exits, *last)
    days = days.join(
        told.select(pl.col("household").cast(fine.schema["household"]), "day"),
        on=["household", "day"],
        how="semi",
        maintain_order="left",
    )
    return days.with_columns(
        time=pl.col("day").cast(fine.schema["time"]),
        dated=pl.lit(True),
        periods=pl.lit(None, fine.schema["periods"]),
    )
