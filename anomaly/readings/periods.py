"""Counts and uses of periods -> whole days: how many periods came, how many the local day holds."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numba
import numpy as np
import polars as pl

from anomaly.readings.merge import sort_rows
from anomaly.readings.register_cleaning import DAY
from anomaly.readings.signal_rule import SignalRule
from anomaly.tables import QUALITIES

NOTE_LABELS = (
    None,
    "gap",
    "partial",
    "unconfirmed",
    "glitch",
    "reset",
    "rollback",
    "rollover",
    "exits",
    "zero",
    "catch_up",
)
"""What a day's reading may be said to be, by the number that stands for it."""
REGULAR = 0.8  # share of a home's steps that must equal the commonest for its cadence to be regular
KINDS_OF_STEP = 16  # different steps remembered per home
REMEMBERED = 512  # steps; older ones count half, so that a home may change its cadence
TRAILING = 60  # days
BUSY = 20  # passages; fewer say nothing about a sensor
OFF = 4.0  # entries over exits (or the reverse) that a day of a working pair of sensors does not reach


def sum_days(rows: pl.DataFrame, rule: SignalRule, since: pl.DataFrame) -> pl.DataFrame:
    """household, day, value, quality, note (places in QUALITIES and NOTE_LABELS) of a count or use; every day between a home's first and last.

    since: household, day (since 1970) where a home's first row here is not its first: the day its next one was to be.
    """
    if rows["dated"].all():
        days = sort_rows(_dated_days(rows, rule), ("household", "day"))
    else:
        # a home that gives both a day's row and finer rows: the day's row is the whole
        parts = [_dated_days(rows.filter("dated"), rule), _stamped_days(rows.filter(~pl.col("dated")), rule)]
        days = pl.concat([part for part in parts if not part.is_empty()]).unique(
            ["household", "day"], keep="first", maintain_order=True
        )
        days = days.sort("household", "day")
    days = _all_days(days, since)
    missing = pl.col("value").is_null()
    quality = (
        pl.when(missing)
        .then(_place_of("missing"))
        .when("whole")
        .then(_place_of("read"))
        .otherwise(_place_of("partial"))
    )
    note = (
        pl.when(missing)
        .then(_place_of("gap", NOTE_LABELS))
        .when(~pl.col("whole"))
        .then(_place_of("partial", NOTE_LABELS))
        .otherwise(_place_of(None, NOTE_LABELS))
    )
    days = days.with_columns(quality=quality, note=note)
    return days if rule.kind != "count" or days["exits"].null_count() == len(days) else _one_sensor(days)


def _place_of(word: str | None, words: tuple = QUALITIES) -> pl.Expr:
    return pl.lit(words.index(word), pl.UInt8)


def _all_days(days: pl.DataFrame, since: pl.DataFrame) -> pl.DataFrame:
    spans = days.group_by("household", maintain_order=True).agg(
        pl.len(), first=pl.col("day").min(), last=pl.col("day").max()
    )
    if since.height:
        spans = spans.join(
            since.select("household", since=pl.col("day").cast(pl.Int32).cast(pl.Date)),
            on="household",
            how="left",
            maintain_order="left",
        )
        spans = spans.with_columns(first=pl.coalesce("since", "first"))
    length = spans.select((pl.col("last") - pl.col("first")).dt.total_days() + 1).to_series()
    if (length == spans["len"]).all():
        return days
    # every day has its place, so that the days that came need only be put there
    start = length.cum_sum() - length
    offset = np.repeat(
        spans.select(pl.lit(start) - pl.col("first").to_physical()).to_series().to_numpy(),
        spans["len"].to_numpy(),
    )
    home = np.repeat(np.arange(len(spans)), length.to_numpy())
    day = np.arange(len(home)) - np.repeat(
        (start - spans["first"].to_physical()).to_numpy(), length.to_numpy()
    )
    came = np.full(len(home), -1)
    came[offset + days["day"].to_physical().to_numpy()] = np.arange(len(days))
    there = days.drop("household", "day").select(
        pl.all().gather(pl.Series(came).set(pl.Series(came < 0), None))
    )
    return pl.DataFrame(
        {"household": spans["household"].gather(home), "day": pl.Series(day.astype(np.int32)).cast(pl.Date)}
    ).hstack(there)


