"""Detect an odd mix of signals: PyOD's isolation forest on one-sided residual features, a second opinion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import clipped_surprise, sums_by_signal
from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerStats

if TYPE_CHECKING:
    from pyod.models.iforest import IForest

REFIT_DAYS = 56
PAST_ROWS = 20_000
"""Earlier home-nights that an odd one is compared with, about."""
FIT_ROWS = 5_000
"""Of these, about as many are what the trees draw theirs from, 256 each."""
MIN_ROWS = 500
SHORTLIST_QUANTILE = 0.95
"""Only home-nights with a larger sum of features than this share of earlier ones are scored."""


@dataclass(frozen=True)
class Forest:
    """An isolation forest fitted on earlier nights, on features that are zero unless something is high.

    Its labels are never used: `contamination` would be a quota. A missing signal counts as nothing unusual.
    """

    name: ClassVar[str] = "forest"
    windows: tuple[int, ...] = (7, 14)
    clip: float = 2.0
    peers_min: int = 15
    trees: int = 100
    seed: int = 0

    def preload(self) -> None:
        """Import PyOD, which takes a second; may run in a thread."""
        _import_forest()

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        """Return one Scores for all signals together."""
        features = self.features(expected, peers)
        homes, nights = features.shape[:2]
        score = np.full((homes, nights), np.nan)
        known = ~np.isnan(features).all(axis=2)
        np.fmax(features, 0.0, out=features)
        total = features.sum(axis=2)
        ordinal = expected.grid.ordinal + expected.grid.days - nights
        for start in range(-(ordinal % REFIT_DAYS), nights, REFIT_DAYS):
            first, stop = max(start, 0), min(start + REFIT_DAYS, nights)
            fitted = self._fit(features[:, :first], known[:, :first], ordinal + start, peers)
            if fitted is None:
                continue
            asked = known.copy()
            asked[:, :first] = asked[:, stop:] = False
            score[asked] = 0.0
            asked &= total > fitted.shortlist_total
            if asked.any():
                score[asked] = fitted.oddness(features[asked])
        window = np.full((homes, nights), max(self.windows), dtype=np.int16)
        return [Scores(self.name, ALL, score, window)]

    def features(self, expected: Expectation, peers: PeerStats | None = None) -> np.ndarray:
        """Return window sums of each signal's surprise, (H, nights, S · windows), NaN where not known."""
        surprise = clipped_surprise(expected, peers, self.clip, self.peers_min)
        sums = np.stack([sums_by_signal(expected, surprise, days) for days in self.windows])
        windows, signals, homes, nights = sums.shape
        return sums.transpose(2, 3, 1, 0).reshape(homes, nights, signals * windows)

    def _fit(
        self, features: np.ndarray, known: np.ndarray, ordinal: int, peers: PeerStats | None
    ) -> "_FittedForest | None":
        """Return a forest fitted on earlier nights, or that of the peers; None with too few home-nights.

        features: (H, T, F); known: (H, T) bool; ordinal: day number of the first night it is for.
        """
        name = f"{self.name} {ordinal}"
        if peers is not None and name in peers.fitted:
            return peers.fitted[name]
        fitted = None
        home, night = np.nonzero(known)
        if home.size >= MIN_ROWS:
            some = slice(None, None, max(1, home.size // PAST_ROWS))
            rows = features[home[some], night[some]]
            rows = rows[
                np.lexsort(rows.T)
            ]  # the trees draw rows by place: the order of the homes must not matter
            model = _import_forest()(n_estimators=self.trees, random_state=self.seed, n_jobs=1)
            model.fit(rows[:: max(1, len(rows) // FIT_ROWS)])
            shortlist_total = float(np.quantile(rows.sum(axis=1), SHORTLIST_QUANTILE))
            fitted = _FittedForest(model, np.sort(_forest_scores(model, rows)), shortlist_total)
        if peers is not None:
            peers.fitted[name] = fitted
        return fitted


@dataclass(frozen=True)
class _FittedForest:
    """A forest with the sorted scores of earlier home-nights.

    shortlist_total: a home-night is scored where its sum of features is above this.
    """

    model: "IForest"
    past: np.ndarray
    shortlist_total: float

    def oddness(self, rows: np.ndarray) -> np.ndarray:
        """Return −ln / 3 of the share of earlier home-nights at least as odd: a third, to fit a common
        scale."""
        as_odd = self.past.size - np.searchsorted(self.past, _forest_scores(self.model, rows), side="left")
        return -np.log((1 + as_odd) / (1 + self.past.size)) / 3.0


def _forest_scores(model: "IForest", rows: np.ndarray) -> np.ndarray:
    """Return the library's score of each row, larger is odder.

    Rounded, so that equal rows score the same in whatever company they are asked.
    """
    return np.round(model.decision_function(rows), 12)


def _import_forest() -> "type[IForest]":
    from pyod.models.iforest import IForest  # slow to import, so only where it is used

    return IForest
