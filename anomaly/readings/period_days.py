"""Make days of counts and uses of periods: sum them, and tell whole days from partial and missing ones.

A day is whole when as many periods came as the local day holds: 23, 24 or 25 hours. How long a home's periods
are is seen from its own rows (`cadence_seconds`). Where entries and exits are counted by two sensors,
`_mark_failed_sensor` finds the days on which one of them failed.
"""

import numpy as np
import polars as pl

from anomaly.compiled import compiled
from anomaly.readings.cells import ESTIMATED, LONGEST_GAP, MISSING, PARTIAL, READ, doubt_days, note_code
from anomaly.readings.incremental import IncrementalState, row_position
from anomaly.readings.merge import is_whole_row
from anomaly.readings.parse import FRACTION_DIGITS, OPEN_PERIOD
from anomaly.readings.restarting_register import restarting_days
from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.sorting import sort_rows
from anomaly.readings.timestamps import DAY, hours_in_day

REGULAR_SHARE = 0.8  # share of a home's steps that must equal the commonest for its cadence to be regular
DISTINCT_STEPS = 16  # different steps counted for each home; all others are counted together
REMEMBERED_STEPS = 512  # older ones count half, so that a home may change its cadence
HALF_DAY = 43_200  # seconds
LONGEST_STEP = 1.5 * 86_400  # seconds; rows further apart each hold several days, and make no day

SENSOR_DAYS = 60  # trailing days that say how entries and exits usually compare …
SENSOR_MIN_DAYS = 14  # … of which so many must be known
SENSOR_MIN_PASSAGES = 20  # fewer on a day say nothing about a sensor
SENSOR_AGREES = (2 / 3, 3 / 2)  # usual entries over exits of a working pair of sensors
SENSOR_APART = 4.0  # entries over exits, or the reverse, that a day of a working pair does not reach


