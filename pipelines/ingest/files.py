"""Where exports lie and how they are encoded: files found, files read as text, nothing cleaned.

Every format ends as the same frame of text columns named by role, with the number of the row in its file, so that the
room of readings never knows what a file looked like. What cannot be read is one SourceError: what, where, what to do.
"""

import contextlib
import difflib
import functools
import glob
import gzip
import hashlib
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import fastexcel
import polars as pl

from anomaly.pii import find_personal_columns
from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.csv_text import MARK, Malformed, Table, parse, unique_header

TEXT = (".csv", ".txt", ".tsv")
MEASURED = frozenset({"time", "value", "exits", "periods"})
"""Roles whose cells are times and numbers by nature: eleven digits there are no phone."""
LONGEST_NUMBER = 10**15
"""Below it a number is none of 18 digits, and stays one."""
CELL_BYTES = 16
"""What a cell or a line takes at least once it is read, however little of the file it was."""
_CHUNK = 1 << 22
_UNREADABLE = (
    pl.exceptions.PolarsError,
    duckdb.Error,
    fastexcel.FastExcelError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
) + (
    OSError,  # what the system refuses of a file that could be opened, a damaged file has asked for
    EOFError,
    MemoryError,
    RuntimeError,
    ValueError,
)
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]+)(\d+)["']""")  # of a cell in a sheet
_NOT_TEXT = Malformed(
    "is not text", "export it as CSV in UTF-8 or GB18030, or name its format by the suffix .xlsx or .parquet"
)


def find_files(root: Path, source: Source) -> list[Path]:
    """The source's files by folder, stem and suffix, numbers by size: water, water-late, water-2, water-10 never mix up.

    Hidden files and the traces of half-done copies are passed over. Raises SourceError where nothing is left.
    """
    root = Path(root)
    literal = root / source.files
    paths = (
        [literal]
        if literal.is_file()
        else [root / name for name in glob.glob(source.files, root_dir=root, recursive=True)]
    )
    paths = [path for path in paths if path.is_file() and not _passing(path.name)]
    if not paths:
        inside = (
            f'write files = "{source.files.rstrip("/")}/*"'
            if literal.is_dir()
            else f"check `files` in [{source.name}] and that the export has run"
        )
        raise SourceError(source.name, source.files, "matches no file", inside)
    return sorted(
        paths, key=lambda path: _place(path.relative_to(root) if path.is_relative_to(root) else path)
    )


