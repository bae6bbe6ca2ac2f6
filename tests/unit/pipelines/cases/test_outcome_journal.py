"""Outcomes and assignments as the journals keep them, and what is made of them."""

import threading

import polars as pl
import pytest

from pipelines.cases.outcome_journal import (
    ASSIGNMENTS,
    OUTCOMES,
    answers_frame,
    assignments_frame,
    check_against_audit_log,
    current_assignments,
    lock_journals,
    outcomes_frame,
    read_feedback,
    read_outcomes,
    read_register,
    stopped_groups,
)
from pipelines.errors import StateDamaged
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store
from pipelines.storage.stored_register import REGISTER_SCHEMA
from tests.support.judged_store import NIGHTS, answer_line, settings_for

HOMES = pl.Series("household", ["0001"])


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    return store


def test_an_old_line_without_since_counts_from_its_day_on(store):
    line = answer_line("c1", "benign", NIGHTS[2])
    del line["since"]
    store.append_line(OUTCOMES, line)
    (read,) = read_outcomes(store)
    assert (read["day"], read["since"], read["listed"]) == (NIGHTS[2], NIGHTS[2], NIGHTS[0])


def test_outcomes_as_answers_and_as_they_are_published(store):
    store.append_line(OUTCOMES, answer_line("c2", "confirmed", NIGHTS[3], by="A", minutes=12))
    store.append_line(OUTCOMES, answer_line("k1", "benign", NIGHTS[1], listed=None))
    assert answers_frame(store).select("case_id", "listed", "day", "outcome", "chance_wrong").rows() == [
        ("c2", NIGHTS[0], NIGHTS[3], "confirmed", 0.2),
        ("k1", None, NIGHTS[1], "benign", 0.2),
    ]
    assert outcomes_frame(store).rows() == [
        ("c2", NIGHTS[3], "confirmed", "seen", "A", 12),
        ("k1", NIGHTS[1], "benign", "seen", None, None),
    ]


def test_the_last_assignment_of_a_case_counts(store):
    for case_id, to in (("c1", "team 1"), ("c2", "team 2"), ("c1", "team 3")):
        store.append_line(ASSIGNMENTS, {"case_id": case_id, "day": str(NIGHTS[0]), "to": to, "by": None})
    assert assignments_frame(store)["to"].to_list() == ["team 1", "team 2", "team 3"]
    assert sorted(current_assignments(store).rows()) == [("c1", "team 3"), ("c2", "team 2")]


def test_without_a_journal_the_frames_are_empty(store):
    frames = (
        answers_frame(store),
        outcomes_frame(store),
        assignments_frame(store),
        current_assignments(store),
    )
    assert all(frame.is_empty() for frame in frames)
    assert stopped_groups(settings_for(), store, NIGHTS[0]) == []


def test_the_register_is_read_where_the_settings_name_one(store):
    register = pl.DataFrame(
        [("0001", "7", "North", None, None, None, False)], schema=REGISTER_SCHEMA, orient="row"
    )
    store.write("register.parquet", register)
    assert read_register(settings_for(), store).is_empty()
    assert read_register(settings_for(households=object()), store).equals(register)


def test_feedback_is_what_a_night_knows_with_the_districts_of_the_homes(store):
    rows = [
        (home, None, district, None, None, None, False)
        for home, district in (("0001", "North"), ("0002", "South"))
    ]
    store.write("register.parquet", pl.DataFrame(rows, schema=REGISTER_SCHEMA, orient="row"))
    store.append_line(OUTCOMES, answer_line("c1", "contested", NIGHTS[1]))
    store.append_line(OUTCOMES, answer_line("c1", "benign", NIGHTS[3]))
    settings = settings_for(households=object())
    feedback = read_feedback(settings, store, HOMES, until=NIGHTS[2])
    assert [(answer.outcome, answer.since) for answer in feedback.answers] == [("contested", NIGHTS[1])]
    assert feedback.districts == {"0001": "North"}
    assert len(read_feedback(settings, store, HOMES).answers) == 2


def test_answers_correct_the_chance_from_the_night_that_knows_them_on(store):
    """All of 30 doors with a promised chance of 0.2 were wrong: the next is far more likely wrong."""
    for number in range(30):
        store.append_line(OUTCOMES, answer_line(f"c{number}", "benign", NIGHTS[2]))
    feedback = read_feedback(settings_for(), store, HOMES)
    before, after = feedback.correction_for(NIGHTS[1]), feedback.correction_for(NIGHTS[2])
    assert before.shifts == {} and after.shifts["water"] > 3


