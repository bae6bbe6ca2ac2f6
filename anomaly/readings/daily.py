"""Make daily readings of typed rows: all at once, or step by step as new rows come."""

from datetime import date

import polars as pl

from anomaly.readings.cells import READING_SCHEMA, doubt_days, to_labelled_frame
from anomaly.readings.incremental import IncrementalState, row_position
from anomaly.readings.meters import advance_meters, must_see_all
from anomaly.readings.period_days import periods_to_days
from anomaly.readings.register_days import register_to_days
from anomaly.readings.signal_rule import SignalRule


def daily_readings(
    rows: pl.DataFrame, rule: SignalRule, first: date | None = None, last: date | None = None
) -> pl.DataFrame:
    """Return the labelled readings (READING_SCHEMA) of all rows of a signal, sorted by (household, day).

    There is a row for every day between a home's first and last; `first` and `last` cut them.

    rows: ROW_SCHEMA, one row for each (household, time, dated), in any order.
    Cut the rows at the end of any day (registers: + boundary_hours), and whatever was known by then
    (`known_on`) comes out the same.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=READING_SCHEMA)
    days, _ = advance(rows, rule, IncrementalState.initial())
    if first is not None:
        days = days.filter(pl.col("day") >= first)
    if last is not None:
        days = days.filter(pl.col("day") <= last)
    return to_labelled_frame(days, rule)


def advance(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    """Return the days that new rows make or change, and the state after them.

    rows: as for `daily_readings`; a home that the state knows must not be one of `homes_to_rebuild`.
    Days: household, in its own type, and CELL_SCHEMA, sorted by household and day. Taken from state to state,
    the days (of two for one home and day the later) are what `daily_readings` gives for all rows at once.
    """
    if "meter" in rows.columns or ("estimated" in rows.columns and rule.kind == "register"):
        days, newer = advance_meters(rows, rule, state, _advance_plain)
    else:
        days, newer = _advance_plain(rows, rule, state)
    days = days.with_columns(pl.col("household").set_sorted())
    if rule.day_cap is not None:
        days = doubt_days(days, (pl.col("value") > rule.day_cap).fill_null(False), "glitch")
    return days, state.updated_with(newer)


def _advance_plain(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState
) -> tuple[pl.DataFrame, IncrementalState]:
    """Return the days of rows that all count, and a state of the homes in them."""
    to_days = register_to_days if rule.kind == "register" and not rule.restarts else periods_to_days
    return to_days(rows, rule, state)


def homes_to_rebuild(rows: pl.DataFrame, rule: SignalRule, state: IncrementalState) -> pl.Series:
    """Return the households of `rows` whose days must be made from all their rows, not by `advance`.

    These are homes whose new rows lie before their last one, and counts or uses that are finer than a day or
    come with
    exits: their cadence, and how entries compare with exits, are seen from all rows.
    """
    last_rows = state.homes.select("household", "whole", last="at")
    rows_of_known = rows.select("household", "dated", exits="exits", at=row_position(rule.kind)).join(
        last_rows, on="household"
    )
    must = (pl.col("at") <= pl.col("last")) | pl.col("whole")
    if rule.kind != "register":
        must = must | ~pl.col("dated") | pl.col("exits").is_not_null()
    found = rows_of_known.filter(must)["household"]
    if "meter" in rows.columns or "estimated" in rows.columns:
        found = pl.concat([found, must_see_all(rows, rule, state)])
    return found.unique()
