"""The homes of a synthetic city: where they are, who lives there, and what each usually uses."""

from dataclasses import dataclass

import numpy as np

from anomaly.simulate.city import City

SIGNALS = ("entries", "water", "power")
DISTRICTS = (
    ("North", "NO"),
    ("River", "RI"),
    ("Station", "ST"),
    ("Hill", "HI"),
    ("Old Town", "OT"),
    ("Garden", "GA"),
)
HOMES_PER_BUILDING = 48  # four to a floor
HOMES_PER_FLOOR = 4

# Residents 1 to 5. Water by residents and its spread over all homes, level of power: 78 Alicante and 1,189
# London homes (see sample_data/city/PROVENANCE.md); the share of each size is set so that the mean log of
# water comes out at 5.40.
RESIDENT_SHARES = (0.12, 0.25, 0.27, 0.22, 0.14)
WATER_BY_RESIDENTS = np.array([85.0, 188.0, 220.0, 282.0, 413.0])  # litre a day
WATER_SPREAD = 0.45  # sd of log between homes of one size; with the sizes it makes .62
POWER_LEVEL = 2.06  # mean log kWh a day
POWER_SPREAD = 0.60  # sd of log between homes of one size
POWER_EXPONENT = 0.5  # growth with residents
ENTRIES_SINGLE = 2.0  # entries a day of one person: half of 2 to 7.5 openings
ENTRIES_SPREAD = 0.33


@dataclass(frozen=True)
class Homes:
    """The homes of a city; arrays are (homes,)."""

    ids: np.ndarray  # text
    building: np.ndarray  # text
    district: np.ndarray  # text
    dwelling_class: np.ndarray  # "dwelling", "shop", "dormitory"
    residents: np.ndarray
    usual_use: dict[str, np.ndarray]  # signal → entries, litre and Wh a day
    first_day: np.ndarray  # day number of the first data
    moved_in: np.ndarray  # day number, -1 where unknown
    former_level: np.ndarray  # level of the people before `moved_in` over that of today's
    has_signal: dict[str, np.ndarray]  # signal → whether the home has it
    coarse: np.ndarray  # whether its registers show whole m3 and kWh
    absence_scale: np.ndarray  # how much more often than the mean home it is left empty


def draw_homes(city: City, rng: np.random.Generator) -> Homes:
    """Draw the homes of a city, building by building."""
    number = np.arange(city.homes)
    block, place = number // HOMES_PER_BUILDING, number % HOMES_PER_BUILDING
    names, codes = np.array(DISTRICTS).T
    district = block % len(DISTRICTS)
    building = [f"{codes[d]}-{b // len(DISTRICTS) + 1:02d}" for d, b in zip(district, block, strict=True)]
    ids = [
        f"{b}-{p // HOMES_PER_FLOOR + 1:02d}{p % HOMES_PER_FLOOR + 1:02d}"
        for b, p in zip(building, place, strict=True)
    ]
    others = city.non_dwelling_share
    dwelling_class = rng.choice(
        ["dwelling", "shop", "dormitory"], city.homes, p=[1 - others, others * 0.7, others * 0.3]
    )
    in_dormitory, in_dwelling = (
        rng.integers(8, 21, city.homes),
        rng.choice(5, city.homes, p=RESIDENT_SHARES) + 1,
    )
    residents = np.where(dwelling_class == "dormitory", in_dormitory, in_dwelling)
    first_day, moved_in = _draw_starts(city, rng)
    return Homes(
        ids=np.array(ids),
        building=np.array(building),
        district=names[district],
        dwelling_class=dwelling_class,
        residents=residents,
        usual_use=_draw_usual_use(dwelling_class, residents, rng),
        first_day=first_day,
        moved_in=moved_in,
        former_level=np.exp(rng.normal(0, 0.4, city.homes)),
        has_signal=_draw_signals(city, rng),
        coarse=rng.random(city.homes) < city.coarse_share,
        absence_scale=rng.gamma(0.9, 1 / 0.9, city.homes),
    )


def _draw_usual_use(
    dwelling_class: np.ndarray, residents: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw what each home uses on a usual day: entries, litre, Wh."""
    homes = residents.shape
    is_shop, is_dormitory = dwelling_class == "shop", dwelling_class == "dormitory"
    entries = ENTRIES_SINGLE * residents**0.85 * np.exp(rng.normal(0, ENTRIES_SPREAD, homes))
    water = np.where(is_dormitory, 80.0 * residents, WATER_BY_RESIDENTS[np.minimum(residents, 5) - 1])
    water = water * np.exp(rng.normal(0, WATER_SPREAD, homes))
    mean_log_residents = np.dot(RESIDENT_SHARES, np.log(np.arange(1, 6)))
    log_power = POWER_LEVEL + POWER_EXPONENT * (np.log(residents) - mean_log_residents)
    power = 1000 * np.exp(log_power + rng.normal(0, POWER_SPREAD, homes))
    return {
        "entries": entries * np.where(is_shop, 8, 1),
        "water": water * np.where(is_shop, 0.5, 1),
        "power": power * np.where(is_shop, 3, 1),
    }


def _draw_starts(city: City, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the day of the first data, and of moving in (-1: unknown).

    Half of the young homes are new leases, a few of the old ones changed hands.
    """
    unknown = np.full(city.homes, -1)
    is_young = rng.random(city.homes) < city.young_share
    start = np.maximum(0, city.days - rng.integers(city.young_days[0], city.young_days[1] + 1, city.homes))
    first_day = np.where(is_young, start, 0)
    moved_in = np.where(is_young & (rng.random(city.homes) < 0.5), first_day, unknown)
    changed_hands = ~is_young & (rng.random(city.homes) < 0.03 * city.nuisance_scale) & (city.days > 90)
    day_of_change = rng.integers(30, max(31, city.days - 30), city.homes)
    return first_day, np.where(changed_hands, day_of_change, moved_in)


def _draw_signals(city: City, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw which signals each home has; some have one or two only."""
    has_signal = np.ones((len(SIGNALS), city.homes), bool)
    for home in np.flatnonzero(rng.random(city.homes) < city.fewer_signals_share):
        has_signal[rng.choice(3, rng.integers(1, 3), replace=False), home] = False
    return dict(zip(SIGNALS, has_signal, strict=True))
