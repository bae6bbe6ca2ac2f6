"""Broken export files by number: the same number is the same file, in any of the formats that are read.

    python -m tests.support.broken_exports FOLDER FIRST COUNT

loads each of them beside a sound signal, one in WHOLE_NIGHT_EVERY through the whole command, and writes a
JSON line for each. It is run as a process of its own: what ends or swells it is then a failed test and not
the end of all tests.
"""

import contextlib
import csv
import datetime as dt
import faulthandler
import gzip
import io
import json
import random
import re
import resource
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import xlsxwriter

from pipelines.config.settings import load_settings
from pipelines.ingest.loader import load
from pipelines.storage.state import Store
from tests.support.site import SIGNALS, Site, daily, rows

HOMES, DAYS = 4, 30
WHOLE_NIGHT_EVERY = 25
MAX_SECONDS = 60
"""After so long a file is given up, with a traceback of where it hangs."""
MAX_BYTES = 6 << 30
"""Address space; threads and compiled code take one or two GB of it."""
TODAY = dt.date(2026, 6, 1)
HEADER = ["id", "day", "entries", "out"]
Cells = list[list[Any]]
"""A table as rows of cells, its header first; changed in place."""

FORMULAS = [
    "=cmd|'/C calc'!A0",
    "@SUM(1+1)",
    "+1+cmd",
    "-2+3",
    "\t=1+1",
    "\r=1",
    '=HYPERLINK("x","y")',
    "{{7*7}}",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE v1; --",
    "${x}",
]
NUMBERS = [
    "1e308",
    "-1e308",
    "1e-320",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "0x1F",
    "1,234,567",
    "1.234,5",
    "12,34",
    "-3",
    "+5",
    "--5",
    "1e",
    "e5",
    "NaN",
    "nan",
    "inf",
    "-Infinity",
    "1_000",
    "٣",
    "½",
    "1e12",
    "1e13",
    "0.1",
    "TRUE",
    "#REF!",
    "#DIV/0!",
    "null",
    "NULL",
    "None",
    "-",
    ".",
    "5e-1",
    "1 000",
    "1\u00a0000",
    "9" * 400,
]
TIMES = [
    "0000-00-00",
    "1900-01-01",
    "1969-12-31 23:59:59",
    "9999-12-31",
    "99999-01-01",
    "2026-02-30",
    "2026-13-01",
    "31.12.2025",
    "2026-05-01T25:00:00",
    "2026-05-01 24:00:00",
    "2026-05-01T10:00:00+14:00",
    "2026-05-01T10:00:00Z",
    "1748736000",
    "45000",
    "45000.5",
    "20260501",
    "today",
    "2026-W20",
    "2026-05-01 10:00:60",
    "2262-04-12",
    "1677-09-20",
]
TEXTS = [
    "",
    " ",
    "\u200b",
    "\u202e0001",
    "\ufeff",
    "\ufffd",
    "é",
    "e\u0301",
    "𠀀",
    "\x1b[2J",
    "\x07",
    "\x7f",
    "a\u2028b",
    "a\nb",
    'a"b',
    '"',
    '""',
    "a,b",
    "a;b",
    "x" * 70_000,
    "../../etc/passwd",
    "CON",
    "\\",
    "%s%n",
    "0001 ",
    "０００１",
]


def sound_table(random: random.Random) -> Cells:
    """Return a sound table, newest day last: a header and a row a home and day."""
    made = rows("entries", daily(HOMES, DAYS)["entries"]).rows()
    return [
        list(HEADER),
        *(
            [home, day, passed, str(max(0, int(passed) + random.randint(-1, 1)))]
            for home, day, passed in made
        ),
    ]


# changes of the table


def odd_cells(table: Cells, random: random.Random) -> None:
    """Replace a few cells, or many, by such as are no reading."""
    for _ in range(random.choice([1, 5, 60])):
        random.choice(table[1:])[random.randrange(len(table[0]))] = random.choice(
            random.choice([FORMULAS, NUMBERS, TIMES, TEXTS])
        )


def a_huge_cell(table: Cells, random: random.Random) -> None:
    """Make one cell some hundred kilobytes or megabytes long."""
    random.choice(table)[random.randrange(len(table[0]))] = random.choice(
        ["x", "9", "é", " ", '"', "0,"]
    ) * random.choice([1 << 17, 3 << 20, 10 << 20])


def shuffled_columns(table: Cells, random: random.Random) -> None:
    """Put the columns into another order."""
    order = random.sample(range(len(table[0])), len(table[0]))
    table[:] = [[row[place] for place in order] for row in table]


def a_column_twice(table: Cells, random: random.Random) -> None:
    """Repeat a column, under its own name or another."""
    place, name = random.randrange(len(table[0])), random.choice([*TEXTS, table[0][0], "note"])
    for row in table:
        row.insert(0, row[place])
    table[0][0] = name


