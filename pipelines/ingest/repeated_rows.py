"""Tell rows of one file that restate one another from rows that a column tells apart which nobody mapped.

Two rows of one home and time that are alike in every other column say the same thing twice, or correct it:
the last one wins. Rows that differ in a column that is not mapped (a tariff, a door, a unit, an hour) are
different
things, and to take one of them for all would be wrong without a word: where they are more than a few the
source stops with that column's name, and a few are refused.
"""

from typing import NamedTuple

import polars as pl

from anomaly.readings import REJECT_SCHEMA, SignalRule, base_unit
from pipelines.config.sections import Source
from pipelines.ingest.text_table import MalformedFile

CONTRADICTING_SHARE = 0.01
"""Of a file's rows; with more of them the source stops."""
REASON = "contradicts another row of its home and time"
MAX_WORDS = 6
"""Different words of a column that are shown."""
_CLOCK = r"^\s*\d{1,2}[:.h]\d{2}([:.]\d{2})?\s*([AaPp]\.?[Mm]\.?)?\s*$"


class TellingColumn(NamedTuple):
    """A column by which rows of one home and time differ: its cells in them, and how it may be named."""

    name: str
    kept_name: str
    cells: pl.Series
    is_mapped: bool


def settle_repeated_rows(
    rows: pl.DataFrame,
    refused: pl.DataFrame,
    *,
    cells: pl.DataFrame,
    others: pl.DataFrame,
    rule: SignalRule,
    source: Source,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a file's rows and rejects, with rows that contradict one another refused.

    rows, refused: as of `parse_rows` of `cells`, the columns by role. others: the columns that are not
    mapped, beside `cells`. Raises MalformedFile where more than CONTRADICTING_SHARE of the rows contradict
    another.
    """
    repeated = _repeated(rows, rule)
    if repeated.is_empty():
        return rows, refused
    columns = _columns_that_tell(cells, others, rule, source)
    places = pl.DataFrame({"row": cells["row"], "place": pl.int_range(len(cells), eager=True)})
    places = places.unique("row", keep="first")  # cells of a wide table share the number of their row
    repeated = repeated.join(places, on="row", how="left", maintain_order="left")
    telling, contradicts = [], pl.repeat(False, len(repeated), eager=True)
    for column in columns:
        words = pl.DataFrame({"key": repeated["key"], "word": column.cells.gather(repeated["place"])})
        differs = words.select(pl.col("word").n_unique().over("key") > 1).to_series()
        if differs.any():
            telling.append(column._replace(cells=words["word"].filter(differs)))
            contradicts |= differs
    if not telling:
        return rows, refused
    among = repeated.filter(contradicts)["row"]
    if len(among) > CONTRADICTING_SHARE * rows.height:
        raise _contradiction(telling, len(among) / rows.height, rule, source)
    more = pl.DataFrame({"row": among.cast(REJECT_SCHEMA["row"])}).with_columns(reason=pl.lit(REASON))
    return rows.filter(~pl.col("row").is_in(among.implode())), pl.concat([refused, more]).sort("row")


def _repeated(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return `key` and `row` of the rows that share home and time (and meter, if summed) with another.

    One time of a home at which a register's meters meet is their exchange, and none of these.
    """
    names = ["household", "time", "dated"]
    if rule.combine and "meter" in rows.columns:
        names.append("meter")
    none = pl.DataFrame(schema={"key": pl.UInt64, "row": pl.Int64})
    if rows.height < 2 or ("meter" not in names and _is_in_order(rows)):
        return none
    key = rows.select(names).hash_rows()
    if key.n_unique() == len(key):
        return none
    repeated = rows.select("household", "row", *_meter_column(rows), key=key).filter(key.is_duplicated())
    if "meter" in repeated.columns and not rule.combine:
        meets = pl.col("meter").n_unique().over("key") > 1
        meetings = pl.col("key").n_unique().over("household")
        repeated = repeated.filter(~meets | (meetings > 1))
    return repeated.select("key", "row")


def _meter_column(rows: pl.DataFrame) -> list[str]:
    return [name for name in rows.columns if name == "meter"]


def _is_in_order(rows: pl.DataFrame) -> bool:
    """Return whether rows are sorted by home and time, or by time and home, and none is repeated."""
    home, time = pl.col("household"), pl.col("time")
    next_home, next_time = home > home.shift(), time > time.shift()
    by_time = next_time | (next_home & (time == time.shift()))
    by_home = next_home | (next_time & (home == home.shift()))
    return any(rows.select(order.fill_null(True).all()).item() for order in (by_time, by_home))


def _columns_that_tell(
    cells: pl.DataFrame, others: pl.DataFrame, rule: SignalRule, source: Source
) -> list[TellingColumn]:
    """Return the columns that tell rows apart: those not mapped, and a meter that is not summed."""
    columns = [
        TellingColumn(
            name, f"a column that is not mapped (no. {place} of these)", _stripped(others[name]), False
        )
        for place, name in enumerate(others.columns, start=1)
    ]
    if "meter" in cells.columns and not rule.combine:
        name = source.columns["meter"]
        columns.append(TellingColumn(name, f"`{name}`", _stripped(cells["meter"]), True))
    return columns


def _stripped(cells: pl.Series) -> pl.Series:
    return cells.str.strip_chars() if cells.dtype == pl.String else cells.cast(pl.String)


def _contradiction(
    telling: list[TellingColumn], share: float, rule: SignalRule, source: Source
) -> MalformedFile:
    """Return the error for a file whose rows contradict one another, and what to set."""
    telling = sorted(telling, key=lambda column: column.cells.n_unique())
    first = telling[0]
    words = first.cells.drop_nulls().unique().sort().to_list()
    shown = ", ".join(words[:MAX_WORDS]) + (", …" if len(words) > MAX_WORDS else "")
    units = [word for word in words if _is_unit(word)]
    if words and units == words:  # the same use in two units is not to be summed
        own = [word for word in words if base_unit(word) == base_unit(rule.unit)]
        choice = f'keep = ["{(own or words)[0]}"]'
    else:
        choice = f'combine = "sum", or keep = ["{words[0] if words else "…"}"],'
    section = f"[signals.{source.name}]"
    if first.is_mapped:
        remedy = f"set {choice} in {section}"
    elif first.cells.drop_nulls().str.contains(_CLOCK).all():
        remedy = f'set columns.clock = "{first.name}" in {section}'
    else:
        remedy = f'set columns.meter = "{first.name}" with {choice} in {section}'
    problem = f"cannot be read: {share:.0%} of its rows contradict another row of the same home and time; "
    return MalformedFile(
        f"{problem}they differ in {', '.join(f'`{column.name}`' for column in telling)} ({shown})",
        remedy,
        kept_problem=f"{problem}they differ in {', '.join(column.kept_name for column in telling)}",
        kept_remedy=f"set columns.meter (or columns.clock) with combine or keep in {section}",
    )


def _is_unit(word: str) -> bool:
    try:
        base_unit(word)
    except ValueError:
        return False
    return True
