"""The order in which an expectation is made."""

import numpy as np

from anomaly.expected import kernels, levels, stl
from anomaly.expected.expectation import Expected
from anomaly.expected.grid import Grid
from anomaly.expected.rules import ExpectedRules
from anomaly.peer_stats import PeerStats, peer_lookup

# log(value + offset): where counts and use near zero stop being told apart (method: measured on simulated cities)
OFFSETS = {"count": 0.7, "litre": 20.0, "Wh": 300.0, "cent": 20.0}
PAST_LEVEL_LUCK = 0.35  # spreads by which the second-highest of twelve monthly medians exceeds a steady home's level by chance
Z_90 = 1.645  # the band from 5 % to 95 % of a normal spread


def log_offset(unit: str, step: np.ndarray | float) -> np.ndarray:
    """Return what is added to values before their logarithm is taken: OFFSETS, or most of a coarse register's step.

    step: by how much the values move at a time, base units.
    """
    return np.maximum(OFFSETS.get(unit, 1.0), 0.7 * step)


def expect(grid: Grid, rules: ExpectedRules = ExpectedRules(), peers: PeerStats | None = None) -> Expected:
    """Expectation of every day of the grid, each from its own past; the grid is left alone.

    peers: hears what these homes say together, or, where it has been said already by others, says it to them.
    """
    return expect_recent(grid, rules, peers, grid.days)[0]


def expect_recent(
    grid: Grid, rules: ExpectedRules, peers: PeerStats | None, days: int
) -> tuple[Expected, np.ndarray]:
    """The last `days` days of `expect`, from all days of the grid, and which days of all were vacant (H, T)."""
    series, block = judged_series(grid, rules)
    vacant = vacant_days(np.where(grid.lag == 0, series, np.nan), grid.ordinal, rules)
    short, end = (grid if days == grid.days else grid.last_days(days)), slice(grid.days - days, None)
    out = {name: np.empty(short.value.shape) for name in ("expected", "low", "high", "surprise", "log_ratio")}
    count = np.zeros(short.value.shape, dtype=np.int16)
    for s, unit in enumerate(grid.units):
        step = grid.resolution[s] / block[s]
        offset = log_offset(unit, step)
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
        grid=short,
        history_days=count,
        vacant=vacant[:, end],
        span_days=np.ascontiguousarray(block[:, :, end]),
        **out,
    ), vacant


def _usual(x, grid, s, how, peers):
    """Signal s by the recipe: (H, T) log values → centre and spread in logarithms, and the days they rest on, of as many last days as `offset` has."""
    vacant, offset, rules = how
    days = offset.shape[1]
    hear = peer_lookup(peers, grid, f"expected {grid.signals[s]}", days)
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
    if peers is not None and name in peers.series:
        return peers.get(name, grid.ordinal, grid.days)[grid.group]
    level = kernels.trailing_level(x, usable, rules.guard_days, rules.baseline_days, rules.short_least_days)
    departure = np.where(usable & (grid.lag[s] == 0), x - level, np.nan)
    if peers is not None:
        peers.get_or_compute(
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