@contextlib.contextmanager
def opening(path: Path, source: Source) -> Iterator[None]:
    """What the system refuses while this file is looked at, as SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            source.name,
            str(path),
            f"cannot be opened ({error.strerror or error})",
            "check that it is there and readable",
        ) from None


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path, source: Source) -> pl.DataFrame:
    """One file as columns named by role, plus `row` (Int64, the first row below the header is 1) and `broken`.

    Cells are text, but for typed days and numbers of Parquet; they are stripped, empty ones null; rows without any cell are left out but counted. `broken` (String) is null or says
    why the row's cells cannot be trusted; they are all null then. Numbers are as the settings say they are written: with
    decimal = "," typed cells of Parquet and XLSX get a comma too. Raises SourceError.
    """
    path = Path(path)
    try:
        with opening(path, source):
            table = _table(path, source)
        _refuse_persons(table.cells, source)
        return _by_role(table, source)
    except Malformed as error:
        raise SourceError(source.name, str(path), error.what, error.remedy) from None


def _table(path: Path, source: Source) -> Table:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    suffix = (suffixes[:-1] if packed else suffixes)[-1:] or [""]
    if suffix[0] in TEXT or (packed and suffix[0] not in (".parquet", ".xlsx")):
        data = _utf8(
            _unpacked(path, source.max_bytes) if packed else _plain(path, source.max_bytes), source.encoding
        )
        if data.count(b"\n") * CELL_BYTES > source.max_bytes:
            raise _too_large(source.max_bytes)
        separator = "\t" if suffix[0] == ".tsv" and source.separator == "," else source.separator
        return parse(data, separator)
    if packed or suffix[0] not in (".parquet", ".xlsx"):
        raise Malformed(
            "is of a kind that is not read",
            f"give {', '.join(TEXT)}, one of these with .gz, .parquet or .xlsx",
        )
    open(path, "rb").close()  # raises what is to be said of a file that is not there or not ours
    try:
        return _parquet(path, source) if suffix[0] == ".parquet" else _xlsx(path, source)
    except Malformed:
        raise
    except BaseException as error:
        # a panic inside the readers is no Exception; whatever else is none of ours goes on
        if not isinstance(error, _UNREADABLE) and type(error).__name__ != "PanicException":
            raise
        cause = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise Malformed(
            f"cannot be read as {suffix[0][1:].upper()} ({cause})",
            "it is damaged or half-written, export it again",
        ) from None


def _plain(path: Path, most: int) -> bytes:
    if path.stat().st_size > most:
        raise _too_large(most)
    return path.read_bytes()


def _unpacked(path: Path, most: int) -> bytes:
    """A gzip file's content, given up as soon as it grows too large or turns out not to be text."""
    content = io.BytesIO()
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                if content.tell() + len(chunk) > most:
                    raise _too_large(most)
                content.write(chunk)
                if b"\0" in chunk and content.getbuffer()[:2] not in (b"\xff\xfe", b"\xfe\xff"):
                    raise _NOT_TEXT
    except EOFError:
        raise Malformed("is cut short", "copy or export it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise Malformed("is not a sound gzip file", "copy or export it again") from None
    return content.getvalue()


def _too_large(most: int) -> Malformed:
    return Malformed(
        f"holds more than {most / 2**20:,.0f} MB",
        "split the export, by month for instance, or raise [limits] file_mb",
    )


def _utf8(data: bytes, encoding: str) -> bytes:
    """Text in any encoding as UTF-8 without a mark, lines ended by newlines."""
    if encoding == "auto":
        data = _guessed(data)
    else:
        try:
            data = data.decode(encoding).encode()
        except (UnicodeError, LookupError):
            raise Malformed(
                f"is not written in {encoding}", 'set encoding = "auto" or the right one'
            ) from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data or MARK.encode() in data:
        raise _NOT_TEXT
    if not data.strip():
        raise Malformed("is empty", "export it again")
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _guessed(data: bytes) -> bytes:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        names = ("utf-16",)
    elif b"\0" in data:
        raise _NOT_TEXT
    elif data.isascii():
        return data
    else:
        names = ("utf-8", "gb18030")
    for name in names:
        try:
            text = data.decode(name)
        except UnicodeDecodeError as error:
            if error.start >= len(data) - 3:
                raise Malformed(
                    "ends in the middle of a character", "it is half-written, copy or export it again"
                ) from None
        else:
            return data if name == "utf-8" else text.encode()
    raise Malformed("is neither UTF-8 nor GB18030", 'set `encoding`, for instance encoding = "latin-1"')


def _parquet(path: Path, source: Source) -> Table:
    _check_parquet(path, source.max_bytes)
    frame = pl.read_parquet(path, glob=False).with_columns(pl.selectors.float().fill_nan(None))
    if (
        sum(text.str.len_bytes().sum() for text in frame.select(pl.selectors.string())) > source.max_bytes
    ):  # one long text may stand for many
        raise _too_large(source.max_bytes)
    schema = frame.schema
    for name, dtype in schema.items():
        if (
            dtype == pl.Binary
            and frame[name].bin.starts_with(b"\xff\xd8\xff").any()
            | frame[name].bin.starts_with(b"\x89PNG").any()
        ):
            raise _personal({name: "holds what looks like a picture"})
    kept = _typed(frame, source)
    cells = frame.select(
        frame[name]
        if name in kept
        else _as_text(frame[name], source.decimal if _is_number(name, source) else ".")
        for name in schema
    )
    return Table(
        cells,
        pl.int_range(1, len(cells) + 1, eager=True),
        pl.repeat(None, len(cells), dtype=pl.String, eager=True),
    )


def _typed(frame: pl.DataFrame, source: Source) -> set[str]:
    """Columns that stay as they are: days, and numbers too small to be anybody's identity number. The rest becomes text."""
    roles = {
        name: {role for role, column in source.columns.items() if column == name} for name in frame.columns
    }
    days = {name for name, kind in frame.schema.items() if roles[name] == {"time"} and kind == pl.Date}
    numbers = [
        name
        for name, kind in frame.schema.items()
        if roles[name] and roles[name] <= MEASURED - {"time"} and (kind.is_integer() or kind == pl.Float64)
    ]
    return days | {name for name in numbers if (frame[name].abs().max() or 0) < LONGEST_NUMBER}


def _check_parquet(path: Path, most: int) -> None:
    """Reads every page once through DuckDB, which reports a damaged one; Polars ends the whole process on some of them.

    A few kilobytes can stand for billions of equal cells, so these are counted first.
    """
    exactly = [re.sub(r"[*?\[]", r"[\g<0>]", str(path))]  # not as a glob
    with _database().cursor() as connection:
        cells = connection.execute("select sum(num_values) from parquet_metadata(?)", exactly).fetchone()[0]
        if (cells or 0) * CELL_BYTES > most:
            raise _too_large(most)
        connection.execute("select bit_xor(hash(columns(*))) from read_parquet(?)", exactly).fetchall()


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for all files, which keeps nothing of them: to open one takes as long as to look through a small file."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_file_cache": False,
        }
    )