def _dated_days(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    days = rows.select("household", "value", "exits", "periods", day=pl.col("time").dt.date())
    if rule.periods_per_day is None:
        return days.select("household", "day", "value", "exits", whole=pl.lit(True))
    full = rule.periods_per_day
    held = pl.min_horizontal(_hours(days["day"], rule.timezone) * full / 24, pl.lit(full, pl.Float64))
    return days.select(
        "household", "day", "value", "exits", whole=(pl.col("periods") >= held).fill_null(True)
    )


def _stamped_days(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    rows = rows.sort("household", "time")
    at = pl.col("time").dt.epoch("us")
    rows = rows.select(
        "household",
        "value",
        "exits",
        "periods",
        at=at,
        number=(at - (1 if rule.stamp == "end" else 0)) // DAY,
    )
    counts = rows.group_by("household", maintain_order=True).agg(n=pl.len())["n"].to_numpy()
    starts = np.concatenate(([0], counts.cumsum())).astype(np.int64)
    step = usual_steps(rows["at"].to_numpy(), rows["number"].to_numpy(), starts)
    exits = pl.when(pl.col("exits").null_count() < pl.len()).then(pl.col("exits").sum())
    days = (
        rows.with_columns(step=step)
        .group_by("household", "number", maintain_order=True)
        .agg(
            pl.col("value").sum(),
            exits,
            pl.len().alias("n"),
            pl.col("step").last(),
            held_periods=pl.col("periods").sum(),
            told=pl.col("periods").is_not_null().all(),
        )
        .with_columns(day=pl.col("number").cast(pl.Int32).cast(pl.Date))
    )
    step = pl.col("step")
    held = (_hours(days["day"], rule.timezone) * 3600 / step).floor().clip(lower_bound=1)
    # rows that each hold several days are no days
    value = pl.when(step <= 1.5 * 86_400).then("value")
    whole = (step == 0) | (pl.col("n") >= held)
    if (
        rule.periods_per_day is not None
    ):  # rows that say how many finer periods they hold tell it better than their number
        full = pl.min_horizontal(
            _hours(days["day"], rule.timezone) * rule.periods_per_day / 24,
            pl.lit(rule.periods_per_day, pl.Float64),
        )
        whole = whole & (~pl.col("told") | (pl.col("held_periods") >= full))
    return days.select("household", "day", value, "exits", whole=whole)


@numba.njit(cache=True)
def usual_steps(times, days, starts):
    """Seconds between a home's rows up to and including each row's day, or 0 where irregular; set on the last row of each day.

    times (µs) sorted within homes; days: the local day each row belongs to; starts: first index of each home, and the total.
    A step is regular where it makes up REGULAR of the steps so far; it sees nothing of later days.
    """
    out = np.zeros(len(times), np.int64)
    for home in range(len(starts) - 1):
        steps, counts = np.zeros(KINDS_OF_STEP, np.int64), np.zeros(KINDS_OF_STEP + 1, np.int64)
        for i in range(starts[home], starts[home + 1]):
            if i > starts[home]:
                step = (times[i] - times[i - 1]) // 1_000_000
                if step > 0:
                    counts[_place(steps, counts, step)] += 1
            if counts.sum() >= REMEMBERED:
                counts //= 2
            if i + 1 == starts[home + 1] or days[i + 1] != days[i]:
                usual = np.argmax(counts[:KINDS_OF_STEP])
                if counts[usual] > 0 and counts[usual] >= REGULAR * counts.sum():
                    out[i] = steps[usual]
    return out


@numba.njit(cache=True)
def _place(steps, counts, step):
    """Where `step` is counted: its own place, a free one, or the last place, for all others."""
    for k in range(KINDS_OF_STEP):
        if counts[k] == 0 or steps[k] == step:
            steps[k] = step
            return k
    return KINDS_OF_STEP


def _hours(days: pl.Series, timezone: str) -> pl.Series:
    """Hours each local day holds: 23, 24 or 25, half hours where a zone has them."""
    zone = ZoneInfo(timezone)

    def offset(day: date) -> timedelta:
        return datetime.combine(day, time(), zone).utcoffset() or timedelta()

    distinct = days.unique().to_list()
    hours = [24 - (offset(day + timedelta(days=1)) - offset(day)).total_seconds() / 3600 for day in distinct]
    return (
        days.replace_strict(distinct, hours, return_dtype=pl.Float64)
        if distinct
        else pl.Series([], dtype=pl.Float64)
    )


def _one_sensor(days: pl.DataFrame) -> pl.DataFrame:
    """Where entries and exits usually agree, a busy day on which they are far apart is the work of one failing sensor."""
    entries, exits = pl.col("value"), pl.col("exits")
    ratio = pl.when(entries + exits > 0).then((entries + 0.5) / (exits + 0.5))
    usual = (
        pl.col("ratio")
        .rolling_median_by("day", f"{TRAILING}d", closed="left", min_samples=14)
        .over("household")
    )
    apart = pl.max_horizontal(entries, exits) > OFF * pl.min_horizontal(entries, exits)
    failed = usual.is_between(2 / 3, 3 / 2) & (entries + exits >= BUSY) & apart
    return days.with_columns(ratio=ratio).with_columns(
        quality=pl.when(failed).then(_place_of("doubtful")).otherwise("quality"),
        note=pl.when(failed).then(_place_of("exits", NOTE_LABELS)).otherwise("note"),
    )
