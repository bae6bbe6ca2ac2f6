"""Parse the text cells of one file into typed rows; rows that cannot be right become rejects.

`_first_reason` is the list of what is refused and why; numbers are read by `_read_numbers`, times by
`timestamps`.
"""

import dataclasses
import zlib
from datetime import date, datetime, timedelta

import polars as pl

from anomaly.readings.clock_cells import join_clocks
from anomaly.readings.clock_changes import separate_passes
from anomaly.readings.mean_power import period_hours
from anomaly.readings.passages import count_passages
from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.timestamps import read_times
from anomaly.readings.units import UNITS, is_power

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
EXTRA_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {"meter": pl.UInt32, "estimated": pl.Boolean}
"""Columns that rows have beside ROW_SCHEMA where their file names them: a number of the meter's own, so that
two meters of a home are told apart, and whether the value was estimated."""
REJECT_SCHEMA = {"row": pl.Int64, "reason": pl.String}

MAX_VALUE = 1e12  # base units; a larger number is no reading of a household meter
FRACTION_DIGITS = 6
"""Of base units that are kept of a part of a day: 0.4 litre each five minutes is 115 litre a day, not 0."""
MAX_COUNT = 1e9  # of exits, and of periods
FAR_AHEAD = timedelta(days=2)  # a row so far after the beginning of today is kept where the clock is wrong
_SPACES = r"[\s\u00a0\u2009\u202f]"
_APOSTROPHES = "['\u2019]"
_FULL_WIDTH = {chr(ord(sign) + 0xFEE0): sign for sign in "0123456789.,-+"}
"""Signs of numbers as East Asian keyboards write them, and what they are in ASCII."""
_NUMBERS = ("value", "exits", "periods")


