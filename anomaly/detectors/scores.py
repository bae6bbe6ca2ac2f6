"""Define what a detector is and what it gives."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerStats

ALL = "all"
"""Stands for a signal's name where several signals were looked at together."""


@dataclass(frozen=True)
class Scores:
    """One score for each home and night; larger is odder, NaN where too little is known of the home.

    A home of which enough is known has a number on every night, a low one where nothing is seen: its rarity
    rests on all of them. Vacant days have a (strongly negative) surprise too.

    detector: its name. signal: the signal it looked at, or ALL.
    score: (H, T) float64; only of the last nights where only they were asked for (Expectation.scored_nights).
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

    def pad_to(self, days: int) -> "Scores":
        """Return the same as the last of `days` days, with nothing to say of those before."""
        before = (0, 0), (days - self.score.shape[1], 0)
        score = np.pad(self.score, before, constant_values=np.nan)
        return dataclasses.replace(self, score=score, window=np.pad(self.window, before))


class Detector(Protocol):
    """What every detector promises; the fields of its dataclass are its own rules, each with a default.

    A frozen dataclass: the same input gives the same scores. It leaves its input alone, has no threshold, and
    a night's scores rest on what that night knew, and on at most its last 14 days (`WINDOW_DAYS` in
    pipelines/scoring/blocks.py). Neither the order nor the names of the homes matter. It may have a method
    `preload()` that imports what it needs (`register.preload`).
    """

    name: ClassVar[str]
    """Name in the settings, in the evidence and on the pages."""

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        """Return scores of every home and night: one Scores for each signal looked at, or for ALL of them.

        expected: of as many nights as are there; where `scored_nights` is set, scores of only the last
        nights. peers: statistics of the site's peers to look up; None to work them out from the homes at
        hand.
        """
        ...
