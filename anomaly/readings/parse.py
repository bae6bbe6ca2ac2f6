"""Parse the text cells of one file into typed rows; rows that cannot be right become rejects.

`_first_reason` is the list of what is refused and why; numbers are read by `_read_numbers`, times by
`timestamps`.
"""

import dataclasses
from datetime import date, datetime, timedelta

import polars as pl

from anomaly.readings.clock_cells import join_clocks
from anomaly.readings.clock_changes import separate_passes
from anomaly.readings.passages import count_passages
from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.timestamps import read_times

ROW_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "household": pl.String,
    "time": pl.Datetime("us"),
    "dated": pl.Boolean,
    "value": pl.Float64,
    "exits": pl.Int64,
    "periods": pl.Int32,
    "row": pl.Int64,
}
"""A typed row. time: local and naive; where `dated`, the cell was a bare date and this is its midnight.
value: base units, whole but for stamped rows of a use, which are summed before they are rounded.
exits: passages outward, beside the entries in `value`. periods: finer periods that the row holds, or
OPEN_PERIOD or OPEN_DAY. row: number in its file.
"""
OPEN_PERIOD, OPEN_DAY = -1, -2
"""In `periods`, of a row that was read before its own period was over, and before its day was."""
REJECT_SCHEMA = {"row": pl.Int64, "reason": pl.String}

MAX_VALUE = 1e12  # base units; a larger number is no reading of a household meter
FRACTION_DIGITS = 6
"""Of base units that are kept of a part of a day: 0.4 litre each five minutes is 115 litre a day, not 0."""
MAX_COUNT = 1e9  # of exits, and of periods
FAR_AHEAD = timedelta(days=2)  # a row so far after the beginning of today is kept where the clock is wrong
_SPACES = r"[\s\u00a0\u2009\u202f]"
_NUMBERS = ("value", "exits", "periods")


