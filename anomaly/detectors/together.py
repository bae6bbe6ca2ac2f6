"""All signals of a home rise together: more people."""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import best_window, calmed, consensus, own_scale, peer_scaled, window_sums


@dataclass(frozen=True)
class Together:
    """The sum of the signals' window sums, less half their range: one loud signal alone does not make people."""

    name = "together"
    windows: tuple[int, ...] = (5, 10, 14)
    clip: float = 2.0
    peers_min: int = 15

    def __call__(self, expected) -> list[Scores]:
        """anomaly.expected.Expected → one Scores; homes with fewer than two signals that night get none."""
        if len(expected.grid.signals) < 2:
            return []
        calm = [calmed(z, lag, self.clip, self.peers_min) for z, lag in zip(expected.surprise, expected.grid.lag, strict=True)]
        scaled = {}
        for n in self.windows:
            sums = np.stack([window_sums(z, expected.grid.lag[s], expected.block[s], n) for s, z in enumerate(calm)])
            scaled[n] = own_scale(peer_scaled(consensus(sums), self.peers_min), expected.grid.ordinal)
        return [Scores(self.name, ALL, *best_window(scaled))]
