"""All signals of a home rise together: more people."""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import best_window, calmed, consensus, own_scale, peer_scaled, window_sums
from anomaly.peer_stats import heard


@dataclass(frozen=True)
class Together:
    """The sum of the signals' window sums, less half their range: one loud signal alone does not make people."""

    name = "together"
    windows: tuple[int, ...] = (5, 10, 14)
    clip: float = 2.0
    peers_min: int = 15

    def __call__(self, expected, peers=None) -> list[Scores]:
        """anomaly.expected.Expected → one Scores; homes with fewer than two signals that night get none."""
        if len(expected.grid.signals) < 2:
            return []
        grid = expected.grid
        calm = [
            calmed(expected.surprise[s], grid.lag[s], self.clip, self.peers_min, heard(peers, grid, name))
            for s, name in enumerate(grid.signals)
        ]
        scaled = {}
        for n in self.windows:
            hear = heard(peers, grid, f"{self.name} {n}", expected.scored)
            sums = np.stack(
                [
                    window_sums(z, grid.lag[s], expected.block[s], n, expected.scored)
                    for s, z in enumerate(calm)
                ]
            )
            scaled[n] = own_scale(peer_scaled(consensus(sums), self.peers_min, hear), grid.ordinal, hear)
        return [Scores(self.name, ALL, *best_window(scaled))]