def a_column_less(table: Cells, random: random.Random) -> None:
    """Leave out a column."""
    place = random.randrange(len(table[0]))
    for row in table:
        del row[place]


def shifted_cells(table: Cells, random: random.Random) -> None:
    """Give some rows too many or too few cells."""
    for row in random.sample(table, random.choice([1, 3, 40])):
        row[:] = random.choice([row[:-1], row[1:], [*row, "x"], row * 2, [], row[:1] * 300])


def odd_header(table: Cells, random: random.Random) -> None:
    """Give a column a strange name, one of another column, or one of a person's."""
    table[0][random.randrange(len(table[0]))] = random.choice(
        [*TEXTS, *FORMULAS, "ID", " id ", "Day", "day", "id", "手机号", "household_name"]
    )


def no_header(table: Cells, random: random.Random) -> None:
    """Leave out the header."""
    del table[0]


def shuffled_rows(table: Cells, random: random.Random) -> None:
    """Put the rows into another order, some of them twice."""
    table[1:] = random.sample(table[1:], len(table) - 1) + random.choices(table[1:], k=random.choice([0, 50]))


def odd_ids(table: Cells, random: random.Random) -> None:
    """Give two homes strange ids."""
    new = {home: random.choice(random.choice([FORMULAS, TEXTS, NUMBERS])) for home in ("0000", "0001")}
    for row in table[1:]:
        row[0] = new.get(row[0], row[0])


def odd_days(table: Cells, random: random.Random) -> None:
    """Write every time in another form; some of these can be read."""
    form = random.choice(
        [
            "%d/%m/%Y",
            "%Y%m%d",
            "%Y-%m-%dT23:59:59Z",
            "%Y年%m月%d日",
            "%s",
            "%H:%M",
            "%Y-%m-%d %H:%M:%S.%f",
            "%y-%m-%d",
        ]
    )
    for row in table[1:]:
        row[1] = dt.datetime.fromisoformat(row[1]).strftime(form)


def few_rows(table: Cells, random: random.Random) -> None:
    """Leave two rows, one, or nothing."""
    del table[random.choice([0, 1, 2]) :]


TABLE_CHANGES = [
    odd_cells,
    odd_cells,
    odd_cells,
    shuffled_columns,
    shuffled_columns,
    a_huge_cell,
    a_column_twice,
    a_column_less,
    shifted_cells,
    odd_header,
    no_header,
    shuffled_rows,
    shuffled_rows,
    odd_ids,
    odd_ids,
    odd_days,
    few_rows,
]

# formats


def as_text(table: Cells, random: random.Random) -> str:
    """Write the table as delimited text."""
    out = io.StringIO()
    mark = random.choice([*",,,,,,,", ";", "\t", "|"])
    quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    csv.writer(
        out, delimiter=mark, quoting=quoting, lineterminator=random.choice(["\n", "\r\n", "\r", "\n\n"])
    ).writerows(table)
    return out.getvalue()


def as_csv(table: Cells, random: random.Random) -> bytes:
    """Write the table as delimited text in one encoding or another, at times in two."""
    text = as_text(table, random)
    encoding = random.choice(
        ["utf-8"] * 16
        + ["utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-32", "latin-1", "big5", "cp037", "utf-7"]
    )
    if random.random() < 0.1:  # two encodings in one file
        half = len(text) // 2
        return text[:half].encode() + ("南明区" + text[half:]).encode(
            random.choice(["gb18030", "utf-16", "latin-1"]), "replace"
        )
    return text.encode(encoding, "replace")


def as_gz(table: Cells, random: random.Random) -> bytes:
    """Write the table as a gzip file of delimited text."""
    text = as_csv(table, random)
    if random.random() < 0.3:  # damage that no checksum tells
        text = bytes(random.choice(DAMAGES)(bytearray(text), random))
    packed = gzip.compress(text, random.choice([1, 9]))
    return random.choice([packed] * 6 + [packed * 2, gzip.compress(packed), packed + b"tail"])


