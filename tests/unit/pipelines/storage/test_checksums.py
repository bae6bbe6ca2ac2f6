import contextlib
import json
import os
import threading

import pytest

from pipelines.errors import StateDamaged
from pipelines.storage import checksums
from pipelines.storage.checksums import (
    SUMS_FILE,
    check_folder,
    checksum,
    file_checksum,
    knows,
    read_sums,
    recorded,
)

OLD, NEW = b"old", b"new"


def put(path, content: bytes) -> None:
    """Write a file the way the state does."""
    with recorded(path, checksum(content)):
        path.write_bytes(content)


def test_a_checksum_is_the_crc_32_of_the_bytes(tmp_path):
    assert checksum(b"123456789") == "cbf43926"
    assert checksum(b"6789", 0xCBF53A1C) == "cbf43926"  # after 12345
    (tmp_path / "a").write_bytes(b"123456789")
    assert file_checksum(tmp_path / "a") == "cbf43926"


def test_a_folder_knows_the_files_that_were_written(tmp_path):
    put(tmp_path / "a.json", OLD)
    put(tmp_path / "b.json", NEW)
    assert read_sums(tmp_path) == {"a.json": [checksum(OLD)], "b.json": [checksum(NEW)]}
    assert knows(tmp_path, "a.json", checksum(OLD))
    assert not knows(tmp_path, "a.json", checksum(NEW))  # b in its place
    assert not knows(tmp_path, "c.json", checksum(OLD))


def test_a_replaced_file_is_known_at_every_moment_and_its_old_content_only_until_then(tmp_path):
    path = tmp_path / "a.json"
    put(path, OLD)
    with recorded(path, checksum(NEW)):
        assert knows(tmp_path, "a.json", checksum(OLD)) and knows(tmp_path, "a.json", checksum(NEW))
        path.write_bytes(NEW)
        assert knows(tmp_path, "a.json", checksum(NEW))
    assert read_sums(tmp_path) == {"a.json": [checksum(NEW)]}


@pytest.mark.parametrize("content", [OLD, NEW])
def test_what_a_kill_leaves_undecided_is_settled(tmp_path, content):
    path = tmp_path / "a.json"
    put(path, OLD)
    with pytest.raises(KeyboardInterrupt), recorded(path, checksum(NEW)):
        path.write_bytes(content)
        raise KeyboardInterrupt
    assert check_folder(tmp_path) == []
    assert read_sums(tmp_path) == {"a.json": [checksum(content)]}


@pytest.mark.parametrize("content", [None, NEW])
def test_a_file_that_a_kill_kept_from_being_there_is_not_missing(tmp_path, content):
    path = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt), recorded(path, checksum(NEW)):
        if content:
            path.write_bytes(content)
        raise KeyboardInterrupt
    assert check_folder(tmp_path, required=["a.json"]) == []
    put(path, NEW)
    path.unlink()
    assert check_folder(tmp_path, required=["a.json"]) == ["a.json"]


def test_the_same_content_again_writes_no_checksum(tmp_path):
    put(tmp_path / "a.json", OLD)
    before = os.stat(tmp_path / SUMS_FILE).st_ino, (tmp_path / SUMS_FILE).stat().st_mtime_ns
    put(tmp_path / "a.json", OLD)
    assert (os.stat(tmp_path / SUMS_FILE).st_ino, (tmp_path / SUMS_FILE).stat().st_mtime_ns) == before


def test_a_folder_without_checksums_is_taken_as_it_is_once(tmp_path):
    """As version 0.1.0 left it."""
    for name in ("a.json", "b.parquet", "j.jsonl", "version.json", ".c.json.draft"):
        (tmp_path / name).write_bytes(OLD)
    assert knows(tmp_path, "a.json", "any")
    put(tmp_path / "new.json", NEW)
    assert sorted(read_sums(tmp_path)) == ["a.json", "b.parquet", "new.json"]
    (tmp_path / "a.json").write_bytes(NEW)
    assert check_folder(tmp_path) == ["a.json"]


def test_a_check_begins_the_checksums_of_a_folder_with_files(tmp_path):
    assert check_folder(tmp_path) == [] and read_sums(tmp_path) is None
    (tmp_path / "a.json").write_bytes(OLD)
    assert check_folder(tmp_path) == [] and read_sums(tmp_path) == {"a.json": [checksum(OLD)]}


def test_changed_and_unknown_files_are_named_and_those_gone_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "MAX_GONE", 0)
    for name in ("a.json", "b.json", "c.json"):
        put(tmp_path / name, OLD)
    (tmp_path / "a.json").write_bytes(NEW)
    (tmp_path / "b.json").unlink()
    (tmp_path / "d.json").write_bytes(OLD)
    for _ in range(2):
        assert check_folder(tmp_path) == ["a.json", "d.json"]
    assert sorted(read_sums(tmp_path)) == ["a.json", "c.json"]
    (tmp_path / "c.json").unlink()
    for _ in range(2):
        assert check_folder(tmp_path, required=["c.json", "e.json"]) == ["a.json", "c.json", "d.json"]


@pytest.mark.parametrize(
    "change", [b"", b"{}", b"[]", b"null", b"{ cut", b'{"check": "00000000", "sums": {}}']
)
def test_damaged_checksums_are_one_line(tmp_path, change):
    put(tmp_path / "a.json", OLD)
    (tmp_path / SUMS_FILE).write_bytes(change)
    for read in (
        lambda: read_sums(tmp_path),
        lambda: check_folder(tmp_path),
        lambda: put(tmp_path / "b", NEW),
    ):
        with pytest.raises(
            StateDamaged, match="sums.json: is damaged; put it back from a copy, or remove it"
        ):
            read()


def test_no_flipped_bit_of_the_checksums_is_taken_for_another(tmp_path):
    put(tmp_path / "a.json", OLD)
    whole = (tmp_path / SUMS_FILE).read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            (tmp_path / SUMS_FILE).write_bytes(flipped)
            with contextlib.suppress(StateDamaged):
                assert read_sums(tmp_path) == json.loads(whole)["sums"]  # white space


def test_threads_write_files_of_one_folder(tmp_path):
    names = [f"{number}.json" for number in range(8)]
    threads = [threading.Thread(target=put, args=(tmp_path / name, OLD)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_sums(tmp_path)) == names
