"""The arithmetic of a score card: alarms, thresholds set without labels, recall, precision and delay.

An alarm is an episode: a night on which a home's score reaches the threshold after fourteen nights below it.
The threshold for N alarms is the lowest one from which on the homes without any episode of the truth raise at
most N alarms per 1,000 homes and 30 days (or, said so, all homes); which episodes are found has no say in it.
An episode is found by an alarm from its first day to a week after its last, and its delay is counted from the
first day. Precision is the share of all alarms that fall into an episode so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomaly.tail_model import max_of_nights_before

QUIET_NIGHTS = 14
GRACE_DAYS = 7
UNIT = 30_000.0  # household-nights of 1,000 homes and 30 days
BUDGETS = (2, 5, 10, 20)


@dataclass(frozen=True)
class Episodes:
    """The truth: arrays of one length. home, first, last: indexes, both ends included; size: times the
    ordinary use;
    asked: whether recall counts it (others are right to alarm on, and nothing more)."""

    home: np.ndarray
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray
    asked: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One method on one data set, its judged nights only: arrays are (H, T), NaN where the method says
    nothing.

    score; before: the largest score of the fortnight before; present: the home had data, whatever the method
    made of it.
    home: (H,), which real home each row is or was copied from. stands_for: homes of the whole data for each
    home without an episode, where only a sample of these is here.
    """

    score: np.ndarray
    before: np.ndarray
    present: np.ndarray
    episodes: Episodes
    home: np.ndarray
    stands_for: float = 1.0


@dataclass(frozen=True)
class Point:
    """What a method reaches at one allowance of alarms."""

    threshold: float
    found: np.ndarray  # bool, of every asked episode
    size: np.ndarray  # of every asked episode
    delay: np.ndarray  # days, of the found ones
    alarms: float
    right: int

    @property
    def recall(self) -> float:
        return float(self.found.mean()) if self.found.size else float("nan")

    @property
    def precision(self) -> float:
        return self.right / self.alarms if self.alarms else float("nan")


def trial(
    score: np.ndarray,
    present: np.ndarray,
    episodes: Episodes,
    nights: tuple[int, int],
    home: np.ndarray | None = None,
) -> Trial:
    """Scores over a whole grid cut to the judged nights [start, stop); episodes are given in the grid's own
    days; no row a copy unless `home` says so."""
    start, stop = nights
    before = max_of_nights_before(score, QUIET_NIGHTS)[:, start:stop]
    moved = Episodes(
        episodes.home, episodes.first - start, episodes.last - start, episodes.size, episodes.asked
    )
    return Trial(
        score[:, start:stop],
        before,
        present[:, start:stop],
        moved,
        np.arange(len(score)) if home is None else home,
    )


@dataclass(frozen=True)
class Curve:
    """Alarms per 1,000 homes and 30 days at each score that occurred, ascending."""

    score: np.ndarray
    rate: np.ndarray

    def threshold(self, budget: float) -> float:
        """The lowest score from which on there are at most `budget` alarms; inf where even the largest score
        gives more."""
        over = np.flatnonzero(self.rate > budget)
        place = over[-1] + 1 if over.size else 0
        return float(self.score[place]) if place < self.score.size else np.inf


def curve(trials: Sequence[Trial], unplanted_only: bool = True) -> Curve:
    """The alarms of the trials together, of the homes without an episode of the truth, or of all homes."""
    reached, running, nights = [], [], 0
    for one in trials:
        homes = np.ones(len(one.score), dtype=bool)
        if unplanted_only:
            homes[one.episodes.home] = False
        known = ~np.isnan(one.score[homes])
        score = one.score[homes][known]
        reached.append(score)
        running.append(np.minimum(score, one.before[homes][known]))
        nights += int(one.present[homes].sum())
    reached, running = np.sort(np.concatenate(reached)), np.sort(np.concatenate(running))
    score = np.unique(reached)
    alarms = (reached.size - np.searchsorted(reached, score)) - (
        running.size - np.searchsorted(running, score)
    )
    return Curve(score, alarms * (UNIT / max(nights, 1)))


def alarms(one: Trial, level: float) -> np.ndarray:
    """(H, T) bool: the nights on which an alarm begins."""
    with np.errstate(invalid="ignore"):
        return (one.score >= level) & ~(one.before >= level)


def point(trials: Sequence[Trial], level: float) -> Point:
    """Recall, precision and delay of the trials together at one threshold."""
    found, size, delay, raised, right = [], [], [], 0, 0
    for one in trials:
        begins, episodes = alarms(one, level), one.episodes
        good, quiet = np.zeros_like(begins), np.ones(len(begins), dtype=bool)
        quiet[episodes.home] = False
        for h, first, last, times, asked in zip(
            episodes.home, episodes.first, episodes.last, episodes.size, episodes.asked, strict=True
        ):
            window = slice(max(0, first), max(0, last + GRACE_DAYS + 1))
            good[h, window] = True
            if asked:
                hit = np.flatnonzero(begins[h, window])
                found.append(hit.size > 0)
                size.append(times)
                delay += [hit[0] + max(0, first) - first] if hit.size else []
        raised += int(begins[~quiet].sum()) + one.stands_for * int(begins[quiet].sum())
        right += int((begins & good).sum())
    return Point(level, np.array(found, dtype=bool), np.array(size), np.array(delay), raised, right)


def points(
    trials: Sequence[Trial], budgets: Sequence[float] = BUDGETS, unplanted_only: bool = True
) -> list[Point]:
    """A point for each allowance, the threshold set on the same trials."""
    alarms_at = curve(trials, unplanted_only)
    return [point(trials, alarms_at.threshold(budget)) for budget in budgets]


def rate_at(trials: Sequence[Trial], level: float) -> float:
    """Alarms per 1,000 homes and 30 days at one threshold, on the homes without an episode of the truth."""
    begun = homes = 0
    for one in trials:
        quiet = np.ones(len(one.score), dtype=bool)
        quiet[one.episodes.home] = False
        begun += int(alarms(one, level)[quiet].sum())
        homes += int(one.present[quiet].sum())
    return begun * UNIT / max(homes, 1)


def binomial_error(share: float, tried: int) -> float:
    """Standard error of a share of independent trials."""
    return float(np.sqrt(share * (1 - share) / tried)) if tried else float("nan")


def error_of_mean(values: Sequence[float]) -> float:
    """Standard error of a mean over seeds; NaN for a single one."""
    known = np.array([v for v in values if not np.isnan(v)])
    return float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else float("nan")
