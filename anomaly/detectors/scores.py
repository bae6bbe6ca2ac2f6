"""Hold what a detector gives."""

import dataclasses
from dataclasses import dataclass

import numpy as np

ALL = "all"
"""Stands for a signal's name where several signals were looked at together."""


@dataclass(frozen=True)
class Scores:
    """One score for each home and night; larger is odder, NaN where the detector has nothing to say.

    detector: its name. signal: the signal it looked at, or ALL.
    score: (H, T) float64; only of the last nights where only they were asked for (Expected.scored_nights).
    window: (H, T) int16, length in days of the window that ends at the night and gave the score.
    share: how much of the allowance of chance cases it asks for, against the other scores of its signal.
    """

    detector: str
    signal: str
    score: np.ndarray
    window: np.ndarray
    share: float = 1.0

    def select(self, homes: np.ndarray, night: int) -> "Scores":
        """Return those homes (places in the grid) on that night alone."""
        night_only = slice(night, night + 1)
        return dataclasses.replace(
            self, score=self.score[homes, night_only], window=self.window[homes, night_only]
        )

    def concat_homes(self, other: "Scores") -> "Scores":
        """Return the homes of both, which must share their nights."""
        return dataclasses.replace(
            self,
            score=np.concatenate([self.score, other.score]),
            window=np.concatenate([self.window, other.window]),
        )

    def pad_to(self, days: int) -> "Scores":
        """Return the same as the last of `days` days, with nothing to say of those before."""
        before = (0, 0), (days - self.score.shape[1], 0)
        score = np.pad(self.score, before, constant_values=np.nan)
        return dataclasses.replace(self, score=score, window=np.pad(self.window, before))
