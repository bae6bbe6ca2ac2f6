"""Who lives in the city: the register of homes and what each usually uses."""

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
PER_BUILDING = 48  # homes, four to a floor

# Residents 1 to 5. Water by residents and its spread over all homes, level of power: 78 Alicante and 1,189 London homes
# (see sample_data/city/PROVENANCE.md); the share of each size is set so that the mean log of water comes out at 5.40.
RESIDENT_SHARES = (0.12, 0.25, 0.27, 0.22, 0.14)
WATER_BY_RESIDENTS = np.array([85.0, 188.0, 220.0, 282.0, 413.0])  # litre a day
WATER_SPREAD = 0.45  # sd of log between homes of one size; with the sizes it makes .62
POWER_LEVEL, POWER_SPREAD, POWER_EXPONENT = (
    2.06,
    0.60,
    0.5,
)  # log kWh a day; sd within a size; growth with residents
ENTRIES_SINGLE, ENTRIES_SPREAD = 2.0, 0.33  # entries a day of one person: half of 2 to 7.5 openings


@dataclass(frozen=True)
class Homes:
    """Arrays of length homes, one element a home."""

    ids: np.ndarray  # text
    building: np.ndarray  # text
    district: np.ndarray  # text
    use: np.ndarray  # "dwelling", "shop", "dormitory"
    residents: np.ndarray
    levels: dict[str, np.ndarray]  # usual entries, litre and Wh a day
    first: np.ndarray  # day number of the first data
    moved_in: np.ndarray  # day number, -1 where unknown
    before: np.ndarray  # level of the people before `moved_in` over that of today's
    has: dict[str, np.ndarray]  # signal → whether the home has it
    coarse: np.ndarray
    restless: np.ndarray  # how much more often than the mean home it is left empty


def draw_homes(city: City, rng: np.random.Generator) -> Homes:
    """Draw the city's homes, building by building."""
    n = np.arange(city.homes)
    block, inside = n // PER_BUILDING, n % PER_BUILDING
    names, codes = np.array(DISTRICTS).T
    area = block % len(DISTRICTS)
    building = [f"{codes[a]}-{b // len(DISTRICTS) + 1:02d}" for a, b in zip(area, block, strict=True)]
    ids = [f"{b}-{i // 4 + 1:02d}{i % 4 + 1:02d}" for b, i in zip(building, inside, strict=True)]
    use = rng.choice(
        ["dwelling", "shop", "dormitory"],
        city.homes,
        p=[1 - city.others, city.others * 0.7, city.others * 0.3],
    )
    residents = np.where(
        use == "dormitory", rng.integers(8, 21, city.homes), rng.choice(5, city.homes, p=RESIDENT_SHARES) + 1
    )
    first, moved_in = _starts(city, rng)
    return Homes(
        ids=np.array(ids),
        building=np.array(building),
        district=names[area],
        use=use,
        residents=residents,
        levels=_levels(use, residents, rng),
        first=first,
        moved_in=moved_in,
        before=np.exp(rng.normal(0, 0.4, city.homes)),
        has=_signals(city, rng),
        coarse=rng.random(city.homes) < city.coarse,
        restless=rng.gamma(0.9, 1 / 0.9, city.homes),
    )


def _levels(use: np.ndarray, residents: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    size = residents.shape
    shop, dormitory = use == "shop", use == "dormitory"
    water = np.where(dormitory, 80.0 * residents, WATER_BY_RESIDENTS[np.minimum(residents, 5) - 1])
    mean_log = np.dot(RESIDENT_SHARES, np.log(np.arange(1, 6)))
    log_power = POWER_LEVEL + POWER_EXPONENT * (np.log(residents) - mean_log)
    return {
        "entries": ENTRIES_SINGLE
        * residents**0.85
        * np.exp(rng.normal(0, ENTRIES_SPREAD, size))
        * np.where(shop, 8, 1),
        "water": water * np.exp(rng.normal(0, WATER_SPREAD, size)) * np.where(shop, 0.5, 1),
        "power": 1000 * np.exp(log_power + rng.normal(0, POWER_SPREAD, size)) * np.where(shop, 3, 1),
    }


def _starts(city: City, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Day of the first data, and of moving in: half of the young homes are new leases, a few old ones changed hands."""
    none = np.full(city.homes, -1)
    young = rng.random(city.homes) < city.young
    start = np.maximum(0, city.days - rng.integers(city.young_days[0], city.young_days[1] + 1, city.homes))
    first = np.where(young, start, 0)
    moved = np.where(young & (rng.random(city.homes) < 0.5), first, none)
    changed = ~young & (rng.random(city.homes) < 0.03 * city.nuisances) & (city.days > 90)
    return first, np.where(changed, rng.integers(30, max(31, city.days - 30), city.homes), moved)


def _signals(city: City, rng: np.random.Generator) -> dict[str, np.ndarray]:
    has = np.ones((3, city.homes), bool)
    fewer = np.flatnonzero(rng.random(city.homes) < city.fewer_signals)
    for home in fewer:
        has[rng.choice(3, rng.integers(1, 3), replace=False), home] = False
    return dict(zip(SIGNALS, has, strict=True))
