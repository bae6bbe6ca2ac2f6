"""Bring finer rows down to the daily grain, once they are too old for late rows to matter.

The days made from the rows that are left are those made from all of them: of a count or a use one row a whole
day remains, of a register the first two and the last two readings of each day. Midnight lies between the last
and the first; those beside them tell that the register is not read about once a day.
"""

from datetime import date

import polars as pl

from anomaly.readings.daily import daily_readings
from anomaly.readings.period_days import round_once
from anomaly.readings.signal_rule import SignalRule


def to_daily_grain(rows: pl.DataFrame, rule: SignalRule, before: date) -> pl.DataFrame:
    """Return the rows with those of days before `before` brought down to the daily grain.

    rows: ROW_SCHEMA; household may be a number; `row` and further columns take the day's last value.
    A count or use of which periods are missing on a day loses that day's rows: the day stays missing.
    """
    names_end = rule.stamp == "end" and rule.kind != "register"
    in_period = pl.col("time") - pl.duration(microseconds=1) if names_end else pl.col("time")
    with_day = rows.with_columns(day=in_period.dt.date())
    is_fine = ~pl.col("dated") & (pl.col("day") < before)
    fine = with_day.filter(is_fine).sort("household", "time")
    if fine.is_empty():
        return rows
    reduced = (
        _first_and_last_two_of_day(fine) if rule.kind == "register" else _one_row_a_day(fine, rows, rule)
    )
    return pl.concat([with_day.filter(~is_fine), reduced.select(with_day.columns)]).drop("day")


def _first_and_last_two_of_day(fine: pl.DataFrame) -> pl.DataFrame:
    series = ["household", *(name for name in ("meter", "estimated") if name in fine.columns)]
    days = fine.group_by(*series, "day", maintain_order=True)
    ends = pl.concat([part.select(fine.columns) for part in (days.head(2), days.tail(2))])
    return ends.unique([*series, "time"], maintain_order=True)


def _one_row_a_day(fine: pl.DataFrame, rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return a dated row for each whole day of the fine rows.

    rows: all rows; they say how many make a whole day.
    """
    readings = daily_readings(rows.with_columns(pl.col("household").cast(pl.String)), rule)
    whole_days = readings.filter(~pl.col("quality").is_in(["partial", "missing"]))
    series = ["household", *(name for name in ("meter",) if name in fine.columns)]
    made_here = (*series, "day", "time", "dated", "value", "exits", "periods", "estimated")
    other_values = [pl.col(name).last() for name in fine.columns if name not in made_here]
    other_values += [pl.col(name).any() for name in fine.columns if name == "estimated"]
    exits = pl.when(pl.col("exits").null_count() < pl.len()).then(pl.col("exits").sum())
    days = fine.group_by(*series, "day", maintain_order=True).agg(
        round_once(pl.col("value").sum()), exits, *other_values
    )
    days = days.join(
        whole_days.select(pl.col("household").cast(fine.schema["household"]), "day"),
        on=["household", "day"],
        how="semi",
        maintain_order="left",
    )
    return days.with_columns(
        time=pl.col("day").cast(fine.schema["time"]),
        dated=pl.lit(True),
        periods=pl.lit(None, fine.schema["periods"]),
    )
