"""Packed text is unpacked chunk by chunk; an archive holds one export."""

import gzip

import pytest
from backports import zstd

from pipelines.ingest.unpacking import PACKINGS, unpacked_chunks
from tests.support.export_files import PLAIN, cells, zipped, zstandard


def test_chunks_are_no_longer_than_asked_for(tmp_path):
    contents = {
        ".gz": gzip.compress(b"abcde"),
        ".zip": zipped({"a.csv": "abcde"}),
        ".zst": zstandard(b"abcde"),
    }
    assert contents.keys() == PACKINGS.keys()
    for suffix, content in contents.items():
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        assert list(unpacked_chunks(path, 2)) == [b"ab", b"cd", b"e"]


def test_the_only_export_of_an_archive_is_read_whatever_its_name(read):
    for name in ("water.csv", "out/2024", "WATER.TXT"):
        assert len(cells(read(zipped({name: PLAIN}), "w.zip"))) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": PLAIN, "b.csv": PLAIN}, "holds 2 files: pack each export into an archive of its own"),
        ({"out/": ""}, "holds no file"),
        ({"w.xlsx": b"PK"}, "holds what is no text: unpack it"),
    ],
)
def test_an_archive_of_another_content_is_told(refused, files, message):
    assert message in str(refused(zipped(files), "w.zip"))


def test_a_damaged_archive_is_told(refused):
    whole = bytearray(zipped({"a.csv": PLAIN}))
    assert "not a sound zip file" in str(refused(bytes(whole[:-30]), "w.zip"))
    whole[45] ^= 255  # within the packed text
    assert "not a sound zip file" in str(refused(bytes(whole), "w.zip"))
    locked = bytearray(zipped({"a.csv": PLAIN}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):  # bit 0 of the flags of the file and of the directory
        locked[locked.index(mark) + (6 if mark.endswith(b"\x04") else 8)] |= 1
    assert "is locked" in str(refused(bytes(locked), "w.zip"))


def test_a_bomb_is_given_up(refused):
    assert "holds more than 1 MB" in str(
        refused(zipped({"a.csv": "1,2,3\n" * 300_000}), "w.zip", max_bytes=1 << 20)
    )
    bomb = zstd.compress(b"1,2,3\n" * 300_000)
    assert "holds more than 1 MB" in str(refused(bomb, "w.csv.zst", max_bytes=1 << 20))
    assert "is cut short" in str(refused(bomb[:-20], "w.csv.zst"))
    assert "not a sound zst file" in str(refused(PLAIN, "w.csv.zst"))
