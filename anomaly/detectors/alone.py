"""One signal above its usual for many days, whatever the others do: a leak, a charger, a busy door."""

from dataclasses import dataclass

from anomaly.detectors.scores import Scores
from anomaly.detectors.windows import best_window, calmed, light_tailed, own_scale, peer_scaled, window_sums
from anomaly.peer_stats import heard


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
            z = calmed(
                expected.surprise[s],
                expected.grid.lag[s],
                self.clip,
                self.peers_min,
                heard(peers, expected.grid, signal),
            )
            hear = {
                n: heard(peers, expected.grid, f"{self.name} {signal} {n}", expected.scored)
                for n in self.windows
            }
            sums = {
                n: window_sums(z, expected.grid.lag[s], expected.block[s], n, expected.scored)
                for n in self.windows
            }
            scaled = {
                n: own_scale(peer_scaled(v, self.peers_min, hear[n]), expected.grid.ordinal, hear[n])
                for n, v in sums.items()
            }
            score, window = best_window(scaled)
            # a door has couriers, parties and workmen of its own: its tail is heavier than that of a meter
            out.append(
                Scores(
                    self.name,
                    signal,
                    light_tailed(score) if expected.grid.units[s] == "count" else score,
                    window,
                )
            )
        return out
