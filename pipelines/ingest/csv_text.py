"""Delimited text (CSV and its kin) to text cells, a row at a time so that one bad row never harms another.

Polars' own reader fills short rows with nulls, stops at long ones and lets an unclosed quote swallow the rest of the
file; here every line is first put into one form, its cells are counted, and only then is it split.
"""

import re
from dataclasses import dataclass

import polars as pl

LINE_BYTES = 1 << 20
"""No line of an export is longer; a longer one is a file without line ends, or something else than text."""
CELL_LINES = 50
"""How many lines a quoted cell may span before its quote counts as never closed."""
UNCLOSED_ROWS = 1_000
"""With more unclosed quotes than this the file's quoting is not what the settings say."""

WRONG_COUNT = "wrong number of cells"
UNCLOSED = "quote not closed"
MARK = "\x1f"
"""Stands between cells while a file is taken apart: ASCII's own unit separator, refused in the input."""


class Malformed(Exception):
    """A file that cannot be read as what it claims to be: `what` is wrong and the `remedy`."""

    def __init__(self, what: str, remedy: str):
        super().__init__(what)
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Table:
    """A file's cells as text. `cells`: a column per header; `row`: Int64, 1 is the row below the header; `broken`: reason or null."""

    cells: pl.DataFrame
    row: pl.Series
    broken: pl.Series


def parse(text: bytes, separator: str) -> Table:
    """UTF-8 `text` to a table; blank rows are left out but counted, broken rows stay, their cells null.

    Raises Malformed for text without a header, with a header that names a column twice, or with lines too long.
    """
    if table := _plain(text, separator):
        return table
    lines = pl.read_lines(text)["line"]
    if (lines.str.len_bytes().max() or 0) > LINE_BYTES:
        raise Malformed(
            f"has a line of more than {LINE_BYTES >> 20} MB", "check that it is a table with one row a line"
        )
    quoted = b'"' in text
    records = _joined(lines, separator) if quoted else pl.DataFrame({"line": lines, "unclosed": False})
    records = records.with_row_index("row").filter(pl.col("line").str.strip_chars(" \t" + separator) != "")
    if records.is_empty():
        raise Malformed("is empty", "export it again")
    records = records.with_columns(
        line=_marked(separator) if quoted else pl.col("line").str.replace_all(separator, MARK, literal=True)
    )
    header = unique_header(records["line"][0].split(MARK))
    first = records["row"][0]
    return _split(records.slice(1).with_columns(pl.col("row").cast(pl.Int64) - first), header)


