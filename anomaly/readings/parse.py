"""Text cells -> typed rows; rows that cannot be right -> rejects."""

from datetime import date

import polars as pl

from anomaly.readings.signal_rule import SignalRule
from anomaly.readings.timestamps import read_times

ROW_SCHEMA = {
    "household": pl.String,
    "time": pl.Datetime("us"),
    "dated": pl.Boolean,
    "value": pl.Int64,
    "exits": pl.Int64,
    "periods": pl.Int32,
    "row": pl.Int64,
}
REJECT_SCHEMA = {"row": pl.Int64, "reason": pl.String}

LARGEST = 1e12  # base units; beyond it a cell is no reading of a household meter
_SPACES = r"[\s\u00a0\u2009\u202f]"


def parse_rows(
    raw: pl.DataFrame, rule: SignalRule, latest_day: date | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read one file's text cells: `(rows, rejects)`, each input row in exactly one of them, in input order.

    raw: text columns household, time, value [, exits, periods, broken], and `row` (Int64); times may be typed days, and
    value, exits and periods typed numbers.
    rows: ROWS; `time` is local and naive (a bare date: its midnight, `dated` true), `value` in whole base units.
    rejects: REJECTS; one reason a row, the first that applies.
    Rows after `latest_day` are refused, unless they are more than half of the file: then it is the clock that is wrong.
    """
    absent = [name for name in ("exits", "periods", "broken") if name not in raw.columns]
    cells = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    numbers = {name: _number(cells[name], rule.decimal) for name in ("value", "exits", "periods")}
    # a cell that is a number is not blank
    text = [
        name
        for name in ("household", "time", "value", "exits", "periods")
        if cells.schema[name] == pl.String and not _all_read(numbers.get(name), cells[name])
    ]
    cells = cells.with_columns(pl.col(text).str.strip_chars()).with_columns(
        pl.when(pl.col(name) != "").then(name).alias(name) for name in text
    )
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
    ).hstack(read_times(cells["time"], rule))
    typed = typed.with_columns(base=pl.col("number") * rule.factor)
    typed = _refuse_future(typed.with_columns(reason=_first_reason(typed, rule)), rule, latest_day)
    rejects = typed.filter(pl.col("reason").is_not_null()).select(pl.col("row").cast(pl.Int64), "reason")
    good = (typed.filter(pl.col("reason").is_null()) if rejects.height else typed).with_columns(
        value=pl.col("base").round(0)
    )
    return good.select(pl.col(name).cast(kind) for name, kind in ROW_SCHEMA.items()), rejects


def _number(cells: pl.Series, decimal: str) -> pl.Series:
    """Float64; null where the cell is no plain number. Thousands are accepted only in groups of three."""
    if cells.dtype != pl.String:
        return cells.cast(pl.Float64)
    plain = cells.cast(pl.Float64, strict=False)
    if decimal == "." and _all_read(plain, cells):  # most files never leave this fast side
        return plain
    group = "," if decimal == "." else "."
    text = pl.col("cell").str.replace_all(_SPACES, "")
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(\{group}\d{{3}})+(\{decimal}\d+)?$")
    text = pl.when(grouped).then(text.str.replace_all(group, "", literal=True)).otherwise(text)
    text = pl.when(~text.str.contains(group, literal=True)).then(text.str.replace(decimal, ".", literal=True))
    return (
        cells.to_frame("cell").select(text.str.strip_prefix("+").cast(pl.Float64, strict=False)).to_series()
    )


def _all_read(numbers: pl.Series | None, cells: pl.Series) -> bool:
    """Whether every cell that is there has become a number."""
    return numbers is not None and numbers.null_count() == cells.null_count()


def _first_reason(typed: pl.DataFrame, rule: SignalRule) -> pl.Expr:
    number, base = pl.col("number"), pl.col("base")
    whole = rule.kind == "count" or rule.base == "count"
    reasons: list[tuple[pl.Expr, str]] = [
        (pl.col("household").is_null(), "no household"),
        (pl.col("time_cell").is_null(), "no time"),
        (pl.col("time").is_null(), "time not readable"),
        (pl.col("value_cell").is_null(), "no value"),
        (number.is_null() | ~number.is_finite(), "value not a number"),
        (number < 0, "value negative"),
        (base > LARGEST, "value out of range"),
        (pl.lit(whole) & (number != number.round(0)), "value not whole"),
        *(
            (_not_a_count(name), f"{name} not a whole number")
            for name in ("exits", "periods")
            if typed[f"{name}_cell"].null_count() < len(typed)
        ),
    ]
    if not typed.select(
        pl.any_horizontal(pl.col("broken").is_not_null(), *(wrong for wrong, _ in reasons)).any()
    ).item():
        return pl.lit(None, pl.String)
    return pl.coalesce(pl.col("broken"), *(pl.when(wrong).then(pl.lit(reason)) for wrong, reason in reasons))


def _not_a_count(name: str) -> pl.Expr:
    number = pl.col(name)
    right = number.is_finite() & number.is_between(0, 1e9) & (number == number.round(0))
    return pl.col(f"{name}_cell").is_not_null() & ~right.fill_null(False)


def _refuse_future(typed: pl.DataFrame, rule: SignalRule, latest_day: date | None) -> pl.DataFrame:
    if latest_day is None:
        return typed
    # the reading that closes the latest day lies a little after its midnight
    closing = pl.duration(microseconds=int(rule.boundary_hours * 3600e6) if rule.kind == "register" else 0)
    midnight = pl.lit(latest_day).cast(pl.Datetime("us")) + pl.duration(days=1)
    stamped_late = (
        pl.col("time") >= midnight
        if rule.kind != "register" and rule.stamp == "start"
        else pl.col("time") > midnight + closing
    )
    late = (
        pl.when("dated").then(pl.col("time") >= midnight).otherwise(stamped_late) & pl.col("reason").is_null()
    )
    if 2 * typed.select(late.sum()).item() > typed["reason"].null_count():
        return typed
    return typed.with_columns(reason=pl.when(late).then(pl.lit("in the future")).otherwise("reason"))
