"""What people have answered, and what an answer does to a case.

`no_access` and `not_visited` are missing answers and change nothing. `contested` pauses follow-up until somebody decides;
`benign` accepts the level the home had; `confirmed` ends follow-up. The latest decision counts.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from anomaly.cases.case import Case, CaseRules, is_beyond, level

DECIDING = ("confirmed", "benign", "contested")


@dataclass(frozen=True)
class Answer:
    """One decision or visit. day: when it was made; since: the first night whose list knows it."""

    case_id: str
    household: str
    signature: str
    outcome: str
    day: dt.date
    since: dt.date


@dataclass(frozen=True)
class Trusting:
    """How far outcomes so far are believed: what `standing` gives for a night where there are none."""

    def corrected(self, signature: str, chance: float) -> float:
        """The chance that a door is wrong, after what outcomes have taught."""
        return chance

    def stops(self, signature: str, district: str | None) -> bool:
        """Whether doors of this kind or place are no longer listed."""
        return False


@dataclass(frozen=True)
class Told:
    """What people have told. standing: night → what the outcomes known by then amount to (Trusting's two questions)."""

    answers: Sequence[Answer] = ()
    districts: Mapping[str, str | None] = field(default_factory=dict)
    standing: Callable[[dt.date], Trusting] = lambda night: Trusting()

    def by_night(self) -> list[Answer]:
        """The deciding answers in the order in which nights come to know them; of one day, the later one last."""
        return sorted((a for a in self.answers if a.outcome in DECIDING), key=lambda a: (a.since, a.day))


def settle(case: Case, answer: Answer) -> None:
    """Let an answer count for its case, unless a later one does already."""
    if case.answer is None or answer.day >= case.answer.day:
        case.answer, case.answered_at = answer, level(case.ratios, case.usual)


def lapsed(case: Case, night: dt.date, rules: CaseRules) -> bool:
    """Whether an answer has run out; an objection never does."""
    return case.decision != "contested" and (night - case.answer.since).days > rules.answer_days


def comes_back(case: Case, row, night: dt.date, rules: CaseRules) -> bool:
    """Whether evidence on an answered case is new: its level far above the answered one, or a relapse of what had ended."""
    if case.decision == "contested":
        return False
    ended = case.closed is not None and case.decision == "confirmed"
    return ended or lapsed(case, night, rules) or is_beyond(row, case.answered_at, rules)
