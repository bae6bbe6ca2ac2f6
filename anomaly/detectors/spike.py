"""Detect that a home is far above its usual for a few days: a party flat, a burst pipe."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import (
    clipped_surprise,
    compress_tail,
    consensus,
    sums_by_signal,
    to_common_scale,
)
from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerStats


@dataclass(frozen=True)
class Spike:
    """The sum of three days of surprise, clipped far later than in long windows; of each signal and of all.

    A single day is over before anybody could look, and is left to chance. What is short is mostly ordinary,
    so spikes ask for less of the allowance than the long windows, and least where one signal rises by itself:
    there a larger share would cost lasting surges (London, ×2 at 5 alarms: a tenth .61, three tenths .39).
    """

    name: ClassVar[str] = "spike"
    share_of_all: float = 0.3
    share_of_one: float = 0.1
    days: int = 3
    clip: float = 5.0
    peers_min: int = 15

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        """Return one Scores for each signal, and one for all where there are several."""
        surprise = clipped_surprise(expected, peers, self.clip, self.peers_min)
        sums = sums_by_signal(expected, surprise, self.days)
        by_signal = dict(zip(expected.grid.signals, sums, strict=True))
        if len(sums) > 1:
            by_signal[ALL] = consensus(sums)
        scores = []
        for signal, one in by_signal.items():
            scaled = to_common_scale(
                one, expected, peers, f"{self.name} {signal} {self.days}", self.peers_min
            )
            score = compress_tail(scaled)  # sums that are hardly clipped have a heavy tail
            window = np.full(score.shape, self.days, dtype=np.int16)
            share = self.share_of_all if signal == ALL else self.share_of_one
            scores.append(Scores(self.name, signal, score, window, share))
        return scores
