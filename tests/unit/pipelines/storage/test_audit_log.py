import json
import threading

import pytest

from pipelines.errors import AuditLogBroken, StateDamaged
from pipelines.storage.audit_log import NO_HASH, AuditLog


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
    log.check_readable()
    store.path("chain.json").write_text("{ cut")
    with pytest.raises(StateDamaged, match="chain.json: is damaged"):
        log.check_readable()
