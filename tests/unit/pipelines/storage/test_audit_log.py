import json
import threading

import pytest

from pipelines.errors import AuditLogBroken, StateDamaged
from pipelines.storage.audit_log import NO_HASH, AuditLog
from pipelines.storage.state import Store


@pytest.fixture
def log(store) -> AuditLog:
    return AuditLog(store)


def test_every_line_is_bound_to_the_one_before(log):
    assert log.verify() == (0, NO_HASH)
    log.append("run", night="2026-03-01")
    log.append("reveal", reason="漏水")
    first, second = (json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines())
    assert (first["step"], first["night"], first["previous"]) == ("run", "2026-03-01", NO_HASH)
    assert second["reason"] == "漏水" and second["previous"] != NO_HASH
    head = log.verify()
    assert head.lines == 2 and len(head.last_hash) == 64
    log.append("run")
    assert json.loads(log.path.read_bytes().splitlines()[-1])["previous"] == head.last_hash


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda lines: [lines[0].replace(b"one", b"ONE"), *lines[1:]],
            "line 2 does not follow the one before",
        ),
        (lambda lines: lines[1:], "line 1 does not follow the one before"),
        (lambda lines: [lines[1], lines[0], lines[2]], "line 1 does not follow the one before"),
        (lambda lines: [*lines[:2], lines[2].replace(b"three", b"THREE")], "line 3 was changed"),
        (lambda lines: lines[:2], "1 lines are missing at its end"),
        (lambda lines: [lines[0], b"no json", lines[2]], "line 2 is not a line of this log"),
        (lambda lines: [], "3 lines are missing at its end"),
    ],
)
def test_a_line_that_was_changed_removed_or_moved_is_told(log, change, told):
    for step in ("one", "two", "three"):
        log.append(step)
    lines = change(log.path.read_bytes().splitlines())
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(AuditLogBroken, match=told):
        log.verify()


def test_nothing_is_added_where_lines_are_missing(log):
    log.append("one")
    log.path.unlink()
    with pytest.raises(AuditLogBroken, match="1 lines are missing at its end; put the log back from a copy"):
        log.append("two")
    assert not log.path.exists()


def test_a_line_cut_short_by_a_kill_is_taken_out_by_the_next(log):
    log.append("one")
    with open(log.path, "ab") as file:
        file.write(b'{"step": "tw')
    assert log.verify().lines == 1
    log.append("three")
    assert [json.loads(line)["step"] for line in log.path.read_bytes().splitlines()] == ["one", "three"]
    assert log.verify().lines == 2


def test_a_line_that_was_written_but_not_counted_stands(log, store):
    """Killed between the line and the count of lines: the chain is whole all the same."""
    log.append("one")
    counted = store.path("chain.json").read_bytes()
    log.append("two")
    store.path("chain.json").write_bytes(counted)
    assert log.verify().lines == 2
    log.append("three")
    assert log.verify().lines == 3


def test_several_writers_wait_for_each_other(log):
    writers = [threading.Thread(target=log.append, args=(f"step {n}",)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert log.verify().lines == 8


def test_a_damaged_count_is_told_before_anything_is_done(log, store):
    log.append("one")
    assert log.head().lines == 1
    for content in ("{ cut", "{}", "[]", "null", '{"lines": "1", "last": ""}', '{"lines": -1, "last": ""}'):
        store.path("chain.json").write_text(content)
        for act in (log.head, log.verify, lambda: log.append("two")):
            with pytest.raises(StateDamaged, match=r"chain.json: is damaged.* \(now 1\); put it back"):
                act()


def test_the_end_cannot_be_cut_off_together_with_the_head(log, store):
    log.append("one")
    log.append("two")
    kept = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(kept[0])
    store.path("chain.json").unlink()
    for act in (log.verify, log.head, lambda: log.append("three")):
        with pytest.raises(AuditLogBroken, match=r"chain.json: is missing.* \(now 1\)"):
            act()


def test_the_journal_of_runs_knows_the_head_too(log, store):
    """Log and head are cut back alike, or removed both: the last run knew more lines."""
    log.append("one")
    of_one = store.path("chain.json").read_bytes()
    log.append("two")
    store.append_line("runs.jsonl", {"night": "2026-03-01", "audit": log.head()._asdict()})
    log.append("run")
    assert log.verify().lines == 3
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0])
    store.path("chain.json").write_bytes(of_one)
    with pytest.raises(AuditLogBroken, match="1 lines are missing at its end"):
        log.verify()
    log.path.unlink()
    store.path("chain.json").unlink()
    with pytest.raises(AuditLogBroken, match="2 lines are missing at its end"):
        log.verify()


def test_a_kill_between_the_first_line_and_its_count_leaves_a_whole_log(log, monkeypatch):
    def write_json(self, name, value):
        assert not value["lines"], "killed"
        monkeypatch.undo()
        self.write_json(name, value)
        monkeypatch.setattr(Store, "write_json", write_json)

    monkeypatch.setattr(Store, "write_json", write_json)
    with pytest.raises(AssertionError, match="killed"):
        log.append("one")
    monkeypatch.undo()
    assert log.verify().lines == 1


def test_verifying_writes_nothing(log, store):
    log.append("one")
    store.path("chain.lock").unlink()
    for folder in (store.state, store.folder):
        folder.chmod(0o550)
    try:
        assert log.verify().lines == 1
        assert not store.path("chain.lock").exists()
    finally:
        for folder in (store.state, store.folder):
            folder.chmod(0o750)
