"""One episode of one home: what is known of it, and how it grows with the evidence of a night."""

import dataclasses
import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from anomaly import messages

_RATIOS = pl.List(pl.Struct({"key": pl.String, "value": pl.Float64}))
CASES = {
    "case_id": pl.String,
    "household": pl.String,
    "signature": pl.String,
    "onset": pl.Date,
    "opened": pl.Date,
    "last_seen": pl.Date,
    "status": pl.String,
    "rarity": pl.Float64,
    "ratios": _RATIOS,
    "usual": _RATIOS,
    "chance_wrong": pl.Float64,
    "listed": pl.Date,
    "reopened": pl.Date,
    "decision": pl.String,
}


@dataclass(frozen=True)
class CaseRules:
    """When a case ends, what it takes in, and how long an answer holds."""

    quiet_days: int = 14  # days without evidence after which a case is closed
    onset_days: int = 7  # days after opening in which the estimate of its onset may still move
    join_days: int = 14  # a further signal that joins within these days of the onset belongs to the same rise
    answer_days: int = (
        180  # so long a benign level is accepted, and a home that was visited has its old case, not a new one
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
    """An episode while the nights are gone through. answer: the decision in force, with the level it was given at."""

    case_id: str
    household: str
    signature: str
    opened: dt.date
    onset: dt.date
    last_seen: dt.date
    rarity: float
    ratios: list
    usual: list | None
    chance_wrong: float
    listed: dt.date | None = None
    closed: dt.date | None = None
    reopened: dt.date | None = None
    answer: object | None = None
    answered_at: Mapping[str, float] | None = None

    @property
    def decision(self) -> str | None:
        """The outcome in force, where one is."""
        return self.answer.outcome if self.answer else None

    def status(self, night: dt.date) -> str:
        """new, ongoing, fading or closed, as of a night."""
        if self.closed:
            return "closed"
        if self.opened == night:
            return "new"
        return "ongoing" if self.last_seen == night else "fading"

    def row(self, last: dt.date) -> dict:
        """The case as a row of CASES, as of the last night."""
        row = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in CASES}
        return row | {"status": self.status(last), "decision": self.decision}


def case_code(household: str, signature: str, opened: dt.date) -> str:
    """Code of a case: safe in a file name and a shell, tells nothing of the home, the same on every machine."""
    digest = hashlib.sha256(f"{household}\x1f{signature}\x1f{opened}".encode()).hexdigest()
    return f"c{opened:%y%m%d}-{digest[:10]}"


def open_case(row: Mapping, night: dt.date) -> Case:
    """A new case from the row of evidence that opens it."""
    code = case_code(row["household"], row["signature"], night)
    # nights judged before the usual level was kept have none
    return Case(
        code,
        row["household"],
        row["signature"],
        night,
        row["onset"],
        night,
        row["rarity"],
        row["ratios"],
        row.get("usual"),
        row["chance_wrong"],
    )


def belongs(row: Mapping, held: Sequence[Case], rules: CaseRules) -> Case | None:
    """The open case this evidence is about: the same kind, or a rise that began with it."""
    for case in held:
        if case.signature == row["signature"]:
            return case
    for case in held:
        if case.signature == "people" or abs((row["onset"] - case.onset).days) <= rules.join_days:
            return case
    return None


def grow(case: Case, row: Mapping, night: dt.date, rules: CaseRules) -> None:
    """Take the evidence of a night in."""
    joins = row["signature"] == "people" and case.signature != "people"
    if joins or (row["rarity"] > case.rarity):
        case.rarity = max(case.rarity, row["rarity"])
        case.chance_wrong = row["chance_wrong"]
    if joins:
        case.signature = "people"
    if case.last_seen != night or joins:
        case.ratios, case.usual = row["ratios"], row.get("usual")
        if (night - case.opened).days <= rules.onset_days:
            onset = min(case.onset, row["onset"]) if joins else row["onset"]
            case.onset = min(onset, case.opened)
    case.last_seen = night


def level(ratios: Sequence[Mapping], usual: Sequence[Mapping] | None) -> dict[str, float]:
    """Signal → what was observed a day over the episode, in base units; over what was expected where that is not known."""
    known = {pair["key"]: pair["value"] for pair in usual or ()}
    return {pair["key"]: pair["value"] * known.get(pair["key"], 1.0) for pair in ratios}


def is_beyond(row: Mapping, before: Mapping[str, float], rules: CaseRules) -> bool:
    """Whether the evidence lies clearly above a level: that of its own signal, or of all of them where people rise.

    Levels, not rarities: a rise that merely lasts grows rarer every day and is no news.
    """
    now = level(row["ratios"], row.get("usual"))
    own = messages.signal_of_signature(row["signature"])
    asked = [s for s in now if s in before and (row["signature"] == "people" or s == own)]
    rises = [math.log(max(now[s], 1e-9) / max(before[s], 1e-9)) for s in asked]
    return bool(rises) and sum(rises) / len(rises) >= math.log(rules.beyond)
