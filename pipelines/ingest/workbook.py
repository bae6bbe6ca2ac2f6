"""Read a sheet of an XLSX workbook as text, or all that go on from the first."""

import functools
import re
import zipfile
from pathlib import Path

import fastexcel
import polars as pl

from pipelines.config.sections import Source
from pipelines.ingest.file_text import CHUNK_BYTES
from pipelines.ingest.roles import columns_of_roles, holds_numbers
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
    """Return every cell of the sheet that the source names as text; of "*" all with the first one's columns.

    Rows of further sheets go on counting. Where all times of a column are midnights they become dates.
    Numbers get the decimal sign of the settings. Raises MalformedFile, also where no sheet is named and
    further ones have the columns too, and what fastexcel and zipfile raise.
    """
    _check_size(path, source.max_bytes)
    workbook = fastexcel.read_excel(path)
    tables = [_read_sheet(workbook, name, source) for name in _sheets_to_read(workbook, source)]
    if all(table is None for table in tables):
        raise empty_file()
    cells = pl.concat([table for table in tables if table is not None])
    header = cells.columns
    cells = cells.with_columns(_midnights_to_dates(cells[name]) for name in header)
    if source.decimal != ".":
        numbers = pl.col([name for name in header if holds_numbers(name, source)])
        has_sign = numbers.str.contains(source.decimal, literal=True)
        with_sign = numbers.str.replace(".", source.decimal, literal=True)
        cells = cells.with_columns(pl.when(has_sign).then(numbers).otherwise(with_sign))
    return TextTable.of_whole_rows(cells)


def _sheets_to_read(workbook: fastexcel.ExcelReader, source: Source) -> list[str]:
    """Return the names of the sheets that the source means."""
    names = workbook.sheet_names
    section = f"[signals.{source.name}]" if source.name != "households" else "[households]"
    if source.sheet and source.sheet != "*":
        if source.sheet not in names:
            raise MalformedFile(
                f"has no sheet {source.sheet!r}",
                f"it has {', '.join(map(repr, names))}; set `sheet` in {section}",
                kept_remedy=f"set `sheet` in {section}",
            )
        return [source.sheet]
    if len(names) == 1:
        return names
    headers = {name: _header_of(workbook, name, source) for name in names}
    needed = columns_of_roles(source) - {
        source.columns[role] for role in source.optional & set(source.columns)
    }
    with_data = [name for name in names if needed <= set(headers[name])]
    if not with_data:
        return names[:1]
    first = with_data[0]
    like_first = [name for name in with_data if headers[name] == headers[first]]
    if source.sheet == "*":
        return like_first
    if len(with_data) == 1 and first == names[0]:
        return [first]
    if len(with_data) == 1:
        raise MalformedFile(
            "has its columns in a sheet that is not the first",
            f'set sheet = "{first}" in {section}',
            kept_remedy=f"set `sheet` in {section}",
        )
    raise MalformedFile(
        f"has {len(with_data)} sheets with these columns ({', '.join(map(repr, with_data))})",
        f'set sheet = "*" in {section} to read all of them, or the name of one',
        kept_problem=f"has {len(with_data)} sheets with these columns",
    )


def _header_of(workbook: fastexcel.ExcelReader, name: str, source: Source) -> list[str]:
    """Return the stripped names of a sheet's columns."""
    rows = _load_sheet(workbook, name, source, n_rows=source.header_row)
    return [] if rows.is_empty() else [(cell or "").strip() for cell in rows.row(0)]


def _load_sheet(
    workbook: fastexcel.ExcelReader, name: str, source: Source, n_rows: int | None = None
) -> pl.DataFrame:
    """Return the rows of a sheet as text from the header on; n_rows: of the sheet, None: all."""
    sheet = workbook.load_sheet(
        name,
        header_row=None,
        n_rows=n_rows,
        skip_rows=0 if source.header_row > 1 else None,  # None: blank ones
        dtypes="string",
        whitespace_as_null=True,
    )
    return sheet.to_polars()[source.header_row - 1 :]


def _read_sheet(workbook: fastexcel.ExcelReader, name: str, source: Source) -> pl.DataFrame | None:
    """Return the cells of a sheet as text, None where it is empty."""
    sheet = _load_sheet(workbook, name, source)
    if sheet.is_empty():
        return None
    header = unique_header(list(sheet.row(0)))
    cells = sheet.slice(1)[:, : len(header)]
    cells.columns = header
    return cells


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
