"""What a detector gives."""

from dataclasses import dataclass

import numpy as np

ALL = "all"  # in place of a signal's name: several signals rise together


@dataclass(frozen=True)
class Scores:
    """One score a home and night; larger is odder; NaN where the detector has nothing to say.

    score: (H, T) float64; of the last nights only, where only they were asked for (Expected.scored). window: (H, T) int16, days of the window that ends at the night and gave the score.
    share: what it asks of the allowance of chance cases, against the other scores of its signal.
    """

    detector: str
    signal: str
    score: np.ndarray
    window: np.ndarray
    share: float = 1.0
