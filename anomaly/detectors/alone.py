"""One signal above its usual for many days, whatever the others do: a leak, a charger, a busy door."""

from dataclasses import dataclass

from anomaly.detectors.scores import Scores
from anomaly.detectors.windows import (
    best_window,
    compress_tail,
    scale_by_night_spread,
    scale_by_past,
    standardise_by_peers,
    window_sums,
)
from anomaly.peer_stats import peer_lookup


@dataclass(frozen=True)
class Alone:
    """A window sum of surprise for each signal by itself."""

    name = "alone"
    windows: tuple[int, ...] = (10, 14)
    clip: float = 2.0
    peers_min: int = 15

    def __call__(self, expected, peers=None) -> list[Scores]:
        """anomaly.expected.Expected → one Scores a signal."""
        out = []
        for s, signal in enumerate(expected.grid.signals):
            z = scale_by_night_spread(
                expected.surprise[s],
                expected.grid.lag[s],
                self.clip,
                self.peers_min,
                peer_lookup(peers, expected.grid, signal),
            )
            hear = {
                n: peer_lookup(peers, expected.grid, f"{self.name} {signal} {n}", expected.scored_nights)
                for n in self.windows
            }
            sums = {
                n: window_sums(z, expected.grid.lag[s], expected.span_days[s], n, expected.scored_nights)
                for n in self.windows
            }
            scaled = {
                n: scale_by_past(
                    standardise_by_peers(v, self.peers_min, hear[n]), expected.grid.ordinal, hear[n]
                )
                for n, v in sums.items()
            }
            score, window = best_window(scaled)
            # a door has couriers, parties and workmen of its own: its tail is heavier than that of a meter
            out.append(
                Scores(
                    self.name,
                    signal,
                    compress_tail(score) if expected.grid.units[s] == "count" else score,
                    window,
                )
            )
        return out
