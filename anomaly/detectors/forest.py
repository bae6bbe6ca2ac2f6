"""An odd mix of signals: PyOD's isolation forest on one-sided residual features, a second opinion."""

from dataclasses import dataclass

import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import calmed, window_sums

REFIT_DAYS = 28
FIT_ROWS = 20_000
LEAST_ROWS = 500
SHORTLIST = 0.95  # only home-nights with a larger sum of features than this share of earlier ones are scored


@dataclass(frozen=True)
class Forest:
    """Fitted on earlier nights only, on features that are zero unless something is above its usual.

    Its labels are never used: `contamination` would be a quota. A missing signal counts as nothing unusual.
    """

    name = "forest"
    windows: tuple[int, ...] = (7, 14)
    clip: float = 2.0
    peers_min: int = 15
    trees: int = 100
    seed: int = 0

    def __call__(self, expected) -> list[Scores]:
        """anomaly.expected.Expected → one Scores for all signals."""
        features = self.features(expected)
        homes, nights = features.shape[:2]
        score = np.full((homes, nights), np.nan)
        known = ~np.isnan(features).all(axis=2)
        features = np.clip(np.nan_to_num(features), 0.0, None)
        total = features.sum(axis=2)
        ordinal = expected.grid.ordinal
        first = -ordinal % REFIT_DAYS
        for start in range(first, nights, REFIT_DAYS):
            stop = min(start + REFIT_DAYS, nights)
            earlier = known[:, :start]
            if earlier.sum() < LEAST_ROWS:
                continue
            asked = np.zeros_like(known)
            high = np.quantile(total[:, :start][earlier], SHORTLIST)
            asked[:, start:stop] = known[:, start:stop] & (total[:, start:stop] > high)
            if asked.any():
                score[asked] = self._oddness(features[:, :start][earlier], features[asked])
            score[:, start:stop][known[:, start:stop] & ~asked[:, start:stop]] = 0.0
        window = np.full((homes, nights), max(self.windows), dtype=np.int16)
        return [Scores(self.name, ALL, score, window)]

    def features(self, expected) -> np.ndarray:
        """(H, T, S · windows) window sums of surprise."""
        columns = []
        for s, surprise in enumerate(expected.surprise):
            z = calmed(surprise, expected.grid.lag[s], self.clip, self.peers_min)
            columns += [window_sums(z, expected.grid.lag[s], expected.block[s], n) for n in self.windows]
        return np.stack(columns, axis=2) if columns else np.zeros((*expected.vacant.shape, 0))

    def _oddness(self, earlier, rows):
        """−ln of the share of earlier rows at least as odd, in threes (so that a common scale fits); larger is odder."""
        from pyod.models.iforest import IForest  # slow to import, so only where it is used

        sample = earlier[:: max(1, earlier.shape[0] // FIT_ROWS)]
        sample = sample[np.lexsort(sample.T)]  # the trees draw rows by place: the order of the homes must not matter
        model = IForest(n_estimators=self.trees, random_state=self.seed, n_jobs=1).fit(sample)
        common = np.sort(model.decision_scores_)
        beyond = common.size - np.searchsorted(common, model.decision_function(rows), side="left")
        return -np.log((1 + beyond) / (1 + common.size)) / 3.0
