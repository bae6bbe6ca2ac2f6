"""What each home truly uses a day, before any meter sees it."""

import numpy as np

from anomaly.simulate.city import City, Days, wander
from anomaly.simulate.events import Change
from anomaly.simulate.homes import Homes

# Robust sd of the log residual and its spread over homes, degrees of freedom of its Student t, autocorrelation,
# sd of the slow wandering of the level, sd of weekday effects: set so that the measured figures come out (PROVENANCE.md).
RESIDUAL = {"water": (0.27, 0.25, 3.4), "power": (0.135, 0.35, 5.0)}
AUTOCORRELATION = {"water": 0.30, "power": 0.20}
LEVEL_WANDER = {"water": 0.13, "power": 0.08}
WEEKDAY = {"entries": 0.12, "water": 0.12, "power": 0.055}
WEEKEND = {
    "entries": -0.10,
    "water": 0.05,
    "power": 0.03,
}  # mean effect of a day off; homes scatter around it
LIMITS = {
    "water": (-3.0, 2.5),
    "power": (-2.0, 1.6),
}  # log residuals beyond these do not occur (.999 quantiles, about)
BUSY = 0.37  # weight of the day's passages in water and power: residuals of one home correlate .2 to .4
SHARED = 0.42  # weight of a common cause in all three
REPEATS = 0.25  # one in four passages is repeated within two minutes: a fifth of all


def daily_use(
    city: City, homes: Homes, days: Days, change: Change, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """True daily `entries`, `exits`, `water` (litre) and `power` (Wh): integer arrays, homes × days."""
    shape = (city.homes, city.days)
    moods, doors, water, power = rng.spawn(4)
    shared = wander(moods, shape, 0.3)
    former = np.where(np.arange(city.days) < homes.moved_in[:, None], np.log(homes.before)[:, None], 0.0)

    log_entries = (
        np.log(homes.levels["entries"])[:, None]
        + former
        + _weekday("entries", days, doors, city.homes)
        + 0.12 * shared
    )
    mean_entries = np.exp(log_entries + change.log_factor["entries"])
    entries, busy = _passages(np.where(change.away, 0.0, mean_entries), change.addition["entries"], doors)
    away_call = change.away & (doors.random(shape) < 0.02)  # a neighbour waters the plants
    entries = np.where(change.away, away_call.astype(np.int64), entries)
    carried = (doors.random(shape) < 0.12) & (entries > 0)  # somebody comes home after midnight
    late = np.zeros(shape, np.int64)
    late[:, 1:] = carried[:, :-1]
    exits = np.maximum(0, entries - carried + late)

    out = {"entries": entries, "exits": exits}
    for name, own in (("water", water), ("power", power)):
        log_use = np.log(homes.levels[name])[:, None] + former * 0.6 + change.log_factor[name]
        log_use += _weekday(name, days, own, city.homes) + _weather(name, days, own, city.homes)
        log_use += LEVEL_WANDER[name] * wander(own, shape, 0.985) + _residual(name, busy, shared, own)
        use = np.where(change.away, _standby(name, homes, own, shape), np.exp(log_use))
        out[name] = np.rint(use + change.addition[name]).astype(np.int64)
    return out


def _passages(
    mean: np.ndarray, addition: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of variance about their mean: routine outings vary less than Poisson, repeated ones more. Also their z."""
    wanted = mean / (1 + REPEATS)
    chances = np.ceil(2 * wanted).astype(np.int64)
    outings = rng.binomial(chances, np.divide(wanted, chances, out=np.zeros_like(mean), where=chances > 0))
    spread = np.sqrt(np.maximum(wanted, 0.25) / 2)
    busy = np.clip((outings - wanted) / spread, -3, 3)
    return outings + rng.binomial(outings, REPEATS) + rng.poisson(addition), busy


def _residual(name: str, busy: np.ndarray, shared: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Student t around zero as a normal autoregression over a chi-square of its own for each day (log scale)."""
    sigma, scatter, freedom = RESIDUAL[name]
    own = wander(rng, busy.shape, AUTOCORRELATION[name])
    normal = BUSY * busy + SHARED * shared + np.sqrt(1 - BUSY**2 - SHARED**2) * own
    heavy = normal * np.sqrt(freedom / rng.chisquare(freedom, busy.shape))
    return np.clip(sigma * np.exp(rng.normal(0, scatter, (len(busy), 1))) * heavy, *LIMITS[name])


def _weekday(name: str, days: Days, rng: np.random.Generator, homes: int) -> np.ndarray:
    profile = rng.normal(0, WEEKDAY[name], (homes, 7))
    profile[:, 5:] += WEEKEND[name]
    profile -= profile.mean(axis=1, keepdims=True)
    return profile[:, days.weekday]


def _weather(name: str, days: Days, rng: np.random.Generator, homes: int) -> np.ndarray:
    """Every home answers to the weather in its own measure, some not at all."""
    cold, heat = np.maximum(0, 14 - days.temperature), np.maximum(0, days.temperature - 23)
    if name == "water":
        return rng.normal(0.006, 0.006, (homes, 1)) * (days.temperature - 15)
    heating, cooling = rng.gamma(1.2, 0.016, (homes, 1)), rng.gamma(1.2, 0.025, (homes, 1))
    return heating * cold + cooling * heat


def _standby(name: str, homes: Homes, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Use of an empty home: a fridge and a router, no water but for a dripping tap here and there."""
    if name == "water":
        return np.where(rng.random(shape) < 0.85, 0.0, rng.exponential(3.0, shape))
    share = rng.uniform(0.25, 0.5, (shape[0], 1))
    return homes.levels["power"][:, None] * share * np.exp(rng.normal(0, 0.08, shape))
