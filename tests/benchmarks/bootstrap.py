"""Errors of recall on planted homes: homes are drawn again, their alarms and their surges with them.

A few alarms set the threshold and several surges lie in one home, so a binomial error would be far too small.
Both are covered by drawing homes with replacement (Efron 1979) and setting the threshold anew in each draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.scoring import GRACE_DAYS, UNIT, Trial, alarms

LEVELS = 150  # thresholds looked at, closer together the rarer their scores
COMMONEST = 0.1  # share of scores above the lowest of them
DRAWS = 200


@dataclass(frozen=True)
class Tally:
    """For L levels, H homes and E surges. raised: (H, L) alarms without a surge; nights: (H,) such
    household-nights;
    found: (E, L) bool; home, size: (E,), the home a surge was planted in and its size."""

    raised: np.ndarray
    nights: np.ndarray
    found: np.ndarray
    home: np.ndarray
    size: np.ndarray

    def recall(self, drawn: np.ndarray, budgets: Sequence[float], sizes: Sequence[float]) -> np.ndarray:
        """(sizes, budgets): recall where each home is there as often as it was drawn; NaN where none of a
        size is."""
        rate = drawn @ self.raised * (UNIT / max(drawn @ self.nights, 1))
        weight = drawn[self.home] * (self.size == np.array(sizes)[:, None])
        columns = []
        for budget in budgets:
            over = np.flatnonzero(rate > budget)
            at = over[-1] + 1 if over.size else 0  # the last level is inf: no alarm
            with np.errstate(invalid="ignore"):
                columns.append(weight @ self.found[:, at] / weight.sum(axis=1))
        return np.stack(columns, axis=1)


def recall_errors(
    trials: Sequence[Trial], budgets: Sequence[float], sizes: Sequence[float], seed: int = 1
) -> np.ndarray:
    """(sizes, budgets): standard deviation of recall over the draws, NaN where a size was not planted."""
    tally, rng = tally_of(trials), np.random.default_rng(seed)
    homes = tally.nights.size
    drawn = [np.bincount(rng.integers(0, homes, homes), minlength=homes) for _ in range(DRAWS)]
    return np.nanstd([tally.recall(one, budgets, sizes) for one in drawn], axis=0, ddof=1)


def tally_of(trials: Sequence[Trial]) -> Tally:
    """The alarms of every home and the finding of every surge, at every level."""
    levels = _levels(trials)
    homes = 1 + max(int(one.home.max()) for one in trials)
    raised, nights = np.zeros((homes, levels.size)), np.zeros(homes)
    found, planted_in, size = [], [], []
    for one in trials:
        quiet = np.ones(len(one.score), dtype=bool)
        quiet[one.episodes.home] = False
        np.add.at(nights, one.home[quiet], one.present[quiet].sum(axis=1))
        for_levels = [alarms(one, level) for level in levels]
        np.add.at(
            raised, one.home[quiet], np.stack([begins[quiet].sum(axis=1) for begins in for_levels], axis=1)
        )
        surges = zip(one.episodes.home, one.episodes.first, one.episodes.last, strict=True)
        windows = [(h, slice(max(0, first), max(0, last + GRACE_DAYS + 1))) for h, first, last in surges]
        found += [[begins[h, window].any() for begins in for_levels] for h, window in windows]
        planted_in.append(one.home[one.episodes.home])
        size.append(one.episodes.size)
    return Tally(
        raised, nights, np.array(found, dtype=float), np.concatenate(planted_in), np.concatenate(size)
    )


def _levels(trials: Sequence[Trial]) -> np.ndarray:
    """Ascending scores at ranks that grow geometrically, from the largest one to the commonest tenth, and
    inf."""
    scores = np.sort(np.concatenate([one.score[~np.isnan(one.score)] for one in trials]))
    ranks = np.unique(np.geomspace(1, max(2, COMMONEST * scores.size), LEVELS).astype(int))
    return np.append(np.unique(scores[scores.size - ranks]), np.inf)
