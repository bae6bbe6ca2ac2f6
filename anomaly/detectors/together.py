"""Detect that all signals of a home rise together: more people."""

from dataclasses import dataclass
from typing import ClassVar

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import (
    best_window,
    clipped_surprise,
    consensus,
    sums_by_signal,
    to_common_scale,
)
from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerStats


@dataclass(frozen=True)
class Together:
    """The sum of the signals' window sums, less half their range.

    So one loud signal alone does not make people.
    """

    name: ClassVar[str] = "together"
    windows: tuple[int, ...] = (5, 10, 14)
    clip: float = 2.0
    peers_min: int = 15

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        """Return one Scores; homes with fewer than two signals that night get none."""
        if len(expected.grid.signals) < 2:
            return []
        surprise = clipped_surprise(expected, peers, self.clip, self.peers_min)
        by_days = {}
        for days in self.windows:
            joint = consensus(sums_by_signal(expected, surprise, days))
            by_days[days] = to_common_scale(joint, expected, peers, f"{self.name} {days}", self.peers_min)
        score, window = best_window(by_days)
        return [Scores(self.name, ALL, score, window)]
