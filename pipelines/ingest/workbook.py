"""Read the first sheet of an XLSX workbook as text."""

import functools
import re
import zipfile
from pathlib import Path

import fastexcel
import polars as pl

from pipelines.config.sections import Source
from pipelines.ingest.file_text import CHUNK_BYTES
from pipelines.ingest.roles import holds_numbers
from pipelines.ingest.text_table import (
    CELL_BYTES,
    MalformedFile,
    TextTable,
    empty_file,
    too_large,
    unique_header,
)

_CELL_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]+)(\d+)["']""")
"""The place of a cell in a sheet's XML, such as r="AB12": letters of the column, number of the row."""


def read_workbook(path: Path, source: Source) -> TextTable:
    """Return every cell of the first sheet as text.

    Where all times of a column are midnights they become dates. Numbers get the decimal sign of the
    settings. Raises MalformedFile, and what fastexcel and zipfile raise.
    """
    _check_size(path, source.max_bytes)
    workbook = fastexcel.read_excel(path)
    sheet = workbook.load_sheet(
        0,
        header_row=None,
        skip_rows=0 if source.header_row > 1 else None,  # None: blank ones
        dtypes="string",
        whitespace_as_null=True,
    ).to_polars()[source.header_row - 1 :]
    if sheet.is_empty():
        raise empty_file()
    header = unique_header(list(sheet.row(0)))
    cells = sheet.slice(1)[:, : len(header)]
    cells.columns = header
    cells = cells.with_columns(_midnights_to_dates(cells[name]) for name in header)
    if source.decimal != ".":
        numbers = pl.col([name for name in header if holds_numbers(name, source)])
        has_sign = numbers.str.contains(source.decimal, literal=True)
        with_sign = numbers.str.replace(".", source.decimal, literal=True)
        cells = cells.with_columns(pl.when(has_sign).then(numbers).otherwise(with_sign))
    return TextTable.of_whole_rows(cells)


def _check_size(path: Path, max_bytes: int) -> None:
    """Unpack everything once without keeping it: the sizes that a bomb declares are not to be believed.

    A sheet is read as the whole rectangle up to its last cell, so one stray cell in the far corner makes it
    endless.
    """
    with zipfile.ZipFile(path) as archive:
        unpacked = 0
        for member in archive.namelist():
            with archive.open(member) as file:
                columns, last_row, before = {b""}, 0, b""
                while chunk := file.read(CHUNK_BYTES):
                    unpacked += len(chunk)
                    places = _CELL_PLACE.findall(before + chunk)
                    before = chunk[-64:]  # a place may lie across two chunks
                    columns.update(column for column, _ in places)
                    last_row = max([last_row, *(int(row) for _, row in places)])
                    if unpacked > max_bytes:
                        raise too_large(max_bytes)
                    width = max(map(_column_number, columns))
                    if width * last_row * CELL_BYTES > max_bytes:
                        raise MalformedFile(
                            f"reaches to row {last_row:,} of column {width:,}",
                            "delete what lies beyond the table, or export it as CSV",
                        )


def _column_number(letters: bytes) -> int:
    """Return the number of a column: A is 1, AA is 27."""
    return functools.reduce(lambda number, letter: 26 * number + letter - 64, letters.upper(), 0)


def _midnights_to_dates(cells: pl.Series) -> pl.Series:
    """Return a column of midnights as dates: sheets know no bare dates. Other columns stay."""
    dates = cells.str.strip_suffix(" 00:00:00")
    return cells if dates.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d").any() else dates
