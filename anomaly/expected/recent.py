"""Make the expectation of the last days of many homes at once, a home at a time.

A night at a large site needs a fortnight of every home, not its whole past, and the statistics of the peers
are known already. One pass over a home's days then does what `model.expect_recent` does step by step for all
homes, with the same row functions, in half the time (tests/benchmarks/kernels.py).
"""

import dataclasses

import numpy as np

from anomaly.expected import kernels
from anomaly.expected.expectation import Expectation
from anomaly.expected.grid import Grid
from anomaly.expected.model import RecentExpectation, log_offset
from anomaly.expected.rules import ExpectedRules
from anomaly.peer_stats import PeerStats
from anomaly.tables import UNKNOWN


def expect_recent_fused(grid: Grid, rules: ExpectedRules, peers: PeerStats, days: int) -> RecentExpectation:
    """Return the last `days` days of what `expect` gives, for homes that are none of the peers.

    `grid.resolution` is not used, and `grid.value` may hold whole numbers, UNKNOWN where not judged (half the
    memory). Of the expectations `log_ratio` is NaN, and detectors give scores for the last day only. The
    model is the usual one, whatever the rules say. Raises LookupError for days that the peers' statistics do
    not reach.
    """
    value = grid.value
    if value.dtype.kind != "i":
        value = np.where(np.isnan(value), UNKNOWN, value).astype(np.int64)
    recent = kernels.expect_recent_days(
        value,
        grid.lag,
        grid.group,
        np.array([float(log_offset(unit)) for unit in grid.units]),
        np.array([unit != "count" for unit in grid.units]),
        _peer_arrays(grid, peers, days),
        kernels.kernel_params(rules, grid.weekday, grid.ordinal, days),
    )
    short = dataclasses.replace(grid, value=value).last_days(days)
    short = dataclasses.replace(short, value=np.where(short.value == UNKNOWN, np.nan, short.value))
    expected = Expectation(
        grid=short,
        expected=recent.expected,
        low=recent.low,
        high=recent.high,
        surprise=recent.surprise,
        log_ratio=np.full_like(recent.surprise, np.nan),
        history_days=recent.history_days,
        vacant=recent.vacant[:, -days:],
        span_days=recent.span_days,
        scored_nights=1,
    )
    return RecentExpectation(expected, recent.vacant)


def _peer_arrays(grid: Grid, peers: PeerStats, days: int) -> kernels.PeerArrays:
    """Return the peers' shocks on all days of the grid, their levels and spreads on the last `days` days."""

    def by_signal(name: str, span: int) -> np.ndarray:
        first_day = grid.ordinal + grid.days - span
        return np.stack([peers.get(f"expected {signal} {name}", first_day, span) for signal in grid.signals])

    return kernels.PeerArrays(
        by_signal("shock", grid.days), by_signal("level", days), by_signal("spread", days)
    )
