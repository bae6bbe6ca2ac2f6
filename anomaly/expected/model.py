"""Make the expectation of every day: the order of its steps."""

from typing import Any, NamedTuple

import numpy as np

from anomaly.expected import kernels, stl
from anomaly.expected.expectation import Expectation
from anomaly.expected.grid import Grid
from anomaly.expected.kernels import KernelParams, kernel_params
from anomaly.expected.rules import ExpectedRules
from anomaly.peer_stats import PeerStats, peer_lookup

LOG_OFFSETS = {"count": 0.7, "litre": 20.0, "Wh": 300.0, "cent": 20.0}
"""Unit → o of log(value + o): where values near zero stop being told apart (measured on simulated cities)."""


class RecentExpectation(NamedTuple):
    """Expectations of the last days of a grid, and which of all its days were vacant, (H, T) bool."""

    expected: Expectation
    vacant: np.ndarray


class Centre(NamedTuple):
    """An expectation in logarithms, (H, days): centre, spread, and how many days (int16) it rests on."""

    centre: np.ndarray
    spread: np.ndarray
    history_days: np.ndarray


def log_offset(unit: str, step: np.ndarray | float = 0.0) -> np.ndarray:
    """Return what is added to values before their logarithm is taken: by the unit, or most of a coarse step.

    step: by how much the values move at a time, base units.
    """
    return np.maximum(LOG_OFFSETS.get(unit, 1.0), 0.7 * step)


def expect(grid: Grid, rules: ExpectedRules = ExpectedRules(), peers: PeerStats | None = None) -> Expectation:
    """Return the expectation of every day of the grid, each made from its own past; the grid is left alone.

    peers: keeps the statistics of these homes for others, or gives those of others where it has them already.
    """
    return expect_recent(grid, rules, peers, grid.days).expected


def expect_recent(grid: Grid, rules: ExpectedRules, peers: PeerStats | None, days: int) -> RecentExpectation:
    """Return the last `days` days of what `expect` gives, made from all days of the grid."""
    params = kernel_params(rules, grid.weekday, grid.ordinal, days)
    series, span_days = judged_series(grid, params)
    vacant = kernels.vacant_days(series, grid.lag, params)
    short = grid if days == grid.days else grid.last_days(days)
    out: dict[str, Any] = {
        name: np.empty(short.value.shape) for name in ("expected", "low", "high", "surprise", "log_ratio")
    }
    history_days = np.zeros(short.value.shape, dtype=np.int16)
    last = slice(grid.days - days, None)
    for s, unit in enumerate(grid.units):
        step = grid.resolution[s] / span_days[s]
        offset = log_offset(unit, step)
        x = np.log(series[s] + offset)
        step, offset = step[:, last], np.ascontiguousarray(offset[:, last])
        if rules.model == "stl":
            found = Centre(*(array[:, last] for array in stl.forecast(x, grid.lag[s], grid.ordinal)))
            found = found._replace(spread=np.maximum(found.spread, rules.least_spread))
        else:
            found = _usual_centre(x, grid, s, vacant, offset, rules, params, peers)
        units = kernels.to_units(found.centre, found.spread, x[:, last], offset, step)
        out["expected"][s], out["low"][s], out["high"][s], out["surprise"][s] = units
        out["log_ratio"][s] = x[:, last] - found.centre
        history_days[s] = found.history_days
    expected = Expectation(
        grid=short,
        vacant=vacant[:, last],
        history_days=history_days,
        span_days=np.ascontiguousarray(span_days[:, :, last]),
        **out,
    )
    return RecentExpectation(expected, vacant)


def judged_series(grid: Grid, params: KernelParams) -> tuple[np.ndarray, np.ndarray]:
    """Return the series to judge and the days that each of its values spans, both (S, H, T).

    A coarse register (1 m³ steps, say) tells nothing about one day. It is judged on the mean of the last
    `coarse_days` days, all of which must have been known on their day. Days older than the short guard decide
    which register is coarse.
    """
    series, span_days = grid.value.copy(), np.ones(grid.value.shape, dtype=np.int8)
    for s, unit in enumerate(grid.units):
        if unit != "count":
            kernels.average_coarse_days(series[s], grid.lag[s], grid.resolution[s], span_days[s], params)
    return series, span_days


def _usual_centre(
    x: np.ndarray,
    grid: Grid,
    s: int,
    vacant: np.ndarray,
    offset: np.ndarray,
    rules: ExpectedRules,
    params: KernelParams,
    peers: PeerStats | None,
) -> Centre:
    """Return the expectation of signal s by the recipe.

    x: (H, T) log values. vacant: (H, T). offset: (H, days), of x on the days asked for.
    """
    lookup = peer_lookup(peers, grid, f"expected {grid.signals[s]}", params.days)
    # a value that became known late is kept out of the shared shock of its day, so that a shock never changes
    usable = ~np.isnan(x) & ~vacant & (grid.lag[s] < rules.short_guard_days)
    shock = _shock(x, usable, grid, s, rules, peers)
    y = np.where(usable, x - shock, np.nan)
    usual, spread, history_days = kernels.usual_and_spread(y, params)
    peers_spread = lookup("spread", lambda: kernels.median_by_day(spread, rules.peers_min))
    kernels.mix_spread_and_past(y, usual, spread, history_days, peers_spread, params)
    peers_level = lookup("level", lambda: kernels.median_by_day(np.exp(usual), rules.peers_min))
    kernels.raise_to_floor(usual, offset, peers_level, params)
    return Centre(usual + shock[:, grid.days - params.days :], spread, history_days)


def _shock(
    x: np.ndarray, usable: np.ndarray, grid: Grid, s: int, rules: ExpectedRules, peers: PeerStats | None
) -> np.ndarray:
    """Return what a day did to all peers, (H, T): the median departure from their own levels.

    Each home is left out of its own. x: (H, T) log values of signal s; usable: (H, T) bool.
    """
    name = f"expected {grid.signals[s]} shock"
    if peers is not None and name in peers.series:
        return peers.get(name, grid.ordinal, grid.days)[grid.group]
    level = kernels.trailing_level(x, usable, rules.guard_days, rules.baseline_days, rules.short_least_days)
    departure = np.where(usable & (grid.lag[s] == 0), x - level, np.nan)
    if peers is not None:  # for homes that are none of these
        groups = peers.groups
        peers.get_or_compute(
            name,
            lambda: kernels.group_shock(departure, grid.group, groups, rules.peers_min),
            grid.ordinal,
            grid.days,
        )
    return kernels.shared_shock(departure, grid.group, rules.peers_min)
