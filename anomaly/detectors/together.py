"""All signals of a home rise together: more people."""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import (
    best_window,
    consensus,
    scale_by_night_spread,
    scale_by_past,
    standardise_by_peers,
    window_sums,
)
from anomaly.peer_stats import peer_lookup


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
            scale_by_night_spread(
                expected.surprise[s], grid.lag[s], self.clip, self.peers_min, peer_lookup(peers, grid, name)
            )
            for s, name in enumerate(grid.signals)
        ]
        scaled = {}
        for n in self.windows:
            hear = peer_lookup(peers, grid, f"{self.name} {n}", expected.scored_nights)
            sums = np.stack(
                [
                    window_sums(z, grid.lag[s], expected.span_days[s], n, expected.scored_nights)
                    for s, z in enumerate(calm)
                ]
            )
            scaled[n] = scale_by_past(
                standardise_by_peers(consensus(sums), self.peers_min, hear), grid.ordinal, hear
            )
        return [Scores(self.name, ALL, *best_window(scaled))]
