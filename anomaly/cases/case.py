"""One episode of one home: what is known of it, and how evidence and answers change it."""

import dataclasses
import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from anomaly.cases.feedback import Answer
from anomaly.messages import signal_of_signature

_VALUE_BY_SIGNAL = pl.List(pl.Struct({"key": pl.String, "value": pl.Float64}))
CASE_SCHEMA: dict[str, Any] = {
    "case_id": pl.String,
    "household": pl.String,
    "signature": pl.String,
    "onset": pl.Date,
    "opened": pl.Date,
    "last_seen": pl.Date,
    "status": pl.String,
    "rarity": pl.Float64,
    "ratios": _VALUE_BY_SIGNAL,
    "usual": _VALUE_BY_SIGNAL,
    "chance_wrong": pl.Float64,
    "listed": pl.Date,
    "reopened": pl.Date,
    "decision": pl.String,
}

EvidenceRow = Mapping[str, Any]
"""A row of `anomaly.evidence.EVIDENCE_SCHEMA`."""


@dataclass(frozen=True)
class CaseRules:
    """When a case ends, what it takes in, and how long an answer holds."""

    quiet_days: int = 14  # days without evidence after which a case is closed
    onset_days: int = 7  # days after opening in which the estimate of its onset may still move
    join_days: int = 14  # a further signal that joins within these days of the onset belongs to the same rise
    answer_days: int = (
        180  # so long a benign level is accepted, and a visited home has its old case, not a new one
    )
    beyond: float = 1.5  # times the level that was answered for: from there on it is new evidence

    def __post_init__(self) -> None:
        if not self.quiet_days >= 1:
            raise ValueError(
                f"quiet_days = {self.quiet_days} would close every case at once; write at least 1"
            )
        if not self.beyond > 1:
            raise ValueError(
                f"beyond = {self.beyond} would bring back what was answered; write a number above 1"
            )


@dataclass
class Case:
    """An episode while the nights are gone through.

    ratios: signal and observed over expected, usual: signal and expected base units a day, both as lists of
    key and value; usual is None for nights judged before it was recorded. listed: the night of its first
    listing. answer: the decision in force; answered_levels: what `observed_levels` was when it was given.
    """

    case_id: str
    household: str
    signature: str
    opened: dt.date
    onset: dt.date
    last_seen: dt.date
    rarity: float
    ratios: list[dict[str, Any]]
    usual: list[dict[str, Any]] | None
    chance_wrong: float
    listed: dt.date | None = None
    closed: dt.date | None = None
    reopened: dt.date | None = None
    answer: Answer | None = None
    answered_levels: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def decision(self) -> str | None:
        """The outcome in force, where there is one."""
        return self.answer.outcome if self.answer else None

    def status(self, night: dt.date) -> str:
        """Return new, ongoing, fading or closed, as of a night."""
        if self.closed:
            return "closed"
        if self.opened == night:
            return "new"
        return "ongoing" if self.last_seen == night else "fading"

    def as_row(self, night: dt.date) -> dict[str, Any]:
        """Return the case as a row of CASE_SCHEMA, as of a night."""
        row = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in CASE_SCHEMA}
        return row | {"status": self.status(night), "decision": self.decision}

    def add_evidence(self, row: EvidenceRow, night: dt.date, rules: CaseRules) -> None:
        """Let the case grow with the evidence of a night; a case of one signal may become one of people."""
        becomes_people = row["signature"] == "people" and self.signature != "people"
        if becomes_people or row["rarity"] > self.rarity:
            self.rarity = max(self.rarity, row["rarity"])
            self.chance_wrong = row["chance_wrong"]
        if becomes_people:
            self.signature = "people"
        if self.last_seen != night or becomes_people:
            self.ratios, self.usual = row["ratios"], row.get("usual")
            if (night - self.opened).days <= rules.onset_days:
                onset = min(self.onset, row["onset"]) if becomes_people else row["onset"]
                self.onset = min(onset, self.opened)
        self.last_seen = night

    def apply_answer(self, answer: Answer) -> None:
        """Let an answer count, unless a later one does already."""
        if self.answer is None or answer.day >= self.answer.day:
            self.answer, self.answered_levels = answer, observed_levels(self.ratios, self.usual)

    def has_expired_answer(self, night: dt.date, rules: CaseRules) -> bool:
        """Return whether the answer in force has run out; an objection never does."""
        if self.answer is None or self.decision == "contested":
            return False
        return (night - self.answer.since).days > rules.answer_days

    def is_brought_back_by(self, row: EvidenceRow, night: dt.date, rules: CaseRules) -> bool:
        """Return whether evidence on this answered case is new.

        It is where its level lies far above the answered one, where a confirmed rise that had ended comes
        again, or where the answer has run out; never while an objection stands.
        """
        if self.decision == "contested":
            return False
        relapse = self.closed is not None and self.decision == "confirmed"
        return relapse or self.has_expired_answer(night, rules) or self.is_exceeded_by(row, rules)

    def is_exceeded_by(self, row: EvidenceRow, rules: CaseRules) -> bool:
        """Return whether evidence lies clearly above the level that was answered for.

        Compares the evidence's own signal, or the geometric mean of all signals where people rise. Levels,
        not rarities: a rise that merely lasts grows rarer every day and is no news.
        """
        now, before, own = (
            observed_levels(row["ratios"], row.get("usual")),
            self.answered_levels,
            row["signature"],
        )
        signals = [s for s in now if s in before and (own == "people" or s == signal_of_signature(own))]
        rises = [math.log(max(now[s], 1e-9) / max(before[s], 1e-9)) for s in signals]
        return bool(rises) and sum(rises) / len(rises) >= math.log(rules.beyond)


def make_case_id(household: str, signature: str, opened: dt.date) -> str:
    """Return a case's id: safe in a file name and a shell, telling nothing of the home, always the same."""
    digest = hashlib.sha256(f"{household}\x1f{signature}\x1f{opened}".encode()).hexdigest()
    return f"c{opened:%y%m%d}-{digest[:10]}"


def open_case(row: EvidenceRow, night: dt.date) -> Case:
    """Return a new case from the evidence that opens it."""
    return Case(
        case_id=make_case_id(row["household"], row["signature"], night),
        household=row["household"],
        signature=row["signature"],
        opened=night,
        onset=row["onset"],
        last_seen=night,
        rarity=row["rarity"],
        ratios=row["ratios"],
        usual=row.get("usual"),
        chance_wrong=row["chance_wrong"],
    )


def find_case(row: EvidenceRow, open_cases: Sequence[Case], rules: CaseRules) -> Case | None:
    """Return the open case that evidence is about: one of its kind, else a rise that began with it.

    A case of people takes in every signal, whenever it began.
    """
    for case in open_cases:
        if case.signature == row["signature"]:
            return case
    for case in open_cases:
        if case.signature == "people" or abs((row["onset"] - case.onset).days) <= rules.join_days:
            return case
    return None


def observed_levels(
    ratios: Sequence[Mapping[str, Any]], usual: Sequence[Mapping[str, Any]] | None
) -> dict[str, float]:
    """Return signal → base units observed a day over the episode; the ratio where the usual is not known.

    ratios, usual: lists of key and value.
    """
    usual_of = {pair["key"]: pair["value"] for pair in usual or ()}
    return {pair["key"]: pair["value"] * usual_of.get(pair["key"], 1.0) for pair in ratios}
