"""Make the days of homes with several meters, or with estimated readings of a register.

Each meter of a home is read as a register or use of its own, with its own cadence, exchanges and gaps; then
the days of a home's meters are added up. A change of meter is so an exchange: the use across it belongs to
nobody, however near the new meter stands to the old one. A day on which fewer meters were read than on the
same weekday before is partial.

Estimated readings of a register make no day that is judged: days are made of the actual readings alone, and
those that only the estimated ones can tell are called `estimated`.
"""

from collections.abc import Callable

import polars as pl

from anomaly.readings.cells import (
    CELL_SCHEMA,
    DOUBTFUL,
    ESTIMATED,
    INTERPOLATED,
    LONGEST_GAP,
    MISSING,
    PARTIAL,
    READ,
    note_code,
)
from anomaly.readings.incremental import IncrementalState, row_position
from anomaly.readings.signal_rule import SignalRule

PlainAdvance = Callable[[pl.DataFrame, SignalRule, IncrementalState], tuple[pl.DataFrame, IncrementalState]]
"""Makes days of rows that are all of one meter, and actual: `daily.advance` without this module."""

USUAL_WEEKS = 5
"""So many weeks back a day's weekday says how many meters a home has."""


def advance_meters(
    rows: pl.DataFrame, rule: SignalRule, state: IncrementalState, advance: PlainAdvance
) -> tuple[pl.DataFrame, IncrementalState]:
    """Return the days that rows with a `meter` or `estimated` make, and the state after them.

    Of the homes with several meters, or with estimated readings of a register, `rows` must hold all rows (see
    `must_see_all`). All others go the plain way.
    """
    is_special = pl.col("household").is_in(_special_homes(rows, rule, state).implode())
    special, plain = rows.filter(is_special), rows.filter(~is_special)
    days, newer = [], IncrementalState.initial(rows.schema["household"])
    if plain.height:
        drop = ["meter", "estimated"] if rule.kind == "register" else ["meter"]
        of_plain, newer = advance(plain.drop(drop, strict=False), rule, state)
        newer = IncrementalState(_with_meter(newer.homes, plain), newer.rows)
        days.append(of_plain)
    if special.height:
        days.append(_days_of_meters(special, rule, advance))
        homes = special.group_by("household").agg(
            at=row_position(rule.kind).max(),
            day=(pl.col("time").min().dt.epoch("d")).cast(pl.Int64),
            whole=pl.lit(True),
            meter=pl.lit(None, pl.UInt32),
        )
        homes = homes.with_columns(state=pl.lit(None, newer.homes.schema["state"]))
        newer = newer.updated_with(IncrementalState(homes, newer.rows.clear()))
    cells = [frame.select("household", *CELL_SCHEMA) for frame in days]
    return pl.concat(cells).sort("household", "day"), newer


def must_see_all(rows: pl.DataFrame, rule: SignalRule, state: IncrementalState) -> pl.Series:
    """Return the known homes of `rows` whose days must be made of all their rows from now on."""
    special = _special_homes(rows, rule, state)
    return special.filter(special.is_in(state.homes["household"].implode()))


def _special_homes(rows: pl.DataFrame, rule: SignalRule, state: IncrementalState) -> pl.Series:
    """Return the homes with another meter than before, several of them, or estimated register readings."""
    conditions = []
    homes = rows.group_by("household")
    if "meter" in rows.columns:
        meters = homes.agg(n=pl.col("meter").n_unique(), now=pl.col("meter").first())
        known = state.homes.select("household", before="meter")
        meters = meters.join(known, on="household", how="left")
        conditions.append(meters.filter((pl.col("n") > 1) | (pl.col("now") != pl.col("before"))))
    if "estimated" in rows.columns and rule.kind == "register":
        conditions.append(homes.agg(pl.col("estimated").any()).filter("estimated"))
    found = [frame["household"] for frame in conditions]
    return pl.concat([rows["household"].clear(), *found]).unique()