def periods_to_days(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    """Return the days that new rows of a count or use make, and the state after them.

    Days: household and CELL_SCHEMA.

    See `daily.advance`; the state holds only the homes of `rows`.
    """
    days = sum_periods(rows, rule, state.homes.select("household", "day"))
    days = days.select("household", "day", "value", "quality", "note", lag=pl.lit(0, pl.Int32))
    next_day = pl.col("day").max().dt.epoch("d").cast(pl.Int64) + 1
    homes = rows.group_by("household").agg(
        # a row of a day that was not over comes again
        at=pl.coalesce(row_position(rule.kind).filter(is_whole_row()).max(), pl.lit(0, pl.Int64)),
        whole=(~pl.col("dated") | pl.col("exits").is_not_null()).any(),
    )
    homes = homes.join(days.group_by("household").agg(day=next_day), on="household")
    initial = IncrementalState.initial(rows.schema["household"])
    homes = homes.with_columns(
        state=pl.lit(None, initial.homes.schema["state"]), meter=pl.lit(None, pl.UInt32)
    )
    return days, IncrementalState(homes.select(initial.homes.columns), initial.rows)


def sum_periods(rows: pl.DataFrame, rule: SignalRule, next_days: pl.DataFrame) -> pl.DataFrame:
    """Return every day between a home's first and last: household, day, value, exits, quality, note.

    A gap of more than LONGEST_GAP days has none. quality and note are codes.

    next_days: household, day (since 1970): of homes that had rows before, the day that their next row was to
    give.
    """
    if rule.restarts:
        days = restarting_days(rows, rule)
    elif rows["dated"].all():
        days = sort_rows(_days_of_dated_rows(rows, rule), ("household", "day"))
    else:
        dated = _days_of_dated_rows(rows.filter("dated"), rule)
        stamped = _days_of_stamped_rows(rows.filter(~pl.col("dated")), rule)
        days = pl.concat([part for part in (dated, stamped) if not part.is_empty()])
        # where a home gives both a day's row and finer rows, the day's row is the whole
        days = days.unique(["household", "day"], keep="first", maintain_order=True).sort("household", "day")
    days = _fill_missing_days(days, next_days)
    no_value, whole, estimated = pl.col("value").is_null(), pl.col("whole"), pl.lit(False)
    if "estimated" in days.columns:
        estimated = pl.col("estimated")
    days = days.with_columns(
        quality=pl.when(no_value)
        .then(MISSING)
        .when(estimated)
        .then(ESTIMATED)
        .when(whole)
        .then(READ)
        .otherwise(PARTIAL)
        .cast(pl.UInt8),
        note=pl.when(no_value)
        .then(note_code("gap"))
        .when(whole)
        .then(note_code(None))
        .otherwise(note_code("partial"))
        .cast(pl.UInt8),
    )
    has_exits = rule.kind == "count" and days["exits"].null_count() < len(days)
    return _mark_failed_sensor(days) if has_exits else days


def _days_of_dated_rows(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return household, day, value, exits, whole of rows that each name a day."""
    value = pl.col("value").cast(pl.Int64)
    day = pl.col("time").dt.date()
    days = rows.select("household", value, "exits", "periods", *_estimated_column(rows), day=day)
    whole = is_whole_row()
    if rule.periods_per_day is not None:
        enough = pl.col("periods") >= _periods_in_day(days["day"], rule, rule.periods_per_day)
        whole = enough.fill_null(True)
    return days.select("household", "day", "value", "exits", *_estimated_column(rows), whole=whole)


def _estimated_column(rows: pl.DataFrame) -> list[str]:
    """Return the name of the column that says which rows are estimated, where there is one."""
    return [name for name in rows.columns if name == "estimated"]


def round_once(total: pl.Expr) -> pl.Expr:
    """Return an exact sum of base units as a whole number, without what floating point adds to it."""
    return total.round(FRACTION_DIGITS).round(0)


def _periods_in_day(days: pl.Series, rule: SignalRule, periods_per_day: int) -> pl.Expr:
    """Return how many finer periods a whole row of each day counts: on a long day no more than on others."""
    full = pl.lit(periods_per_day, pl.Float64)
    return pl.min_horizontal(hours_in_day(days, rule.timezone) * periods_per_day / 24, full)


def _days_of_stamped_rows(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return household, day, value, exits, whole of rows that name a time.

    value: null where each row holds several days.
    """
    rows = rows.sort("household", "time")
    at = pl.col("time").dt.epoch("us")
    # a row that names the end of its period belongs to the day before at midnight
    day_number = (at - (1 if rule.stamp == "end" else 0)) // DAY
    flags = _estimated_column(rows)
    rows = rows.select("household", "value", "exits", "periods", *flags, at=at, day_number=day_number)
    counts = rows.group_by("household", maintain_order=True).agg(n=pl.len())["n"].to_numpy()
    starts = np.concatenate(([0], counts.cumsum())).astype(np.int64)
    step = cadence_seconds(rows["at"].to_numpy(), rows["day_number"].to_numpy(), starts)
    step = np.zeros_like(step) if rule.events else step  # nobody comes and goes by the clock
    days = (
        rows.with_columns(step=step)
        .group_by("household", "day_number", maintain_order=True)
        .agg(
            round_once(pl.col("value").sum()).cast(pl.Int64),
            *(pl.col(name).any() for name in flags),
            exits=pl.when(pl.col("exits").null_count() < pl.len()).then(pl.col("exits").sum()),
            rows=pl.len(),
            step=pl.col("step").last(),
            periods=pl.col("periods").sum(),
            all_say_periods=(pl.col("periods") >= 0).fill_null(False).all(),
            any_whole=is_whole_row().any(),
            any_open_day=(~is_whole_row()).any(),
            any_open_period=(pl.col("periods") == OPEN_PERIOD).fill_null(False).any(),
        )
        .with_columns(day=pl.col("day_number").cast(pl.Int32).cast(pl.Date))
    )
    step = pl.col("step")
    rows_in_day = (hours_in_day(days["day"], rule.timezone) * 3600 / step).floor().clip(lower_bound=1)
    whole = (step == 0) | (pl.col("rows") >= rows_in_day)
    if rule.periods_per_day is not None:
        # rows that say how many finer periods they hold tell it better than their number
        enough = pl.col("periods") >= _periods_in_day(days["day"], rule, rule.periods_per_day)
        whole = whole & (~pl.col("all_say_periods") | enough)
    # a day that was not over is told by the rows that lack, where these come at a regular step within the day
    read_later = pl.col("any_whole").reverse().cum_max().reverse().over("household")
    is_open = (
        pl.when(step == 0)
        .then(pl.col("any_open_day") & ~read_later)
        .when(step >= HALF_DAY)
        .then("any_open_day")
        .otherwise(False)
    )
    whole = whole & ~is_open & ~pl.col("any_open_period")
    value = pl.when(step <= LONGEST_STEP).then("value")
    return days.select("household", "day", value, "exits", *flags, whole=whole)


@compiled()
def cadence_seconds(times, days, starts):
    """Return (rows,) int64: the usual step between a home's rows in seconds, 0 where they are irregular.

    It is set on the last row of each day, from the rows up to it: it sees nothing of later days.
    times (µs): sorted within homes; days: the local day each row belongs to; starts: (homes + 1,) index of
    each home's first row, and their number. A step is regular where it makes up REGULAR_SHARE of the steps so
    far.
    """
    out = np.zeros(len(times), np.int64)
    for home in range(len(starts) - 1):
        steps, counts = np.zeros(DISTINCT_STEPS, np.int64), np.zeros(DISTINCT_STEPS + 1, np.int64)
        for i in range(starts[home], starts[home + 1]):
            if i > starts[home]:
                step = (times[i] - times[i - 1]) // 1_000_000
                if step > 0:
                    counts[_place_of_step(steps, counts, step)] += 1
            if counts.sum() >= REMEMBERED_STEPS:
                counts //= 2
            if i + 1 == starts[home + 1] or days[i + 1] != days[i]:
                commonest = np.argmax(counts[:DISTINCT_STEPS])
                if counts[commonest] > 0 and counts[commonest] >= REGULAR_SHARE * counts.sum():
                    out[i] = steps[commonest]
    return out


@compiled()
def _place_of_step(steps, counts, step):
    """Return where `step` is counted: at its own place, a free one, or the last one, for all others."""
    for k in range(DISTINCT_STEPS):
        if counts[k] == 0 or steps[k] == step:
            steps[k] = step
            return k
    return DISTINCT_STEPS


def _fill_missing_days(days: pl.DataFrame, next_days: pl.DataFrame) -> pl.DataFrame:
    """Return the days with a row of nulls for each that did not come, but for gaps above LONGEST_GAP.

    days: sorted by household and day. next_days: as for `sum_periods`.
    """
    after_gap = (pl.col("day") - pl.col("day").shift()).dt.total_days() > LONGEST_GAP + 1
    begins = (pl.col("household") != pl.col("household").shift()) | after_gap
    run = begins.fill_null(True).cum_sum()
    spans = days.group_by(run.alias("run"), maintain_order=True).agg(
        pl.col("household").first(), pl.len(), first=pl.col("day").min(), last=pl.col("day").max()
    )
    if next_days.height:
        expected = next_days.select("household", expected=pl.col("day").cast(pl.Int32).cast(pl.Date))
        spans = spans.join(expected, on="household", how="left", maintain_order="left")
        missing = (pl.col("first") - pl.col("expected")).dt.total_days()
        is_first = pl.col("household") != pl.col("household").shift()
        goes_on = is_first.fill_null(True) & (missing <= LONGEST_GAP)
        # a day that was not over comes again
        expected_or_again = pl.min_horizontal("expected", "first")
        spans = spans.with_columns(first=pl.when(goes_on).then(expected_or_again).otherwise("first"))
    length = spans.select((pl.col("last") - pl.col("first")).dt.total_days() + 1).to_series()
    if (length == spans["len"]).all():
        return days
    # in the result every span has its days in a row, so that those that came need only be put in their places
    first_row = (length.cum_sum() - length).to_numpy()
    row_of_day_0 = first_row - spans["first"].to_physical().to_numpy()
    span = np.repeat(np.arange(len(spans)), length.to_numpy())
    day = np.arange(len(span)) - np.repeat(row_of_day_0, length.to_numpy())
    source = np.full(len(span), -1)
    came = np.repeat(row_of_day_0, spans["len"].to_numpy()) + days["day"].to_physical().to_numpy()
    source[came] = np.arange(len(days))
    source_row = pl.Series(source).set(pl.Series(source < 0), None)
    values = days.drop("household", "day").select(pl.all().gather(source_row))
    return pl.DataFrame(
        {"household": spans["household"].gather(span), "day": pl.Series(day.astype(np.int32)).cast(pl.Date)}
    ).hstack(values)


def _mark_failed_sensor(days: pl.DataFrame) -> pl.DataFrame:
    """Call days doubtful on which entries and exits are far apart though they usually agree.

    Then one of the two sensors has failed. Only busy days say so.
    """
    entries, exits = pl.col("value"), pl.col("exits")
    ratio = pl.when(entries + exits > 0).then((entries + 0.5) / (exits + 0.5))
    usual_ratio = (
        pl.col("ratio")
        .rolling_median_by("day", f"{SENSOR_DAYS}d", closed="left", min_samples=SENSOR_MIN_DAYS)
        .over("household")
    )
    is_busy = entries + exits >= SENSOR_MIN_PASSAGES
    is_apart = pl.max_horizontal(entries, exits) > SENSOR_APART * pl.min_horizontal(entries, exits)
    failed = usual_ratio.is_between(*SENSOR_AGREES) & is_busy & is_apart
    return doubt_days(days.with_columns(ratio=ratio), failed, "exits")