def parse_rows(
    raw: pl.DataFrame, rule: SignalRule, latest_day: date | None = None, read_at: datetime | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read one file's cells; return its rows and its rejects.

    Each input row is in exactly one of them, in input order, but for those that the rule passes over: rows of
    meters that it does not keep, and values that say there was no reading. Those of an event log are counted.

    raw: text columns household, time, value [, clock, exits, periods, meter, read_type, unit, broken], and
    `row` (Int64); times may be typed days, and value, exits and periods typed numbers. clock: of the day that
    `time` names. `broken` says why a row could not be read from its file, if so.
    rows: ROW_SCHEMA, and those of EXTRA_COLUMNS for which there is a column (`meter` only where it makes a
    difference: where meters are summed, or of a register). rejects: REJECT_SCHEMA; one reason a row, the
    first that applies. Rows after `latest_day` are refused, unless they are more than half of the file: then
    it is the clock that is wrong. read_at: by the site's clock, when this content was first read; rows of a
    day that was not over then are marked in `periods`, and a register's reading of such a day is the reading
    of that moment.
    """
    absent = [name for name in ("exits", "periods", "broken") if name not in raw.columns]
    cells = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    cells = _pass_over(cells, rule)
    extras = _extra_columns(cells, rule)
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
    typed = typed.hstack(extras)
    if "unit" in cells.columns:
        typed = _apply_unit_column(typed, cells["unit"], rule)
    else:
        typed = typed.with_columns(base=pl.col("number") * (rule.factor * rule.multiplier))
    typed = typed.with_columns(reason=_first_reason(typed, rule))
    if rule.is_power or "is_power" in typed.columns:
        typed = _power_to_use(typed, rule)
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
    schema = (
        dict(ROW_SCHEMA)
        if rule.events
        else ROW_SCHEMA | {name: EXTRA_COLUMNS[name] for name in extras.columns}
    )
    rows = good.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    return count_passages(rows) if rule.events else rows, rejects


def _pass_over(cells: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return the rows without those of other meters, and those whose value says there was no reading."""
    if rule.keep and "meter" in cells.columns:
        is_kept = pl.col("meter").cast(pl.String).str.strip_chars().is_in(rule.keep).fill_null(False)
        cells = cells.filter(is_kept | pl.col("broken").is_not_null())
    if rule.absent:
        words = [word.strip().casefold() for word in rule.absent]
        value = pl.col("value").cast(pl.String).str.strip_chars().str.to_lowercase()
        cells = cells.filter(~value.is_in(words).fill_null(False))
    return cells


def _extra_columns(cells: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return those of EXTRA_COLUMNS that the cells give."""
    extras = {}
    if "meter" in cells.columns and (rule.combine or rule.kind == "register"):
        words = cells["meter"].cast(pl.String).str.strip_chars().fill_null("")
        distinct = words.unique()
        numbers = [zlib.crc32(word.encode()) for word in distinct]
        extras["meter"] = words.replace_strict(distinct, numbers, return_dtype=pl.UInt32)
    if "read_type" in cells.columns and rule.actual:
        word = cells["read_type"].cast(pl.String).str.strip_chars().str.to_lowercase().fill_null("")
        extras["estimated"] = ~word.is_in([one.strip().casefold() for one in rule.actual])
    return pl.DataFrame(extras)


def _apply_unit_column(typed: pl.DataFrame, units: pl.Series, rule: SignalRule) -> pl.DataFrame:
    """Return the rows with `base` by the unit of each, `unit_problem` where it has none, and `is_power`."""
    words = units.cast(pl.String).str.strip_chars().fill_null("")
    factors: dict[str, float | None] = {}
    problems: dict[str, str | None] = {}
    for word in words.unique():
        base, factor = UNITS.get((word or rule.unit).replace("³", "3").lower(), (None, None))
        factors[word] = factor if base == rule.base else None
        other = "unit not known" if base is None else f"unit of another quantity than {rule.base}"
        problems[word] = None if base == rule.base else other
    power = [word for word in factors if is_power(word or rule.unit)]
    names = list(factors)
    factor_of_row = words.replace_strict(names, list(factors.values()), return_dtype=pl.Float64)
    typed = typed.with_columns(
        base=pl.col("number") * factor_of_row * rule.multiplier,
        unit_problem=words.replace_strict(names, list(problems.values()), return_dtype=pl.String),
    )
    return typed.with_columns(is_power=words.is_in(power)) if power else typed


def _power_to_use(typed: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return the rows with mean power made a use; those whose period nothing tells get a reason."""
    has_power = pl.col("is_power") if "is_power" in typed.columns else pl.lit(True)
    in_use = typed.select((has_power & pl.col("reason").is_null()).alias("in use"))["in use"]
    places = in_use.arg_true()
    hours = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(typed))
    if len(places):
        hours = hours.scatter(places, period_hours(typed.filter(in_use), rule))
    unknown = in_use & hours.is_null()
    return typed.with_columns(
        base=pl.when(in_use).then(pl.col("base") * hours).otherwise("base"),
        reason=pl.when(unknown).then(pl.lit("length of the period not known")).otherwise("reason"),
    )


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

    Signs between thousands are accepted only in groups of three, and never behind a lone 0.
    """
    if cells.dtype != pl.String:
        return cells.cast(pl.Float64)
    plain = cells.cast(pl.Float64, strict=False)
    if decimal == "." and _all_read(plain, cells):  # most files need nothing more
        return plain
    group_sign = "," if decimal == "." else "."
    text = pl.col("cell").str.replace_all(_SPACES, "").str.replace_many(_FULL_WIDTH)
    apostrophes = text.str.contains(rf"^[+-]?[1-9]\d{{0,2}}({_APOSTROPHES}\d{{3}})+(\{decimal}\d+)?$")
    text = pl.when(apostrophes).then(text.str.replace_all(_APOSTROPHES, "")).otherwise(text)
    grouped = text.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(\{group_sign}\d{{3}})+(\{decimal}\d+)?$")
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
    if "unit_problem" in typed.columns:
        problem = pl.col("unit_problem")
        kinds = typed["unit_problem"].drop_nulls().unique().sort()
        reasons[5:5] = [(problem.eq_missing(pl.lit(kind)), kind) for kind in kinds]
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
