"""Answers of people about cases, as the building of cases takes them.

`no_access` and `not_visited` are missing answers and change nothing. `contested` pauses follow-up until
somebody decides; `benign` accepts the level the home had; `confirmed` ends follow-up. The latest decision
counts.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from anomaly.outcomes import OutcomeCorrection

DECISIONS = ("confirmed", "benign", "contested")
"""The outcomes that change a case."""


@dataclass(frozen=True)
class Answer:
    """One decision or visit. day: when it was made; since: the first night whose list knows it."""

    case_id: str
    household: str
    signature: str
    outcome: str
    day: dt.date
    since: dt.date


def _no_correction(night: dt.date) -> OutcomeCorrection:
    return OutcomeCorrection()


@dataclass(frozen=True)
class Feedback:
    """All that comes back from people, and the districts it is counted by.

    answers: in any order. districts: household → district. correction_for: night → what the outcomes known by
    then change about its list (`anomaly.outcomes.correction_for_night`).
    """

    answers: Sequence[Answer] = ()
    districts: Mapping[str, str | None] = field(default_factory=dict)
    correction_for: Callable[[dt.date], OutcomeCorrection] = _no_correction

    def decisions(self) -> list[Answer]:
        """Return the deciding answers in the order in which nights come to know them; of one night by day."""
        deciding = [answer for answer in self.answers if answer.outcome in DECISIONS]
        return sorted(deciding, key=lambda answer: (answer.since, answer.day))
