"""Detect that one signal is above its usual for many days, whatever the others do: a leak, a busy door."""

from dataclasses import dataclass
from typing import ClassVar

from anomaly.detectors.scores import Scores
from anomaly.detectors.windows import (
    best_window,
    clipped_surprise,
    compress_tail,
    sums_by_signal,
    to_common_scale,
)
from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerStats


@dataclass(frozen=True)
class Alone:
    """A window sum of surprise for each signal by itself."""

    name: ClassVar[str] = "alone"
    windows: tuple[int, ...] = (10, 14)
    clip: float = 2.0
    peers_min: int = 15

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        """Return one Scores for each signal."""
        surprise = clipped_surprise(expected, peers, self.clip, self.peers_min)
        sums = {days: sums_by_signal(expected, surprise, days) for days in self.windows}
        scores = []
        for s, signal in enumerate(expected.grid.signals):
            by_days = {
                days: to_common_scale(
                    sums[days][s], expected, peers, f"{self.name} {signal} {days}", self.peers_min
                )
                for days in self.windows
            }
            score, window = best_window(by_days)
            # a door has couriers, parties and workmen of its own: its tail is heavier than that of a meter
            score = compress_tail(score) if expected.grid.units[s] == "count" else score
            scores.append(Scores(self.name, signal, score, window))
        return scores