def as_xlsx(table: Cells, random: random.Random) -> bytes:
    """Write the table as a workbook, at times with a damaged member."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_numbers": random.random() < 0.5, "nan_inf_to_errors": True}
    ) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate(table):
            for place, cell in enumerate(row[:50]):
                if isinstance(cell, str) and cell.startswith("=") and random.random() < 0.5:
                    sheet.write_formula(at, place, cell)
                else:
                    sheet.write(
                        at,
                        place,
                        cell[:32_000]
                        if isinstance(cell, str) and not cell.startswith("=")
                        else str(cell)[:200],
                    )
        if random.random() < 0.1:
            sheet.merge_range(1, 0, 3, 1, "merged")
    return packed_anew(out.getvalue(), random) if random.random() < 0.4 else out.getvalue()


def packed_anew(book: bytes, random: random.Random) -> bytes:
    """Pack a workbook anew with one of its members damaged, so that all checksums are right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = random.choice(
            [
                "xl/worksheets/sheet1.xml",
                "xl/sharedStrings.xml",
                "xl/workbook.xml",
                "xl/styles.xml",
                "[Content_Types].xml",
                "xl/_rels/workbook.xml.rels",
            ]
        )
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = random.choice(
                    [
                        edited,
                        edited,
                        lambda xml, random: bytes(random.choice(DAMAGES)(bytearray(xml), random)),
                    ]
                )(content, random)
            new.writestr(name, content)
    return out.getvalue()


def edited(xml: bytes, random: random.Random) -> bytes:
    """Replace some numbers of an XML file by absurd ones: places, counts and references without end."""
    numbers = list(re.finditer(rb"\d+", xml))
    for found in sorted(
        random.sample(numbers, min(len(numbers), random.choice([1, 3]))), key=lambda found: -found.start()
    ):
        xml = (
            xml[: found.start()]
            + random.choice([b"0", b"-1", b"4294967295", b"99999999999999999999", b"1e400", b"1048577", b"x"])
            + xml[found.end() :]
        )
    return xml


def as_parquet(table: Cells, random: random.Random) -> bytes:
    """Write the table as a Parquet file, its columns of any type."""
    width = max(map(len, table), default=0)
    names = list(
        dict.fromkeys(
            [*(str(name)[:60] for name in (table[0] if table else [])), *(f"c{n}" for n in range(width))]
        )
    )[:width]
    frame = pl.DataFrame(
        [[*row, *[None] * (width - len(row))] for row in table[1:]],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    )
    for name in names:
        kind = random.choice(
            [
                None,
                None,
                None,
                None,
                pl.Float64,
                pl.Int64,
                pl.Date,
                pl.Datetime("ns"),
                pl.Binary,
                pl.Boolean,
                pl.Categorical,
                pl.Time,
                pl.Duration("us"),
                pl.Decimal(38, 2),
                "list",
                "struct",
                "nan",
            ]
        )
        column = pl.col(name)
        if kind == "list":
            frame = frame.with_columns(pl.concat_list(column, column))
        elif kind == "struct":
            frame = frame.with_columns(pl.struct(column, x=column).alias(name))
        elif kind == "nan":
            frame = frame.with_columns(
                pl.lit(random.choice([float("nan"), float("inf"), 1e308, -0.0])).alias(name)
            )
        elif kind is not None:
            with contextlib.suppress(pl.exceptions.PolarsError):
                frame = frame.with_columns(
                    column.cast(pl.Int64, strict=False).cast(kind)
                    if kind in (pl.Time, pl.Boolean) or isinstance(kind, pl.Duration)
                    else column.cast(kind, strict=False)
                )
    out = io.BytesIO()
    frame.write_parquet(
        out,
        compression=random.choice(["zstd", "snappy", "uncompressed"]),
        row_group_size=random.choice([None, 1, 7]),
    )
    return out.getvalue()


WRITERS: dict[str, Callable[[Cells, random.Random], bytes]] = {
    ".csv": as_csv,
    ".csv.gz": as_gz,
    ".xlsx": as_xlsx,
    ".parquet": as_parquet,
}

# damage to the bytes


def flipped(content: bytearray, random: random.Random) -> bytearray:
    """Flip some bits."""
    for _ in range(random.choice([1, 4, 50]) if content else 0):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return content


def flipped_at_an_end(content: bytearray, random: random.Random) -> bytearray:
    """Change some bytes at both ends, where headers and footers lie."""
    for _ in range(random.choice([1, 3, 12]) if content else 0):
        place = random.randrange(min(len(content), 400))
        content[random.choice([place, len(content) - 1 - place])] = random.randrange(256)
    return content


def cut(content: bytearray, random: random.Random) -> bytearray:
    """Cut the end off."""
    return content[: random.randrange(len(content) + 1)]


def beheaded(content: bytearray, random: random.Random) -> bytearray:
    """Cut the beginning off."""
    return content[random.randrange(min(len(content), 200) + 1) :]


def with_a_hole(content: bytearray, random: random.Random) -> bytearray:
    """Cut out some bytes, or put zeros or noise in their place."""
    start = random.randrange(len(content) + 1)
    return (
        content[:start]
        + random.choice([b"", b"\0" * 4096, random.randbytes(512)])
        + content[start + random.choice([1, 512, 4096]) :]
    )


def twice(content: bytearray, random: random.Random) -> bytearray:
    """Append a part of the content again."""
    return content + content[random.randrange(len(content) + 1) :]


