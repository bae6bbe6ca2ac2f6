"""Read a file of any format as text by role: CSV and its kin, also packed, XLSX and Parquet.

Nothing is cleaned here. What cannot be read is one SourceError: what, where, what to do.
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import fastexcel
import polars as pl

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.csv_text import read_csv_text
from pipelines.ingest.files import system_errors_as_source_errors
from pipelines.ingest.parquet_file import read_parquet_file
from pipelines.ingest.roles import refuse_personal_columns, to_roles
from pipelines.ingest.text_table import MalformedFile, TextTable, first_line
from pipelines.ingest.workbook import read_workbook

TEXT_SUFFIXES = (".csv", ".txt", ".tsv")
LIBRARY_READERS: dict[str, Callable[[Path, Source], TextTable]] = {
    ".parquet": read_parquet_file,
    ".xlsx": read_workbook,
}
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


def read_file(path: Path, source: Source) -> pl.DataFrame:
    """Return one file as columns named by role, `row` and `broken`.

    `row` is an Int64, 1 for the first row below the header. Cells are text, but for typed days and numbers of
    Parquet; they are stripped, empty ones null; rows without any cell are left out but counted. `broken`
    (String) is null or says why the row's cells cannot be trusted; they are all null then. Numbers are as the
    settings say they are written: with decimal = "," typed cells of Parquet and XLSX get a comma too. Raises
    SourceError.
    """
    path = Path(path)
    try:
        with system_errors_as_source_errors(path, source):
            table = _read_table(path, source)
        refuse_personal_columns(table.cells, source)
        return to_roles(table, source)
    except MalformedFile as error:
        raise SourceError(
            source.name, str(path), error.problem, error.remedy, error.kept_problem, error.kept_remedy
        ) from None


def _read_table(path: Path, source: Source) -> TextTable:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    if packed:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in TEXT_SUFFIXES or (packed and suffix not in LIBRARY_READERS):
        separator = "\t" if suffix == ".tsv" and source.separator == "," else source.separator
        return read_csv_text(path, separator, source.encoding, source.max_bytes, packed)
    if packed or suffix not in LIBRARY_READERS:
        raise MalformedFile(
            "is of a kind that is not read",
            f"give {', '.join(TEXT_SUFFIXES)}, one of these with .gz, .parquet or .xlsx",
        )
    return _read_with_library(path, source, suffix)


def _read_with_library(path: Path, source: Source, suffix: str) -> TextTable:
    open(path, "rb").close()  # a file that is not there or not ours to read is no damaged one
    try:
        return LIBRARY_READERS[suffix](path, source)
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
