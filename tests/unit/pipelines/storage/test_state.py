import contextlib
import datetime as dt
import os
import stat
import subprocess
import sys
import textwrap

import polars as pl
import pytest

from pipelines.errors import StateDamaged, StateError, StoreLocked
from pipelines.storage import state
from pipelines.storage.state import NIGHT_FILES, RETENTION_FLOOR_FILE, UNFINISHED_RUN_FILE, Store

NIGHT = "2026-03-01"
FRAME = pl.DataFrame({"home": ["0001", "0002"], "value": [1, None]})


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# files


def test_what_is_written_is_read(store):
    store.write("months/2026-03.parquet", FRAME)
    assert store.read("months/2026-03.parquet").equals(FRAME)
    store.write_json("a.json", {"city": "南明", "night": dt.date(2026, 3, 1)})
    assert store.read_json("a.json", None) == {"city": "南明", "night": "2026-03-01"}
    assert store.read_json("none.json", {"x": 1}) == {"x": 1}
    assert store.read("none.parquet", {"home": pl.String}).schema == {"home": pl.String}


@pytest.mark.parametrize("name", ["anomaly.duckdb", "[a]*b.duckdb"])
def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path, name):
    store = Store(tmp_path / name)
    store.prepare()
    drafts = (
        "state/.a.json.household-anomaly.draft",
        "state/nights/.2026-03-01.household-anomaly.draft/done.json",
        "parquet/.v1-000002.household-anomaly.draft/runs.parquet",
        f".{name}.household-anomaly.draft._internal.runs.parquet",
        "state/.files.json.draft",  # of version 0.1.0, as those that follow
        "state/rows/power/.000001.parquet.draft",
        "state/nights/.2026-03-01.draft/done.json",
        f".{name}.draft.wal",
    )
    kept = (
        ".a.duckdb.draft",
        ".app.db.wal",
        ".git.old/x",
        "parquet/.theirs.draft",
        "state/.chain.json.household-anomaly.draft",  # the audit log's may be under way
        "state/.theirs.draft",
        "state/a.json",
        "state/sums.json",
        "state/version.json",
    )
    for path in (store.folder / path for path in (*drafts, *kept)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("half")
    store.remove_leftovers()
    assert left(store.folder) == sorted(kept)
    assert store.judged_nights() == []


def test_files_are_for_owner_and_group_only(store):
    before = os.umask(0)
    try:
        store.write("a.parquet", FRAME)
        store.write_json("a.json", 1)
        store.append_line("a.jsonl", {})
        with store.locked():
            modes = {name: stat.S_IMODE((store.folder / name).stat().st_mode) for name in left(store.folder)}
    finally:
        os.umask(before)
    assert {"run.lock", "run.holder", "state/a.parquet", "state/a.json", "state/a.jsonl"} <= set(modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode & ~0o640} == {}


def test_damaged_state_is_one_line_with_what_to_do(store):
    for name in ("a.parquet", "a.json"):
        store.path(name).write_text("{ cut")
    for read in (lambda: store.read("a.parquet"), lambda: store.read_json("a.json", None)):
        with pytest.raises(StateError) as told:
            read()
        assert "\n" not in str(told.value) and "run again" in str(told.value)


# the folder


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        StateError, match=r"file/out: cannot be written \(Not a directory\); give \[store\] path a folder"
    ):
        Store(tmp_path / "file" / "out" / "anomaly.duckdb").prepare()


def test_state_of_a_newer_version_is_refused_in_one_line(store):
    store.prepare()  # twice is no harm
    store.write_json("version.json", {"state": 99})
    with pytest.raises(
        StateError, match="written by a newer version .state 99, this one knows 2.; upgrade"
    ) as told:
        store.prepare()
    assert "\n" not in str(told.value)
    assert store.read_json("version.json", None) == {"state": 99}


# the lock


def test_a_second_run_is_told_who_holds_the_lock(store):
    with store.locked():
        with (
            pytest.raises(
                StoreLocked, match=rf"process {os.getpid()}, \S+.*, since 20.*; wait for it to end"
            ),
            store.locked(),
        ):
            pass
        assert (store.folder / "run.holder").exists()
    assert not (store.folder / "run.holder").exists()
    with store.locked():
        pass