def parse_rows(
    raw: pl.DataFrame, rule: SignalRule, latest_day: date | None = None, read_at: datetime | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read one file's cells; return its rows and its rejects.

    Each input row is in exactly one of them, in input order; those of an event log are counted.

    raw: text columns household, time, value [, clock, exits, periods, broken], and `row` (Int64); times may
    be typed days, and value, exits and periods typed numbers. clock: of the day that `time` names. `broken`
    says why a row could not be read from its file, if so.
    rows: ROW_SCHEMA. rejects: REJECT_SCHEMA; one reason a row, the first that applies.
    Rows after `latest_day` are refused, unless they are more than half of the file: then it is the clock that
    is wrong. read_at: by the site's clock, when this content was first read; rows of a day that was not over
    then are marked in `periods`, and a register's reading of such a day is the reading of that moment.
    """
    absent = [name for name in ("exits", "periods", "broken") if name not in raw.columns]
    cells = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    numbers = {name: _read_numbers(cells[name], rule.decimal) for name in _NUMBERS}
    cells = _blank_to_null(cells, numbers)
    times_rule = rule
    if "clock" in cells.columns:
        cells = cells.with_columns(time=join_clocks(cells["time"], cells["clock"], rule))
        if not rule.format_reads_clock:
            times_rule = dataclasses.replace(rule, time_format=None)
    typed = cells.select(
        "household",
        "row",
        "broken",
        time_cell="time",
        value_cell="value",
        number=numbers["value"],
        exits_cell="exits",
        exits=numbers["exits"],
        periods_cell="periods",
        periods=numbers["periods"],
    ).hstack(read_times(cells["time"], times_rule))
    typed = typed.with_columns(base=pl.col("number") * rule.factor)
    typed = typed.with_columns(reason=_first_reason(typed, rule))
    if latest_day is not None:
        typed = _refuse_future(typed, rule, latest_day)
    if read_at is not None:
        typed = _mark_open_days(typed, rule, read_at)
    rejects = typed.filter(pl.col("reason").is_not_null()).select(pl.col("row").cast(pl.Int64), "reason")
    good = typed.filter(pl.col("reason").is_null()) if rejects.height else typed
    is_part_of_day = ~pl.col("dated") & pl.lit(rule.kind == "usage")
    whole, exact = pl.col("base").round(0), pl.col("base").round(FRACTION_DIGITS)
    good = (good if rule.events else separate_passes(good, rule)).with_columns(
        value=pl.when(is_part_of_day).then(exact).otherwise(whole)
    )
    rows = good.select(pl.col(name).cast(dtype) for name, dtype in ROW_SCHEMA.items())
    return count_passages(rows) if rule.events else rows, rejects


def _blank_to_null(cells: pl.DataFrame, numbers: dict[str, pl.Series]) -> pl.DataFrame:
    """Return the cells stripped of white space, null where nothing is left.

    Columns of which every cell has become a number hold no blanks and are left alone.
    """
    text = [
        name
        for name in ("household", "time", "clock", *_NUMBERS)
        if cells.schema.get(name) == pl.String
        and not (name in numbers and _all_read(numbers[name], cells[name]))
    ]
    return cells.with_columns(pl.col(text).str.strip_chars()).with_columns(
        pl.when(pl.col(name) != "").then(name).alias(name) for name in text
    )


def _read_numbers(cells: pl.Series, decimal: str) -> pl.Series:
    """Return Float64; null where the cell is no plain number.

    Signs between thousands are accepted only in groups of three.
    """
    if cells.dtype != pl.String:
        return cells.cast(pl.Float64)
    plain = cells.cast(pl.Float64, strict=False)
    if decimal == "." and _all_read(plain, cells):  # most files need nothing more
        return plain
    group_sign = "," if decimal == "." else "."
    text = pl.col("cell").str.replace_all(_SPACES, "")
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(\{group_sign}\d{{3}})+(\{decimal}\d+)?$")
    text = pl.when(grouped).then(text.str.replace_all(group_sign, "", literal=True)).otherwise(text)
    has_group_sign = text.str.contains(group_sign, literal=True)
    text = pl.when(~has_group_sign).then(text.str.replace(decimal, ".", literal=True))
    number = text.str.strip_prefix("+").cast(pl.Float64, strict=False)
    return cells.to_frame("cell").select(number).to_series()


def _all_read(numbers: pl.Series, cells: pl.Series) -> bool:
    """Return whether every cell that is there has become a number."""
    return numbers.null_count() == cells.null_count()


def _first_reason(typed: pl.DataFrame, rule: SignalRule) -> pl.Expr:
    """Return the first reason for which a row is refused; null where there is none."""
    number, base = pl.col("number"), pl.col("base")
    must_be_whole = rule.kind == "count" or rule.base == "count"
    reasons: list[tuple[pl.Expr, str]] = [
        (pl.col("household").is_null(), "no household"),
        (pl.col("time_cell").is_null(), "no time"),
        (pl.col("time").is_null(), "time not readable"),
        (pl.col("value_cell").is_null(), "no value"),
        (number.is_null() | ~number.is_finite(), "value not a number"),
        (number < 0, "value negative"),
        (base > MAX_VALUE, "value out of range"),
        (pl.lit(must_be_whole) & (number != number.round(0)), "value not whole"),
    ]
    for name in ("exits", "periods"):
        if typed[f"{name}_cell"].null_count() < len(typed):
            reasons.append((_is_no_count(name), f"{name} not a whole number"))
    wrong = pl.any_horizontal(pl.col("broken").is_not_null(), *(condition for condition, _ in reasons))
    if not typed.select(wrong.any()).item():
        return pl.lit(None, pl.String)
    return pl.coalesce(
        pl.col("broken"), *(pl.when(condition).then(pl.lit(reason)) for condition, reason in reasons)
    )


def _is_no_count(name: str) -> pl.Expr:
    number = pl.col(name)
    is_count = number.is_finite() & number.is_between(0, MAX_COUNT) & (number == number.round(0))
    return pl.col(f"{name}_cell").is_not_null() & ~is_count.fill_null(False)


def _refuse_future(typed: pl.DataFrame, rule: SignalRule, latest_day: date) -> pl.DataFrame:
    """Give rows after the latest day a reason, unless they are more than half of those without one."""
    midnight = pl.lit(latest_day).cast(pl.Datetime("us")) + pl.duration(days=1)
    if rule.kind == "register":
        # the reading that closes the latest day lies a little after its midnight
        closing = pl.duration(microseconds=int(rule.boundary_hours * 3600e6))
        stamped_late = pl.col("time") > midnight + closing
    elif rule.stamp == "end":
        stamped_late = pl.col("time") > midnight
    else:
        stamped_late = pl.col("time") >= midnight
    is_late = pl.when("dated").then(pl.col("time") >= midnight).otherwise(stamped_late)
    is_late = is_late & pl.col("reason").is_null()
    if 2 * typed.select(is_late.sum()).item() > typed["reason"].null_count():
        return typed
    return typed.with_columns(reason=pl.when(is_late).then(pl.lit("in the future")).otherwise("reason"))


def _mark_open_days(typed: pl.DataFrame, rule: SignalRule, read_at: datetime) -> pl.DataFrame:
    """Mark the rows of days that were not over when they were read; none where that clock was wrong."""
    today = datetime.combine(read_at.date(), datetime.min.time())
    good, time = pl.col("reason").is_null(), pl.col("time")
    if typed.select((good & (time >= today + FAR_AHEAD)).any()).item():
        return typed
    if rule.kind == "register":
        of_this_moment = pl.col("dated") & (time == today)
        return typed.with_columns(
            time=pl.when(of_this_moment).then(pl.lit(read_at, pl.Datetime("us"))).otherwise("time"),
            dated=pl.col("dated") & ~of_this_moment,
        )
    in_period = time - pl.duration(microseconds=1) if rule.stamp == "end" else time
    is_open_day = pl.when("dated").then(time >= today).otherwise(in_period >= today)
    # the period that is under way ends within the hour
    is_open_period = pl.col("dated") | (time >= read_at + timedelta(hours=1))
    mark = pl.when(is_open_period).then(OPEN_PERIOD).when(pl.col("periods").is_null()).then(OPEN_DAY)
    periods = pl.when(is_open_day).then(mark.otherwise("periods")).otherwise("periods")
    return typed.with_columns(periods=periods)
