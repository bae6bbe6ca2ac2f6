"""An odd mix of signals: PyOD's isolation forest on one-sided residual features, a second opinion."""

import dataclasses
from dataclasses import dataclass

import numba
import numpy as np

from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.windows import scale_by_night_spread, window_sums
from anomaly.peer_stats import peer_lookup

REFIT_DAYS = 56
COMMON_ROWS = 20_000  # earlier home-nights that an odd one is compared with
FIT_ROWS = 5_000  # of these the trees draw theirs, 256 each
LEAST_ROWS = 500
BUNCH = 256  # rows that go through a tree one after the other
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

    def preload(self) -> None:
        """Import the library: takes a second, which others may use."""
        _library()

    def __call__(self, expected, peers=None) -> list[Scores]:
        """anomaly.expected.Expected → one Scores for all signals."""
        features = self.features(expected, peers)
        homes, nights = features.shape[:2]
        score = np.full((homes, nights), np.nan)
        known = ~np.isnan(features).all(axis=2)
        np.fmax(features, 0.0, out=features)
        total = features.sum(axis=2)
        ordinal = expected.grid.ordinal + expected.grid.days - nights
        for start in range(-(ordinal % REFIT_DAYS), nights, REFIT_DAYS):
            days = slice(max(start, 0), min(start + REFIT_DAYS, nights))
            before = max(start, 0)
            trees = self._trees(features[:, :before], known[:, :before], (peers, ordinal + start))
            if trees is None:
                continue
            asked = np.zeros_like(known)
            asked[:, days] = known[:, days] & (total[:, days] > trees.high)
            if asked.any():
                score[asked] = trees.oddness(features[asked])
            score[:, days][known[:, days] & ~asked[:, days]] = 0.0
        window = np.full((homes, nights), max(self.windows), dtype=np.int16)
        return [Scores(self.name, ALL, score, window)]

    def _trees(self, features, known, place) -> "_Trees | None":
        """Trees fitted on earlier nights; those of the peers, where these have them."""
        peers, start = place
        name = f"{self.name} {start}"
        if peers is not None and name in peers.fitted:
            return peers.fitted[name]
        trees = None
        home, night = np.nonzero(known)
        if home.size >= LEAST_ROWS:
            some = slice(None, None, max(1, home.size // COMMON_ROWS))
            sample = features[home[some], night[some]]
            sample = sample[
                np.lexsort(sample.T)
            ]  # the trees draw rows by place: the order of the homes must not matter
            model = _library()(n_estimators=self.trees, random_state=self.seed, n_jobs=1).fit(
                sample[:: max(1, len(sample) // FIT_ROWS)]
            )
            trees = _grown(model.detector_, sample)
        if peers is not None:
            peers.fitted[name] = trees
        return trees

    def features(self, expected, peers=None) -> np.ndarray:
        """(H, T, S · windows) window sums of surprise, of the nights that are asked for."""
        columns = []
        for s, surprise in enumerate(expected.surprise):
            hear = peer_lookup(peers, expected.grid, expected.grid.signals[s])
            z = scale_by_night_spread(surprise, expected.grid.lag[s], self.clip, self.peers_min, hear)
            columns += [
                window_sums(z, expected.grid.lag[s], expected.span_days[s], n, expected.scored_nights)
                for n in self.windows
            ]
        return np.stack(columns, axis=2) if columns else np.zeros((*expected.vacant.shape, 0))


def _library():
    from pyod.models.iforest import IForest  # slow to import, so only where it is used

    return IForest


@dataclass(frozen=True)
class _Trees:
    """A fitted forest, the path lengths of what it was fitted on, and the sum of features above which a home-night is asked.

    feature, threshold, child (left and right; a leaf's are itself), length: of every node of all trees; roots: where each tree begins; depth: of the deepest.
    """

    roots: np.ndarray
    depth: int
    feature: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    length: np.ndarray
    common: np.ndarray
    high: float

    def oddness(self, rows):
        """−ln of the share of earlier rows at least as odd, in threes (so that a common scale fits); larger is odder."""
        beyond = np.searchsorted(self.common, self.paths(rows), side="right")
        return -np.log((1 + beyond) / (1 + self.common.size)) / 3.0

    def paths(self, rows):
        """(N, F) → (N,): mean path length; the shorter, the odder. The forest's score is 2 to the power of −paths / a constant."""
        return _paths(
            np.ascontiguousarray(rows, dtype=np.float32),
            (self.roots, self.depth),
            self.feature,
            self.threshold,
            self.child,
            self.length,
        )


def _grown(forest, sample) -> _Trees:
    """A fitted sklearn.ensemble.IsolationForest with its nodes in plain arrays: read in a hundredth of the time."""
    trees = [tree.tree_ for tree in forest.estimators_]
    roots = np.cumsum([0] + [tree.node_count for tree in trees])
    child = [np.stack([tree.children_left, tree.children_right], axis=1) for tree in trees]
    child = np.concatenate(
        [
            np.where(one < 0, np.arange(len(one))[:, None], one) + root
            for one, root in zip(child, roots, strict=False)
        ]
    )
    deep = [tree.compute_node_depths() - 1 + _beyond(tree.n_node_samples) for tree in trees]
    nodes = (
        np.maximum(np.concatenate([tree.feature for tree in trees]), 0),
        np.concatenate([tree.threshold for tree in trees]),
        child,
        np.concatenate(deep),
    )
    grown = _Trees(
        roots[:-1],
        max(tree.max_depth for tree in trees),
        *nodes,
        common=np.empty(0),
        high=float(np.quantile(sample.sum(axis=1), SHORTLIST)),
    )
    return dataclasses.replace(grown, common=np.sort(grown.paths(sample)))


def _beyond(rows):
    """Mean length of the path that a tree grown further would take to tell so many rows apart (Liu, Ting and Zhou 2008)."""
    many = np.maximum(rows, 3)
    return np.where(
        rows > 2,
        2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many,
        np.maximum(rows - 1.0, 0.0),
    )


@numba.njit(cache=True, parallel=True, nogil=True)
def _paths(rows, place, feature, threshold, child, length):
    roots, depth = place
    out = np.zeros(len(rows))
    for bunch in numba.prange((len(rows) + BUNCH - 1) // BUNCH):
        for root in roots:  # a tree stays at hand for as many rows as possible
            for n in range(bunch * BUNCH, min(len(rows), (bunch + 1) * BUNCH)):
                node = root
                for _ in range(depth):  # all the way down, from a leaf to itself: no branch to guess
                    node = child[node, np.uintp(rows[n, feature[node]] > threshold[node])]
                out[n] += length[node]
    return out / len(roots)
