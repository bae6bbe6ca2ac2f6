import datetime as dt
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from anomaly.cases import CaseRules, WorklistRules
from anomaly.evidence import REASONS, EvidenceRules
from anomaly.outcomes import AccountRules
from anomaly.readings import SignalRule
from pipelines.cases.build import fold
from pipelines.errors import StateDamaged, StateError, StoreLocked
from pipelines.storage.state import Store, collected, of_homes, replacing

FRAME = pl.DataFrame({"home": ["0001", "0002"], "value": [1, None]})


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "out" / "anomaly.duckdb")
    made.prepare()
    return made


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


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as draft:
        draft.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with pytest.raises(ZeroDivisionError), replacing(path) as draft:
        draft.mkdir()
        (draft / "part").touch()
        raise ZeroDivisionError
    assert left(tmp_path) == ["deep/a.txt"] and list(path.parent.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader, replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    with path.open() as reader:
        path_now = reader.read()
    assert path_now == "new"


def test_a_file_is_on_the_disk_before_it_takes_its_place_and_then_its_name(store, monkeypatch):
    path, steps = store.path("a.json"), []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: steps.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
    )
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda one, other: steps.append("replaced") or replace(one, other))
    store.write_json("a.json", 1)
    assert steps == [path.with_name(".a.json.draft"), "replaced", path.parent]


def test_what_a_killed_writer_left_is_no_part_of_the_next_draft_and_is_swept(store):
    for name in (
        ".a.json.draft",
        ".a.json.draft.wal",
        "deep/.b.parquet.draft",
        "nights/.2026-03-01.draft/done.json",
        ".chain.json.draft",
    ):
        store.path(name).parent.mkdir(parents=True, exist_ok=True)
        store.path(name).write_text("half")
    with replacing(store.path("a.json")) as draft:
        assert not draft.exists() and not draft.with_name(draft.name + ".wal").exists()
        draft.write_text("1")
    store.sweep()
    assert left(store.state) == [
        ".chain.json.draft",
        "a.json",
        "version.json",
    ]  # the audit log's may be under way
    assert store.nights() == []


def test_a_bit_that_fell_over_in_a_part_is_noticed(store):
    part = store.add_part("days/power", FRAME, dt.date(2026, 3, 1), dt.date(2026, 3, 2))
    assert store.parts("days/power") == [part] and collected(of_homes(part, None), part).equals(FRAME)
    whole = part.path.read_bytes()
    for at in range(0, len(whole), 7):
        part.path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        os.utime(part.path, ns=(at, at))
        with pytest.raises(
            StateDamaged, match="its bytes are not those that were written.; remove that file and run again"
        ):
            of_homes(part, None)
    part = store.rewrite_part(part, FRAME.head(1))
    assert store.parts("days/power") == [part] and collected(of_homes(part, None), part).height == 1


def test_a_part_written_before_its_name_told_its_sum_is_read(store):
    part = store.add_part("days/power", FRAME, dt.date(2026, 3, 1), dt.date(2026, 3, 2))
    part.path.rename(part.path.with_name("000001_2026-03-01_2026-03-02.parquet"))
    (old,) = store.parts("days/power")
    assert old.sum == "" and collected(of_homes(old, None), old).equals(FRAME)


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
        StateError, match="written by a newer version .state 99, this one knows 1.; upgrade"
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
        from pipelines.store import Store
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
    assert synced == [len(json.dumps({"a": 1})) + 1]


# nights


def test_nights_are_those_that_were_judged_to_the_end(store):
    for name in ("2026-03-02/done.json", "2026-03-01/done.json", "2026-03-03/other.json"):
        store.write_json(f"nights/{name}", {})
    assert store.nights() == [dt.date(2026, 3, 1), dt.date(2026, 3, 2)]


def test_a_decision_takes_a_case_off_the_lists_and_a_closed_door_does_not(store):
    rules = SimpleNamespace(
        rules={
            "water": SignalRule("water", "register", "m3"),
            "power": SignalRule("power", "register", "kWh"),
        },
        purpose=SimpleNamespace(signatures=("water",)),
        evidence=EvidenceRules(),
        cases=CaseRules(),
        worklist=WorklistRules(),
        account=AccountRules(),
        households=None,
    )
    nights = [dt.date(2026, 3, d) for d in range(1, 6)]
    for night in nights:
        reason = ("0001", "alone", "water", "water", 7, 2.0, 2.0, 9e3, True, 0.2, nights[0], [], [])
        power = ("0002", "alone", "power", "power", 7, 2.0, 2.0, 9e3, True, 0.2, nights[0], [], [])
        store.write(
            f"nights/{night}/evidence.parquet", pl.DataFrame([reason, power], schema=REASONS, orient="row")
        )
        store.write(
            f"nights/{night}/rarities.parquet", pl.DataFrame({"household": ["0001"], "rarity": [9e3]})
        )
        store.write_json(f"nights/{night}/done.json", {})
    undecided = fold(rules, store)
    assert undecided.cases["household"].to_list() == ["0001"]  # power is not in the purpose
    assert undecided.worklist["night"].to_list() == nights
    for day, outcome in (
        ("2026-03-02", "no_access"),
        ("2026-03-04", "contested"),
        ("2026-03-05", "confirmed"),
    ):
        store.append_line(
            "outcomes.jsonl", {"case_id": undecided.cases["case_id"][0], "day": day, "outcome": outcome}
        )
    assert fold(rules, store).worklist["night"].to_list() == nights[:3]
    assert fold(rules, store).cases["decision"].to_list() == ["confirmed"]
    assert fold(rules, store, until=nights[3]).cases["decision"].to_list() == ["contested"]
