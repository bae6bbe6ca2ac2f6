"""How many more people a rise is like.

Not how many there are: a way to say how large a rise of several signals is, in the unit a reader thinks in.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

# Litres a day of homes with 1 … 5 residents (78 homes in Alicante); each further person counts with the mean step.
RESIDENTS = np.arange(1.0, 6.0)
WATER_BY_RESIDENTS = np.array([85.0, 188.0, 220.0, 282.0, 413.0])
WATER_STEP = (413.0 - 85.0) / 4
# A single person opens the door 2 to 7.5 times a day, half of them to come in; entries grow with people one to one.
ENTRIES_SINGLE = (2.0 * 7.5) ** 0.5 / 2
# The geometric mean of home sizes that makes the Alicante homes' mean log water (5.40) out of the relation above, and
# the spread of its log: what is known of a home before any signal is seen.
PEOPLE_PRIOR, PRIOR_SPREAD = 2.7, 0.5
# 8.4 kWh a day is the median of 1,189 London homes, taken as homes of that size; power grows as the square root of people.
POWER_MEDIAN, POWER_EXPONENT = 8400.0, 0.5

USUAL_PEOPLE = np.arange(1.0, 10.25, 0.5)
GROWTH = np.geomspace(1.0, 1000.0, 346)  # steps of one fiftieth of a logarithm
EXTRA = (
    USUAL_PEOPLE[:, None] * (GROWTH[None, :] - 1)
).ravel()  # people that come in addition, of every pair of the two …
ORDER = np.argsort(EXTRA, kind="stable")
EXTRA = EXTRA[ORDER]  # … in order
NEWCOMERS = 0.5  # newcomers have habits of their own: a ratio spreads half as much as homes of one size do
TAIL = (
    4  # degrees of freedom of Student's t: one signal out of step widens the interval and does not shift it
)


@dataclass(frozen=True)
class Relation:
    """So many people use `use(people)` base units a day; log use of homes with as many people spreads by `spread`."""

    use: Callable[[np.ndarray], np.ndarray]
    spread: float


def _entries(people: np.ndarray) -> np.ndarray:
    return ENTRIES_SINGLE * people


def _water(people: np.ndarray) -> np.ndarray:
    return np.interp(people, RESIDENTS, WATER_BY_RESIDENTS) + WATER_STEP * np.maximum(
        people - RESIDENTS[-1], 0.0
    )


def _power(people: np.ndarray) -> np.ndarray:
    return POWER_MEDIAN * (people / PEOPLE_PRIOR) ** POWER_EXPONENT


# By base unit; other units say nothing of people. Spreads: 2 to 7.5 as nine homes in ten; homes of one size in Alicante
# and in London (the simulator's).
RELATIONS: Mapping[str, Relation] = {
    "count": Relation(_entries, np.log(7.5 / 2.0) / (2 * 1.645)),
    "litre": Relation(_water, 0.45),
    "Wh": Relation(_power, 0.60),
}


def extra_people(
    ratios: Mapping[str, float], units: Mapping[str, str], usual: Mapping[str, float]
) -> tuple[float, float, float] | None:
    """The number of further people a rise is like, and where it lies nine times in ten: (middle, low, high), to a tenth.

    ratios: signal → observed over expected over the episode; units: signal → base unit; usual: signal → expected base
    units a day. None where no signal has a known relation to people, a finite ratio above 0 and a usual above 0.

    Weighs every pair of people usually there and growth: how well the usual of each signal fits the one, and its ratio
    both, each on the log scale with the spread of its relation. A ratio below 1 counts as no rise. Middle and
    ends are quantiles of the growth in people, at least 0.
    """
    seen = [
        (RELATIONS[units[s]], r, usual.get(s)) for s, r in sorted(ratios.items()) if units.get(s) in RELATIONS
    ]
    seen = [(relation, r, u) for relation, r, u in seen if _positive(r) and _positive(u)]
    if not seen:
        return None
    weight = -0.5 * (np.log(USUAL_PEOPLE[:, None] / PEOPLE_PRIOR) / PRIOR_SPREAD) ** 2 + np.zeros(
        (1, len(GROWTH))
    )
    for relation, r, u in seen:
        level, rise = _uses(relation)
        weight = weight + _fit(np.log(u / level) / relation.spread)
        weight = weight + _fit((np.log(max(r, 1.0)) - rise) / (NEWCOMERS * relation.spread))
    reached = np.cumsum(np.exp(weight - weight.max()).ravel()[ORDER])
    low, middle, high = (
        round(float(EXTRA[np.searchsorted(reached, q * reached[-1])]), 1) for q in (0.05, 0.5, 0.95)
    )
    return middle, low, high


@functools.cache
def _uses(relation: Relation) -> tuple[np.ndarray, np.ndarray]:
    """What every number of people uses, and the logarithm of how much more it is after every growth."""
    people = USUAL_PEOPLE[:, None]
    level = relation.use(people)
    return level, np.log(relation.use(people * GROWTH[None, :]) / level)


def _positive(x: float | None) -> bool:
    return x is not None and np.isfinite(x) and x > 0


def _fit(deviation: np.ndarray) -> np.ndarray:
    """Log density of Student's t, up to a constant."""
    return -0.5 * (TAIL + 1) * np.log1p(deviation**2 / TAIL)
