"""Split delimited text (CSV and its kin) into cells, row by row, so that one bad row never harms another.

Polars' own reader fills short rows with nulls, stops at long ones and lets an unclosed quote swallow the rest
of the file. So it is used only for text without quotes whose rows are all as long as the header; in any other
text each line is first put into one form, with one mark between its cells, its cells are counted, and only
then is it split.
"""

import re
from pathlib import Path

import polars as pl

from pipelines.ingest.file_text import read_text
from pipelines.ingest.text_table import (
    CELL_BYTES,
    MalformedFile,
    TextTable,
    empty_file,
    not_text,
    too_large,
    unique_header,
)

MAX_LINE_BYTES = 1 << 20
"""No line of an export, and no row of several lines, is longer; a longer one is a file without line ends, or
something else than text."""
MAX_CELL_LINES = 50
"""How many lines a quoted cell may span before its quote counts as never closed."""
MAX_UNCLOSED_QUOTES = 1_000
"""With more unclosed quotes than this the file's quoting is not what the settings say."""
WRONG_COUNT = "wrong number of cells"
UNCLOSED = "quote not closed"
CELL_MARK = "\x1f"
"""Stands between cells while a file is taken apart: ASCII's own unit separator, refused in the input."""


def read_csv_text(
    path: Path, separator: str, encoding: str, max_bytes: int, packed: bool = False, header_row: int = 1
) -> TextTable:
    """Read a file of delimited text: see `read_text` for parameters, `parse_delimited` for the table.

    header_row: the line that names the columns, counted from 1; those before it are passed over.
    """
    text = pass_over_lines(read_text(path, encoding, max_bytes, packed), header_row - 1)
    if CELL_MARK.encode() in text:
        raise not_text()
    if text.count(b"\n") * CELL_BYTES > max_bytes:
        raise too_large(max_bytes)
    header = text[: text.find(b"\n") + 1]
    is_joined = bool(header.strip()) and text.find(b"\n" + header) >= 0
    table = parse_delimited(text, separator)
    return _without_further_headers(table) if is_joined else table


def _without_further_headers(table: TextTable) -> TextTable:
    """Return a table without the rows that are its header again, as in files joined one behind another."""
    names = table.cells.columns
    is_header = pl.all_horizontal(pl.col(name).str.strip_chars() == name for name in names)
    keep = table.cells.select(~is_header.fill_null(False)).to_series()
    return TextTable(table.cells.filter(keep), table.row.filter(keep), table.broken.filter(keep))


def pass_over_lines(text: bytes, lines: int) -> bytes:
    """Return a text without its first lines; raises MalformedFile where nothing else is there."""
    start = 0
    for _ in range(lines):
        start = text.find(b"\n", start) + 1
        if not start:
            raise empty_file()
    return text[start:] if start else text


def parse_delimited(text: bytes, separator: str) -> TextTable:
    """Split UTF-8 text into a table; blank rows are left out but counted, broken rows stay with null cells.

    Raises MalformedFile for text without a header, with a header that names a column twice, or with lines too
    long.
    """
    if table := _split_at_once(text, separator):
        return table
    lines = pl.read_lines(text)["line"]
    if (lines.str.len_bytes().max() or 0) > MAX_LINE_BYTES:
        raise MalformedFile(
            f"has a line of more than {MAX_LINE_BYTES >> 20} MB",
            "check that it is a table with one row a line",
        )
    quoted = b'"' in text
    records = _join_lines(lines, separator) if quoted else pl.DataFrame({"line": lines, "unclosed": False})
    records = records.with_row_index("row").filter(pl.col("line").str.strip_chars(" \t" + separator) != "")
    if records.is_empty():
        raise empty_file()
    bare = pl.col("line").str.replace_all(separator, CELL_MARK, literal=True)
    records = records.with_columns(line=_mark_cells(separator) if quoted else bare)
    names = records["line"][0].split(CELL_MARK)
    if not any(name.strip() for name in names):
        raise empty_file()
    header = unique_header(names)
    first = records["row"][0]
    return _split_marked(records.slice(1).with_columns(pl.col("row").cast(pl.Int64) - first), header)


def _split_at_once(text: bytes, separator: str) -> TextTable | None:
    """Split text without quotes whose rows are all as long as the header, five times as fast; else None.

    Polars refuses a row with too many cells; where the separators are as many as all rows ask for together,
    there is then none with too few either.
    """
    first_line = text[: text.find(b"\n") + 1]
    first = first_line[: MAX_LINE_BYTES + 1].decode(errors="replace").rstrip("\r\n").split(separator)
    text = text if text.endswith(b"\n") else text + b"\n"  # or a cell too many in the last row is not refused
    rows = text.count(b"\n") - 1
    if (
        b'"' in text
        or len(first_line) > MAX_LINE_BYTES
        or text.count(b"\r") != text.count(b"\r\n")
        or not all(name.strip() for name in first)
        or not separator.isascii()
        or len(first) < 2
        or text.count(separator.encode()) != (rows + 1) * (len(first) - 1)
    ):
        return None
    header = unique_header(first)
    try:
        cells = pl.read_csv(
            text, separator=separator, infer_schema=False, quote_char=None, empty_string_is_null=False
        )
    except pl.exceptions.ComputeError:
        return None
    blank = pl.all_horizontal(pl.all().str.strip_chars(" \t" + separator) == "")
    longest = sum(cells.select(pl.all().str.len_bytes().max().fill_null(0)).row(0)) + len(first)
    if cells.height != rows or longest > MAX_LINE_BYTES or cells.select(blank.any()).item():
        return None
    cells.columns = header
    return TextTable.of_whole_rows(cells)


