"""The list of a night: doors listed before and still open, and the rarest new ones there is capacity for."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anomaly import tables
from anomaly.cases.case import Case
from anomaly.cases.feedback import Feedback

WORKLIST_SCHEMA = {
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

    def desk_of(self, signature: str) -> str:
        """Return the desk that looks at a kind of case."""
        return self.desks.get(signature, signature)


def build_worklist(
    open_cases: Sequence[Case],
    rarities: Mapping[str, float],
    night: dt.date,
    feedback: Feedback,
    rules: WorklistRules,
) -> list[dict[str, Any]]:
    """Return the night's doors as rows of WORKLIST_SCHEMA, rarest first, and mark the new ones as listed.

    rarities: household → the night's rarity; a home that is not there was unremarkable, 1.
    """
    correction = feedback.correction_for(night)

    def is_waiting(case: Case) -> bool:
        district = feedback.districts.get(case.household)
        return case.answer is None and not correction.is_stopped(case.signature, district)

    def order(case: Case) -> tuple[float, float, str]:
        return -rarities.get(case.household, 1.0), -case.rarity, case.case_id

    new_doors: Counter[tuple[str, str | None]] = Counter()
    rows: list[dict[str, Any]] = []
    for case in sorted(filter(is_waiting, open_cases), key=order):
        if case.listed is None:
            caps = _caps(case, feedback, rules)
            if any(cap is not None and new_doors[place] >= cap for place, cap in caps.items()):
                continue
            new_doors.update(caps.keys())
            case.listed = night
        rows.append(
            {
                "night": night,
                "rank": len(rows) + 1,
                "case_id": case.case_id,
                "household": case.household,
                "signature": case.signature,
                "desk": rules.desk_of(case.signature),
                "rarity": rarities.get(case.household, 1.0),
                "chance_wrong": correction.correct(case.signature, case.chance_wrong),
                "chance_before": case.chance_wrong,
                "first_listed": case.listed == night,
            }
        )
    return rows


def _caps(case: Case, feedback: Feedback, rules: WorklistRules) -> dict[tuple[str, str | None], int | None]:
    """Return the places whose capacity a new door takes up, each with its cap on new doors a night."""
    desk, district = rules.desk_of(case.signature), feedback.districts.get(case.household)
    return {
        ("night", None): rules.doors_per_night,
        ("desk", desk): rules.desk_capacity.get(desk),
        ("district", district): rules.area_capacity if district else None,
    }
