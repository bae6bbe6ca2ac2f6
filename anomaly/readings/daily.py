"""Typed rows of one signal -> one reading a home and local day."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from anomaly.readings import midnight, register_cleaning
from anomaly.readings.merge import sort_rows
from anomaly.readings.periods import NOTE_LABELS, sum_days
from anomaly.readings.signal_rule import SignalRule
from anomaly.tables import QUALITIES

READING_SCHEMA = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "unit": pl.String,
    "quality": pl.String,
    "known_on": pl.Date,
    "note": pl.String,
}
CELL_SCHEMA = {"day": pl.Date, "value": pl.Int64, "quality": pl.UInt8, "note": pl.UInt8, "lag": pl.Int32}
"""A day's reading in numbers: quality and note are places in QUALITIES and NOTE_LABELS, lag is known_on - day in days."""
GLITCH, DOUBTFUL = NOTE_LABELS.index("glitch"), QUALITIES.index("doubtful")

JITTER = {"litre": 20, "Wh": 20}  # base units a register may seem to run backwards; other units 5
FLOORS = {
    "litre": 2_000.0,
    "Wh": 60_000.0,
}  # day use that needs no second reading; other units: the home's own days tell
_DAY_QUALITY = np.array(
    [QUALITIES.index(q) for q in ("read", "interpolated", "missing", "doubtful", "doubtful", "doubtful")],
    np.uint8,
)
_DAY_NOTE = np.array(
    [NOTE_LABELS.index(n) for n in (None, None, "gap", "unconfirmed", "glitch", "reset")], np.uint8
)
_METER_NOTE = np.array([NOTE_LABELS.index(n or None) for n in register_cleaning.REGISTER_NOTES], np.uint8)


@dataclass(frozen=True)
class IncrementalState:
    """What the next rows of a signal need to know of all rows before them.

    homes: household, at (µs, where its last row lies), day (since 1970; the first that later rows may change), whole (its
    rows must be seen together each time), state (Array of meter.STATES Int64; null but for registers); one row a home.
    rows: household, time, dated, value: the readings that a register's next ones must be settled with.
    """

    homes: pl.DataFrame
    rows: pl.DataFrame

    @classmethod
    def initial(cls, household: type[pl.DataType] = pl.String) -> "IncrementalState":
        """Return the state before the first row; `household` is the type of the ids (or of the numbers that stand for them)."""
        homes = {
            "household": household,
            "at": pl.Int64,
            "day": pl.Int64,
            "whole": pl.Boolean,
            "state": pl.Array(pl.Int64, register_cleaning.STATES),
        }
        rows = {"household": household, "time": pl.Datetime("us"), "dated": pl.Boolean, "value": pl.Int64}
        return cls(pl.DataFrame(schema=homes), pl.DataFrame(schema=rows))


