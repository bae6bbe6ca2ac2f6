"""What happens in a home: surges, leaks and the ordinary causes that look like them, and what each does to the signals."""

from dataclasses import dataclass, replace

import numpy as np

from anomaly.simulate.city import City, Days
from anomaly.simulate.homes import SIGNALS, Homes

FOR_GOOD = (10_000, 10_000)
EXPONENT_NOISE = 0.1  # sd of one event's own exponents: a guest who cooks, a guest who showers


@dataclass(frozen=True)
class Kind:
    """One kind of event. With a size s, a signal is multiplied by s**exponent and raised by s times its addition."""

    name: str
    per_year: float = 0.0  # events per home and year, before `City.nuisances`
    days: tuple[int, int] = (1, 1)
    size: tuple[float, float] = (1.0, 1.0)
    exponents: tuple[float, float, float] = (0.0, 0.0, 0.0)  # entries, water, power
    adds: tuple[float, float, float] = (0.0, 0.0, 0.0)  # entries, litre, Wh a day for each unit of size
    duty: float = 1.0  # share of the days on which the addition happens
    ramps: tuple[int, int] = (0, 0)  # days until it has its full size
    season: str = ""  # "weekend" (starts on a Friday or Saturday), "cold", "festival"
    away: bool = False  # nobody is at home
    target: bool = False


# Water follows people with exponent .7 (measured: 2 to 4 residents are only ×1.5), power with about .5, doors one to one.
PEOPLE = (1.0, 0.7, 0.5)

OCCUPANCY = Kind("occupancy", exponents=PEOPLE, target=True)
LEAK = Kind("leak", days=(8, 60), size=(150, 900), adds=(0, 1, 0), ramps=(0, 1), target=True)
KINDS = (
    Kind("vacation", 1.4, (3, 14), away=True),
    Kind("short_trip", 3.0, (1, 2), away=True),
    Kind("vacancy", 0.03, (60, 240), away=True),
    Kind("part_away", 1.5, (3, 15), (0.5, 0.8), (1.0, 0.8, 0.3)),
    Kind("guests", 4.0, (2, 3), (1.2, 2.0), PEOPLE, season="weekend"),
    Kind("visit", 0.15, (5, 9), (1.3, 1.8), PEOPLE),
    Kind("party", 1.5, (1, 1), (2.0, 4.0), (1.0, 0.4, 0.4)),
    Kind("running_tap", 0.15, (1, 5), (60, 300), adds=(0, 1, 0)),
    Kind("charger", 0.02, FOR_GOOD, (4, 10), adds=(0, 0, 1000), duty=0.5),
    Kind("heater", 0.08, (15, 60), (3, 10), adds=(0, 0, 1000), duty=0.85, season="cold"),
    Kind("courier", 0.05, (10, 30), (2, 5), adds=(1, 0, 0), duty=0.8),
    Kind("renovation", 0.02, (15, 50), (1.5, 2.5), (1.0, 0.1, 0.5)),
    Kind("newborn", 0.015, FOR_GOOD, (1.15, 1.35), (0.7, 1.0, 0.7)),
    Kind("one_more_resident", 0.03, FOR_GOOD, (1.2, 1.5), PEOPLE),
)
LEAVER = Kind("leaver", days=(8, 20), season="festival", away=True)
HOST = Kind("host", days=(3, 12), size=(1.4, 2.5), exponents=PEOPLE, season="festival")


@dataclass(frozen=True)
class Event:
    """One event of one home, day numbers both included."""

    home: int
    kind: Kind
    first: int
    last: int
    size: float
    ramp: int = 0


@dataclass(frozen=True)
class Change:
    """What all events of a city do: arrays homes × days, per signal a factor (as log) and an addition, and who is away."""

    log_factor: dict[str, np.ndarray]
    addition: dict[str, np.ndarray]
    away: np.ndarray


def draw_events(city: City, homes: Homes, days: Days, rng: np.random.Generator) -> list[Event]:
    """All events of the city; nobody leaves a home empty during a surge in it."""
    target_rng, other_rng = rng.spawn(2)
    targets = _draw_targets(city, homes, target_rng)
    crowded: dict[int, list[Event]] = {}
    for event in targets:
        if event.kind.name == OCCUPANCY.name:
            crowded.setdefault(event.home, []).append(event)

    def clashes(event: Event) -> bool:
        surges = crowded.get(event.home, []) if event.kind.away else []
        return any(event.first <= surge.last + 2 and event.last >= surge.first - 2 for surge in surges)

    others = [event for kind in KINDS for event in _draw_kind(kind, city, homes, days, other_rng)]
    others += _draw_festivals(city, homes, days, other_rng)
    return targets + [event for event in others if not clashes(event)]


