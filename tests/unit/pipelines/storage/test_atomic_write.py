import os
import stat
from pathlib import Path

import pytest

from pipelines.storage.atomic_write import (
    SECRET_MODE,
    draft_path,
    find_leftovers,
    make_folder,
    private_opener,
    replace_atomically,
    write_bytes,
    write_new,
    write_text,
)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with replace_atomically(path) as draft:
        draft.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_atomically(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with pytest.raises(ZeroDivisionError), replace_atomically(path) as draft:
        draft.mkdir()
        (draft / "part").touch()
        raise ZeroDivisionError
    assert files_in(tmp_path) == ["deep/a.txt"] and list(path.parent.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with path.open() as reader, replace_atomically(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    with path.open() as reader:
        assert reader.read() == "new"


@pytest.mark.parametrize("write", [write_text, lambda path, text: write_bytes(path, text.encode())])
def test_a_file_is_on_the_disk_before_it_takes_its_place_and_then_its_name(tmp_path, monkeypatch, write):
    path, steps, replace = tmp_path / "a.txt", [], os.replace
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: steps.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
    )
    monkeypatch.setattr(os, "replace", lambda old, new: steps.append("replaced") or replace(old, new))
    write(path, "new")
    assert steps == [draft_path(path), "replaced", path.parent]
    steps.clear()
    with replace_atomically(path) as draft:
        draft.write_text("newer")
    assert steps == [draft_path(path), "replaced", path.parent]


def test_text_is_written_byte_for_byte(tmp_path):
    write_text(tmp_path / "a.txt", "南明\r\nx\n")
    assert (tmp_path / "a.txt").read_bytes() == "南明\r\nx\n".encode()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_files_and_folders_are_for_owner_and_group_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "folder")
        write_text(tmp_path / "text", "x")
        write_bytes(tmp_path / "secret", b"x", SECRET_MODE)
        write_new(tmp_path / "new", b"x")
        with replace_atomically(tmp_path / "draft") as draft:
            draft.write_text("x")
        with open(tmp_path / "journal", "a", opener=private_opener):
            pass
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "secret") == 0o600
    assert mode_of(tmp_path / "draft") == 0o640
    for name, mode in {"folder": 0o750, "text": 0o640, "new": 0o640, "journal": 0o640}.items():
        assert mode_of(tmp_path / name) == mode & ~umask, name


def test_at_no_moment_may_others_read_a_file(tmp_path, monkeypatch):
    """The mode is given when the file is made, also where a file of that name was open to all."""
    seen, fsync = [], os.fsync
    (tmp_path / "a").write_text("open to all")
    (tmp_path / "a").chmod(0o666)
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: seen.append(os.fstat(descriptor).st_mode & 0o777) or fsync(descriptor)
    )
    write_new(tmp_path / "a", b"x", SECRET_MODE)
    assert seen == [0o600] and (tmp_path / "a").read_bytes() == b"x"


def test_what_a_killed_writer_left_is_no_part_of_the_next_draft(tmp_path):
    left = draft_path(tmp_path / "a.json")
    left.write_text("half")
    left.with_name(f"{left.name}.wal").write_text("half")
    with replace_atomically(tmp_path / "a.json") as draft:
        assert not draft.exists() and not draft.with_name(draft.name + ".wal").exists()
        draft.write_text("1")
    assert files_in(tmp_path) == ["a.json"]


def test_leftovers_are_those_that_carry_the_mark_but_for_the_audit_logs_draft(tmp_path):
    for name in (
        ".a.json.household-anomaly.draft",
        ".a.json.household-anomaly.draft.wal",
        ".chain.json.household-anomaly.draft",  # may be under way
        "deep/.b.parquet.household-anomaly.draft",
        "deep/.2026-03-01.household-anomaly.old/index.html",
        "deep/.000001.parquet.draft",  # of version 0.1.0
        ".app.db.wal",
        ".git.old/x",
        ".hidden",
        ".notes.draft",
        "c.draft",
        "d.household-anomaly.draft",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(**options: bool) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in find_leftovers(tmp_path, **options)]

    top = [".a.json.household-anomaly.draft", ".a.json.household-anomaly.draft.wal"]
    below = ["deep/.2026-03-01.household-anomaly.old", "deep/.b.parquet.household-anomaly.draft"]
    assert found() == top
    assert found(deep=True) == top + below
    assert found(deep=True, of_old_version=True) == [*top, "deep/.000001.parquet.draft", *below]
