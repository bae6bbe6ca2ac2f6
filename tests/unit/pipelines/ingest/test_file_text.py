"""Text is unpacked and brought to UTF-8."""

import gzip
import os
import time

import pytest

from pipelines.ingest.file_text import read_text
from pipelines.ingest.text_table import MalformedFile
from tests.support.export_files import (
    PLAIN,
    PLAIN_ROWS,
    broken,
    cells,
)


@pytest.mark.parametrize("encoding", ["auto", "gb18030"])
def test_gb18030(read, encoding):
    text = "住户,楼栋,片区\n0001,3栋,南明区\n0002,华府小区1号楼,云岩区\n𠀀,,\n"
    columns = {"household": "住户", "building": "楼栋", "district": "片区"}
    frame = read(text.encode("gb18030"), columns=columns, encoding=encoding)
    assert cells(frame) == [
        ("0001", "3栋", "南明区", 1),
        ("0002", "华府小区1号楼", "云岩区", 2),
        ("𠀀", None, None, 3),
    ]
    assert read(text, columns=columns).equals(frame)


def test_a_named_encoding(read):
    text = "home,day,reading\nCañada,2024-01-01,1\n"
    assert cells(read(text.encode("latin-1"), encoding="latin-1")) == [("Cañada", "2024-01-01", "1", 1)]


def test_an_unknown_encoding_is_told(refused):
    assert "encoding" in str(refused(PLAIN.encode() + b"\xff", encoding="utf-8"))
    refused(PLAIN, encoding="utf-nine")


def test_a_bomb_of_nothing_ends_at_its_first_bytes(refused):
    begun = time.perf_counter()
    refused(gzip.compress(b"\0" * 200_000_000, 1), "zeros.csv.gz")
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a,b\n1,2\n", b"a,b\n1,2\n"),
        (b"a\r1\r", b"a\n1\n"),  # old Macintosh line ends
        (b"a\r\n1\r\n", b"a\r\n1\r\n"),
        (b"\xef\xbb\xbfa\n", b"a\n"),
        ("南\n".encode("utf-16"), "南\n".encode()),
        ("南\n1,2\n".encode("gb18030"), "南\n1,2\n".encode()),
        ("a,b\n1,南".encode("gb18030"), "a,b\n1,南".encode()),  # its only Chinese lies at the very end
        ("a,b\n1,氛\n".encode("gb18030"), "a,b\n1,氛\n".encode()),
    ],
)
def test_text_in_any_encoding_is_utf8(tmp_path, content, text):
    (tmp_path / "w.csv").write_bytes(content)
    assert read_text(tmp_path / "w.csv", "auto", 1000) == text
    (tmp_path / "w.csv.gz").write_bytes(gzip.compress(content))
    assert read_text(tmp_path / "w.csv.gz", "auto", 1000, packed=True) == text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"a\0b", "is not text"),
        ("南".encode()[:-1], "ends in the middle of a character"),
        ("南南".encode("gb18030")[:-1], "ends in the middle of a character"),
        (b"\xff" * 9, "is neither UTF-8 nor GB18030"),
        (b"a" * 1001, "holds more than 0 MB"),
    ],
)
def test_what_is_no_text_is_told(tmp_path, content, problem):
    (tmp_path / "w.csv").write_bytes(content)
    with pytest.raises(MalformedFile, match=problem):
        read_text(tmp_path / "w.csv", "auto", 1000)


def test_a_damaged_gzip_file_is_told(tmp_path):
    whole = gzip.compress(os.urandom(99))
    for content, problem in ((whole[:-9], "is cut short"), (b"no gzip", "is not a sound gzip file")):
        (tmp_path / "w.gz").write_bytes(content)
        with pytest.raises(MalformedFile, match=problem):
            read_text(tmp_path / "w.gz", "latin-1", 1000, packed=True)


@pytest.mark.parametrize("packed", [False, True])
def test_zeros_that_a_broken_writer_left_at_the_end(read, packed):
    def at(content: bytes):
        return read(gzip.compress(content), "water.csv.gz") if packed else read(content)

    whole = at(PLAIN.encode() + b"\0" * 4096)
    assert cells(whole) == PLAIN_ROWS
    cut = at(PLAIN.encode().rstrip(b"\n") + b"\0" * 100)  # "13" may have been the beginning of "137"
    assert cells(cut) == PLAIN_ROWS[:1] and broken(cut) == [(2, "quote not closed")]


def test_files_joined_one_behind_another_are_one(read):
    marked = b"\xef\xbb\xbf" + PLAIN.encode()
    twice = [(*PLAIN_ROWS[0][:3], 4), (*PLAIN_ROWS[1][:3], 5)]
    assert cells(read(marked * 2)) == PLAIN_ROWS + twice
    assert cells(read(PLAIN.encode() * 2)) == PLAIN_ROWS + twice
    assert cells(read(marked.rstrip(b"\n") + marked)) == PLAIN_ROWS + twice, "without a line end between them"