def daily_readings(
    rows: pl.DataFrame, rule: SignalRule, first: date | None = None, last: date | None = None
) -> pl.DataFrame:
    """READINGS, sorted by (household, day): a row for every day between a home's first and last; its days in first … last.

    rows: columns of `parse_rows`, one row per (household, time, dated); any order.
    value: base units, null where unknown. quality: one of tables.QUALITIES. note: the rule that spoke, or null:
    "gap" (no reading near a midnight), "partial", "reset", "rollover", "glitch", "rollback", "unconfirmed" (waits for
    a later reading), "exits". known_on: the day whose night is the first to know this row. Cut the rows at the end of
    any day (registers: + boundary_hours), and whatever was known by then comes out the same.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=READING_SCHEMA)
    days, _ = advance(rows, rule, IncrementalState.initial())
    if first is not None:
        days = days.filter(pl.col("day") >= first)
    if last is not None:
        days = days.filter(pl.col("day") <= last)
    return to_labelled_frame(days, rule)


def to_labelled_frame(days: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """CELLS with their household to READINGS."""
    days = days.with_columns(
        signal=pl.lit(rule.name),
        unit=pl.lit(rule.base),
        quality=pl.col("quality").replace_strict(range(len(QUALITIES)), QUALITIES, return_dtype=pl.String),
        note=pl.col("note").replace_strict(range(len(NOTE_LABELS)), NOTE_LABELS, return_dtype=pl.String),
        known_on=pl.col("day") + pl.duration(days="lag"),
    )
    return days.select(pl.col(name).cast(kind) for name, kind in READING_SCHEMA.items())


def homes_to_rebuild(rows: pl.DataFrame, rule: SignalRule, carry: IncrementalState) -> pl.Series:
    """Households of `rows` that `go_on` cannot take on from their carry: all their rows must be seen together again."""
    known = rows.select("household", "dated", exits="exits", at=_at(rule)).join(
        carry.homes.select("household", "whole", last="at"), on="household"
    )
    late = (pl.col("at") <= pl.col("last")) | pl.col("whole")
    if rule.kind != "register":
        late = late | ~pl.col("dated") | pl.col("exits").is_not_null()
    return known.filter(late)["household"].unique()


def advance(
    rows: pl.DataFrame, rule: SignalRule, carry: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    """Days that these rows make or change (household and CELLS, sorted by household and day), and the carry after them.

    rows: as for `daily_readings`; a home that the carry knows must not be one of `late_homes`. Taken on from carry to
    carry, the days (the later one counts) are what `daily_readings` gives for all rows at once. Households keep their type.
    """
    days, after = (
        _register_days(rows, rule, carry) if rule.kind == "register" else _summed_days(rows, rule, carry)
    )
    days = days.with_columns(pl.col("household").set_sorted())
    if rule.day_cap is not None:
        over = (pl.col("value") > rule.day_cap).fill_null(False)
        days = days.with_columns(
            quality=pl.when(over).then(pl.lit(DOUBTFUL, pl.UInt8)).otherwise("quality"),
            note=pl.when(over).then(pl.lit(GLITCH, pl.UInt8)).otherwise("note"),
        )
    return days, _updated(carry, after)


def _updated(carry: IncrementalState, after: IncrementalState) -> IncrementalState:
    """The carry with the homes of `after` in place of what it knew of them."""
    homes, rows = (old.join(after.homes, on="household", how="anti") for old in (carry.homes, carry.rows))
    return IncrementalState(
        pl.concat([homes, after.homes.select(homes.columns)]),
        pl.concat([rows, after.rows.select(rows.columns)]),
    )


def _at(rule: SignalRule) -> pl.Expr:
    """Where a row lies: a register's reading dated D is the one at the midnight that ends D."""
    time = pl.col("time")
    return (
        pl.when("dated").then(time.dt.truncate("1d") + pl.duration(days=1)).otherwise(time)
        if rule.kind == "register"
        else time
    ).dt.epoch("us")


