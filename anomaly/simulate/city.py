"""The knobs of a synthetic city, the days it lives through and the standard cities."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

import holidays
import numpy as np


@dataclass(frozen=True)
class City:
    """A city to be simulated. Shares are of 1, rates are per 1,000 homes per 30 days, pairs are (lowest, highest)."""

    homes: int = 300
    first: date = date(2025, 7, 1)
    days: int = 427  # 14 months
    calendar: str = (
        "CN"  # country code of the `holidays` package: days off, made-up workdays, Spring Festival
    )

    targets: float = 4.0  # occupancy surges begun, per 1,000 homes per 30 days
    leaks: float = 1.0  # leaks begun, likewise
    sizes: tuple[float, float] = (2.0, 5.0)  # people during a surge over people before
    lengths: tuple[int, int] = (10, 40)  # days of a surge
    ramps: tuple[int, int] = (0, 5)  # days until a surge has its full size
    running_targets: int = (
        0  # further surges, begun 10 to 16 days before the last day and still running on it
    )
    running_leaks: int = 0  # further leaks, likewise

    nuisances: float = 1.0  # scales the yearly rate of every ordinary cause of `events.KINDS`
    leavers: float = 0.25  # share of homes that empty around each Spring Festival
    hosts: float = 0.12  # share of homes that fill up instead

    young: float = 0.08  # share of homes whose data start late
    young_days: tuple[int, int] = (20, 200)  # days of data such a home has
    fewer_signals: float = 0.12  # share of homes with one or two signals only
    others: float = 0.02  # share of shops and dormitories in the register
    coarse: float = 0.10  # share of homes whose registers show whole m3 and kWh
    outages: float = 1.2  # gateway outages per building and year
    water_gaps: float = 5.0  # gaps of a water register per home and year, consumption caught up after them
    power_gaps: float = 0.2
    faults: float = 1.0  # scales meter exchanges, roll-overs, glitches, late, repeated and restated rows


PRESETS: dict[str, dict] = {
    "mixed": {},
    "nuisances": {"targets": 0.0, "leaks": 0.0},
    "few": {"targets": 0.5, "leaks": 0.2},
    "young": {"young": 0.6},
    "coarse": {"coarse": 0.8},
}


def standard(name: str, homes: int = 300, days: int = 427) -> City:
    """A standard city: "mixed", "nuisances" (no target at all), "few" (targets are rare), "young" or "coarse"."""
    if name not in PRESETS:
        raise ValueError(f"simulate: no standard city {name!r}; choose one of {', '.join(PRESETS)}")
    return replace(City(homes=homes, days=days), **PRESETS[name])


@dataclass(frozen=True)
class Days:
    """The city's days: arrays of length `city.days`, spells and feasts by day number."""

    dates: list[date]
    weekday: np.ndarray  # 0 = Monday, as lived: a day off is 6, a made-up workday is 2
    temperature: np.ndarray  # daily mean, degrees Celsius
    festivals: list[int]  # day numbers of Spring Festival; may lie outside the city's span
    spells: list[tuple[str, int, int, float]]  # (kind, first, last, degrees): cold snaps and heat waves


def city_days(city: City, rng: np.random.Generator) -> Days:
    """The calendar and the weather. Taken from the `holidays` package and not from the tool's own calendar: a mistake there must show."""
    dates = [city.first + timedelta(days=n) for n in range(city.days)]
    years = range(dates[0].year - 1, dates[-1].year + 2)
    off = holidays.country_holidays(city.calendar, years=years)
    weekday = np.array(
        [6 if day in off else 2 if day in off.weekend_workdays else day.weekday() for day in dates]
    )
    feasts = holidays.country_holidays("CN", years=years, language="en_US") if city.calendar == "CN" else {}
    new_years = {
        day.year: day
        for day, name in sorted(feasts.items(), reverse=True)
        if name.startswith("Chinese New Year (")
    }
    year_day = np.array([day.timetuple().tm_yday for day in dates])
    temperature = (
        15.5 - 9.5 * np.cos(2 * np.pi * (year_day - 20) / 365.25) + 2.2 * wander(rng, (1, city.days), 0.8)[0]
    )
    spells = _spells(rng, year_day)
    for _, first, last, degrees in spells:
        temperature[first : last + 1] += degrees
    festivals = [(day - city.first).days for day in sorted(new_years.values())]
    return Days(dates, weekday, temperature, festivals, spells)


def wander(rng: np.random.Generator, shape: tuple[int, int], phi: float) -> np.ndarray:
    """Standard normal first-order autoregression along the second axis, correlation `phi` from one day to the next."""
    out = rng.standard_normal(shape)
    for day in range(1, shape[1]):
        out[:, day] = phi * out[:, day - 1] + np.sqrt(1 - phi * phi) * out[:, day]
    return out


def _spells(rng: np.random.Generator, year_day: np.ndarray) -> list[tuple[str, int, int, float]]:
    """Two cold snaps a winter and two heat waves a summer, as the dice fall."""
    spells = []
    for kind, season, degrees in (
        ("cold_snap", (year_day > 335) | (year_day < 60), (-9, -5)),
        ("heat_wave", (year_day > 180) & (year_day < 240), (4, 8)),
    ):
        for first in np.flatnonzero(season & (rng.random(len(year_day)) < 2 / 75)):
            last = min(first + rng.integers(4, 9), len(year_day) - 1)
            spells.append((kind, int(first), int(last), float(rng.uniform(*degrees))))
    return spells