def nul(content: bytearray, random: random.Random) -> bytearray:
    """Put zero bytes in between."""
    place = random.randrange(len(content) + 1)
    return content[:place] + b"\0" * random.choice([1, 3, 100_000]) + content[place:]


DAMAGES = [flipped, flipped, flipped_at_an_end, cut, beheaded, with_a_hole, twice, nul]


class BrokenFile(NamedTuple):
    """A file, and the names of what was done to it."""

    name: str
    content: bytes
    done: str


def broken_file(number: int) -> BrokenFile:
    """Make the file of that number."""
    draw = random.Random(number)
    table, done = sound_table(draw), []
    for change in draw.choices(TABLE_CHANGES, k=draw.choice([0, 1, 1, 1, 2, 2, 3])):
        with contextlib.suppress(
            IndexError, ValueError
        ):  # an earlier change has left nothing to change, or a cell no day
            change(table, draw)
            done.append(change.__name__)
    suffix = draw.choice(list(WRITERS))
    content = WRITERS[suffix](table, draw)
    for damage in draw.choices(
        DAMAGES, k=draw.choice([0, 0, 0, 0, 0, 0, 1]) if done else draw.choice([1, 2])
    ):
        content = bytes(damage(bytearray(content), draw))
        done.append(damage.__name__)
    if draw.random() < 0.05:
        suffix = draw.choice([".csv", ".txt", ".tsv", ".gz", ".csv.gz", ".parquet", ".xlsx", ".xls", ""])
        done.append(f"called {suffix}")
    return BrokenFile(f"broken{suffix}", content, " ".join(done))


SIGNAL = (
    'files = "broken*"\nkind = "{kind}"\nunit = "{unit}"\n'
    'columns = {{ household = "id", time = "day", value = "entries"{more} }}\n'
)
KINDS = [("count", "count", ', exits = "out"'), ("usage", "kWh", ""), ("register", "m3", "")]
HOUSEHOLDS = (
    '[households]\nfiles = "broken*"\n'
    'columns = { household = "id", building = "day", district = "entries" }\n'
)


def site_with(folder: Path, number: int) -> tuple[Site, str]:
    """Make a site of one sound signal and one broken file; return it and what was done to that file."""
    folder.mkdir(parents=True)
    site = Site(folder)
    name, content, done = broken_file(number)
    site.put(name, content)
    site.put("power.csv", rows("power", daily(HOMES, DAYS)["power"]))
    if number % 8 == 7:
        site.configure({"power": SIGNALS["power"]}, more=HOUSEHOLDS)
        return site, f"{name} (households): {done}"
    kind, unit, more = KINDS[number % len(KINDS)]
    site.configure({"power": SIGNALS["power"], "broken": SIGNAL.format(kind=kind, unit=unit, more=more)})
    return site, f"{name} ({kind}): {done}"


def load_site(site: Site, whole_night: bool) -> str:
    """Load the site, or run its night, and return what came of it: `refused`, `rejects` or `read`.

    Anything else is raised.
    """
    if whole_night:
        result = site.run("nightly")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code not in (0, 3, 4) or "Traceback" in result.output:
            raise AssertionError(f"exit {result.exit_code}: {result.output}")
        return "read" if result.exit_code == 0 else "refused" if " stopped: " in result.stderr else "rejects"
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    inputs = load(settings, store, TODAY)
    if set(inputs.failed) - {"broken", "households"} or any("\n" in line for line in inputs.degraded):
        raise AssertionError(str(inputs.degraded))
    readings = inputs.readings
    homes = (
        HOMES
        if settings.households is None
        else inputs.register.filter(pl.col("household").str.contains("^000[0-3]$")).height
    )
    if (readings["value"] < 0).any() or readings.filter(pl.col("signal") == "power").height != homes * DAYS:
        raise AssertionError("a reading that cannot be")
    return "refused" if inputs.failed else "rejects" if inputs.rejects.height else "read"


def main(folder: Path, first: int, count: int) -> None:
    """Load the files of these numbers; print of each what came of it before the next one is begun."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    for number in range(first, first + count):
        place = folder / str(number)
        site, done = site_with(place, number)
        print(json.dumps({"number": number, "done": done}), flush=True)
        faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
        begun, result_line = time.monotonic(), {}
        try:
            result_line["outcome"] = load_site(site, number % WHOLE_NIGHT_EVERY == 0)
        except BaseException as error:  # whatever it is, the next one is tried as well
            result_line |= {"outcome": "failed", "why": f"{type(error).__name__}: {str(error)[:800]}"}
        faulthandler.cancel_dump_traceback_later()
        result_line |= {
            "number": number,
            "seconds": round(time.monotonic() - begun, 2),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        }
        print(json.dumps(result_line), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
