"""The journals of what people answer: outcomes of visits, and assignments.

Lines are added, never changed. A line of the outcomes journal keeps what was promised of its door when it was
answered, so that the account stands whatever becomes of the nights behind it.
"""

import contextlib
import datetime as dt
import functools
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from anomaly import cases, outcomes, tables
from pipelines.config.settings import Settings
from pipelines.errors import StateDamaged
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store
from pipelines.storage.stored_register import REGISTER_SCHEMA, read_stored_register

OUTCOMES, ASSIGNMENTS = "outcomes.jsonl", "assignments.jsonl"
_DATE_FIELDS = ("day", "since", "listed")


class StoppedGroup(NamedTuple):
    """A kind of case or a district that is no longer listed: `wrong` of its `answered` doors were wrong."""

    name: str
    wrong: int
    answered: int


@contextlib.contextmanager
def lock_journals(store: Store) -> Iterator[None]:
    """Hold the journals for writing: one writer at a time, beside a run that only reads them."""
    with store.short_lock("journals.lock"):
        yield


def read_outcomes(store: Store) -> list[dict]:
    """Read every line of the outcomes journal; one without `since` counts from its day on.

    Raises StateDamaged for a line that is no outcome.
    """
    lines = []
    for number, line in enumerate(store.read_lines(OUTCOMES), 1):
        try:
            line = {"since": line["day"], "case_id": line["case_id"], "outcome": line["outcome"]} | line
            dates = {name: dt.date.fromisoformat(line[name]) for name in _DATE_FIELDS if line.get(name)}
        except (KeyError, TypeError, ValueError):
            raise store.damaged_line(OUTCOMES, number) from None
        lines.append(line | dates)
    return lines


def check_against_audit_log(store: Store) -> None:
    """Raise StateDamaged where the audit log knows of outcomes or assignments that the journals do not hold.

    Each is in its journal before it is in the audit log. To be called once that was verified.
    """
    audit_log = AuditLog(store)
    decided, imported = audit_log.lines("decide"), audit_log.lines("import")
    assigned = {(line.get("case"), line.get("to")) for line in audit_log.lines("assign")}
    outcome_lines, assignment_lines = store.read_lines(OUTCOMES), store.read_lines(ASSIGNMENTS)

    path, remedy = store.path(OUTCOMES), "which the audit log has; put the file back from a copy"
    known = {(line.get("case"), line.get("outcome"), line.get("day")) for line in decided}
    known |= {tuple(outcome) for line in imported for outcome in line.get("outcomes", ())}
    known -= {(line.get("case_id"), line.get("outcome"), line.get("day")) for line in outcome_lines}
    for case_id, outcome, day in sorted(known, key=str):
        raise StateDamaged(
            f"{path}: lacks the outcome {outcome} of {case_id} on {day}, {remedy}, "
            f"or record it again: anomaly decide {case_id} {outcome} --day {day} …"
        )
    # the same outcome may have been recorded more than once, with other reasons
    counts = [line["lines"] for line in (*decided, *imported) if "lines" in line]
    before_counts = sum(line.get("recorded", 0) for line in imported if "lines" not in line)
    if (lost := max([before_counts, *counts]) - len(outcome_lines)) > 0:
        raise StateDamaged(f"{path}: lacks {lost} outcomes, {remedy}")
    assigned -= {(line.get("case_id"), line.get("to")) for line in assignment_lines}
    for case_id, to in sorted(assigned, key=str):
        raise StateDamaged(
            f"{store.path(ASSIGNMENTS)}: lacks the assignment of {case_id} to {to}, {remedy}, "
            f"or record it again: anomaly assign {case_id} …"
        )


def answers_frame(store: Store) -> pl.DataFrame:
    """Return the outcomes as anomaly.outcomes.ANSWER_SCHEMA, in the order in which they were recorded."""
    rows = [{name: line.get(name) for name in outcomes.ANSWER_SCHEMA} for line in read_outcomes(store)]
    return pl.DataFrame(rows, schema=outcomes.ANSWER_SCHEMA, orient="row")


def outcomes_frame(store: Store) -> pl.DataFrame:
    """Return the outcomes as they are published (tables.Outcomes)."""
    schema = tables.empty(tables.Outcomes).schema
    rows = [{name: line.get(name) for name in schema} for line in read_outcomes(store)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def assignments_frame(store: Store) -> pl.DataFrame:
    """Return the assignments (tables.Assignments) in the order in which they were recorded."""
    schema = tables.empty(tables.Assignments).schema
    rows = []
    for number, line in enumerate(store.read_lines(ASSIGNMENTS), 1):
        try:
            day = dt.date.fromisoformat(line["day"])
        except (KeyError, TypeError, ValueError):
            raise store.damaged_line(ASSIGNMENTS, number) from None
        rows.append({name: line.get(name) for name in schema} | {"day": day})
    return pl.DataFrame(rows, schema=schema, orient="row")


def current_assignments(store: Store) -> pl.DataFrame:
    """Return case_id, assigned: to whom each case is assigned now."""
    last = assignments_frame(store).unique("case_id", keep="last", maintain_order=True)
    return last.select("case_id", assigned="to")


def read_register(settings: Settings, store: Store) -> pl.DataFrame:
    """Read the stored register of homes; empty where the settings name none."""
    return read_stored_register(store) if settings.households else pl.DataFrame(schema=REGISTER_SCHEMA)


def read_feedback(
    settings: Settings, store: Store, homes: pl.Series, until: dt.date | None = None
) -> cases.Feedback:
    """Read what people have answered, for the building of cases, with the districts of those homes.

    until: only what this night knows; None for all.
    """
    answers = [
        cases.Answer(
            case_id=line["case_id"],
            household=line.get("household") or "",
            signature=line.get("signature") or "",
            outcome=line["outcome"],
            day=line["day"],
            since=line["since"],
        )
        for line in read_outcomes(store)
        if until is None or line["since"] <= until
    ]
    register = read_register(settings, store).filter(pl.col("household").is_in(homes.implode()))
    districts = dict(register.select("household", "district").iter_rows())
    if not answers:
        return cases.Feedback(districts=districts)
    recorded = answers_frame(store)
    correction_for = functools.cache(
        lambda night: outcomes.correction_for_night(recorded, night, settings.account)
    )
    return cases.Feedback(answers, districts, correction_for)


def stopped_groups(settings: Settings, store: Store, night: dt.date) -> list[StoppedGroup]:
    """Return the kinds, then the districts, that a night no longer lists as wrong too often."""
    correction = outcomes.correction_for_night(answers_frame(store), night, settings.account)
    stopped = [*correction.stopped_kinds.items(), *correction.stopped_districts.items()]
    return [StoppedGroup(name, count.wrong, count.answered) for name, count in stopped]