def _split_marked(records: pl.DataFrame, header: list[str]) -> TextTable:
    """Split records (line with CELL_MARK between cells, row, unclosed) at the marks."""
    width = len(header)
    count = pl.col("line").str.count_matches(CELL_MARK, literal=True) + 1
    trimmed = pl.col("line").str.strip_chars_end(
        " \t" + CELL_MARK
    )  # empty cells beyond the header do no harm
    records = records.with_columns(
        line=pl.when(count > width).then(trimmed).otherwise("line"), short=count < width
    )
    wrong_count = pl.when(pl.col("short") | (count > width)).then(pl.lit(WRONG_COUNT))
    records = records.with_columns(broken=pl.when("unclosed").then(pl.lit(UNCLOSED)).otherwise(wrong_count))
    sound = pl.when(pl.col("broken").is_null()).then("line")
    fields = sound.str.split_exact(CELL_MARK, width - 1).struct.rename_fields(header)
    cells = records.select(fields.alias("cells")).unnest("cells")
    if records["line"].str.contains('""', literal=True).any():
        cells = cells.with_columns(pl.all().str.replace_all('""', '"', literal=True))
    return TextTable(cells, records["row"], records["broken"])


def _mark_cells(separator: str) -> pl.Expr:
    """Return the record's cells unquoted, with CELL_MARK between them; a doubled quote stays doubled."""
    line = separator + pl.col("line")
    return line.str.replace_all(_cell_pattern(separator), CELL_MARK + "${1}${2}").str.strip_prefix(CELL_MARK)


def _cell_pattern(separator: str) -> str:
    """Return the pattern of a separator and the cell behind it: quoted (group 1) or bare (group 2)."""
    sep = re.escape(separator)
    return rf'{sep}(?: *"((?:[^"]|"")*)" *|( *[^"{sep} ][^{sep}]*)?)'


def _join_lines(lines: pl.Series, separator: str) -> pl.DataFrame:
    """Join the lines that a quoted cell spans, as columns line and unclosed (its quote never closes)."""
    sep = re.escape(separator)
    whole = rf'(?: *"(?:[^"]|"")*"[^"{sep}]*| *[^"{sep} ][^{sep}]*| *)'
    opened = rf'^(?:{whole}{sep})* *"(?:[^"]|"")*$'
    starts = lines.str.contains(opened).arg_true().to_list()
    if not starts:
        return pl.DataFrame({"line": lines, "unclosed": False})
    quotes, cell = _QuotedRecord(separator), re.compile(_cell_pattern(separator))

    def width(record: str) -> int:
        return len(cell.findall(separator + record))

    header = (lines.str.strip_chars() != "").arg_max()
    header_width = None if header == starts[0] else width(lines[header])
    records: dict[int, str] = {}
    inside: set[int] = set()
    unclosed: list[int] = []
    for start in starts:
        if start in inside:
            continue
        record, end = _join_until_closed(lines, start, quotes)
        if record is not None and header_width in (None, width(record)):
            header_width = width(record)
            records[start] = record
            inside.update(range(start + 1, end + 1))
        else:
            unclosed.append(start)
            if len(unclosed) > MAX_UNCLOSED_QUOTES:
                raise MalformedFile(
                    "has quotes that never close in more than a thousand rows",
                    "check `separator` and how the export quotes",
                )
    place = pl.int_range(len(lines), eager=True)
    lines = lines.clone().scatter(list(records), list(records.values()))
    frame = pl.DataFrame({"line": lines, "unclosed": place.is_in(unclosed)})
    return frame.filter(~place.is_in(sorted(inside)))


class _QuotedRecord:
    """Patterns that follow a record over the lines that its quoted cells span, each line looked at once."""

    def __init__(self, separator: str) -> None:
        sep = re.escape(separator)
        quoted = r'"[^"]*(?:""[^"]*)*'
        bare = rf'[^"{sep} ][^{sep}]*'
        cell = rf'(?: *(?:{quoted}" *|{bare})?)'
        self._opened = re.compile(rf"(?:{cell}{sep})* *{quoted}")
        self._closes = re.compile(rf'[^"]*(?:""[^"]*)*" *(?={sep}|\Z)')
        self._whole = re.compile(rf"(?:{sep}{cell})*")
        self._opens_again = re.compile(rf"(?:{sep}{cell})*{sep} *{quoted}")

    def begins(self, line: str) -> bool:
        """Return whether a record's first line is sound, and ends within a quoted cell."""
        return self._opened.fullmatch(line) is not None

    def goes_on(self, line: str) -> bool | None:
        """Return whether a line that begins within a quoted cell ends within one; None where it is broken."""
        closing = self._closes.match(line)
        if closing is None:
            return None if _ODD_QUOTE.search(line) else True
        if self._whole.fullmatch(line, closing.end()):
            return False
        return True if self._opens_again.fullmatch(line, closing.end()) else None


_ODD_QUOTE = re.compile(r'(?<!")"(?:"")*(?!")')
"""A quote that is not doubled."""


def _join_until_closed(lines: pl.Series, start: int, quotes: _QuotedRecord) -> tuple[str | None, int]:
    """Return the record that begins at a line, and its last line; None where nothing in reach closes it."""
    if not quotes.begins(lines[start]):
        return None, start
    record, length = [lines[start]], len(lines[start])
    for end, line in enumerate(lines[start + 1 : start + MAX_CELL_LINES], start=start + 1):
        record.append(line)
        length += len(line) + 1
        inside = quotes.goes_on(line)
        if inside is False and length <= MAX_LINE_BYTES:
            return "\n".join(record), end
        if inside is None or length > MAX_LINE_BYTES:
            break
    return None, start
