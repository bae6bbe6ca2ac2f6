"""What belongs together: episodes of a home from the evidence of the judged nights, and the list of doors.

Cases are a pure function of those nights: `fold` goes through them in order, so judging an earlier night again simply
gives the later ones anew. Nothing is scored here.
"""

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from anomaly import tables


@dataclass(frozen=True)
class CaseRules:
    """When a case ends and what it takes in."""

    quiet_days: int = 14  # days without evidence after which a case is closed
    onset_days: int = 7  # days after opening in which the estimate of its onset may still move
    join_days: int = 14  # a further signal that joins within these days of the onset belongs to the same rise

    def __post_init__(self) -> None:
        if not self.quiet_days >= 1:
            raise ValueError(f"quiet_days = {self.quiet_days} would close every case at once; write at least 1")


@dataclass(frozen=True)
class WorklistRules:
    """How many doors a night may add, and whose they are."""

    doors_per_night: int = 20
    desks: Mapping[str, str] = field(default_factory=lambda: {"people": "occupancy", "door": "access", "water": "water", "power": "power"})


@dataclass
class _Case:
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

    def status(self, night: dt.date) -> str:
        if self.closed:
            return "closed"
        if self.opened == night:
            return "new"
        return "ongoing" if self.last_seen == night else "fading"


@dataclass(frozen=True)
class Fold:
    """What the judged nights amount to.

    cases: one row a case as the last night saw it (tables.Cases without district and words, with usual,
    chance_wrong and listed). worklist: every night's doors (tables.Worklist without district). opened: night → cases opened, and
    wrong: night → doors expected to be wrong among those first listed; open: night → cases not closed.
    """

    cases: pl.DataFrame
    worklist: pl.DataFrame
    opened: Mapping[dt.date, int]
    open: Mapping[dt.date, int]
    wrong: Mapping[dt.date, float]


CASES = {
    "case_id": pl.String,
    "household": pl.String,
    "signature": pl.String,
    "onset": pl.Date,
    "opened": pl.Date,
    "last_seen": pl.Date,
    "status": pl.String,
    "rarity": pl.Float64,
    "ratios": pl.List(pl.Struct({"key": pl.String, "value": pl.Float64})),
    "usual": pl.List(pl.Struct({"key": pl.String, "value": pl.Float64})),
    "chance_wrong": pl.Float64,
    "listed": pl.Date,
}
WORKLIST = {name: kind for name, kind in tables.empty(tables.Worklist).schema.items() if name != "district"}


def case_code(household: str, signature: str, opened: dt.date) -> str:
    """Code of a case: safe in a file name and a shell, tells nothing of the home, the same on every machine."""
    digest = hashlib.sha256(f"{household}\x1f{signature}\x1f{opened}".encode()).hexdigest()
    return f"c{opened:%y%m%d}-{digest[:10]}"


def fold(
    evidence: Mapping[dt.date, pl.DataFrame],
    rarities: Mapping[dt.date, pl.DataFrame],
    needed: float,
    decided: Mapping[str, dt.date],
    rules: CaseRules = CaseRules(),
    worklist: WorklistRules = WorklistRules(),
) -> Fold:
    """Go through the judged nights in order.

    evidence: night → rows of anomaly.evidence.REASONS that may be listed; rarities: night → household, rarity (the
    largest of that night; a home that is not there was unremarkable, 1). needed: rarity that opens a case.
    decided: case_id → day of the decision, from which on it is no longer listed.
    """
    cases: list[_Case] = []
    open_: dict[str, list[_Case]] = {}
    doors, opened, still_open, wrong = [], {}, {}, {}
    for night in sorted(evidence):
        _close(open_, night, rules.quiet_days + 1)  # nights between may not have been judged: what is over takes nothing in
        fresh = _take_in(evidence[night], night, open_, needed, rules)
        cases += fresh
        _close(open_, night, rules.quiet_days)
        current = [c for held in open_.values() for c in held]
        tonight = dict(rarities[night].select("household", "rarity").iter_rows())
        rows, first = _list(current, tonight, night, decided, worklist)
        doors += rows
        opened[night], still_open[night], wrong[night] = len(fresh), len(current), round(sum(c.chance_wrong for c in first), 4)
    last = max(evidence, default=None)
    return Fold(
        pl.DataFrame([_row(c, last) for c in cases], schema=CASES, orient="row").sort("case_id"),
        pl.DataFrame(doors, schema=WORKLIST, orient="row").sort("night", "rank"),
        opened,
        still_open,
        wrong,
    )


def _close(open_: dict[str, list[_Case]], night: dt.date, days: int) -> None:
    """End the cases last seen at least `days` days ago."""
    for household in list(open_):
        for case in open_[household]:
            if (night - case.last_seen).days >= days:
                case.closed = night
        open_[household] = [c for c in open_[household] if not c.closed]
        if not open_[household]:
            del open_[household]


def _take_in(evidence: pl.DataFrame, night, open_, needed, rules: CaseRules) -> list[_Case]:
    """Give each home's evidence to the case it belongs to, or open one; returns the cases opened."""
    fresh = []
    # people first: what is people is not also a case of one signal
    rows = evidence.with_columns(people=pl.col("signature") == "people").sort(
        ["household", "people", "rarity", "detector", "signal"], descending=[False, True, True, False, False]
    )
    for row in rows.iter_rows(named=True):
        held = open_.get(row["household"], [])
        case = _belongs(row, held, rules)
        if case is None and row["opens"] and row["rarity"] >= needed:
            case = _Case(
                case_code(row["household"], row["signature"], night),
                row["household"],
                row["signature"],
                night,
                row["onset"],
                night,
                row["rarity"],
                row["ratios"],
                row.get("usual"),  # nights judged before it was kept have none
                row["chance_wrong"],
            )
            open_.setdefault(row["household"], []).append(case)
            fresh.append(case)
        elif case is not None and row["opens"]:
            _update(case, row, night, rules)
    return fresh


def _belongs(row: Mapping, held: Sequence[_Case], rules: CaseRules) -> _Case | None:
    """The open case this evidence is about: the same kind, or a rise that began with it."""
    for case in held:
        if case.signature == row["signature"]:
            return case
    for case in held:
        if case.signature == "people" or abs((row["onset"] - case.onset).days) <= rules.join_days:
            return case
    return None


def _update(case: _Case, row: Mapping, night, rules: CaseRules) -> None:
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


def _list(current, tonight: Mapping[str, float], night, decided, rules: WorklistRules):
    """The night's doors: all listed before and still open, and the rarest new ones up to the cap."""
    waiting = [c for c in current if c.case_id not in decided or decided[c.case_id] > night]
    waiting.sort(key=lambda c: (-tonight.get(c.household, 1.0), -c.rarity, c.case_id))
    room = rules.doors_per_night
    rows, first = [], []
    for case in waiting:
        if case.listed is None:
            if room == 0:
                continue
            room -= 1
            case.listed = night
            first.append(case)
        rows.append(
            {
                "night": night,
                "rank": len(rows) + 1,
                "case_id": case.case_id,
                "household": case.household,
                "signature": case.signature,
                "desk": rules.desks.get(case.signature, case.signature),
                "rarity": tonight.get(case.household, 1.0),
                "chance_wrong": case.chance_wrong,
            }
        )
    return rows, first


def _row(case: _Case, last: dt.date) -> dict:
    row = {f.name: getattr(case, f.name) for f in dataclasses.fields(case) if f.name != "closed"}
    return row | {"status": case.status(last)}