def _plain(text: bytes, separator: str) -> Table | None:
    """What `parse` gives of a text without quotes whose rows all have as many cells as its header, five times as fast; None for any other.

    Too long a row Polars tells, and with as many separators as all rows ask for there is then none too short.
    """
    first = text[: text.find(b"\n") + 1].decode().rstrip("\r\n").split(separator)
    text = text if text.endswith(b"\n") else text + b"\n"  # or a cell too many in the last row is not told
    rows = text.count(b"\n") - 1
    odd = b'"' in text or text.count(b"\r") != text.count(b"\r\n") or not all(name.strip() for name in first)
    if (
        odd
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
    if (
        cells.height != rows
        or sum(cells.select(pl.all().str.len_bytes().max().fill_null(0)).row(0)) + len(first) > LINE_BYTES
        or cells.select(blank.any()).item()
    ):
        return None
    cells.columns = header
    return Table(
        cells, pl.int_range(1, rows + 1, eager=True), pl.repeat(None, rows, dtype=pl.String, eager=True)
    )


def unique_header(names: list[str | None]) -> list[str]:
    """Header names stripped, nameless columns at the end dropped, others called by their place. Raises Malformed for a name given twice."""
    names = [(name or "").strip().replace('""', '"') for name in names]
    while names and not names[-1]:
        names.pop()
    named = [name for name in names if name]
    for name in named:
        if named.count(name) > 1:
            raise Malformed(f"has two columns named {name!r}", "name every column once")
    return [name or f"(column {place})" for place, name in enumerate(names, start=1)]


def _split(records: pl.DataFrame, header: list[str]) -> Table:
    width = len(header)
    count = pl.col("line").str.count_matches(MARK, literal=True) + 1
    trimmed = pl.col("line").str.strip_chars_end(" \t" + MARK)  # empty cells beyond the header do no harm
    records = records.with_columns(
        line=pl.when(count > width).then(trimmed).otherwise("line"), short=count < width
    )
    broken = (
        pl.when("unclosed")
        .then(pl.lit(UNCLOSED))
        .when(pl.col("short") | (count > width))
        .then(pl.lit(WRONG_COUNT))
        .otherwise(None)
        .alias("broken")
    )
    records = records.with_columns(broken)
    fields = (
        pl.when(pl.col("broken").is_null())
        .then("line")
        .str.split_exact(MARK, width - 1)
        .struct.rename_fields(header)
    )
    cells = records.select(fields.alias("cells")).unnest("cells")
    if records["line"].str.contains('""', literal=True).any():
        cells = cells.with_columns(pl.all().str.replace_all('""', '"', literal=True))
    return Table(cells, records["row"], records["broken"])


def _marked(separator: str) -> pl.Expr:
    """A record's cells unquoted and parted by MARK; a doubled quote stays doubled."""
    return (
        (separator + pl.col("line"))
        .str.replace_all(_cell(separator), MARK + "${1}${2}")
        .str.strip_prefix(MARK)
    )


def _cell(separator: str) -> str:
    """A separator and the cell behind it: quoted (group 1) or bare (group 2)."""
    apart = re.escape(separator)
    return rf'{apart}(?: *"((?:[^"]|"")*)" *|( *[^"{apart} ][^{apart}]*)?)'


def _joined(lines: pl.Series, separator: str) -> pl.DataFrame:
    """Lines to records: columns line, unclosed. A quoted cell may span lines; a quote that never closes harms its own row only."""
    apart = re.escape(separator)
    whole = rf'(?: *"(?:[^"]|"")*"[^"{apart}]*| *[^"{apart} ][^{apart}]*| *)'
    opened = rf'^(?:{whole}{apart})* *"(?:[^"]|"")*$'
    starts = lines.str.contains(opened).arg_true().to_list()
    if not starts:
        return pl.DataFrame({"line": lines, "unclosed": False})
    strict = rf'(?: *"(?:[^"]|"")*" *| *[^"{apart} ][^{apart}]*| *)'
    sound, cell = re.compile(f"{strict}(?:{apart}{strict})*"), re.compile(_cell(separator))

    def width(record: str) -> int:
        return len(cell.findall(separator + record))

    header = (lines.str.strip_chars() != "").arg_max()
    header_width = None if header == starts[0] else width(lines[header])
    records, inside, unclosed = {}, set(), []
    for start in starts:
        if start in inside:
            continue
        record, end = _until_closed(lines, start, sound)
        if record is not None and header_width in (None, width(record)):
            header_width = width(record)
            records[start] = record
            inside.update(range(start + 1, end + 1))
        else:
            unclosed.append(start)
            if len(unclosed) > UNCLOSED_ROWS:
                raise Malformed(
                    "has quotes that never close in more than a thousand rows",
                    "check `separator` and how the export quotes",
                )
    place = pl.int_range(len(lines), eager=True)
    lines = lines.clone().scatter(list(records), list(records.values()))
    frame = pl.DataFrame({"line": lines, "unclosed": place.is_in(unclosed)})
    return frame.filter(~place.is_in(sorted(inside)))


def _until_closed(lines: pl.Series, start: int, sound: re.Pattern) -> tuple[str | None, int]:
    """The record that begins at line `start` and its last line; None where no line within reach closes it."""
    record = lines[start]
    for end, line in enumerate(lines[start + 1 : start + CELL_LINES], start=start + 1):
        record += "\n" + line
        if '"' in line and sound.fullmatch(record):
            return record, end
    return None, start
