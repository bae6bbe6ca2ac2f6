"""The order in which an expectation is made."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from anomaly.expected import kernels, levels, stl
from anomaly.expected.grid import Grid
from anomaly.peer_stats import Peers, heard

# log(value + offset): where counts and use near zero stop being told apart (method: measured on simulated cities)
OFFSETS = {"count": 0.7, "litre": 20.0, "Wh": 300.0, "cent": 20.0}
PAST_LEVEL_LUCK = 0.35  # spreads by which the second-highest of twelve monthly medians exceeds a steady home's level by chance
Z_90 = 1.645  # the band from 5 % to 95 % of a normal spread
MODELS = ("usual", "stl")
SHARES = ("vacant_share", "own_spread_share", "coarse_share", "floor_share")
# rules below these leave nothing to judge by, or count days that are not there
LEAST = {
    "vacancy_days": 1,
    "baseline_days": 14,
    "guard_days": 1,
    "least_days": 3,
    "short_guard_days": 1,
    "short_least_days": 3,
    "peers_min": 2,
    "coarse_days": 1,
}


@dataclass(frozen=True)
class ExpectedRules:
    """How the expectation is made; defaults are the measured recipe."""

    vacant_share: float = (
        0.5  # a day is vacant where every present signal is at most this share of the home's 60 % quantile
    )
    vacancy_days: int = 240  # days that quantile looks back
    baseline_days: int = 84  # days the usual level rests on
    guard_days: int = 11  # days before the night the baseline leaves out; renewed weekly, up to six more: a fortnight on average
    least_days: int = 21  # days needed for the full rung of the ladder
    short_guard_days: int = 7  # the short rung: a smaller guard …
    short_least_days: int = 10  # … and fewer days; the spread then leans on the peers'
    peers_min: int = 15  # with fewer peers there is neither day factor nor peer scaling
    own_spread_share: float = 0.7  # weight of the home's own variance against its peers'
    least_spread: float = 0.1  # log units; no home is more regular than that
    coarse_share: float = (
        0.25  # a register is coarse where its step exceeds this share of the home's mean day …
    )
    coarse_days: int = 7  # … and is then judged on totals of so many days
    floor_share: float = 0.2  # usual is at least this share of the peers' median level
    past_level: bool = True  # a level lived at within the past year is not a surge
    model: str = "usual"  # or "stl", the textbook decomposition, to compare with: most of the other rules do not touch it

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model = {self.model!r} is not known; choose {' or '.join(MODELS)}")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}; a share lies between 0 and 1")
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} = {getattr(self, name)} is too small; write at least {least}")
        for name in ("least_days", "short_least_days"):
            if getattr(self, name) > self.baseline_days:
                raise ValueError(
                    f"{name} = {getattr(self, name)} exceeds baseline_days = {self.baseline_days} and nothing would be judged; write fewer"
                )

    @property
    def ladder(self) -> np.ndarray:
        """(2, 3) int64: guard days, least days and days between renewals of the full and of the short rung."""
        return np.array(
            [[self.guard_days, self.least_days, 7], [self.short_guard_days, self.short_least_days, 1]],
            dtype=np.int64,
        )

    @property
    def reach_days(self) -> int:
        """How far back the short rung looks for the days it rests on."""
        return self.short_guard_days + 3 * self.baseline_days - 1


@dataclass(frozen=True)
class Expected:
    """What was to be expected of every signal, home and day of a grid; arrays are (S, H, T).

    expected, low, high: base units; surprise: (log value − log expected) / spread, NaN where not judged;
    log_ratio: log value − log expected; count: days the expectation rests on; vacant: (H, T) bool;
    block: int8, days that each value of the judged series spans (1, or more for coarse registers);
    scored: of how many of the last nights detectors give scores, 0 for all.
    """

    grid: Grid
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    surprise: np.ndarray
    log_ratio: np.ndarray
    count: np.ndarray
    vacant: np.ndarray
    block: np.ndarray
    scored: int = 0


def only(seen: Expected, homes: np.ndarray, days: int) -> Expected:
    """Those homes (places in the grid) and the first `days` days of what was seen."""
    told = {name: getattr(seen, name)[:, homes, :days] for name in _TOLD}
    return Expected(grid=seen.grid.only(homes, days), vacant=seen.vacant[homes, :days], **told)


def keep_last_days(seen: Expected, days: int) -> Expected:
    """The last `days` days of what was seen, or all where there are no more."""
    if days >= seen.grid.days:
        return seen
    told = {name: np.ascontiguousarray(getattr(seen, name)[:, :, -days:]) for name in _TOLD}
    return Expected(grid=seen.grid.recent(days), vacant=seen.vacant[:, -days:], scored=seen.scored, **told)


def beside(one: Expected, other: Expected) -> Expected:
    """The homes of both, which share signals and days."""
    arrays = {
        name: np.concatenate([getattr(e.grid, name) for e in (one, other)], axis=1)
        for name in ("value", "lag", "resolution")
    }
    group = np.concatenate([one.grid.group, other.grid.group])
    grid = dataclasses.replace(
        one.grid, households=(*one.grid.households, *other.grid.households), group=group, **arrays
    )
    told = {name: np.concatenate([getattr(e, name) for e in (one, other)], axis=1) for name in _TOLD}
    return Expected(grid=grid, vacant=np.concatenate([one.vacant, other.vacant]), **told)


def widened(late: Expected, grid: Grid, vacant: np.ndarray) -> Expected:
    """What was seen of the last days of a grid on all its days: nothing was expected of those before."""
    told = {}
    for name in _TOLD:
        told[name] = np.full(
            grid.value.shape, {"count": 0, "block": 1}.get(name, np.nan), getattr(late, name).dtype
        )
        told[name][:, :, -late.grid.days :] = getattr(late, name)
    return Expected(grid=grid, vacant=vacant, **told)


_TOLD = ("expected", "low", "high", "surprise", "log_ratio", "count", "block")


def expect(grid: Grid, rules: ExpectedRules = ExpectedRules(), peers: Peers | None = None) -> Expected:
    """Expectation of every day of the grid, each from its own past; the grid is left alone.

    peers: hears what these homes say together, or, where it has been said already by others, says it to them.
    """
    return expect_last(grid, rules, peers, grid.days)[0]


def expect_last(
    grid: Grid, rules: ExpectedRules, peers: Peers | None, days: int
) -> tuple[Expected, np.ndarray]:
    """The last `days` days of `expect`, from all days of the grid, and which days of all were vacant (H, T)."""
    series, block = judged_series(grid, rules)
    vacant = vacant_days(np.where(grid.lag == 0, series, np.nan), grid.ordinal, rules)
    short, end = (grid if days == grid.days else grid.recent(days)), slice(grid.days - days, None)
    out = {name: np.empty(short.value.shape) for name in ("expected", "low", "high", "surprise", "log_ratio")}
    count = np.zeros(short.value.shape, dtype=np.int16)
    for s, unit in enumerate(grid.units):
        step = grid.resolution[s] / block[s]
        offset = np.maximum(OFFSETS.get(unit, 1.0), 0.7 * step)
        x = np.log(series[s] + offset)
        step, offset = step[:, end], offset[:, end]
        if rules.model == "stl":
            centre, spread, n = (told[:, end] for told in stl.forecast(x, grid.lag[s], grid.ordinal))
            spread = np.maximum(spread, rules.least_spread)
        else:
            centre, spread, n = _usual(x, grid, s, (vacant, offset, rules), peers)
        departure = x[:, end] - centre
        amount = np.maximum(np.exp(centre) - offset, 0.0)
        spread = np.sqrt(spread**2 + (step / (amount + offset)) ** 2 / 12)
        out["expected"][s] = amount
        out["low"][s] = np.maximum(np.exp(centre - Z_90 * spread) - offset, 0.0)
        out["high"][s] = np.exp(centre + Z_90 * spread) - offset
        out["log_ratio"][s] = departure
        out["surprise"][s] = departure / spread
        count[s] = n
    return Expected(
        grid=short, count=count, vacant=vacant[:, end], block=np.ascontiguousarray(block[:, :, end]), **out
    ), vacant


def _usual(x, grid, s, how, peers):
    """Signal s by the recipe: (H, T) log values → centre and spread in logarithms, and the days they rest on, of as many last days as `offset` has."""
    vacant, offset, rules = how
    days = offset.shape[1]
    hear = heard(peers, grid, f"expected {grid.signals[s]}", days)
    # a value that became known late is kept out of the shared shock of its day, so that a shock never changes
    usable = ~np.isnan(x) & ~vacant & (grid.lag[s] < rules.short_guard_days)
    shock = _shock(x, usable, grid, s, rules, peers)
    y = np.where(usable, x - shock, np.nan)
    usual, spread, n = levels.usual_and_spread(
        y, (grid.weekday, grid.ordinal), rules.ladder, rules.baseline_days, days
    )
    spread = _mixed_spread(spread, n, rules, hear)
    if rules.past_level:
        past = levels.past_level(y, rules.guard_days, grid.ordinal, days) - PAST_LEVEL_LUCK * spread
        usual = np.fmax(usual, np.where(np.isnan(usual), np.nan, past))
    return _floored(usual, offset, rules, hear) + shock[:, -days:], spread, n


def _shock(x, usable, grid, s, rules, peers):
    """(H, T) what a day did to all peers: the median departure from their own levels, each home left out of its own."""
    name = f"expected {grid.signals[s]} shock"
    if peers is not None and name in peers.said:
        return peers.hear(name, None, grid.ordinal, grid.days)[grid.group]
    level = kernels.trailing_level(x, usable, rules.guard_days, rules.baseline_days, rules.short_least_days)
    departure = np.where(usable & (grid.lag[s] == 0), x - level, np.nan)
    if peers is not None:
        peers.hear(
            name,
            lambda: kernels.group_shock(departure, grid.group, peers.groups, rules.peers_min),
            grid.ordinal,
            grid.days,
        )
    return kernels.shared_shock(departure, grid.group, rules.peers_min)


def judged_series(grid: Grid, rules: ExpectedRules) -> tuple[np.ndarray, np.ndarray]:
    """The series to judge and the days each of its values spans, both (S, H, T).

    A coarse register (1 m³ steps, say) says nothing about one day; it is judged on the mean of the last
    `coarse_days` days, all of which must have been known on their day. Which register is coarse is said by days
    older than the short guard.
    """
    series, block = grid.value.copy(), np.ones(grid.value.shape, dtype=np.int8)
    for s in np.flatnonzero(np.array(grid.units) != "count"):
        kernels.take_means(
            grid.value[s],
            grid.lag[s],
            grid.resolution[s],
            (rules.short_guard_days, rules.coarse_share, rules.coarse_days),
            (series[s], block[s]),
        )
    return series, block


def vacant_days(series: np.ndarray, ordinal: int, rules: ExpectedRules) -> np.ndarray:
    """(S, H, T) → (H, T) bool: every present signal is low against the home's own 60 % quantile.

    series: NaN also where the value became known late: a day is called vacant, or not, once.
    A missing signal counts as agreeing; with no signal at all the day is not called vacant.
    """
    low = np.ones(series.shape[1:], dtype=bool)
    seen = np.zeros_like(low)
    for value in series:
        usual = kernels.trailing_quantile(value, rules.vacancy_days, 0.6, rules.short_least_days, ordinal)
        present = ~np.isnan(value) & ~np.isnan(usual)
        low &= ~present | (value <= rules.vacant_share * usual)
        seen |= present
    return low & seen


def _floored(usual, offset, rules, hear):
    """Usual, with a floor for near-empty homes: a share of their peers' median level."""
    level = hear("level", lambda: kernels.median_by_day(np.exp(usual), rules.peers_min))
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(usual), usual, np.fmax(usual, np.log(rules.floor_share * level + offset)))


def _mixed_spread(spread, count, rules, hear):
    """Own variance mixed with the peers' median variance; a short history leans on the peers'."""
    peers = hear("spread", lambda: kernels.median_by_day(spread, rules.peers_min))
    share = rules.own_spread_share * np.minimum(1.0, count / (2 * rules.least_days))
    mixed = np.sqrt(share * spread**2 + (1 - share) * peers[None, :] ** 2)
    return np.maximum(np.where(np.isnan(peers)[None, :], spread, mixed), rules.least_spread)
