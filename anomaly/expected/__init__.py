"""Work out what is to be expected of a home: its level, week and spread, the calendar, its peers' day.

An expectation never sees the night's own value: each is made from days at least a guard older. (The
textbook's STL, there to compare with, is made from all days before its weekly fit.) `model.expect` shows the
order of the steps; each step is a module of its own.
"""

from anomaly.expected.decompose import decompose, level_shifts
from anomaly.expected.expectation import Expectation, expected_frame
from anomaly.expected.grid import Grid, make_grid, resolution
from anomaly.expected.judgeable import judgeable_signals, not_judged_frame
from anomaly.expected.model import expect, expect_recent, log_offset
from anomaly.expected.peers import peer_medians_frame
from anomaly.expected.recent import expect_recent_fused
from anomaly.expected.rules import ExpectedRules
from anomaly.expected.stl import preload_stl

__all__ = [
    "Expectation",
    "ExpectedRules",
    "Grid",
    "decompose",
    "expect",
    "expect_recent",
    "expect_recent_fused",
    "expected_frame",
    "judgeable_signals",
    "level_shifts",
    "log_offset",
    "make_grid",
    "not_judged_frame",
    "peer_medians_frame",
    "preload_stl",
    "resolution",
]
