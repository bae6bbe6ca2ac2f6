"""Read a file of any format as text by role: CSV and its kin, also packed, XLSX and Parquet.

Nothing is cleaned here. What cannot be read is one SourceError: what, where, what to do.
"""

import contextlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import fastexcel
import polars as pl

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.csv_text import read_csv_text
from pipelines.ingest.files import system_errors_as_source_errors
from pipelines.ingest.nem12 import read_nem12
from pipelines.ingest.parquet_file import read_parquet_file
from pipelines.ingest.roles import columns_of_roles, refuse_personal_columns, to_roles
from pipelines.ingest.shapes import add_made_columns, to_long
from pipelines.ingest.text_table import MalformedFile, TextTable, first_line
from pipelines.ingest.unpacking import PACKINGS, TEXT_SUFFIXES
from pipelines.ingest.workbook import read_workbook


def _read_delimited(path: Path, source: Source) -> TextTable:
    """Read delimited text, packed or not; in a .tsv the default separator is a tab."""
    separator = "\t" if _split_suffix(path)[0] == ".tsv" and source.separator == "," else source.separator
    packed = _split_suffix(path)[1] is not None
    if source.shape == "nem12":
        return read_nem12(path, source, packed)
    return read_csv_text(path, separator, source.encoding, source.max_bytes, packed, source.header_row)


READERS: dict[str, Callable[[Path, Source], TextTable]] = {
    **dict.fromkeys(TEXT_SUFFIXES, _read_delimited),
    ".parquet": read_parquet_file,
    ".xlsx": read_workbook,
}
"""Suffix of a file → what reads it. Messages, documentation and tests take the formats from here."""
LIBRARY_ERRORS = (
    pl.exceptions.PolarsError,
    duckdb.Error,
    fastexcel.FastExcelError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    # what the system refuses of a file that could be opened, a damaged file has asked for
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,
    ValueError,
)
"""What the libraries raise for a damaged file."""


class FileCells(NamedTuple):
    """The cells of a file: columns named by role, with `row` and `broken`, and those that are not mapped."""

    roles: pl.DataFrame
    others: pl.DataFrame


def read_file(path: Path, source: Source) -> pl.DataFrame:
    """Return one file as columns named by role; see `read_cells`."""
    return read_cells(path, source).roles


def read_cells(path: Path, source: Source) -> FileCells:
    """Return one file as columns named by role, `row` and `broken`, beside its other columns.

    `row` is an Int64, 1 for the first row below the header. Cells are text, but for typed days and numbers of
    Parquet; they are stripped, empty ones null; rows without any cell are left out but counted. `broken`
    (String) is null or says why the row's cells cannot be trusted; they are all null then. Numbers are as the
    settings say they are written: with decimal = "," typed cells of Parquet and XLSX get a comma too. Raises
    SourceError.
    """
    path = Path(path)
    with malformed_as_source_error(path, source):
        with system_errors_as_source_errors(path, source):
            table = _read_table(path, source)
        refuse_personal_columns(table.cells, source)
        long = to_long(add_made_columns(table, path, source), source)
        roles = to_roles(long, source)
        mapped = set(source.columns.values()) | columns_of_roles(source)
        others = long.cells.select(name for name in long.cells.columns if name not in mapped)
        if others.columns and roles.height < len(long.row):
            others = others.filter(long.row.is_in(roles["row"].implode()))
        if others.height != roles.height:  # cells of a wide row, some of which were left out
            others = pl.DataFrame()
        return FileCells(roles, others)


@contextlib.contextmanager
def malformed_as_source_error(path: Path, source: Source) -> Iterator[None]:
    """Raise a MalformedFile of the block as SourceError."""
    try:
        yield
    except MalformedFile as error:
        raise SourceError(
            source.name, str(path), error.problem, error.remedy, error.kept_problem, error.kept_remedy
        ) from None


def formats_in_words() -> str:
    """Return the suffixes that are read, as a message names them."""
    others = [suffix for suffix in READERS if suffix not in TEXT_SUFFIXES]
    return f"{', '.join(TEXT_SUFFIXES)}, one of these with {' or '.join(PACKINGS)}, {' or '.join(others)}"


def _split_suffix(path: Path) -> tuple[str, str | None]:
    """Return the suffix of what a file holds, and of its packing if it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = suffixes.pop() if suffixes and suffixes[-1] in PACKINGS else None
    return suffixes[-1] if suffixes else "", packing


def _read_table(path: Path, source: Source) -> TextTable:
    suffix, packing = _split_suffix(path)
    reader = READERS.get(suffix, _read_delimited if packing else None)
    if reader is None or (packing and reader is not _read_delimited):
        raise MalformedFile("is of a kind that is not read", f"give {formats_in_words()}")
    if source.shape == "nem12" and reader is not _read_delimited:
        raise MalformedFile("is no NEM12 file", f"give {', '.join(TEXT_SUFFIXES)}, or take `shape` out")
    return reader(path, source) if reader is _read_delimited else _read_with_library(path, source, suffix)


def _read_with_library(path: Path, source: Source, suffix: str) -> TextTable:
    open(path, "rb").close()  # a file that is not there or not ours to read is no damaged one
    try:
        return READERS[suffix](path, source)
    except MalformedFile:
        raise
    except BaseException as error:
        # a panic inside a library is no Exception; whatever else is unknown goes on
        if not isinstance(error, LIBRARY_ERRORS) and type(error).__name__ != "PanicException":
            raise
        kind = suffix[1:].upper()
        raise MalformedFile(
            f"cannot be read as {kind} ({first_line(error)})",
            "it is damaged or half-written, export it again",
            kept_problem=f"cannot be read as {kind}",  # libraries quote cells and paths
        ) from None
