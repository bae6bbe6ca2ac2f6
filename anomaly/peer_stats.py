"""What the homes of a site say together of each day: medians, spreads, scales, one number or a few for every day.

At a small site everybody is asked. At a large one a sample is, and what it says holds for homes that had no part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Peers:
    """What was said, by name: from which day on (since 1970), and arrays whose last axis is the days."""

    groups: int = 1
    """How many peer groups (districts) there are, the unknown one counted."""
    said: dict[str, tuple[int, np.ndarray]] = field(default_factory=dict)
    fitted: dict[str, object] = field(default_factory=dict)
    """What was fitted on the peers' earlier nights."""

    def hear(self, name: str, make: Callable[[], np.ndarray], ordinal: int, days: int) -> np.ndarray:
        """What was said of the days `ordinal` … `ordinal + days − 1`; said now, for the first time, where it was not yet."""
        if name not in self.said:
            self.said[name] = ordinal, make()
        begin, said = self.said[name]
        if ordinal < begin:
            raise LookupError(
                f"the peers said nothing of {name} before day {begin}, and are asked for day {ordinal}"
            )
        return said[..., ordinal - begin : ordinal - begin + days]


def heard(
    peers: Peers | None, grid, about: str, last: int = 0
) -> Callable[[str, Callable[[], np.ndarray]], np.ndarray]:
    """A way to ask the peers about the days of a grid, or so many last ones of them; without peers everything is made afresh from the homes at hand."""
    days = last or grid.days

    def hear(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        return (
            make()
            if peers is None
            else peers.hear(f"{about} {name}", make, grid.ordinal + grid.days - days, days)
        )

    return hear


def unheard(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Asks nobody: everything is made from the homes at hand."""
    return make()
