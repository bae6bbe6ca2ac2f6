"""Files of every format are read as one table; what cannot be read is one line, never a traceback."""

import gzip
import io
import os
import time
import zipfile
from pathlib import PurePath

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.csv_text import MAX_LINE_BYTES, MAX_UNCLOSED_QUOTES
from pipelines.ingest.formats import PACKINGS, READERS, formats_in_words, read_file
from tests.support.export_files import (
    COATS,
    COLUMNS,
    PLAIN,
    PLAIN_ROWS,
    cells,
    parquet,
    workbook,
)
from tests.support.paths import ROOT


@pytest.mark.parametrize("name", COATS)
def test_one_table_in_every_coat(read, name):
    assert cells(read(COATS[name], name)) == PLAIN_ROWS


def test_numbers_come_as_the_settings_say_they_are_written(read):
    assert (
        cells(read("home;day;reading\n1;2024-01-01;1.234,5\n", separator=";", decimal=","))[0][2] == "1.234,5"
    )
    typed = pl.DataFrame({"home": [1.0], "day": ["x"], "reading": [1234.5]})
    assert cells(read(parquet(typed), "w.parquet", decimal=",")) == [("1", "x", "1234.5", 1)]
    sheet = workbook([("home", "day", "reading"), ("1.5", "x", 1234.5), ("1.5", "x", "1.234,5")])
    assert [row[::2] for row in cells(read(sheet, "w.xlsx", decimal=","))] == [
        ("1.5", "1234,5"),
        ("1.5", "1.234,5"),
    ]


BOMB = gzip.compress(b"1,2,3\n" * 2_000_000)
BAD = {
    "empty.csv": b"",
    "blank.csv": b"\n \n",
    "empty.csv.gz": gzip.compress(b""),
    "nul.csv": PLAIN.encode() + b"0003,2024-01-03,\x005\n",
    "unit.csv": PLAIN.encode() + b"0003\x1f2024-01-03,5\n",
    "random.csv": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.csv.gz": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.xlsx": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.parquet": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "empty.xlsx": b"",
    "empty.parquet": b"",
    "blank.xlsx": workbook([]),
    "cut.csv.gz": gzip.compress(os.urandom(9) * 99 + PLAIN.encode() * 500)[:-20],
    "cut.xlsx": COATS["water.xlsx"][:-200],
    "cut.parquet": COATS["water.parquet"][:-40],
    "sheet.csv": COATS["water.xlsx"],
    "parquet.csv": COATS["water.parquet"],
    "packed.csv": gzip.compress(PLAIN.encode()),
    "plain.csv.gz": PLAIN.encode(),
    "plain.xlsx": PLAIN.encode(),
    "plain.parquet": PLAIN.encode(),
    "water.xls": PLAIN.encode(),
    "water.json": b"{}",
    "water.xlsx.gz": gzip.compress(COATS["water.xlsx"]),
    "huge_cell.csv": PLAIN.encode() + b"x" * 10_000_000 + b",2024-01-01,5\n",
    "huge_quoted_cell.csv": PLAIN.encode() + b'"' + b"x" * MAX_LINE_BYTES + b'",2024-01-01,5\n',
    "quotes.csv": PLAIN.encode() + b'1,2,"3\n' * (MAX_UNCLOSED_QUOTES * 3),
    "latin.csv": "home,day,reading\nCañada,2024-01-01,1\nCoruña".encode("latin-1") + b"\xff\xff\n,1,2\n",
    "half.csv": "home,day,reading\n1,2,3\n南".encode()[:-1],
    "twice.csv": b"home,day,reading,day\n1,2,3,4\n",
    "twice.xlsx": workbook([("home", "day", "reading", "day"), ("1", "2", "3", "4")]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_one_line(refused, name):
    begun = time.perf_counter()
    refused(BAD[name], name)
    assert time.perf_counter() - begun < 5


def test_a_bomb_is_given_up_while_it_unpacks(refused):
    unpacked = io.BytesIO()
    with zipfile.ZipFile(unpacked, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 2_000_000)
    equal = parquet(pl.DataFrame({name: pl.repeat("1", 200_000, eager=True) for name in COLUMNS.values()}))
    long = parquet(pl.DataFrame({name: pl.repeat("1" * 1000, 2000, eager=True) for name in COLUMNS.values()}))
    lines = PLAIN.encode() + b"\n" * 100_000
    for name, content in {
        "b.csv.gz": BOMB,
        "b.csv": b"1,2,3\n" * 200_000,
        "b.xlsx": unpacked.getvalue(),
        "b.parquet": equal,
        "c.parquet": long,
        "c.csv": lines,
    }.items():
        assert (
            "holds more than 1 MB: split the export, by month for instance, or raise [limits] file_mb"
            in str(refused(content, name, max_bytes=1 << 20))
        ), name


ANY_WHERE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@ANY_WHERE
@given(st.sampled_from([name for name in COATS if name != "text.parquet"]), st.data())
def test_a_damaged_file_is_read_or_told_never_a_traceback(read, name, data):
    content = bytearray(COATS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content[: data.draw(st.integers(1, len(content)))]), name)
    except SourceError as error:
        assert "\n" not in str(error)


def test_a_file_that_is_gone_is_told(tmp_path):
    with pytest.raises(SourceError, match="cannot be opened"):
        read_file(tmp_path / "gone.csv", Source("water", "gone.csv", COLUMNS))


@pytest.mark.parametrize("name", ["water.xls", "water.json", "water", "water.xlsx.gz"])
def test_a_kind_that_is_not_read_is_told_with_those_that_are(refused, name):
    assert refused(PLAIN, name).remedy == f"give {formats_in_words()}"


def test_messages_and_documentation_name_every_format():
    """A format is one line in READERS or PACKINGS; whoever reads of it finds all of them."""
    page = (ROOT / "pipelines" / "ingest" / "README.md").read_text(encoding="utf-8")
    for suffix in (*READERS, *PACKINGS):
        assert suffix in formats_in_words() and f"`{suffix}`" in page, suffix
    covered = {suffix.lower() for name in COATS for suffix in PurePath(name).suffixes}
    assert covered >= {*READERS, *PACKINGS}
