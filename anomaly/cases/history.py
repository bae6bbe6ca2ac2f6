"""Go through the judged nights in order: evidence to cases, answers to cases, cases to lists."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from anomaly.cases.case import CASE_SCHEMA, Case, CaseRules, EvidenceRow, find_case, open_case
from anomaly.cases.feedback import Answer, Feedback
from anomaly.cases.worklist import WORKLIST_SCHEMA, WorklistRules, build_worklist


class JudgedNight(NamedTuple):
    """What one night found.

    evidence: rows of `anomaly.evidence.EVIDENCE_SCHEMA` that may be listed. rarities: household, rarity (the
    largest of that night); a home that is not there was unremarkable, 1.
    """

    evidence: pl.DataFrame
    rarities: pl.DataFrame


@dataclass(frozen=True)
class CaseHistory:
    """What the judged nights amount to.

    cases: one row a case as the last night saw it, of CASE_SCHEMA (tables.Cases without district and words,
    with usual, chance_wrong and listed). worklist: every night's doors, of WORKLIST_SCHEMA. new_cases,
    open_cases: night → cases opened on it, and cases not closed. expected_wrong: night → doors expected to be
    wrong among those first listed. snapshots: night → its cases not closed, as it saw them, for the nights
    asked for.
    """

    cases: pl.DataFrame
    worklist: pl.DataFrame
    new_cases: Mapping[dt.date, int]
    open_cases: Mapping[dt.date, int]
    expected_wrong: Mapping[dt.date, float]
    snapshots: Mapping[dt.date, pl.DataFrame]


def build_case_history(
    nights: Mapping[dt.date, JudgedNight],
    opening_rarity: float,
    feedback: Feedback = Feedback(),
    rules: CaseRules = CaseRules(),
    worklist_rules: WorklistRules = WorklistRules(),
    snapshot_nights: Collection[dt.date] = (),
) -> CaseHistory:
    """Build all cases and worklists from the judged nights and what people have answered.

    opening_rarity: rarity of the evidence that opens a case, or brings an answered one back. snapshot_nights:
    nights whose cases are to be given as each of them saw them.
    """
    book = _CaseBook(rules, opening_rarity)
    decisions = feedback.decisions()
    doors, new_cases, open_cases, expected_wrong, snapshots = [], {}, {}, {}, {}
    for night in sorted(nights):
        evidence, rarities = nights[night]
        # Nights between may not have been judged: what ended before this one takes nothing in.
        book.close_quiet_cases(night, rules.quiet_days + 1)
        new_cases[night] = book.add_evidence(evidence, night)
        # After the evidence: who answers has seen what that night saw.
        while decisions and decisions[0].since <= night:
            book.apply_answer(decisions.pop(0))
        book.close_quiet_cases(night, rules.quiet_days)

        still_open = book.open_cases()
        with_case = rarities.filter(pl.col("household").is_in(list(book.open_by_home)))
        rarity_of = dict(with_case.select("household", "rarity").iter_rows())
        rows = build_worklist(still_open, rarity_of, night, feedback, worklist_rules)
        doors += rows
        open_cases[night] = len(still_open)
        expected_wrong[night] = round(sum(row["chance_wrong"] for row in rows if row["first_listed"]), 4)
        if night in snapshot_nights:
            snapshots[night] = _to_frame(still_open, night)
    # Given since the last night: no list knows them yet, their cases do.
    for answer in decisions:
        book.apply_answer(answer)
    last = max(nights, default=dt.date.min)  # without a night there is no case either
    return CaseHistory(
        cases=_to_frame(book.cases.values(), last),
        worklist=pl.DataFrame(doors, schema=WORKLIST_SCHEMA, orient="row").sort("night", "rank"),
        new_cases=new_cases,
        open_cases=open_cases,
        expected_wrong=expected_wrong,
        snapshots=snapshots,
    )


def _to_frame(cases: Iterable[Case], night: dt.date) -> pl.DataFrame:
    rows = [case.as_row(night) for case in cases]
    return pl.DataFrame(rows, schema=CASE_SCHEMA, orient="row").sort("case_id")


class _CaseBook:
    """The cases so far: all by id, the open ones by home, and by home those that were closed."""

    def __init__(self, rules: CaseRules, opening_rarity: float):
        self.rules, self.opening_rarity = rules, opening_rarity
        self.cases: dict[str, Case] = {}
        self.open_by_home: dict[str, list[Case]] = {}
        self.closed_by_home: dict[str, list[Case]] = {}

    def open_cases(self) -> list[Case]:
        """Return all open cases."""
        return [case for cases in self.open_by_home.values() for case in cases]

    def close_quiet_cases(self, night: dt.date, days: int) -> None:
        """Close the cases last seen at least `days` days ago."""
        for household in list(self.open_by_home):
            still_open = []
            for case in self.open_by_home[household]:
                if (night - case.last_seen).days >= days:
                    case.closed = night
                    self.closed_by_home.setdefault(household, []).append(case)
                else:
                    still_open.append(case)
            if still_open:
                self.open_by_home[household] = still_open
            else:
                del self.open_by_home[household]

    def add_evidence(self, evidence: pl.DataFrame, night: dt.date) -> int:
        """Give each home's evidence to the case it belongs to, or open one; return how many were opened."""
        opened = 0
        # People first: what is people is not also a case of one signal.
        ordered = (
            evidence.filter("opens")
            .with_columns(people=pl.col("signature") == "people")
            .sort(
                ["household", "people", "rarity", "detector", "signal"],
                descending=[False, True, True, False, False],
            )
        )
        for row in ordered.iter_rows(named=True):
            open_here = self.open_by_home.get(row["household"], [])
            case = find_case(row, open_here, self.rules) or self._find_answered_case(row, night)
            if case is not None:
                self._add_to_case(case, row, night)
            elif row["rarity"] >= self.opening_rarity:
                case = open_case(row, night)
                self.cases[case.case_id] = case
                self.open_by_home.setdefault(row["household"], []).append(case)
                opened += 1
        return opened

    def _find_answered_case(self, row: EvidenceRow, night: dt.date) -> Case | None:
        """Return the closed case of this home whose answer still holds and that the evidence is about.

        One of its kind, or a benign household of more people within whose accepted level it lies.
        """

        def is_about(case: Case) -> bool:
            accepted_people = case.decision == "benign" and case.signature == "people"
            return case.signature == row["signature"] or (
                accepted_people and not case.is_exceeded_by(row, self.rules)
            )

        closed = self.closed_by_home.get(row["household"], [])
        answered = [case for case in closed if case.answer and not case.has_expired_answer(night, self.rules)]
        return next((case for case in reversed(answered) if is_about(case)), None)

    def _add_to_case(self, case: Case, row: EvidenceRow, night: dt.date) -> None:
        """Let a case grow with evidence; an answered one comes back only with what is new."""
        comes_back = (
            case.answer is not None
            and row["rarity"] >= self.opening_rarity
            and case.is_brought_back_by(row, night, self.rules)
        )
        if case.closed and not comes_back and case.decision != "contested":
            return  # accepted, or too faint to be a relapse
        if case.closed:
            case.closed, case.onset = None, row["onset"]
            self.closed_by_home[case.household].remove(case)
            self.open_by_home.setdefault(case.household, []).append(case)
        if comes_back:
            case.answer, case.answered_levels, case.reopened, case.listed = None, {}, night, None
        case.add_evidence(row, night, self.rules)

    def apply_answer(self, answer: Answer) -> None:
        """Apply an answer to its case.

        Judging earlier nights again may have given the case another id; then it is the home's last of that
        kind.
        """
        case = self.cases.get(answer.case_id)
        if case is None:
            closed = self.closed_by_home.get(answer.household, [])
            of_home = [*closed, *self.open_by_home.get(answer.household, [])]
            case = next((c for c in reversed(of_home) if c.signature == answer.signature), None)
        if case is not None:
            case.apply_answer(answer)
