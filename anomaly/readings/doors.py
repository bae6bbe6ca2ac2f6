"""What the signals of one home say of each other: a meter at zero behind a busy door, and the day it catches up."""

from collections.abc import Mapping

import polars as pl

WINDOW = "60d"  # the days before a day that tell what is usual; never the day itself or a later one
ENOUGH = 14  # known days
RARE = 0.1  # share of zero days up to which a zero means something
BUSY = 0.5  # of the home's usual passages
PASSAGES = 2  # at least
HIGH = 0.98  # quantile a catch-up day exceeds in a home without doors

_METER = ["household", "signal"]


def cross_check(readings: pl.DataFrame, kinds: Mapping[str, str]) -> pl.DataFrame:
    """The readings of all signals, sorted by (household, signal, day); meter days the doors contradict become doubtful.

    readings: columns of `daily_readings`; kinds: signal -> "count", "usage" or "register".
    note "zero": a meter day of exactly zero, rare for this home, while the doors were at least half as busy as usual.
    note "catch_up": the first day of use after such zeros; without doors, after a run of rare zeros, if above the
    home's trailing .98 quantile. Values stay. Only days before say what is usual; along a meter's days `known_on`
    never falls back, so all of them are known when the day itself is.
    """
    readings = readings.sort(*_METER, "day")
    counts = [signal for signal, kind in kinds.items() if kind == "count"]
    meter = ~pl.col("signal").is_in(counts) & pl.col("quality").is_in(["read", "interpolated"]) & pl.col("value").is_not_null()
    days = readings.with_row_index("at").filter(meter)
    if days.is_empty():
        return readings
    days = days.join(_passages(readings, counts), on=["household", "day"], how="left", maintain_order="left")
    marks = _marks(_usual(days)).filter(pl.col("mark").is_not_null()).select("at", "mark")
    marked = readings.with_row_index("at").join(marks, on="at", how="left", maintain_order="left")
    return marked.with_columns(
        quality=pl.when(pl.col("mark").is_not_null()).then(pl.lit("doubtful")).otherwise("quality"), note=pl.coalesce("mark", "note")
    ).select(readings.columns)


def _passages(readings: pl.DataFrame, counts: list[str]) -> pl.DataFrame:
    """household, day, passages (all doors), usual_passages (median of the days before)."""
    known = pl.col("signal").is_in(counts) & (pl.col("quality") == "read")
    doors = readings.filter(known).group_by("household", "day").agg(passages=pl.col("value").sum()).sort("household", "day")
    usual = pl.col("passages").rolling_median_by("day", WINDOW, closed="left", min_samples=ENOUGH).over("household")
    return doors.with_columns(usual_passages=usual)


def _usual(days: pl.DataFrame) -> pl.DataFrame:
    """Add `rare` (a zero means something here) and `high` (the quantile of the days before)."""
    value = pl.col("value")
    days = days.with_columns(known=pl.lit(1), zeros=(value == 0).cast(pl.Int64), used=value.replace(0, None))
    window = {"by": "day", "window_size": WINDOW, "closed": "left"}
    days = days.with_columns(
        pl.col("known").rolling_sum_by(**window).over(_METER),
        pl.col("zeros").rolling_sum_by(**window).over(_METER),
        high=pl.col("used").rolling_quantile_by(quantile=HIGH, interpolation="linear", min_samples=ENOUGH, **window).over(_METER),
    )
    return days.with_columns(rare=(pl.col("known") >= ENOUGH) & (pl.col("zeros") <= RARE * pl.col("known")))


def _marks(days: pl.DataFrame) -> pl.DataFrame:
    zero = pl.col("value") == 0
    after_zero = zero.shift(1).over(_METER).fill_null(False)
    days = days.with_columns(zero=zero, after_zero=after_zero).with_columns(begins=pl.col("zero") & ~pl.col("after_zero"))
    # how rare zeros are is asked once, on the first day of the run: a long outage must not make itself usual
    days = days.with_columns(
        rare=pl.when("begins").then("rare").forward_fill().over(_METER).fill_null(False), run=pl.col("begins").cum_sum().over(_METER)
    )
    busy = (pl.col("passages") >= BUSY * pl.col("usual_passages")) & (pl.col("passages") >= PASSAGES)
    days = days.with_columns(contradicted=(pl.col("zero") & pl.col("rare") & busy).fill_null(False))
    by_doors = pl.col("contradicted").any().over([*_METER, "run"])
    alone = pl.col("rare") & (pl.col("value") > pl.col("high"))
    caught_up = pl.col("after_zero") & ~pl.col("zero") & pl.when(pl.col("usual_passages").is_null()).then(alone).otherwise(by_doors)
    return days.with_columns(mark=pl.when("contradicted").then(pl.lit("zero")).when(caught_up).then(pl.lit("catch_up")))