def test_a_killed_run_leaves_no_lock(store):
    script = """
        import pathlib, sys, time
        from pipelines.storage.state import Store
        with Store(pathlib.Path(sys.argv[1])).locked():
            print("held", flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(store.published)],
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"process {run.pid}, .* since"), store.locked():
            pass
        run.kill()
    with store.locked():
        assert f"process {os.getpid()}, " in (store.folder / "run.holder").read_text()


def test_a_lock_that_a_stopped_process_keeps_is_not_waited_for_for_ever(store, monkeypatch):
    monkeypatch.setattr(state, "SHORT_LOCK_SECONDS", 0.1)
    with (
        store.short_lock("journals.lock"),
        pytest.raises(StoreLocked, match="journals.lock: another process has held this lock for 0 s; `fuser"),
        store.short_lock("journals.lock"),
    ):
        pass
    with store.short_lock("journals.lock"):
        pass


def test_a_run_is_told_whom_it_waits_for_and_how_long_it_did(store):
    waited = []
    with (
        store.locked(),
        pytest.raises(StoreLocked, match="; waited 1 s; wait for it"),
        store.locked(0.6, waited.append),
    ):
        pass
    assert [who.split(",")[0] for who in waited] == [f"process {os.getpid()}"]


# journals


def test_a_journal_survives_a_last_line_cut_short(store):
    line = {"case_id": "c1", "reason": "漏水"}
    store.append_line("j.jsonl", line)
    whole = store.path("j.jsonl").read_bytes()
    for cut in range(1, len(whole)):  # also within a character
        store.path("j.jsonl").write_bytes(whole + whole[:-1][:cut])
        known = store.read_lines("j.jsonl")
        assert known == [line] * (2 if cut >= len(whole) - 1 else 1)
        store.append_line("j.jsonl", {"next": cut})
        assert store.read_lines("j.jsonl") == [*known, {"next": cut}]


def test_a_line_may_hold_any_character(store):
    lines = [{"reason": f"a{c}b"} for c in '\n\r\x0b\x85\u2028\u2029"\\']
    for line in lines:
        store.append_line("j.jsonl", line)
    assert store.read_lines("j.jsonl") == lines
    assert len(store.path("j.jsonl").read_bytes().split(b"\n")) == len(lines) + 1
    assert store.read_lines("none.jsonl") == []


def test_a_line_is_on_the_disk_when_it_is_acknowledged(store, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    store.append_line("j.jsonl", {"a": 1})
    assert synced == [len(store.path("j.jsonl").read_bytes())]


LINES = [{"case_id": "c1", "outcome": "benign"}, {"case_id": "c2", "outcome": "contested"}]


def write_journal(store) -> bytes:
    for line in LINES:
        store.append_line("j.jsonl", line)
    return store.path("j.jsonl").read_bytes()


def test_no_flipped_bit_of_a_journal_is_read_as_other_content(store):
    whole = write_journal(store)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            store.path("j.jsonl").write_bytes(flipped)
            with contextlib.suppress(StateDamaged):
                # the name of the checksum itself may have become another
                read = [{name: line[name] for name in LINES[0]} for line in store.read_lines("j.jsonl")]
                assert read == LINES or (read == LINES[:1] and place == len(whole) - 1), (place, bit)


def test_only_the_last_line_may_be_cut_short(store):
    whole = write_journal(store)
    end = whole.index(b"\n")
    store.path("j.jsonl").write_bytes(whole[: end - 3] + whole[end:])
    with pytest.raises(
        StateDamaged, match=r"j.jsonl: line 1 is damaged; put the file back from a copy, or take"
    ):
        store.read_lines("j.jsonl")
    store.path("j.jsonl").write_bytes(whole[:-5])
    assert store.read_lines("j.jsonl") == LINES[:1]


def test_a_journal_in_the_place_of_another_is_damaged(store):
    write_journal(store)
    store.path("j.jsonl").rename(store.path("k.jsonl"))
    with pytest.raises(StateDamaged, match=r"k.jsonl: line 1 is damaged"):
        store.read_lines("k.jsonl")


def test_lines_of_version_0_1_0_have_no_checksum(store):
    store.path("j.jsonl").write_text('{"case_id": "c0"}\n')
    store.append_line("j.jsonl", LINES[0])
    assert store.read_lines("j.jsonl") == [{"case_id": "c0"}, LINES[0]]
    store.path("j.jsonl").write_text('{"case_id": "c0"}\n["c1"]\n')
    with pytest.raises(StateDamaged, match=r"line 2 is damaged"):
        store.read_lines("j.jsonl")


def test_lines_written_anew_are_lines(store):
    store.write_lines("j.jsonl", LINES)
    content = store.path("j.jsonl").read_bytes()
    store.path("j.jsonl").unlink()
    assert write_journal(store) == content


def test_a_line_of_the_journal_of_runs_that_is_no_run_is_told(store):
    store.append_line("runs.jsonl", {"night": "2026-03-01"})
    store.append_line("runs.jsonl", {"night": 5})
    with pytest.raises(StateDamaged, match="runs.jsonl: line 2 is damaged"):
        store.published_runs()


# checksums of files


def test_a_changed_file_is_never_read_as_other_content(store):
    store.write("a.parquet", FRAME)
    store.write_json("a.json", {"x": 1})
    for name, read in (("a.parquet", store.read), ("a.json", lambda name: store.read_json(name, {}))):
        whole = store.path(name).read_bytes()
        for changed in (whole[:-1], whole + b" ", whole.replace(b"1", b"3"), b"{}", b"null", b""):
            store.path(name).write_bytes(changed)
            if changed != whole:
                with pytest.raises(StateDamaged, match=f"{name}: is damaged; remove that file and run again"):
                    read(name)
        store.path(name).write_bytes(whole)
        read(name)


def test_json_of_another_kind_than_asked_for_is_damaged(store):
    store.path("a.json").write_text("[1]")  # nothing was ever written here: no checksum is known
    assert store.read_json("a.json", []) == [1] and store.read_json("a.json", None) == [1]
    with pytest.raises(StateDamaged, match=r"a.json: is damaged"):
        store.read_json("a.json", {})


def test_damaged_files_are_removed_where_a_run_makes_them_anew(store):
    names = ["carry/power/000001.parquet", f"nights/{NIGHT}/evidence.parquet", "register.parquet"]
    for name in names:
        store.write(name, FRAME)
    store.write_json("files.json", [])
    assert store.check_files(mend=True) == []
    for name in ("files.json", *names[:2]):
        store.path(name).write_bytes(b"changed")
    store.path(names[2]).write_bytes(b"changed")
    with pytest.raises(StateDamaged, match=r"register.parquet: is damaged; remove that file and run again"):
        store.check_files(mend=True)
    assert store.path("files.json").exists()
    store.path(names[2]).unlink()
    with pytest.raises(StateDamaged, match="is damaged; remove that file and run again"):
        store.check_files(mend=False)
    assert [line.split("/state/")[1] for line in store.check_files(mend=True)] == [
        f"{name}: was damaged, and is made anew" for name in ("files.json", *names[:2])
    ]
    assert not any(store.path(name).exists() for name in ("files.json", *names))
    assert store.check_files(mend=True) == []


def test_a_retention_floor_that_is_gone_is_told(store):
    store.write_json(RETENTION_FLOOR_FILE, {"readings": "2025-01-01"})
    store.path(RETENTION_FLOOR_FILE).unlink()
    for _ in range(2):
        with pytest.raises(StateDamaged, match=r"kept_from.json: is damaged; put it back from a copy, or"):
            store.check_files(mend=True)


# nights


def test_nights_are_those_that_were_judged_to_the_end(store):
    for name in ("2026-03-02/done.json", "2026-03-01/done.json", "2026-03-03/other.json"):
        store.write_json(f"nights/{name}", {})
    assert store.judged_nights() == [dt.date(2026, 3, 1), dt.date(2026, 3, 2)]


def test_nights_that_lost_a_file_or_their_folder_are_incomplete(store):
    whole, lost, gone = dt.date(2026, 3, 1), dt.date(2026, 3, 2), dt.date(2026, 3, 3)
    for night in (whole, lost):
        for name in NIGHT_FILES:
            store.path(f"nights/{night}").mkdir(parents=True, exist_ok=True)
            store.path(f"nights/{night}/{name}").touch()
    store.path(f"nights/{lost}/flow.parquet").unlink()
    store.append_line("runs.jsonl", {"night": str(gone)})
    assert store.incomplete_nights() == [lost, gone]
    store.write_json(RETENTION_FLOOR_FILE, {"nights": "2026-03-04"})  # pruned, not lost
    assert store.incomplete_nights() == [lost]


def test_lines_of_a_run_that_has_not_finished_are_not_published(store):
    store.append_line("runs.jsonl", {"night": "2026-03-01"})
    assert store.published_runs() == [{"night": "2026-03-01"}] and store.unpublished_runs() == []
    store.write_json(UNFINISHED_RUN_FILE, {"runs": 1})
    store.append_line("runs.jsonl", {"night": "2026-03-02"})
    assert store.published_runs() == [{"night": "2026-03-01"}]
    assert store.unpublished_runs() == [{"night": "2026-03-02"}]


def test_the_first_kept_day_is_the_first_of_all_until_something_was_pruned(store):
    assert store.first_kept_day("readings") == dt.date.min
    store.write_json(RETENTION_FLOOR_FILE, {"readings": "2025-01-01"})
    assert store.first_kept_day("readings") == dt.date(2025, 1, 1)
