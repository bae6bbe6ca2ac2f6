"""Draw what each home truly uses on each day, before any meter sees it."""

import numpy as np

from anomaly.simulate.city import City, CityDays, autoregression
from anomaly.simulate.events import EventEffects
from anomaly.simulate.homes import Homes

# Robust sd of the log residual and its spread over homes, degrees of freedom of its Student t,
# autocorrelation, sd of the slow wandering of the level, sd of weekday effects: set so that the measured
# figures come out (PROVENANCE.md).
RESIDUAL = {"water": (0.27, 0.25, 3.4), "power": (0.135, 0.35, 5.0)}
AUTOCORRELATION = {"water": 0.30, "power": 0.20}
LEVEL_WANDER = {"water": 0.13, "power": 0.08}
WEEKDAY = {"entries": 0.12, "water": 0.12, "power": 0.055}
WEEKEND = {
    "entries": -0.10,
    "water": 0.05,
    "power": 0.03,
}  # mean effect of a day off; homes scatter around it
# log residuals beyond these do not occur (.999 quantiles, about)
RESIDUAL_LIMITS = {"water": (-3.0, 2.5), "power": (-2.0, 1.6)}
BUSY_WEIGHT = 0.37  # of the day's passages in water and power: residuals of one home correlate .2 to .4
SHARED_WEIGHT = 0.42  # of a common cause in all three
REPEATED_SHARE = 0.25  # one in four passages is repeated within two minutes: a fifth of all


def draw_daily_use(
    city: City, homes: Homes, days: CityDays, effects: EventEffects, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the true daily `entries`, `exits`, `water` (litre) and `power` (Wh): (homes, days) integers."""
    shape = (city.homes, city.days)
    mood_rng, door_rng, water_rng, power_rng = rng.spawn(4)
    mood = autoregression(mood_rng, shape, 0.3)  # the common cause
    lived_before = np.arange(city.days) < homes.moved_in[:, None]
    log_former = np.where(lived_before, np.log(homes.former_level)[:, None], 0.0)

    log_entries = (
        np.log(homes.usual_use["entries"])[:, None]
        + log_former
        + _draw_weekday_effect("entries", days, door_rng, city.homes)
        + 0.12 * mood
    )
    mean_entries = np.exp(log_entries + effects.log_factor["entries"])
    mean_entries = np.where(effects.away, 0.0, mean_entries)
    entries, busy = _draw_passages(mean_entries, effects.addition["entries"], door_rng)
    neighbour = effects.away & (door_rng.random(shape) < 0.02)  # somebody waters the plants
    entries = np.where(effects.away, neighbour.astype(np.int64), entries)
    out_overnight = (door_rng.random(shape) < 0.12) & (
        entries > 0
    )  # somebody who came goes after midnight only
    late_exits = np.zeros(shape, np.int64)
    late_exits[:, 1:] = out_overnight[:, :-1]
    exits = np.maximum(0, entries - out_overnight + late_exits)

    use = {"entries": entries, "exits": exits}
    for name, own_rng in (("water", water_rng), ("power", power_rng)):
        log_use = np.log(homes.usual_use[name])[:, None] + log_former * 0.6 + effects.log_factor[name]
        weekday = _draw_weekday_effect(name, days, own_rng, city.homes)
        log_use += weekday + _draw_weather_effect(name, days, own_rng, city.homes)
        wandering = LEVEL_WANDER[name] * autoregression(own_rng, shape, 0.985)
        log_use += wandering + _draw_residual(name, busy, mood, own_rng)
        of_day = np.where(effects.away, _draw_standby(name, homes, own_rng, shape), np.exp(log_use))
        use[name] = np.rint(of_day + effects.addition[name]).astype(np.int64)
    return use


def _draw_passages(
    mean: np.ndarray, addition: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw counts with that mean, and return how busy each day is, in standard deviations of its outings.

    Their variance is about their mean: routine outings vary less than Poisson, repeated ones more.
    """
    wanted = mean / (1 + REPEATED_SHARE)
    chances = np.ceil(2 * wanted).astype(np.int64)
    outings = rng.binomial(chances, np.divide(wanted, chances, out=np.zeros_like(mean), where=chances > 0))
    spread = np.sqrt(np.maximum(wanted, 0.25) / 2)
    busy = np.clip((outings - wanted) / spread, -3, 3)
    return outings + rng.binomial(outings, REPEATED_SHARE) + rng.poisson(addition), busy


def _draw_residual(name: str, busy: np.ndarray, mood: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw Student t around zero (log scale).

    A normal autoregression over a chi-square of its own for each day.
    """
    sigma, scatter, freedom = RESIDUAL[name]
    own = autoregression(rng, busy.shape, AUTOCORRELATION[name])
    own_weight = np.sqrt(1 - BUSY_WEIGHT**2 - SHARED_WEIGHT**2)
    normal = BUSY_WEIGHT * busy + SHARED_WEIGHT * mood + own_weight * own
    heavy_tailed = normal * np.sqrt(freedom / rng.chisquare(freedom, busy.shape))
    spread = sigma * np.exp(rng.normal(0, scatter, (len(busy), 1)))
    return np.clip(spread * heavy_tailed, *RESIDUAL_LIMITS[name])


def _draw_weekday_effect(name: str, days: CityDays, rng: np.random.Generator, homes: int) -> np.ndarray:
    """Draw a log effect of the weekday for each home, zero on average over a week."""
    effect = rng.normal(0, WEEKDAY[name], (homes, 7))
    effect[:, 5:] += WEEKEND[name]
    effect -= effect.mean(axis=1, keepdims=True)
    return effect[:, days.weekday]


def _draw_weather_effect(name: str, days: CityDays, rng: np.random.Generator, homes: int) -> np.ndarray:
    """Draw a log effect of the temperature: every home answers in its own measure, some not at all."""
    cold, heat = np.maximum(0, 14 - days.temperature), np.maximum(0, days.temperature - 23)
    if name == "water":
        return rng.normal(0.006, 0.006, (homes, 1)) * (days.temperature - 15)
    heating, cooling = rng.gamma(1.2, 0.016, (homes, 1)), rng.gamma(1.2, 0.025, (homes, 1))
    return heating * cold + cooling * heat


def _draw_standby(name: str, homes: Homes, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw the use of empty homes: a fridge and a router, no water but for a dripping tap here and there."""
    if name == "water":
        return np.where(rng.random(shape) < 0.85, 0.0, rng.exponential(3.0, shape))
    share = rng.uniform(0.25, 0.5, (shape[0], 1))
    return homes.usual_use["power"][:, None] * share * np.exp(rng.normal(0, 0.08, shape))
