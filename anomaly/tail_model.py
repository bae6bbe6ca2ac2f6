"""Model how rare a score is at a site, from the scores of its own earlier nights.

The rarity of a score: one new episode of such a score, by chance, in about how many household-nights.
Episodes are counted, not nights, because the nights of one home are not independent (about ten make one
episode): a new episode is a crossing after fourteen nights below. Scores of ordinary homes fall off
exponentially (measured on simulated cities without targets, from one in 200 to one in 24,000
household-nights, within a factor of two for joint scores), so the ordinary tail is a straight line of score
over log rarity, fitted where surges are too few to bend it.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

PAST_NIGHTS = 240
GUARD_NIGHTS = 14
QUIET_NIGHTS = 14
FIRST_FITTED_RARITY = 200.0
"""The ordinary tail is fitted at this rarity, twice, four and eight times it."""
MIN_EPISODES = 10
"""A rarity is used in the fit where the past holds this many episodes of it."""

# The line of a standard city, on a detector's own scale; it counts like PRIOR_NIGHTS household-nights.
PRIOR_NIGHTS = 3_000.0
PRIOR_SLOPE = 0.3
PRIOR_AT_200 = 1.1

MIN_EXCESS = 0.05
"""Surges to an ordinary case where the past shows none: a twentieth of what a city has with one surge in
50,000 home-nights."""
EXCESS_POWER = 0.3
"""How slowly surges thin out along the tail: measured on simulated cities, .2 to .4."""


@dataclass(frozen=True)
class TailModel:
    """The scores of a site's earlier nights, and the line of its ordinary tail.

    home_nights: how many scores there are. scores: (N,) sorted. running_scores: (N,) sorted, of the same
    nights the lower of the score and the largest score of the fortnight before. The line is
    score = at_200 + slope · ln(rarity / 200).

    Surges only ever add to the past's episodes, so a score that was reached less often than the line says is
    rarer than the line says. `bends` are the points (ln rarity, score) where that is so; beyond the last of
    them the line goes on with its slope.
    """

    home_nights: float
    scores: np.ndarray
    running_scores: np.ndarray
    at_200: float = PRIOR_AT_200
    slope: float = PRIOR_SLOPE
    bends: tuple[tuple[float, float], ...] = ()

    def count_episodes(self, score: np.ndarray) -> np.ndarray:
        """Count the past episodes that reached each score: new crossings after quiet nights."""
        reached = self.scores.size - np.searchsorted(self.scores, score, side="left")
        running = self.running_scores.size - np.searchsorted(self.running_scores, score, side="left")
        return reached - running

    def rarity(self, score: np.ndarray) -> np.ndarray:
        """Return household-nights to a new ordinary episode of such a score, at least 1; NaN for NaN."""
        return np.exp(np.clip(self.log_rarity(score), 0.0, 65.0))

    def log_rarity(self, score: np.ndarray) -> np.ndarray:
        """Return ln of the rarity, also where that is below 1; NaN for NaN."""
        line = np.log(200.0) + (score - self.at_200) / self.slope
        if not self.bends:
            return line
        log_rarity, at = np.array(self.bends).T
        beyond = log_rarity[-1] + (score - at[-1]) / self.slope
        bent = np.where(score > at[-1], beyond, np.interp(score, at, log_rarity))
        return np.where(score < at[0], line, bent)

    def score_at(self, rarity: float) -> float:
        """Return the score of that rarity (household-nights), the inverse of `rarity`."""
        line = self.at_200 + self.slope * np.log(rarity / 200.0)
        if not self.bends or np.log(rarity) <= self.bends[0][0]:
            return line
        log_rarity, at = np.array(self.bends).T
        beyond = max(0.0, np.log(rarity) - log_rarity[-1])
        return float(np.interp(np.log(rarity), log_rarity, at) + self.slope * beyond)

    def chance_ordinary(self, score: np.ndarray, opening_rarity: float) -> np.ndarray:
        """Return the chance that an episode of this score is ordinary, where `opening_rarity` makes a case.

        A local false discovery rate (Efron 2004). Of the past episodes that rare, the ordinary tail explains
        `ordinary` and the rest are an excess. One standard error of the count is taken off, so that only an
        evident excess counts; in a long past without any a few surges are taken for granted (MIN_EXCESS), so
        that what lies far out is not thought ordinary. Ordinary episodes are spread evenly over
        opening_rarity / rarity, those in excess as its power EXCESS_POWER − 1.
        """
        ordinary = max(self.home_nights / opening_rarity, 1e-9)
        seen = float(self.count_episodes(np.array([self.score_at(opening_rarity)]))[0])
        excess = max(
            MIN_EXCESS * self.home_nights / (self.home_nights + opening_rarity),
            (seen - np.sqrt(seen) - ordinary) / ordinary,
        )
        place = np.minimum(opening_rarity / self.rarity(score), 1.0)
        chance = 1.0 / (1.0 + excess * EXCESS_POWER * place ** (EXCESS_POWER - 1.0))
        return np.where(np.isnan(score), np.nan, np.maximum(chance, 0.01))

    def fitted(self) -> "TailModel":
        """Return the same past with a line of its own; a short past leans on the standard one."""
        candidates = np.unique(self.scores[:: max(1, self.scores.size // 50_000)])
        if candidates.size == 0:
            return self
        rarity = self.home_nights / np.maximum(self.count_episodes(candidates), 0.5)
        # below the commonest scores a home is hardly ever quiet, so crossings grow rarer again: fit above
        start = int(rarity.argmin())
        rare = max(FIRST_FITTED_RARITY, 1.5 * rarity[start]) * np.array([1.0, 2.0, 4.0, 8.0])
        rare = rare[self.home_nights / rare >= MIN_EPISODES]
        if rare.size < 2:
            return self
        rarity[-1] = np.inf  # where many episodes share the largest score, what is rarer lies there or beyond
        at = np.array([candidates[start:][np.argmax(rarity[start:] >= r)] for r in rare])
        slope, at_200 = np.polyfit(np.log(rare / 200.0), at, 1)
        share = self.home_nights / (self.home_nights + PRIOR_NIGHTS)
        line = dataclasses.replace(
            self,
            at_200=share * at_200 + (1 - share) * PRIOR_AT_200,
            slope=share * max(slope, PRIOR_SLOPE / 10) + (1 - share) * PRIOR_SLOPE,
        )
        return dataclasses.replace(line, bends=line._find_bends(candidates[start:], rarity[start:]))

    def _find_bends(self, scores: np.ndarray, rarity: np.ndarray) -> tuple[tuple[float, float], ...]:
        """Find where the past's own episodes lie below the line, at rarities beyond those it was fitted at.

        The points begin on the line and rise.
        """
        last_fitted = 8 * FIRST_FITTED_RARITY
        bends = [(np.log(last_fitted), self.score_at(last_fitted))]
        rare = 2 * last_fitted
        while rare * MIN_EPISODES <= self.home_nights and (rarity >= rare).any():
            own = float(scores[np.argmax(rarity >= rare)])
            bends.append((np.log(rare), max(min(own, self.score_at(rare)), bends[-1][1] + 0.1 * self.slope)))
            rare *= 2
        below = any(score < self.score_at(np.exp(log)) - 1e-9 for log, score in bends)
        return tuple(bends) if below else ()


def max_of_nights_before(score: np.ndarray, nights: int) -> np.ndarray:
    """Return the largest known score of the nights before each night, (H, T); −inf where none is known."""
    out = np.full(score.shape, -np.inf)
    for back in range(1, nights + 1):
        later = out[:, back:]
        np.fmax(later, score[:, :-back], out=later)
    return out


def fit_tail(score: np.ndarray, night: int) -> TailModel:
    """Fit the tail that a night may use: of the 240 nights that end a fortnight before it.

    score: (H, T); night: its column.
    """
    stop = max(0, night - GUARD_NIGHTS)
    start = max(0, stop - PAST_NIGHTS)
    past = slice(start, stop)
    # the past and the quiet nights before it
    asked = slice(max(0, start - QUIET_NIGHTS), stop)
    before = max_of_nights_before(np.ascontiguousarray(score[:, asked]), QUIET_NIGHTS)
    before = before[:, start - asked.start :]
    known = ~np.isnan(score[:, past])
    reached = score[:, past][known]
    running = np.minimum(reached, before[known])
    return TailModel(float(reached.size), np.sort(reached), np.sort(running)).fitted()
