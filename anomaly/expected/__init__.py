"""What is usual for a home: level, week, calendar, what all peers did that day, spread.

Never sees the night's own value: the recipe makes every expectation of a day from days at least a guard older
(the textbook's STL, there to compare with, from all days before its weekly fit).
The order is written in `expect`; each step is a module of its own.
"""

from anomaly.expected.decompose import decompose, level_shifts
from anomaly.expected.grid import JUDGED_QUALITIES, Grid, make_grid, resolution
from anomaly.expected.judgeable import expected_frame, judged, not_judged
from anomaly.expected.model import (
    Expected,
    ExpectedRules,
    beside,
    expect,
    expect_last,
    keep_last_days,
    only,
    widened,
)
from anomaly.expected.peers import peers_frame
from anomaly.expected.recent import expect_lately
from anomaly.expected.stl import prepare

__all__ = [
    "JUDGED_QUALITIES", "Expected", "ExpectedRules", "Grid", "beside", "decompose", "expect", "expect_last", "expect_lately", "expected_frame", "judged",
    "level_shifts", "make_grid", "not_judged", "only", "peers_frame", "prepare", "keep_last_days", "resolution", "widened",
]  # fmt: skip
