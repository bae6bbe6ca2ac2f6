"""The parameters of a synthetic city, the standard cities, and the calendar and weather of its days."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

import holidays
import numpy as np


@dataclass(frozen=True)
class City:
    """Parameters of a city to be simulated.

    Shares are of 1; rates are events per 1,000 homes and 30 days, unless they say otherwise; pairs are
    (lowest, highest).
    """

    homes: int = 300
    first_day: date = date(2025, 7, 1)
    days: int = 427  # 14 months
    calendar: str = (
        "CN"  # country code of the `holidays` package: days off, made-up workdays, Spring Festival
    )

    surge_rate: float = 4.0  # occupancy surges begun
    leak_rate: float = 1.0  # leaks begun
    surge_sizes: tuple[float, float] = (2.0, 5.0)  # people during a surge over people before
    surge_days: tuple[int, int] = (10, 40)
    ramp_days: tuple[int, int] = (0, 5)  # until a surge has its full size
    running_surges: int = 0  # further surges, begun 10 to 16 days before the last day and still running on it
    running_leaks: int = 0  # further leaks, likewise

    nuisance_scale: float = 1.0  # times the yearly rate of every ordinary cause of `events.NUISANCES`
    leaver_share: float = 0.25  # of homes that empty around each Spring Festival
    host_share: float = 0.12  # of homes that fill up instead

    young_share: float = 0.08  # of homes whose data start late
    young_days: tuple[int, int] = (20, 200)  # of data that such a home has
    fewer_signals_share: float = 0.12  # of homes with one or two signals only
    non_dwelling_share: float = 0.02  # of shops and dormitories in the register
    coarse_share: float = 0.10  # of homes whose registers show whole m3 and kWh
    outage_rate: float = 1.2  # gateway outages per building and year
    water_gap_rate: float = (
        5.0  # gaps of a water register per home and year, consumption caught up after them
    )
    power_gap_rate: float = 0.2
    fault_scale: float = 1.0  # times meter exchanges, roll-overs, glitches, late, repeated and restated rows


PRESETS: dict[str, dict] = {
    "mixed": {},
    "nuisances": {"surge_rate": 0.0, "leak_rate": 0.0},
    "few": {"surge_rate": 0.5, "leak_rate": 0.2},
    "young": {"young_share": 0.6},
    "coarse": {"coarse_share": 0.8},
}


def standard_city(name: str, homes: int = 300, days: int = 427) -> City:
    """Return a standard city.

    name: "mixed", "nuisances" (no surge and no leak), "few" (they are rare), "young" or "coarse"; any other
    is a ValueError.
    """
    if name not in PRESETS:
        raise ValueError(f"simulate: no standard city {name!r}; choose one of {', '.join(PRESETS)}")
    return replace(City(homes=homes, days=days), **PRESETS[name])


class Spell(NamedTuple):
    """A cold snap or a heat wave: day numbers, both included, and the degrees it adds."""

    kind: str
    first: int
    last: int
    degrees: float


@dataclass(frozen=True)
class CityDays:
    """The days of a city, by number from 0; arrays are (days,)."""

    dates: list[date]
    weekday: np.ndarray  # 0 = Monday, as lived: a day off is 6, a made-up workday is 2
    temperature: np.ndarray  # daily mean, degrees Celsius
    festivals: list[int]  # day numbers of Spring Festival; may lie outside the city's days
    spells: list[Spell]


def draw_days(city: City, rng: np.random.Generator) -> CityDays:
    """Return the calendar of the city and draw its weather.

    Taken from the `holidays` package and not from the tool's own calendar: a mistake there must show.
    """
    dates = [city.first_day + timedelta(days=n) for n in range(city.days)]
    years = range(dates[0].year - 1, dates[-1].year + 2)
    days_off = holidays.country_holidays(city.calendar, years=years)
    weekday = np.array(
        [6 if day in days_off else 2 if day in days_off.weekend_workdays else day.weekday() for day in dates]
    )
    year_day = np.array([day.timetuple().tm_yday for day in dates])
    seasonal = 15.5 - 9.5 * np.cos(2 * np.pi * (year_day - 20) / 365.25)
    temperature = seasonal + 2.2 * autoregression(rng, (1, city.days), 0.8)[0]
    spells = _draw_spells(rng, year_day)
    for spell in spells:
        temperature[spell.first : spell.last + 1] += spell.degrees
    festivals = [(day - city.first_day).days for day in _spring_festivals(city.calendar, years)]
    return CityDays(dates, weekday, temperature, festivals, spells)


def _spring_festivals(calendar: str, years: range) -> list[date]:
    """Return the first day of each Spring Festival, where the city keeps it."""
    if calendar != "CN":
        return []
    feasts = holidays.country_holidays("CN", years=years, language="en_US")
    first_days: dict[int, date] = {}
    for day, name in sorted(feasts.items()):
        if name.startswith("Chinese New Year ("):
            first_days.setdefault(day.year, day)
    return sorted(first_days.values())


def autoregression(rng: np.random.Generator, shape: tuple[int, int], phi: float) -> np.ndarray:
    """Draw standard normal first-order autoregressions along the second axis.

    phi: correlation from one day to the next.
    """
    out = rng.standard_normal(shape)
    for day in range(1, shape[1]):
        out[:, day] = phi * out[:, day - 1] + np.sqrt(1 - phi * phi) * out[:, day]
    return out


def _draw_spells(rng: np.random.Generator, year_day: np.ndarray) -> list[Spell]:
    """Draw about two cold snaps a winter and two heat waves a summer."""
    winter = (year_day > 335) | (year_day < 60)
    summer = (year_day > 180) & (year_day < 240)
    spells = []
    for kind, season, degrees in (("cold_snap", winter, (-9, -5)), ("heat_wave", summer, (4, 8))):
        for first in np.flatnonzero(season & (rng.random(len(year_day)) < 2 / 75)):
            last = min(int(first) + int(rng.integers(4, 9)), len(year_day) - 1)
            spells.append(Spell(kind, int(first), last, float(rng.uniform(*degrees))))
    return spells
