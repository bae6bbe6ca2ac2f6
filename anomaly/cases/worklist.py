"""The list of a night: all doors listed before and still open, and the rarest new ones there is room for."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anomaly import tables
from anomaly.cases.case import Case
from anomaly.cases.feedback import Told

WORKLIST = {
    name: kind
    for name, kind in tables.empty(tables.Worklist).schema.items()
    if name not in ("district", "assigned")
}


@dataclass(frozen=True)
class WorklistRules:
    """How many doors a night may add, and whose they are. Caps cut the list; nothing fills it."""

    doors_per_night: int = 20
    desks: Mapping[str, str] = field(
        default_factory=lambda: {"people": "occupancy", "door": "access", "water": "water", "power": "power"}
    )
    desk_capacity: Mapping[str, int] = field(default_factory=dict)
    area_capacity: int | None = None

    def desk(self, signature: str) -> str:
        """Who looks at a kind of case."""
        return self.desks.get(signature, signature)


def doors_of_night(
    current: Sequence[Case], tonight: Mapping[str, float], night: dt.date, told: Told, rules: WorklistRules
) -> list[dict]:
    """The night's doors as rows of WORKLIST, rarest first. tonight: household → rarity; 1 where it is not there."""
    standing = told.standing(night)
    waiting = [
        c
        for c in current
        if c.answer is None and not standing.stops(c.signature, told.districts.get(c.household))
    ]
    waiting.sort(key=lambda c: (-tonight.get(c.household, 1.0), -c.rarity, c.case_id))
    added: Counter[tuple[str, str | None]] = Counter()
    rows = []
    for case in waiting:
        if case.listed is None:
            if not _room(case, added, told, rules):
                continue
            added.update(_places(case, told, rules))
            case.listed = night
        rows.append(
            {
                "night": night,
                "rank": len(rows) + 1,
                "case_id": case.case_id,
                "household": case.household,
                "signature": case.signature,
                "desk": rules.desk(case.signature),
                "rarity": tonight.get(case.household, 1.0),
                "chance_wrong": standing.corrected(case.signature, case.chance_wrong),
                "chance_before": case.chance_wrong,
                "first_listed": case.listed == night,
            }
        )
    return rows


def _places(case: Case, told: Told, rules: WorklistRules) -> list[tuple[str, str | None]]:
    """What a new door takes up room of."""
    return [
        ("night", None),
        ("desk", rules.desk(case.signature)),
        ("district", told.districts.get(case.household)),
    ]


def _room(case: Case, added: Counter, told: Told, rules: WorklistRules) -> bool:
    for place in _places(case, told, rules):
        kind, name = place
        cap = {
            "night": rules.doors_per_night,
            "desk": rules.desk_capacity.get(name),
            "district": rules.area_capacity if name else None,
        }[kind]
        if cap is not None and added[place] >= cap:
            return False
    return True
