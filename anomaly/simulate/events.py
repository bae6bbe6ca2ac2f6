"""Draw what happens in homes, surges, leaks and ordinary causes, and what it does to the signals."""

from dataclasses import dataclass, replace

import numpy as np

from anomaly.simulate.city import City, CityDays
from anomaly.simulate.homes import SIGNALS, Homes

FOR_GOOD = (10_000, 10_000)  # days
EXPONENT_NOISE = 0.1  # sd of one event's own exponents: a guest who cooks, a guest who showers
TARGET_GAP = 30  # days between two targets of one home
TRIES = 20  # to find a home for a target


@dataclass(frozen=True)
class EventKind:
    """A kind of event.

    With a size s, a signal is multiplied by s**exponent and raised by s times its addition.
    Triples are for SIGNALS: entries, water, power.
    """

    name: str
    per_year: float = 0.0  # events per home and year, before `City.nuisance_scale`
    days: tuple[int, int] = (1, 1)  # shortest and longest
    size: tuple[float, float] = (1.0, 1.0)  # smallest and largest
    exponents: tuple[float, float, float] = (0.0, 0.0, 0.0)
    additions: tuple[float, float, float] = (0.0, 0.0, 0.0)  # entries, litre, Wh a day for each unit of size
    active_share: float = 1.0  # of the days: on these the addition happens
    ramp_days: tuple[int, int] = (0, 0)  # until it has its full size
    season: str = ""  # "weekend" (starts on a Friday or Saturday), "cold", "festival"
    away: bool = False  # nobody is at home
    target: bool = False  # a case is wanted


# Water follows people with exponent .7 (measured: 2 to 4 residents are only ×1.5), power with about .5, doors
# one to one.
PEOPLE = (1.0, 0.7, 0.5)

OCCUPANCY = EventKind("occupancy", exponents=PEOPLE, target=True)
LEAK = EventKind("leak", days=(8, 60), size=(150, 900), additions=(0, 1, 0), ramp_days=(0, 1), target=True)
NUISANCES = (
    EventKind("vacation", 1.4, (3, 14), away=True),
    EventKind("short_trip", 3.0, (1, 2), away=True),
    EventKind("vacancy", 0.03, (60, 240), away=True),
    EventKind("part_away", 1.5, (3, 15), (0.5, 0.8), (1.0, 0.8, 0.3)),
    EventKind("guests", 4.0, (2, 3), (1.2, 2.0), PEOPLE, season="weekend"),
    EventKind("visit", 0.15, (5, 9), (1.3, 1.8), PEOPLE),
    EventKind("party", 1.5, (1, 1), (2.0, 4.0), (1.0, 0.4, 0.4)),
    EventKind("running_tap", 0.15, (1, 5), (60, 300), additions=(0, 1, 0)),
    EventKind("charger", 0.02, FOR_GOOD, (4, 10), additions=(0, 0, 1000), active_share=0.5),
    EventKind("heater", 0.08, (15, 60), (3, 10), additions=(0, 0, 1000), active_share=0.85, season="cold"),
    EventKind("courier", 0.05, (10, 30), (2, 5), additions=(1, 0, 0), active_share=0.8),
    EventKind("renovation", 0.02, (15, 50), (1.5, 2.5), (1.0, 0.1, 0.5)),
    EventKind("newborn", 0.015, FOR_GOOD, (1.15, 1.35), (0.7, 1.0, 0.7)),
    EventKind("one_more_resident", 0.03, FOR_GOOD, (1.2, 1.5), PEOPLE),
)
LEAVER = EventKind("leaver", days=(8, 20), season="festival", away=True)
HOST = EventKind("host", days=(3, 12), size=(1.4, 2.5), exponents=PEOPLE, season="festival")


@dataclass(frozen=True)
class Event:
    """One event of one home, day numbers both included."""

    home: int
    kind: EventKind
    first: int
    last: int
    size: float
    ramp: int = 0


@dataclass(frozen=True)
class EventEffects:
    """The effects of all events of a city; arrays are (homes, days).

    log_factor: signal → log of the factor on its use. addition: signal → entries, litre, Wh. away: nobody is
    at home.
    """

    log_factor: dict[str, np.ndarray]
    addition: dict[str, np.ndarray]
    away: np.ndarray


def draw_events(city: City, homes: Homes, days: CityDays, rng: np.random.Generator) -> list[Event]:
    """Draw all events of the city; nobody leaves a home empty during a surge in it."""
    target_rng, other_rng = rng.spawn(2)
    targets = _draw_targets(city, homes, target_rng)
    surges_of: dict[int, list[Event]] = {}
    for event in targets:
        if event.kind.name == OCCUPANCY.name:
            surges_of.setdefault(event.home, []).append(event)

    def empties_a_surge(event: Event) -> bool:
        surges = surges_of.get(event.home, []) if event.kind.away else []
        return any(event.first <= surge.last + 2 and event.last >= surge.first - 2 for surge in surges)

    others = [event for kind in NUISANCES for event in _draw_nuisances(kind, city, homes, days, other_rng)]
    others += _draw_festivals(city, days, other_rng)
    return targets + [event for event in others if not empties_a_surge(event)]