def _as_text(cells: pl.Series, decimal: str) -> pl.Series:
    """A typed column as text: ISO dates and times, numbers without a needless .0, NaN as null, nested cells as JSON."""
    kind, name = cells.dtype, cells.name
    if kind == pl.Datetime:
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


def _xlsx(path: Path, source: Source) -> Table:
    """The first sheet, every cell as text; a column of midnights is a column of dates."""
    _check_workbook(path, source.max_bytes)
    sheet = (
        fastexcel.read_excel(path)
        .load_sheet(0, header_row=None, dtypes="string", whitespace_as_null=True)
        .to_polars()
    )
    if sheet.is_empty():
        raise Malformed("is empty", "export it again")
    header = unique_header(list(sheet.row(0)))
    cells = sheet.slice(1)[:, : len(header)]
    cells.columns = header
    cells = cells.with_columns(_without_midnight(cells[name]) for name in header)
    if source.decimal != ".":
        numbers = [name for name in header if _is_number(name, source)]
        cells = cells.with_columns(
            pl.when(pl.col(numbers).str.contains(source.decimal, literal=True))
            .then(pl.col(numbers))
            .otherwise(pl.col(numbers).str.replace(".", source.decimal, literal=True))
        )
    return Table(
        cells,
        pl.int_range(1, len(cells) + 1, eager=True),
        pl.repeat(None, len(cells), dtype=pl.String, eager=True),
    )


def _check_workbook(path: Path, most: int) -> None:
    """Unpacks once without keeping: the sizes a bomb declares are not to be believed.

    A sheet is read as the whole rectangle up to its last cell: one stray cell in the far corner makes it endless.
    """
    with zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.namelist():
            with archive.open(member) as file:
                columns, last_row, before = {b""}, 0, b""
                while chunk := file.read(_CHUNK):
                    total += len(chunk)
                    places = _PLACE.findall(before + chunk)
                    before = chunk[-64:]  # a place may lie across two chunks
                    columns.update(column for column, _ in places)
                    last_row = max([last_row, *(int(row) for _, row in places)])
                    if total > most:
                        raise _too_large(most)
                    if (width := _width(columns)) * last_row * CELL_BYTES > most:
                        raise Malformed(
                            f"reaches to row {last_row:,} of column {width:,}",
                            "delete what lies beyond the table, or export it as CSV",
                        )