def _summed_days(
    rows: pl.DataFrame, rule: SignalRule, carry: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    days = sum_days(rows, rule, carry.homes.select("household", "day"))
    days = days.select("household", "day", "value", "quality", "note", lag=pl.lit(0, pl.Int32))
    homes = rows.group_by("household").agg(
        at=_at(rule).max(), whole=(~pl.col("dated") | pl.col("exits").is_not_null()).any()
    )
    after = homes.join(
        days.group_by("household").agg(day=pl.col("day").max().dt.epoch("d").cast(pl.Int64) + 1),
        on="household",
    )
    empty = IncrementalState.initial(rows.schema["household"])
    return days, IncrementalState(
        after.with_columns(state=pl.lit(None, empty.homes.schema["state"])).select(empty.homes.columns),
        empty.rows,
    )


def _register_days(
    rows: pl.DataFrame, rule: SignalRule, carry: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    within = int(rule.boundary_hours * 3600e6)
    kept = carry.rows.join(rows.select("household").unique(), on="household", how="semi")
    points = pl.concat([kept, rows.select(kept.columns)]) if kept.height else rows
    # a stamped reading closes the day before up to `within` after midnight
    known = (
        pl.when("dated")
        .then(pl.col("time").dt.epoch("us"))
        .otherwise(pl.col("time").dt.epoch("us") - within - 1)
        // register_cleaning.DAY
    )
    points = sort_rows(
        points.select("household", "time", "dated", "value", at=_at(rule), known=known),
        ("household", "at", "dated", "value"),
    )
    if points.select(
        ((pl.col("household") == pl.col("household").shift()) & (pl.col("at") == pl.col("at").shift())).any()
    ).item():
        points = points.unique(
            ["household", "at"], keep="last", maintain_order=True
        )  # a day's end and a stamp at midnight may coincide
    homes = points.group_by("household", maintain_order=True).agg(
        n=pl.len(), start=pl.col("at").first(), end=pl.col("at").last()
    )
    homes = homes.join(
        carry.homes.select("household", "day", "state"), on="household", how="left", maintain_order="left"
    )
    starts = np.concatenate(([0], homes["n"].to_numpy().cumsum())).astype(np.int64)
    times, values = points["at"].to_numpy(), points["value"].to_numpy()
    states = register_cleaning.fresh(times, values, starts)
    gone_on = homes["state"].is_not_null().to_numpy()
    states[gone_on] = homes["state"].drop_nulls().to_numpy().reshape(-1, register_cleaning.STATES)
    settled, needed, then = register_cleaning.settle_on(times, values, starts, _limits(rule), states)
    spans = np.empty((len(homes), 3), np.int64)
    spans[:, 0] = np.where(
        gone_on,
        homes["day"].fill_null(0).to_numpy(),
        (homes["start"].to_numpy() - 1) // register_cleaning.DAY,
    )
    spans[:, 1] = (homes["end"].to_numpy() - 1) // register_cleaning.DAY
    length = spans[:, 1] - spans[:, 0] + 1
    spans[:, 2] = np.concatenate(([0], length.cumsum()[:-1]))
    out = midnight.days_between(times, settled, points["known"].to_numpy(), starts, spans, within)
    days = _register_frame(homes["household"], spans, length, out)
    after = homes.select(
        "household",
        at="end",
        day=pl.Series(needed[:, 1]),
        whole=pl.lit(False),
        state=pl.Series(then, dtype=pl.Array(pl.Int64, register_cleaning.STATES)),
    )
    open_ = np.arange(len(times)) >= np.repeat(needed[:, 0], np.diff(starts))
    return days, IncrementalState(after, points.filter(pl.Series(open_)).select(kept.columns))


def _register_frame(names: pl.Series, spans: np.ndarray, length: np.ndarray, out: np.ndarray) -> pl.DataFrame:
    day = np.arange(len(out)) - np.repeat(spans[:, 2] - spans[:, 0], length)
    state, known = out[:, midnight.STATE], out[:, midnight.STATE] <= midnight.INTERPOLATED
    note = _DAY_NOTE[state]
    return pl.DataFrame(
        {
            "household": names.gather(np.repeat(np.arange(len(names)), length)),
            "day": pl.Series(day.astype(np.int32)).cast(pl.Date),
            "value": pl.Series(out[:, midnight.USE]).set(pl.Series(~known), None),
            "quality": _DAY_QUALITY[state],
            "note": np.where(note > 0, note, _METER_NOTE[out[:, midnight.WORD]]),
            "lag": (out[:, midnight.KNOWN] - day).astype(np.int32),
        }
    )


def _limits(rule: SignalRule) -> register_cleaning.Limits:
    per_day = np.inf if rule.day_cap is None else float(rule.day_cap)
    return register_cleaning.Limits(JITTER.get(rule.base, 5), per_day, FLOORS.get(rule.base, np.inf))
