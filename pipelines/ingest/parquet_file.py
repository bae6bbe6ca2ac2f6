"""Read a Parquet file as text, but for days and small numbers, which stay typed."""

import functools
import re
from pathlib import Path

import duckdb
import polars as pl

from pipelines.config.sections import Source
from pipelines.ingest.roles import NUMBER_ROLES, holds_numbers, personal_columns
from pipelines.ingest.text_table import CELL_BYTES, TextTable, too_large

IDENTITY_NUMBERS = 10**15
"""Numbers below it have fewer than 16 digits: they are nobody's identity number, and stay numbers."""
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


def read_parquet_file(path: Path, source: Source) -> TextTable:
    """Return the file's columns as text, days and numbers of measured roles as they are; NaN is null.

    Numbers that become text get the decimal sign of the settings. Raises MalformedFile, and what DuckDB and
    Polars raise.
    """
    _check_pages(path, source.max_bytes)
    frame = pl.read_parquet(path, glob=False).with_columns(pl.selectors.float().fill_nan(None))
    text_bytes = sum(text.str.len_bytes().sum() for text in frame.select(pl.selectors.string()))
    if text_bytes > source.max_bytes:  # one long text in the file may stand for many
        raise too_large(source.max_bytes)
    for column in frame.select(pl.selectors.binary()):
        if (column.bin.starts_with(JPEG) | column.bin.starts_with(PNG)).any():
            raise personal_columns({column.name: "holds what looks like a picture"}, frame.columns)
    typed = _columns_kept_typed(frame, source)
    cells = frame.select(
        column
        if column.name in typed
        else _to_text(column, source.decimal if holds_numbers(column.name, source) else ".")
        for column in frame
    )
    return TextTable.of_whole_rows(cells)


def _columns_kept_typed(frame: pl.DataFrame, source: Source) -> set[str]:
    """Return the columns of days, and those of numbers that are too small to be anybody's identity number."""
    roles = {
        name: {role for role, column in source.columns.items() if column == name} for name in frame.columns
    }
    days = {name for name, kind in frame.schema.items() if roles[name] == {"time"} and kind == pl.Date}
    numbers = [
        name
        for name, kind in frame.schema.items()
        if roles[name] and roles[name] <= NUMBER_ROLES and (kind.is_integer() or kind == pl.Float64)
    ]
    return days | {name for name in numbers if (frame[name].abs().max() or 0) < IDENTITY_NUMBERS}


def _check_pages(path: Path, max_bytes: int) -> None:
    """Read every page once through DuckDB, which reports a damaged one.

    On some of them Polars ends the whole process.     A few kilobytes can stand for billions of equal cells,
    so these are counted first.
    """
    exactly = [re.sub(r"[*?\[]", r"[\g<0>]", str(path))]  # not as a glob
    with _database().cursor() as connection:
        cells = connection.execute("select sum(num_values) from parquet_metadata(?)", exactly).fetchall()[0][
            0
        ]
        if (cells or 0) * CELL_BYTES > max_bytes:
            raise too_large(max_bytes)
        connection.execute("select bit_xor(hash(columns(*))) from read_parquet(?)", exactly).fetchall()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """Open one database for all files: opening takes as long as checking a small file."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_file_cache": False,
        }
    )


def _to_text(cells: pl.Series, decimal: str) -> pl.Series:
    """Return a column as text: ISO dates and times, numbers without a needless .0, nested cells as JSON."""
    kind, name = cells.dtype, cells.name
    if isinstance(kind, pl.Datetime):
        return cells.dt.to_string("%Y-%m-%d %H:%M:%S%.f" + ("%:z" if kind.time_zone else ""))
    if kind.is_float():
        text = cells.cast(pl.String).str.strip_suffix(".0")
        return text.str.replace(".", decimal, literal=True)
    if isinstance(kind, pl.Decimal):
        return cells.cast(pl.String).str.replace(".", decimal, literal=True)
    if kind == pl.Duration:
        return cells.to_physical().cast(pl.String)
    if kind.is_nested():
        return cells.to_frame().select(pl.struct(name).struct.json_encode().alias(name)).to_series()
    return cells.cast(pl.String)
