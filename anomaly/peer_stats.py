"""Hold what the homes of a site have in common: medians, spreads and scales of every day.

At a small site every home takes part in these. At a large one a sample does, and what it gives holds for the
homes that took no part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

PeerLookup = Callable[[str, Callable[[], np.ndarray]], np.ndarray]
"""Takes the name of a statistic and a function that computes it; gives its values for the days of a grid."""


class DayAxis(Protocol):
    """Anything that spans consecutive days, such as anomaly.expected.Grid."""

    @property
    def ordinal(self) -> int:
        """Days from the epoch to the first day."""

    @property
    def days(self) -> int:
        """Number of days."""


class PeerSeries(NamedTuple):
    """A statistic of the peers: its first day (days since 1970), and an array whose last axis is the days."""

    first_day: int
    values: np.ndarray


@dataclass(frozen=True)
class PeerStats:
    """Statistics of a site's peers by name, computed once and then looked up."""

    groups: int = 1
    """How many peer groups (districts) there are, the unknown one included."""
    series: dict[str, PeerSeries] = field(default_factory=dict)
    fitted: dict[str, Any] = field(default_factory=dict)
    """Models fitted on the peers' earlier nights, by name."""

    def get(self, name: str, first_day: int, days: int) -> np.ndarray:
        """Return a statistic for the days `first_day` … `first_day + days − 1`.

        Raises LookupError where it was not computed, or not for all of these days.
        """
        if name not in self.series:
            raise LookupError(f"nothing is known of {name} among the peers")
        begin, values = self.series[name]
        if first_day < begin:
            raise LookupError(f"nothing is known of {name} among the peers before day {begin}")
        if first_day + days > (end := begin + values.shape[-1]):
            raise LookupError(f"nothing is known of {name} among the peers from day {end} on")
        return values[..., first_day - begin : first_day - begin + days]

    def get_or_compute(
        self, name: str, compute: Callable[[], np.ndarray], first_day: int, days: int
    ) -> np.ndarray:
        """Return a statistic as `get` does; the first time it is asked for it is computed and kept."""
        if name not in self.series:
            self.series[name] = PeerSeries(first_day, compute())
        return self.get(name, first_day, days)


def peer_lookup(peers: PeerStats | None, grid: DayAxis, prefix: str, last_days: int = 0) -> PeerLookup:
    """Return a function that looks up statistics of the peers for the days of a grid.

    peers: None to compute everything from the homes at hand. prefix: put before the name of each statistic.
    last_days: look up only so many last days of the grid; 0 for all.
    """
    if peers is None:
        return compute_locally
    days = last_days or grid.days
    first_day = grid.ordinal + grid.days - days
    return lambda name, compute: peers.get_or_compute(f"{prefix} {name}", compute, first_day, days)


def compute_locally(name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the statistic of the homes at hand, without looking anything up (a PeerLookup)."""
    return compute()
