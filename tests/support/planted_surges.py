"""A small site of ordinary homes in some of which something is planted, for the tests of the detectors."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from anomaly.detectors import REGISTER
from anomaly.expected import Expectation, expect
from tests.support.grids import city, grid_of

HOMES, DAYS = 40, 300
NIGHT = DAYS - 1
CHANGED = 7
"""The home that something is planted in; all others stay as they are."""

Plan = tuple[tuple[str, float, int, int], ...]
"""(signal, times, from, to): a signal's values `times` as large, from and to so many days before the end."""


def lasting(days: int = 14, **times: float) -> Plan:
    """Each named signal so many times as large for the last `days` days."""
    return tuple((signal, factor, days, 0) for signal, factor in times.items())


@cache
def planted_site(plan: Plan, shock: float = 1.0) -> Expectation:
    """Return what is expected of the site; shock: how many times as large all homes' last ten days are."""
    made = city(HOMES, DAYS, seed=8)
    for values in made.values():
        if shock != 1.0:
            values[-10:] = np.round(values[-10:] * shock)
    for signal, times, first, last in plan:
        values = made[f"{CHANGED:04d}", signal]
        days = slice(DAYS - first, DAYS - last)
        values[days] = np.round(values[days] * times)
    return expect(grid_of(made))


def scores_tonight(detector: str, expected: Expectation) -> Mapping[str, np.ndarray]:
    """Return {signal: (H,) score} of the last night."""
    return {one.signal: one.score[:, NIGHT] for one in REGISTER[detector]()(expected)}


def margin(detector: str, signal: str, plan: Plan, shock: float = 1.0) -> float:
    """Return by how much the changed home's score tonight exceeds the largest of the other homes."""
    score = scores_tonight(detector, planted_site(plan, shock))[signal]
    return float(score[CHANGED] - np.delete(score, CHANGED).max())
