"""The judged nights gone through in order: evidence to cases, answers to cases, cases to lists."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from anomaly.cases.case import CASES, Case, CaseRules, belongs, grow, is_beyond, open_case
from anomaly.cases.feedback import Answer, Told, comes_back, lapsed, settle
from anomaly.cases.worklist import WORKLIST, WorklistRules, doors_of_night


@dataclass(frozen=True)
class Fold:
    """What the judged nights amount to.

    cases: one row a case as the last night saw it (tables.Cases without district and words, with usual,
    chance_wrong and listed). worklist: every night's doors (tables.Worklist without district and assigned). opened: night →
    cases opened, and wrong: night → doors expected to be wrong among those first listed; open: night → cases not closed. then: watched night → its
    cases not closed, as it saw them.
    """

    cases: pl.DataFrame
    worklist: pl.DataFrame
    opened: Mapping[dt.date, int]
    open: Mapping[dt.date, int]
    wrong: Mapping[dt.date, float]
    then: Mapping[dt.date, pl.DataFrame]


def fold(
    nights: Mapping[dt.date, tuple[pl.DataFrame, pl.DataFrame]],
    needed: float,
    told: Told = Told(),
    rules: CaseRules = CaseRules(),
    worklist: WorklistRules = WorklistRules(),
    watched: Collection[dt.date] = (),
) -> Fold:
    """Go through the judged nights in order.

    nights: night → rows of anomaly.evidence.REASONS that may be listed, and household, rarity (the largest of that night; a
    home that is not there was unremarkable, 1). needed: rarity that opens a case, or brings an answered one back. watched:
    nights whose cases are to be given as each of them saw them.
    """
    held = _Held(rules, needed)
    waiting = told.by_night()
    doors, opened, still_open, wrong, then = [], {}, {}, {}, {}
    for night in sorted(nights):
        evidence, rarities = nights[night]
        held.close(
            night, rules.quiet_days + 1
        )  # nights between may not have been judged: what is over takes nothing in
        fresh = held.take_in(evidence, night)
        while (
            waiting and waiting[0].since <= night
        ):  # after the evidence: who answers has seen what that night saw
            held.answer(waiting.pop(0))
        held.close(night, rules.quiet_days)
        tonight = dict(
            rarities.filter(pl.col("household").is_in(list(held.open)))
            .select("household", "rarity")
            .iter_rows()
        )
        rows = doors_of_night(held.current(), tonight, night, told, worklist)
        doors += rows
        opened[night], still_open[night] = fresh, len(held.current())
        wrong[night] = round(sum(row["chance_wrong"] for row in rows if row["first_listed"]), 4)
        if night in watched:
            then[night] = _frame(held.current(), night)
    for answer in waiting:  # given since the last night: no list knows it yet, the case does
        held.answer(answer)
    return Fold(
        _frame(held.cases.values(), max(nights, default=None)),
        pl.DataFrame(doors, schema=WORKLIST, orient="row").sort("night", "rank"),
        opened,
        still_open,
        wrong,
        then,
    )


def _frame(cases: Iterable[Case], night: dt.date | None) -> pl.DataFrame:
    return pl.DataFrame([case.row(night) for case in cases], schema=CASES, orient="row").sort("case_id")


class _Held:
    """The cases so far: all by code, the open ones by home, and by home those that ended answered and may come back."""

    def __init__(self, rules: CaseRules, needed: float):
        self.rules, self.needed = rules, needed
        self.cases: dict[str, Case] = {}
        self.open: dict[str, list[Case]] = {}
        self.ended: dict[str, list[Case]] = {}

    def current(self) -> list[Case]:
        return [case for held in self.open.values() for case in held]

    def close(self, night: dt.date, days: int) -> None:
        """End the cases last seen at least `days` days ago."""
        for household in list(self.open):
            for case in self.open[household]:
                if (night - case.last_seen).days >= days:
                    case.closed = night
                    self.ended.setdefault(household, []).append(case)
            self.open[household] = [c for c in self.open[household] if not c.closed]
            if not self.open[household]:
                del self.open[household]

    def take_in(self, evidence: pl.DataFrame, night: dt.date) -> int:
        """Give each home's evidence to the case it belongs to, or open one; returns how many were opened."""
        fresh = 0
        # people first: what is people is not also a case of one signal
        rows = (
            evidence.filter("opens")
            .with_columns(people=pl.col("signature") == "people")
            .sort(
                ["household", "people", "rarity", "detector", "signal"],
                descending=[False, True, True, False, False],
            )
        )
        for row in rows.iter_rows(named=True):
            case = belongs(row, self.open.get(row["household"], []), self.rules) or self._over(row, night)
            if case is not None:
                self._again(case, row, night)
            elif row["rarity"] >= self.needed:
                case = open_case(row, night)
                self.cases[case.case_id] = case
                self.open.setdefault(row["household"], []).append(case)
                fresh += 1
        return fresh

    def _over(self, row: Mapping, night: dt.date) -> Case | None:
        """The answered case of this home that has ended and that the evidence is about: one of its kind, or a benign
        household of more people within whose accepted level it lies."""

        def covers(case: Case) -> bool:
            return (
                case.decision == "benign"
                and case.signature == "people"
                and not is_beyond(row, case.answered_at, self.rules)
            )

        answered = [
            c for c in self.ended.get(row["household"], []) if c.answer and not lapsed(c, night, self.rules)
        ]
        over = [c for c in answered if c.signature == row["signature"] or covers(c)]
        return over[-1] if over else None

    def _again(self, case: Case, row: Mapping, night: dt.date) -> None:
        """Evidence on a case that is there: it grows; answered, it comes back only with what is new."""
        back = (
            case.answer is not None
            and row["rarity"] >= self.needed
            and comes_back(case, row, night, self.rules)
        )
        if case.closed and not back and case.decision != "contested":
            return  # accepted, or too faint to be a relapse
        if case.closed:
            case.closed, case.onset = None, row["onset"]
            self.ended[case.household].remove(case)
            self.open.setdefault(case.household, []).append(case)
        if back:
            case.answer, case.answered_at, case.reopened, case.listed = None, None, night, None
        grow(case, row, night, self.rules)

    def answer(self, answer: Answer) -> None:
        """Settle the case an answer is about; where judging earlier nights again gave it another code, the home's own of that kind."""
        case = self.cases.get(answer.case_id)
        if case is None:
            of_home = [*self.ended.get(answer.household, []), *self.open.get(answer.household, [])]
            case = next((c for c in reversed(of_home) if c.signature == answer.signature), None)
        if case is not None:
            settle(case, answer)
