"""What a detector gives."""

import dataclasses
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

    def of(self, homes: np.ndarray, night: int) -> "Scores":
        """Those homes on that night alone."""
        return dataclasses.replace(
            self, score=self.score[homes, night : night + 1], window=self.window[homes, night : night + 1]
        )

    def beside(self, other: "Scores") -> "Scores":
        """The homes of both, on the same nights."""
        return dataclasses.replace(
            self,
            score=np.concatenate([self.score, other.score]),
            window=np.concatenate([self.window, other.window]),
        )

    def at_end_of(self, days: int) -> "Scores":
        """The same as the last of so many days, with nothing to say of those before."""
        before = (0, 0), (days - self.score.shape[1], 0)
        return dataclasses.replace(
            self, score=np.pad(self.score, before, constant_values=np.nan), window=np.pad(self.window, before)
        )
