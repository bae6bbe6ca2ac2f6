"""Say how many more people a rise is like.

Not how many there are: a way to say how large a rise of several signals is, in the unit a reader thinks in.

The estimate is Bayesian on a grid of pairs: people usually there × growth in people. Each pair is weighed by
how well the usual level of each signal fits so many people, and how well its ratio fits such a growth, on the
log scale.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Litres a day of homes with 1 … 5 residents (78 homes in Alicante); each further person counts with the mean
# step.
RESIDENTS = np.arange(1.0, 6.0)
WATER_BY_RESIDENTS = np.array([85.0, 188.0, 220.0, 282.0, 413.0])
WATER_STEP = (413.0 - 85.0) / 4
# A single person opens the door 2 to 7.5 times a day, half of them to come in; entries grow with people one
# to one.
ENTRIES_SINGLE = (2.0 * 7.5) ** 0.5 / 2
# What is known of a home before any signal is seen: the geometric mean of home sizes that makes the Alicante
# homes' mean log water (5.40) out of the relation above, and the spread of its logarithm.
PRIOR_PEOPLE, PRIOR_SPREAD = 2.7, 0.5
# 8.4 kWh a day is the median of 1,189 London homes, taken as homes of that size; power grows as the square
# root of people.
POWER_MEDIAN, POWER_EXPONENT = 8400.0, 0.5
# Newcomers have habits of their own: a ratio spreads half as much as homes of one size do.
GROWTH_SPREAD = 0.5
# Degrees of freedom of Student's t: one signal out of step widens the interval and does not shift it.
TAIL = 4

# The grid, and the people that come in addition at every pair of it, ascending.
USUAL_PEOPLE = np.arange(1.0, 10.25, 0.5)
GROWTH = np.geomspace(1.0, 1000.0, 346)  # steps of one fiftieth of a logarithm
_EXTRA_OF_PAIRS = (USUAL_PEOPLE[:, None] * (GROWTH[None, :] - 1)).ravel()
_ASCENDING = np.argsort(_EXTRA_OF_PAIRS, kind="stable")
_EXTRA_ASCENDING = _EXTRA_OF_PAIRS[_ASCENDING]


class ExtraPeople(NamedTuple):
    """How many more people a rise is like: the middle, and where it lies nine times in ten.

    To a tenth, at least 0.
    """

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Relation:
    """How a signal's use goes with the number of people.

    use: people → base units a day. spread: standard deviation of the log use of homes with as many people.
    """

    use: Callable[[np.ndarray], np.ndarray]
    spread: float


def _entries_of(people: np.ndarray) -> np.ndarray:
    return ENTRIES_SINGLE * people


def _water_of(people: np.ndarray) -> np.ndarray:
    measured = np.interp(people, RESIDENTS, WATER_BY_RESIDENTS)
    return measured + WATER_STEP * np.maximum(people - RESIDENTS[-1], 0.0)


def _power_of(people: np.ndarray) -> np.ndarray:
    return POWER_MEDIAN * (people / PRIOR_PEOPLE) ** POWER_EXPONENT


RELATIONS: Mapping[str, Relation] = {
    "count": Relation(_entries_of, np.log(7.5 / 2.0) / (2 * 1.645)),  # 2 to 7.5 as nine homes in ten
    "litre": Relation(_water_of, 0.45),  # homes of one size in Alicante
    "Wh": Relation(_power_of, 0.60),  # homes of one size in London
}
"""By base unit; other units say nothing of people."""
MEASURED = {"litre": "water", "Wh": "power"}
"""Unit → the one signal that its relation was measured of: gas in litres says nothing of people."""


def extra_people(
    ratios: Mapping[str, float], units: Mapping[str, str], usual: Mapping[str, float]
) -> ExtraPeople | None:
    """Return the number of further people a rise is like: quantiles .5, .05 and .95 of the growth in people.

    ratios: signal → observed over expected over the episode; below 1 counts as no rise. units: signal → base
    unit. usual: signal → expected base units a day. None where no signal has a known relation to people, a
    finite ratio above 0 and a usual above 0.
    """
    informative = [
        signal
        for signal in sorted(ratios)
        if _has_relation(signal, units.get(signal))
        and _is_positive(ratios[signal])
        and _is_positive(usual.get(signal))
    ]
    if not informative:
        return None
    prior = -0.5 * (np.log(USUAL_PEOPLE[:, None] / PRIOR_PEOPLE) / PRIOR_SPREAD) ** 2
    log_weight = prior + np.zeros((1, len(GROWTH)))
    for signal in informative:
        relation = RELATIONS[units[signal]]
        use, log_ratio = _use_and_log_ratio(relation)
        level_error = np.log(usual[signal] / use)
        ratio_error = np.log(max(ratios[signal], 1.0)) - log_ratio
        log_weight = log_weight + _log_density(level_error / relation.spread)
        log_weight = log_weight + _log_density(ratio_error / (GROWTH_SPREAD * relation.spread))
    cumulated = np.cumsum(np.exp(log_weight - log_weight.max()).ravel()[_ASCENDING])

    def quantile(q: float) -> float:
        return round(float(_EXTRA_ASCENDING[np.searchsorted(cumulated, q * cumulated[-1])]), 1)

    return ExtraPeople(middle=quantile(0.5), low=quantile(0.05), high=quantile(0.95))


def _has_relation(signal: str, unit: str | None) -> bool:
    return unit is not None and unit in RELATIONS and MEASURED.get(unit, signal) == signal


@functools.cache
def _use_and_log_ratio(relation: Relation) -> tuple[np.ndarray, np.ndarray]:
    """Return the use of each number of people, (U, 1), and the log of its ratio at each growth, (U, G)."""
    people = USUAL_PEOPLE[:, None]
    use = relation.use(people)
    return use, np.log(relation.use(people * GROWTH[None, :]) / use)


def _is_positive(x: float | None) -> bool:
    return x is not None and np.isfinite(x) and x > 0


def _log_density(deviation: np.ndarray) -> np.ndarray:
    """Return the log density of Student's t with TAIL degrees of freedom, up to a constant."""
    return -0.5 * (TAIL + 1) * np.log1p(deviation**2 / TAIL)
