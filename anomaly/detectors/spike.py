"""Far above its usual for a few days: too short for the long windows, too high to be a guest."""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import (
    compress_tail,
    consensus,
    scale_by_night_spread,
    scale_by_past,
    standardise_by_peers,
    window_sums,
)
from anomaly.peer_stats import peer_lookup


@dataclass(frozen=True)
class Spike:
    """The sum of three days of surprise, cut off far later than in the long windows; of all signals, and of each by itself.

    A single day is over before anybody could look, and is left to chance. What is short is mostly ordinary, so spikes ask for
    less of the allowance than the long windows, and least where one signal rises by itself: there a larger share would cost
    lasting surges (London, ×2 at 5 alarms: a tenth .61, three tenths .39).
    """

    name = "spike"
    share_of_all: float = 0.3
    share_of_one: float = 0.1
    days: int = 3
    clip: float = 5.0
    peers_min: int = 15

    def __call__(self, expected, peers=None) -> list[Scores]:
        """anomaly.expected.Expected → one Scores a signal, and one for all where there are several."""
        grid = expected.grid
        calm = [
            scale_by_night_spread(
                expected.surprise[s], grid.lag[s], self.clip, self.peers_min, peer_lookup(peers, grid, name)
            )
            for s, name in enumerate(grid.signals)
        ]
        sums = [
            window_sums(z, grid.lag[s], expected.span_days[s], self.days, expected.scored_nights)
            for s, z in enumerate(calm)
        ]
        named = dict(zip(grid.signals, sums, strict=True))
        if len(sums) > 1:
            named[ALL] = consensus(np.stack(sums))
        return [
            self._scores(
                signal,
                one,
                grid.ordinal,
                peer_lookup(peers, grid, f"{self.name} {signal} {self.days}", expected.scored_nights),
            )
            for signal, one in named.items()
        ]

    def _scores(self, signal, sums, ordinal, hear) -> Scores:
        score = compress_tail(
            scale_by_past(standardise_by_peers(sums, self.peers_min, hear), ordinal, hear)
        )  # sums hardly cut off have a heavy tail
        return Scores(
            self.name,
            signal,
            score,
            np.full(score.shape, self.days, dtype=np.int16),
            self.share_of_all if signal == ALL else self.share_of_one,
        )