def apply_events(events: list[Event], shape: tuple[int, int], rng: np.random.Generator) -> Change:
    """Lay the events over the homes × days plane; overlapping factors multiply."""
    change = Change(
        {name: np.zeros(shape) for name in SIGNALS},
        {name: np.zeros(shape) for name in SIGNALS},
        np.zeros(shape, bool),
    )
    for event in events:
        kind, span = event.kind, slice(event.first, event.last + 1)
        length = event.last - event.first + 1
        if kind.away:
            change.away[event.home, span] = True
            continue
        profile = np.minimum(1.0, np.arange(1, length + 1) / (event.ramp + 1))
        for name, exponent, add in zip(SIGNALS, kind.exponents, kind.adds, strict=True):
            if exponent:
                change.log_factor[name][event.home, span] += (
                    rng.normal(exponent, EXPONENT_NOISE * exponent) * np.log(event.size) * profile
                )
            if add:
                on = rng.random(length) < kind.duty
                change.addition[name][event.home, span] += (
                    add * event.size * on * rng.uniform(0.8, 1.2, length) * profile
                )
    return change


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float], size: int) -> np.ndarray:
    return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), size))


def _draw_targets(city: City, homes: Homes, rng: np.random.Generator) -> list[Event]:
    """Surges and leaks: each in a dwelling, at most one target of a home at a time, begun while the home has data."""
    surge = replace(OCCUPANCY, days=city.lengths, size=city.sizes, ramps=city.ramps)
    taken: list[Event] = []
    for kind, rate, running in (
        (surge, city.targets, city.running_targets),
        (LEAK, city.leaks, city.running_leaks),
    ):
        count = round(rate * city.homes / 1000 * city.days / 30)
        for number in range(count + running):
            event = _place_target(kind, number < running, city, homes, taken, rng)
            if event:
                taken.append(event)
    return taken


def _place_target(
    kind: Kind, running: bool, city: City, homes: Homes, taken: list[Event], rng: np.random.Generator
) -> Event | None:
    """One target; None where twenty tries found no free home (a tiny city)."""
    fit = homes.use == "dwelling"
    if kind.name == LEAK.name:
        fit &= homes.has["water"]
    if running:  # of the last night, to be looked at: with all signals, a long past and several days to show
        fit &= (
            homes.has["entries"]
            & homes.has["water"]
            & homes.has["power"]
            & (homes.first == 0)
            & (homes.moved_in < 0)
        )
    if not fit.any():
        return None
    for _ in range(20):
        home = int(rng.choice(np.flatnonzero(fit)))
        first = (
            max(0, city.days - int(rng.integers(10, 17)))
            if running
            else int(rng.integers(homes.first[home], city.days))
        )
        length = city.days if running else int(rng.integers(kind.days[0], kind.days[1] + 1))
        last = min(first + length, city.days) - 1
        if all(other.home != home or other.last + 30 < first or other.first - 30 > last for other in taken):
            size = float(_log_uniform(rng, kind.size, 1)[0])
            return Event(home, kind, first, last, size, int(rng.integers(kind.ramps[0], kind.ramps[1] + 1)))
    return None


def _draw_kind(kind: Kind, city: City, homes: Homes, days: Days, rng: np.random.Generator) -> list[Event]:
    """Events of one kind over all homes at its yearly rate; what would start before a home's data is cut to them."""
    rate = kind.per_year * city.nuisances * city.days / 365 * (homes.restless if kind.away else 1.0)
    home = np.repeat(np.arange(city.homes), rng.poisson(rate, city.homes))
    first = (
        rng.integers(-10 if kind.days != FOR_GOOD else 20, city.days, len(home))
        if city.days > 20
        else np.zeros(len(home), int)
    )
    if kind.season == "weekend":
        first = first + (5 - days.weekday[np.maximum(first, 0)]) % 7 - rng.integers(0, 2, len(home))
    elif kind.season == "cold":
        cold = np.flatnonzero(days.temperature < 9)
        first = rng.choice(cold, len(home)) if len(cold) else np.full(len(home), city.days)
    last = first + rng.integers(kind.days[0], kind.days[1] + 1, len(home)) - 1
    return _clipped(kind, city, home, first, last, _log_uniform(rng, kind.size, len(home)))


def _draw_festivals(city: City, homes: Homes, days: Days, rng: np.random.Generator) -> list[Event]:
    """Leavers and hosts of each Spring Festival; no home is both."""
    events = []
    for day in days.festivals:
        lot = rng.random(city.homes)
        for kind, low, high, early in (
            (LEAVER, 0.0, city.leavers, (-14, 0)),
            (HOST, city.leavers, city.leavers + city.hosts, (-5, 2)),
        ):
            home = np.flatnonzero((lot >= low) & (lot < high))
            first = day + rng.integers(early[0], early[1] + 1, len(home))
            last = first + rng.integers(kind.days[0], kind.days[1] + 1, len(home)) - 1
            events += _clipped(kind, city, home, first, last, _log_uniform(rng, kind.size, len(home)))
    return events


def _clipped(kind: Kind, city: City, home, first, last, size) -> list[Event]:
    """Events cut to the city's span; those wholly outside are dropped."""
    inside = (last >= 0) & (first < city.days)
    rows = zip(
        home[inside],
        np.maximum(first[inside], 0),
        np.minimum(last[inside], city.days - 1),
        size[inside],
        strict=True,
    )
    return [Event(int(h), kind, int(a), int(b), float(s)) for h, a, b, s in rows]
