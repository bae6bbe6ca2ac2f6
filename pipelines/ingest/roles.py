"""Give the columns of a file their roles (household, time, value …), and refuse columns of persons.

The settings of a source say which column plays which role. From here on nothing knows what a file looked
like.
"""

import difflib
import re
from collections.abc import Mapping, Sequence

import polars as pl

from anomaly.pii import find_personal_columns
from pipelines.config.sections import MADE_COLUMNS, Source
from pipelines.ingest.text_table import MalformedFile, TextTable

MEASURED_ROLES = frozenset({"time", "clock", "value", "exits", "periods"})
"""Roles whose cells are times and numbers by nature: eleven digits there are no phone."""
NUMBER_ROLES = MEASURED_ROLES - {"time", "clock"}


def to_roles(table: TextTable, source: Source) -> pl.DataFrame:
    """Return a column for each role of the source, `row` (Int64) and `broken` (String).

    Text is stripped, and null where nothing is left; rows without any cell are left out. A role that the
    source may lack is null where its column is absent; any other absent column raises MalformedFile with a
    guess.
    """
    check_columns(table.cells.columns, source, made=True)
    absent = {role for role, column in source.columns.items() if column not in table.cells.columns}
    stripped = table.cells.with_columns(pl.col(pl.String).str.strip_chars())
    stripped = stripped.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)))
    blank = pl.lit(None, dtype=pl.String)
    roles = [
        (blank if role in absent else pl.col(column)).alias(role) for role, column in source.columns.items()
    ]
    any_cell = pl.any_horizontal(pl.all().is_not_null()).alias("any cell")
    frame = stripped.select(*roles, any_cell)
    frame = frame.with_columns(table.row.alias("row"), table.broken.alias("broken"))
    kept = frame.select(pl.col("any cell") | pl.col("broken").is_not_null()).to_series()
    return (frame if kept.all() else frame.filter(kept)).drop("any cell")


def check_columns(header: Sequence[str], source: Source, made: bool = False) -> None:
    """Raise MalformedFile with a guess where a column that the settings name is absent.

    made: the header is that of a table brought into the long shape, and has the columns made for that too.
    """
    missing = [
        column
        for role, column in source.columns.items()
        if column not in header
        and role not in source.optional
        and (made or column not in MADE_COLUMNS[source.shape].values())
    ]
    if missing:
        raise _missing_columns(missing, header, source)


def columns_of_roles(source: Source) -> set[str]:
    """Return the columns that the settings name."""
    return set(source.columns.values()) - set(MADE_COLUMNS[source.shape].values())


def holds_numbers(column: str, source: Source) -> bool:
    """Return whether a column holds numbers: by its role, or as the values of a period or a home."""
    if source.shape in ("intervals", "meters") and column not in columns_of_roles(source):
        return True
    return any(source.columns.get(role) == column for role in NUMBER_ROLES)


def refuse_personal_columns(cells: pl.DataFrame, source: Source) -> None:
    """Raise MalformedFile where a column describes persons, by its name or its cells, mapped or not."""
    measured = {column for role, column in source.columns.items() if role in MEASURED_ROLES}
    # of typed columns, which were looked at as they were read, the name is left to look at
    text = cells.select(
        cells[name] if kind == pl.String else pl.lit(None, pl.String).alias(name)
        for name, kind in cells.schema.items()
    )
    if found := find_personal_columns(text, trusted=measured):
        raise personal_columns(found, cells.columns)


def personal_columns(found: Mapping[str, str], header: Sequence[str]) -> MalformedFile:
    """Return the error for columns that describe persons: column → what it looks like."""
    columns = "; ".join(f"column {column!r} {reason}" for column, reason in found.items())
    places = "; ".join(f"column {header.index(column) + 1} {reason}" for column, reason in found.items())
    these = "these columns" if len(found) > 1 else "this column"
    return MalformedFile(
        f"describes persons ({columns})",
        f"leave {these} out of the export",
        kept_problem=f"describes persons ({places})",
    )


def _missing_columns(missing: list[str], header: Sequence[str], source: Source) -> MalformedFile:
    guesses = [guess for column in missing for guess in difflib.get_close_matches(column, header, n=1)]
    names = ", ".join(map(repr, missing))
    if len(header) == 1 and re.search(r"[;\t|,]", header[0]):
        remedy = f"the whole header is one column, {header[0][:60]!r}: set `separator` in [{source.name}]"
    elif guesses:
        remedy = f"did you mean {', '.join(map(repr, guesses))}? Set `columns` in [{source.name}]"
    else:
        remedy = f"it has {', '.join(map(repr, header[:12]))}; set `columns` in [{source.name}]"
    return MalformedFile(f"has no column {names}", remedy, kept_remedy=f"set `columns` in [{source.name}]")