def _width(columns: set[bytes]) -> int:
    """The place of the last of these columns, A being 1 and AA 27."""
    return max(
        functools.reduce(lambda place, letter: 26 * place + letter - 64, column.upper(), 0)
        for column in columns
    )


def _without_midnight(cells: pl.Series) -> pl.Series:
    """Sheets know no bare dates, only midnights: where all times of a column are midnight, they are dates."""
    dates = cells.str.strip_suffix(" 00:00:00")
    return cells if dates.str.contains(r"^\d{4}-\d\d-\d\d \d\d:\d\d").any() else dates


def _is_number(column: str, source: Source) -> bool:
    return any(source.columns.get(role) == column for role in ("value", "exits", "periods"))


def _refuse_persons(cells: pl.DataFrame, source: Source) -> None:
    measured = {column for role, column in source.columns.items() if role in MEASURED}
    text = cells.select(
        cells[name] if kind == pl.String else pl.lit(None, pl.String).alias(name)
        for name, kind in cells.schema.items()
    )
    found = find_personal_columns(
        text, trusted=measured
    )  # typed columns have been looked at: their header is left
    if found:
        raise _personal(found)


def _personal(found: Mapping[str, str]) -> Malformed:
    columns = "; ".join(f"column {column!r} {reason}" for column, reason in found.items())
    return Malformed(
        f"describes persons ({columns})",
        "leave these columns out of the export" if len(found) > 1 else "leave this column out of the export",
    )


def _by_role(table: Table, source: Source) -> pl.DataFrame:
    header = table.cells.columns
    absent = {role: column for role, column in source.columns.items() if column not in header}
    missing = [column for role, column in absent.items() if role not in source.optional]
    if missing:
        raise _missing(missing, header, source)
    blank = pl.lit(None, dtype=pl.String)
    full = table.cells.with_columns(pl.col(pl.String).str.strip_chars())
    full = full.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)))
    roles = [
        (blank if role in absent else pl.col(column)).alias(role) for role, column in source.columns.items()
    ]
    any_cell = pl.any_horizontal(pl.all().is_not_null()).alias("any cell")
    frame = full.select(*roles, any_cell).with_columns(table.row.alias("row"), table.broken.alias("broken"))
    kept = frame.select(pl.col("any cell") | pl.col("broken").is_not_null()).to_series()
    return (frame if kept.all() else frame.filter(kept)).drop("any cell")


def _missing(missing: list[str], header: list[str], source: Source) -> Malformed:
    guesses = [guess for column in missing for guess in difflib.get_close_matches(column, header, n=1)]
    names = ", ".join(map(repr, missing))
    if len(header) == 1 and re.search(r"[;\t|,]", header[0]):
        remedy = f"the whole header is one column, {header[0][:60]!r}: set `separator` in [{source.name}]"
    elif guesses:
        remedy = f"did you mean {', '.join(map(repr, guesses))}? Set `columns` in [{source.name}]"
    else:
        remedy = f"it has {', '.join(map(repr, header[:12]))}; set `columns` in [{source.name}]"
    return Malformed(f"has no column {names}", remedy)


def _passing(name: str) -> bool:
    """Hidden files, office locks and half-done copies."""
    return name.startswith((".", "~$")) or name.lower().endswith(
        (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
    )


def _place(path: Path) -> tuple:
    stem, dot, suffix = path.name.partition(".")
    return (*(_natural(part) for part in (path.parent.as_posix(), stem, dot + suffix)), path.as_posix())


def _natural(text: str) -> list[tuple[int, str]]:
    """water-2 before water-10: digits compare as numbers, the rest as text."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