def combine_effects(events: list[Event], homes: int, days: int, rng: np.random.Generator) -> EventEffects:
    """Return what the events do together; overlapping factors multiply."""
    shape = homes, days
    effects = EventEffects(
        log_factor={name: np.zeros(shape) for name in SIGNALS},
        addition={name: np.zeros(shape) for name in SIGNALS},
        away=np.zeros(shape, bool),
    )
    for event in events:
        kind, span = event.kind, slice(event.first, event.last + 1)
        if kind.away:
            effects.away[event.home, span] = True
            continue
        length = event.last - event.first + 1
        grown = np.minimum(1.0, np.arange(1, length + 1) / (event.ramp + 1))
        for name, exponent, addition in zip(SIGNALS, kind.exponents, kind.additions, strict=True):
            if exponent:
                own_exponent = rng.normal(exponent, EXPONENT_NOISE * exponent)
                effects.log_factor[name][event.home, span] += own_exponent * np.log(event.size) * grown
            if addition:
                active = rng.random(length) < kind.active_share
                noise = rng.uniform(0.8, 1.2, length)
                effects.addition[name][event.home, span] += addition * event.size * active * noise * grown
    return effects


def _draw_sizes(rng: np.random.Generator, kind: EventKind, number: int) -> np.ndarray:
    """Draw sizes, uniform in their logarithm."""
    smallest, largest = kind.size
    return np.exp(rng.uniform(np.log(smallest), np.log(largest), number))


def _draw_targets(city: City, homes: Homes, rng: np.random.Generator) -> list[Event]:
    """Draw surges and leaks.

    In dwellings, at most one target of a home at a time, begun while the home has data.
    """
    surge = replace(OCCUPANCY, days=city.surge_days, size=city.surge_sizes, ramp_days=city.ramp_days)
    placed: list[Event] = []
    for kind, rate, running in (
        (surge, city.surge_rate, city.running_surges),
        (LEAK, city.leak_rate, city.running_leaks),
    ):
        count = round(rate * city.homes / 1000 * city.days / 30)
        for number in range(count + running):
            event = _place_target(kind, number < running, city, homes, placed, rng)
            if event:
                placed.append(event)
    return placed


def _place_target(
    kind: EventKind, running: bool, city: City, homes: Homes, placed: list[Event], rng: np.random.Generator
) -> Event | None:
    """Draw one target; None where no free home was found in TRIES tries (a tiny city).

    running: it runs on the last day.
    """
    fit = homes.dwelling_class == "dwelling"
    if kind.name == LEAK.name:
        fit &= homes.has_signal["water"]
    if (
        running
    ):  # it will be looked at on the last night: with all signals, a long past and several days to show
        has_all = homes.has_signal["entries"] & homes.has_signal["water"] & homes.has_signal["power"]
        fit &= has_all & (homes.first_day == 0) & (homes.moved_in < 0)
    if not fit.any():
        return None
    for _ in range(TRIES):
        home = int(rng.choice(np.flatnonzero(fit)))
        if running:
            first = max(0, city.days - int(rng.integers(10, 17)))
            length = city.days
        else:
            first = int(rng.integers(homes.first_day[home], city.days))
            length = int(rng.integers(kind.days[0], kind.days[1] + 1))
        last = min(first + length, city.days) - 1
        of_home = [other for other in placed if other.home == home]
        if all(other.last + TARGET_GAP < first or other.first - TARGET_GAP > last for other in of_home):
            size = float(_draw_sizes(rng, kind, 1)[0])
            ramp = int(rng.integers(kind.ramp_days[0], kind.ramp_days[1] + 1))
            return Event(home, kind, first, last, size, ramp)
    return None


def _draw_nuisances(
    kind: EventKind, city: City, homes: Homes, days: CityDays, rng: np.random.Generator
) -> list[Event]:
    """Draw the events of one kind over all homes at its yearly rate."""
    rate = kind.per_year * city.nuisance_scale * city.days / 365
    rate_of_home = rate * (homes.absence_scale if kind.away else 1.0)
    home = np.repeat(np.arange(city.homes), rng.poisson(rate_of_home, city.homes))
    if city.days > 20:
        earliest = 20 if kind.days == FOR_GOOD else -10
        first = rng.integers(earliest, city.days, len(home))
    else:
        first = np.zeros(len(home), int)
    if kind.season == "weekend":
        first = first + (5 - days.weekday[np.maximum(first, 0)]) % 7 - rng.integers(0, 2, len(home))
    elif kind.season == "cold":
        cold = np.flatnonzero(days.temperature < 9)
        first = rng.choice(cold, len(home)) if len(cold) else np.full(len(home), city.days)
    last = first + rng.integers(kind.days[0], kind.days[1] + 1, len(home)) - 1
    return _cut_to_city(kind, city, home, first, last, _draw_sizes(rng, kind, len(home)))


def _draw_festivals(city: City, days: CityDays, rng: np.random.Generator) -> list[Event]:
    """Draw leavers and hosts of each Spring Festival; no home is both."""
    events = []
    for day in days.festivals:
        lot = rng.random(city.homes)
        leaves = lot < city.leaver_share
        hosts = (lot >= city.leaver_share) & (lot < city.leaver_share + city.host_share)
        for kind, takes_part, earliest, latest in ((LEAVER, leaves, -14, 0), (HOST, hosts, -5, 2)):
            home = np.flatnonzero(takes_part)
            first = day + rng.integers(earliest, latest + 1, len(home))
            last = first + rng.integers(kind.days[0], kind.days[1] + 1, len(home)) - 1
            events += _cut_to_city(kind, city, home, first, last, _draw_sizes(rng, kind, len(home)))
    return events


def _cut_to_city(
    kind: EventKind, city: City, home: np.ndarray, first: np.ndarray, last: np.ndarray, size: np.ndarray
) -> list[Event]:
    """Return events cut to the days of the city; those wholly outside are dropped."""
    inside = (last >= 0) & (first < city.days)
    return [
        Event(int(h), kind, max(int(begin), 0), min(int(end), city.days - 1), float(s))
        for h, begin, end, s in zip(home[inside], first[inside], last[inside], size[inside], strict=True)
    ]
