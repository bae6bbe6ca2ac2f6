"""Find how long the period of each row of mean power is: its use is the power times these hours."""

import polars as pl

from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.timestamps import hours_in_day

SHORTEST_STEP = 1_000_000  # µs; nearer rows are those of an hour that comes twice
WHOLE_DAY = (23, 25)  # hours between rows of which each stands for a day


def period_hours(rows: pl.DataFrame, rule: SignalRule) -> pl.Series:
    """Return the hours that each row's power lasted, Float64, in the order of the rows; null where unknown.

    rows: household, time, dated [, meter]. A row's period reaches to the next row of its home and day (with
    stamp = "end": from the one before); the day's last one is as long as its neighbour. Where rows are
    lacking
    the period is as long as is usual on that day: nothing is spread over a gap. A bare date stands for its
    whole day. A home's single row of a day has no period, unless the rows are a day apart or the rule says
    how many periods a day has.
    """
    series = ["household", "meter"] if "meter" in rows.columns else ["household"]
    is_end = rule.stamp == "end"
    at = pl.col("time").dt.epoch("us")
    rows = rows.select(*series, "time", "dated", at=at).with_row_index("place")
    day = (pl.col("time") - pl.duration(microseconds=1 if is_end else 0)).dt.date()
    rows = rows.with_columns(day=day).sort(*series, "dated", "at")
    of_day = [*series, "dated", "day"]
    step = pl.col("at") - pl.col("at").shift().over(of_day)
    rows = rows.with_columns(before=pl.when(step >= SHORTEST_STEP).then(step))
    rows = rows.with_columns(after=pl.col("before").shift(-1).over(of_day))
    own, neighbour = ("before", "after") if is_end else ("after", "before")
    usual = pl.col("before").median().over(of_day)
    is_gap = ((pl.col(own) > pl.col(neighbour)) & (pl.col(own) > usual)).fill_null(False)
    length = pl.coalesce(pl.when(~is_gap).then(own), pl.when(~is_gap).then(neighbour), usual)
    rows = rows.with_columns(hours=length / 3.6e9, full=hours_in_day(rows["day"], rule.timezone))
    days_apart = (pl.col("at") - pl.col("at").shift().over(*series, "dated")).median().over(*series, "dated")
    each_a_day = pl.col("dated") | (days_apart / 3.6e9).is_between(*WHOLE_DAY)
    lone = pl.lit(24 / rule.periods_per_day) if rule.periods_per_day else pl.lit(None, pl.Float64)
    hours = pl.coalesce(pl.when(each_a_day).then("full"), "hours", lone)
    return rows.select("place", hours=hours).sort("place")["hours"]