def test_a_kind_that_was_wrong_nearly_always_is_stopped(store):
    for number in range(30):
        outcome = "confirmed" if number == 0 else "benign"
        store.append_line(OUTCOMES, answer_line(f"c{number}", outcome, NIGHTS[2]))
    assert stopped_groups(settings_for(), store, NIGHTS[1]) == []
    (stopped,) = stopped_groups(settings_for(), store, NIGHTS[2])
    assert (stopped.name, stopped.wrong, stopped.answered) == ("water", 29, 30)


def test_one_writer_at_a_time(store):
    entered = threading.Event()

    def write() -> None:
        with lock_journals(store):
            entered.set()

    with lock_journals(store):
        other = threading.Thread(target=write)
        other.start()
        assert not entered.wait(0.3)
    other.join(10)
    assert entered.is_set()


@pytest.fixture
def log(store) -> AuditLog:
    return AuditLog(store)


def record(store, case_id: str, outcome: str = "benign", **facts) -> None:
    """Record an outcome the way `decide` does."""
    store.append_line(OUTCOMES, answer_line(case_id, outcome, NIGHTS[2]))
    lines = len(store.read_lines(OUTCOMES))
    AuditLog(store).append("decide", case=case_id, outcome=outcome, day=NIGHTS[2], lines=lines, **facts)


def test_journals_that_hold_more_than_the_audit_log_are_whole(store, log):
    check_against_audit_log(store)
    record(store, "c1")
    log.append("decide", case="c1", outcome="benign", day=NIGHTS[2], again=True, lines=1)
    store.append_line(OUTCOMES, answer_line("c2", "benign", NIGHTS[2]))  # killed before the log was written
    store.append_line(ASSIGNMENTS, {"case_id": "c1", "day": str(NIGHTS[0]), "to": "team 2", "by": None})
    log.append("assign", case="c1", to="team 2", by=None)
    log.append("import", recorded=1, outcomes=[["c2", "benign", str(NIGHTS[2])]], lines=2)
    check_against_audit_log(store)


def test_an_outcome_that_only_the_audit_log_has_is_told(store):
    record(store, "c1")
    record(store, "c2", "contested")
    first, second = store.read_lines(OUTCOMES)
    store.write_lines(OUTCOMES, [first])
    with pytest.raises(
        StateDamaged, match="lacks the outcome contested of c2 on 2026-03-03, which the audit"
    ):
        check_against_audit_log(store)
    store.path(OUTCOMES).unlink()
    with pytest.raises(
        StateDamaged, match="lacks the outcome benign of c1 .*: anomaly decide c1 benign --day"
    ):
        check_against_audit_log(store)
    store.write_lines(OUTCOMES, [second, first])
    check_against_audit_log(store)


def test_an_imported_outcome_that_only_the_audit_log_has_is_told(store, log):
    log.append("import", recorded=1, outcomes=[["c2", "benign", str(NIGHTS[2])]], lines=1)
    with pytest.raises(StateDamaged, match="lacks the outcome benign of c2 on 2026-03-03"):
        check_against_audit_log(store)


def test_outcomes_that_are_the_same_but_for_the_reason_are_counted(store):
    record(store, "c1")
    record(store, "c1")
    store.write_lines(OUTCOMES, store.read_lines(OUTCOMES)[:1])
    with pytest.raises(StateDamaged, match="lacks 1 outcomes, which the audit log has"):
        check_against_audit_log(store)


def test_imports_of_version_0_1_0_are_counted(store, log):
    log.append("import", file="field.csv", recorded=2, already=0, refused=0)
    store.append_line(OUTCOMES, answer_line("c1", "benign", NIGHTS[2]))
    with pytest.raises(StateDamaged, match="lacks 1 outcomes"):
        check_against_audit_log(store)


def test_an_assignment_that_only_the_audit_log_has_is_told(store, log):
    log.append("assign", case="c1", to="team 2", by=None)
    with pytest.raises(
        StateDamaged, match="assignments.jsonl: lacks the assignment of c1 to team 2, .*again"
    ):
        check_against_audit_log(store)


@pytest.mark.parametrize("line", [{}, {"day": 5}, {"day": "soon"}, {"day": "2026-03-01", "case_id": "c1"}])
def test_a_line_that_is_no_outcome_is_told(store, line):
    store.append_line(OUTCOMES, answer_line("c1", "benign", NIGHTS[2]))
    store.append_line(OUTCOMES, line)
    with pytest.raises(StateDamaged, match="outcomes.jsonl: line 2 is damaged"):
        read_outcomes(store)


def test_a_line_that_is_no_assignment_is_told(store):
    store.append_line(ASSIGNMENTS, {"case_id": "c1"})
    with pytest.raises(StateDamaged, match="assignments.jsonl: line 1 is damaged"):
        assignments_frame(store)