def _with_meter(homes: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the homes of a state with the one meter that each has."""
    if "meter" not in rows.columns:
        return homes
    meters = rows.group_by("household").agg(meter=pl.col("meter").first())
    return homes.drop("meter").join(meters, on="household", how="left").select(homes.columns)


def _days_of_meters(rows: pl.DataFrame, rule: SignalRule, advance: PlainAdvance) -> pl.DataFrame:
    """Return the days (household and CELL_SCHEMA) of homes of which these are all rows."""
    if "meter" not in rows.columns:
        return _days_of_series(rows, rule, advance)
    pairs = rows.select("household", "meter").unique().sort("household", "meter")
    pairs = pairs.with_columns(series=pl.int_range(pl.len(), dtype=pl.UInt32))
    numbered = rows.join(pairs, on=["household", "meter"], maintain_order="left")
    numbered = numbered.drop("household", "meter").rename({"series": "household"})
    days = _days_of_series(numbered, rule, advance)
    of_meters = days.join(pairs.rename({"household": "home", "series": "household"}), on="household")
    return _add_up(of_meters.drop("household", "meter").rename({"home": "household"}), rule)


def _days_of_series(rows: pl.DataFrame, rule: SignalRule, advance: PlainAdvance) -> pl.DataFrame:
    """Return the days of rows of which each household stands for one meter."""
    initial = IncrementalState.initial(rows.schema["household"])
    if "estimated" not in rows.columns or rule.kind != "register":
        return advance(rows, rule, initial)[0]
    all_days, _ = advance(rows.drop("estimated"), rule, initial)
    actual = rows.filter(~pl.col("estimated")).drop("estimated")
    if actual.height == rows.height:
        return all_days
    if actual.is_empty():
        actual_days = all_days.clear()
    else:
        actual_days, _ = advance(actual, rule, initial)
    certain = actual_days.filter(pl.col("quality").is_in([READ, INTERPOLATED]))
    days = all_days.join(certain, on=["household", "day"], how="left", suffix="_actual")
    is_certain, has_value = pl.col("quality_actual").is_not_null(), pl.col("value").is_not_null()
    only_estimated = pl.when(has_value).then(pl.lit(ESTIMATED, pl.UInt8)).otherwise("quality")
    return days.select(
        "household",
        "day",
        value=pl.when(is_certain).then("value_actual").otherwise("value"),
        quality=pl.when(is_certain).then("quality_actual").otherwise(only_estimated),
        note=pl.when(is_certain).then("note_actual").otherwise("note"),
        lag=pl.when(is_certain).then("lag_actual").otherwise("lag"),
    )


def _add_up(days: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return a home's days of the days of its meters (a row a meter and day), without gaps between them.

    Without `combine` the meters follow one another; where two of them have a use on one day, it is doubtful.
    """
    quality, value = pl.col("quality"), pl.col("value")
    is_known = value.is_not_null()
    homes = days.group_by("household", "day").agg(
        value=pl.when(is_known.any()).then(value.sum()),
        meters=(is_known & (quality != DOUBTFUL)).sum(),
        doubtful=(quality == DOUBTFUL).any(),
        estimated=(is_known & (quality == ESTIMATED)).any(),
        partial=(quality == PARTIAL).any(),
        interpolated=(quality == INTERPOLATED).any(),
        note=pl.col("note").max(),
        lag=pl.col("lag").max(),
    )
    homes = homes.sort("household", "day")
    following = pl.col("day").shift(-1).over("household")
    is_filled = (following - pl.col("day")).dt.total_days() <= LONGEST_GAP
    until = pl.when(is_filled).then(following.dt.offset_by("-1d")).otherwise("day")
    every_day = homes.select("household", day=pl.date_ranges("day", until)).explode("day")
    homes = every_day.join(homes, on=["household", "day"], how="left", maintain_order="left")
    lacks = (pl.col("meters") < _usual_meters(homes)) if rule.combine else (pl.col("meters") > 1)
    lacking_quality = pl.lit(PARTIAL if rule.combine else DOUBTFUL)
    note_of_lacking = pl.lit(note_code("partial" if rule.combine else "reset"))
    no_value, lacks = pl.col("value").is_null(), lacks.fill_null(False)
    quality = (
        pl.when(pl.col("doubtful").fill_null(False))
        .then(pl.lit(DOUBTFUL))
        .when(no_value)
        .then(pl.lit(MISSING))
        .when(lacks)
        .then(lacking_quality)
        .when("estimated")
        .then(pl.lit(ESTIMATED))
        .when("partial")
        .then(pl.lit(PARTIAL))
        .when("interpolated")
        .then(pl.lit(INTERPOLATED))
        .otherwise(pl.lit(READ))
    )
    note = (
        pl.when(no_value & ~pl.col("doubtful").fill_null(False))
        .then(pl.lit(note_code("gap")))
        .when(lacks & ~no_value)
        .then(note_of_lacking)
        .otherwise("note")
    )
    return homes.select(
        "household",
        "day",
        pl.col("value").cast(pl.Int64),
        quality=quality.cast(pl.UInt8),
        note=note.fill_null(note_code("gap")).cast(pl.UInt8),
        lag=pl.col("lag").fill_null(0).cast(pl.Int32),
    )


def _usual_meters(homes: pl.DataFrame) -> pl.Series:
    """Return how many meters each day was to have: the most on that weekday in the weeks before.

    homes: every day of each home in order. In a home's first week the day before says it.
    """
    weeks = [pl.col("meters").shift(7 * week).over("household") for week in range(1, USUAL_WEEKS + 1)]
    yesterday = pl.col("meters").shift(1).over("household")
    return homes.select(pl.coalesce(pl.max_horizontal(weeks), yesterday, pl.lit(0))).to_series()
