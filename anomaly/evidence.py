"""The one common scale, rarity, and the one threshold.

Rarity of a score: one new episode of such a score, by chance, in about how many household-nights. Episodes, not nights,
are counted, on the site's own earlier nights: a crossing after fourteen nights below, since the nights of one home are
not independent (about ten make one episode). Scores of ordinary homes fall off exponentially (measured on simulated
cities without targets, from one in 200 to one in 24,000 household-nights, within a factor of two for joint scores), so
the ordinary tail is a straight line of score over log rarity, fitted where surges are too few to bend it.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import polars as pl

PAST_NIGHTS = 240
GUARD_NIGHTS = 14
QUIET_NIGHTS = 14
FITTED_FROM = 200.0  # the ordinary tail is fitted at this rarity, twice, four and eight times it
LEAST_EPISODES = 10  # a rarity is used in the fit where the past holds so many episodes of it
# The line of a standard city, in units of a detector's own scale; it counts like PRIOR_NIGHTS household-nights.
PRIOR_NIGHTS = 3_000.0
PRIOR_SLOPE = 0.3
PRIOR_AT_200 = 1.1
LEAST_EXCESS = 0.05  # surges to an ordinary case where the past shows none: a twentieth of what a city with one surge in 50,000 home-nights has
EXCESS_POWER = 0.3  # surges reach far into the tail: measured on simulated cities, .2 to .4


@dataclass(frozen=True)
class EvidenceRules:
    """How rare a score must be."""

    chance_cases: float = (
        5.0  # new cases by chance per 1,000 homes and 30 nights, over all kinds of case together
    )
    kept_share: float = (
        0.1  # evidence is written down from this share of a case's rarity on, and keeps a case alive
    )

    def __post_init__(self) -> None:
        if not 0 < self.chance_cases < np.inf:
            raise ValueError(
                f"chance_cases = {self.chance_cases}: nothing is rarer than never; write a number above 0"
            )
        if not 0 < self.kept_share <= 1:
            raise ValueError(f"kept_share = {self.kept_share}; write a share above 0 and at most 1")


def case_rarity(rules: EvidenceRules, kinds: int) -> float:
    """Rarity a new case needs when `kinds` kinds of case share the allowance."""
    return 30_000.0 / rules.chance_cases * max(kinds, 1)


@dataclass(frozen=True)
class Tail:
    """The site's past: sorted scores, and of the same nights the lower of the score and its fortnight's maximum before;
    `at_200` and `slope` are the ordinary tail's line, score = at_200 + slope · ln(rarity / 200).

    Surges only ever add to the past's episodes, so a score that was reached less often than the line has it is rarer than
    the line has it. `bends` are (ln rarity, score) where that is so; beyond the last of them the line goes on from there.
    """

    nights: float
    score: np.ndarray
    before: np.ndarray
    at_200: float = PRIOR_AT_200
    slope: float = PRIOR_SLOPE
    bends: tuple[tuple[float, float], ...] = ()

    def episodes(self, score: np.ndarray) -> np.ndarray:
        """Past episodes that reached each score (new crossings after quiet nights)."""
        reached = self.score.size - np.searchsorted(self.score, score, side="left")
        running = self.before.size - np.searchsorted(self.before, score, side="left")
        return reached - running

    def rarity(self, score: np.ndarray) -> np.ndarray:
        """Household-nights for one new ordinary episode of at least this score, at least 1; NaN for NaN."""
        return np.exp(np.clip(self.log_rarity(score), 0.0, 65.0))

    def log_rarity(self, score: np.ndarray) -> np.ndarray:
        """ln of the rarity, also where that is below 1; NaN for NaN."""
        line = np.log(200.0) + (score - self.at_200) / self.slope
        if not self.bends:
            return line
        log_rarity, at = np.array(self.bends).T
        beyond = log_rarity[-1] + (score - at[-1]) / self.slope
        return np.where(
            score < at[0], line, np.where(score > at[-1], beyond, np.interp(score, at, log_rarity))
        )

    def at(self, rarity: float) -> float:
        """The score of that rarity, household-nights."""
        line = self.at_200 + self.slope * np.log(rarity / 200.0)
        if not self.bends or np.log(rarity) <= self.bends[0][0]:
            return line
        log_rarity, at = np.array(self.bends).T
        return float(
            np.interp(np.log(rarity), log_rarity, at) + self.slope * max(0.0, np.log(rarity) - log_rarity[-1])
        )

    def chance(self, score: np.ndarray, needed: float) -> np.ndarray:
        """Chance that an episode of this score is of the ordinary kind, where rarity `needed` makes a case.

        A local false discovery rate (Efron 2004). Of the past episodes that rare, the ordinary tail explains `ordinary`
        and the rest are an excess; one standard error of the count is taken off, so that an excess must be evident to be
        claimed; in a long past without any a few surges are taken for granted (LEAST_EXCESS), so that what lies far out is not
        thought ordinary. Ordinary episodes are spread evenly over needed / rarity, those in excess as its power EXCESS_POWER − 1.
        """
        ordinary = max(self.nights / needed, 1e-9)
        seen = float(self.episodes(np.array([self.at(needed)]))[0])
        excess = max(
            LEAST_EXCESS * self.nights / (self.nights + needed), (seen - np.sqrt(seen) - ordinary) / ordinary
        )
        place = np.minimum(needed / self.rarity(score), 1.0)
        chance = 1.0 / (1.0 + excess * EXCESS_POWER * place ** (EXCESS_POWER - 1.0))
        return np.where(np.isnan(score), np.nan, np.maximum(chance, 0.01))

    def fitted(self) -> "Tail":
        """The same past with its own line; a short past leans on the standard one."""
        candidates = np.unique(self.score[:: max(1, self.score.size // 50_000)])
        if candidates.size == 0:
            return self
        rarity = self.nights / np.maximum(self.episodes(candidates), 0.5)
        # below the commonest scores a home hardly ever comes to rest, so crossings grow rarer again: fit above them
        start = int(rarity.argmin())
        rare = max(FITTED_FROM, 1.5 * rarity[start]) * np.array([1.0, 2.0, 4.0, 8.0])
        rare = rare[self.nights / rare >= LEAST_EPISODES]
        if rare.size < 2:
            return self
        rarity[-1] = np.inf  # where many episodes share the largest score, what is rarer lies there or beyond
        at = np.array([candidates[start:][np.argmax(rarity[start:] >= r)] for r in rare])
        slope, at_200 = np.polyfit(np.log(rare / 200.0), at, 1)
        share = self.nights / (self.nights + PRIOR_NIGHTS)
        slope = share * max(slope, PRIOR_SLOPE / 10) + (1 - share) * PRIOR_SLOPE
        line = Tail(self.nights, self.score, self.before, share * at_200 + (1 - share) * PRIOR_AT_200, slope)
        return dataclasses.replace(line, bends=line._bends(candidates[start:], rarity[start:]))

    def _bends(self, scores: np.ndarray, rarity: np.ndarray) -> tuple[tuple[float, float], ...]:
        """Where the past's own episodes, at rarities beyond those of the line, lie below it; from the line on, and rising."""
        bends = [(np.log(8 * FITTED_FROM), self.at(8 * FITTED_FROM))]
        rare = 16 * FITTED_FROM
        while rare * LEAST_EPISODES <= self.nights and (rarity >= rare).any():
            own = float(scores[np.argmax(rarity >= rare)])
            bends.append((np.log(rare), max(min(own, self.at(rare)), bends[-1][1] + 0.1 * self.slope)))
            rare *= 2
        return tuple(bends) if any(score < self.at(np.exp(log)) - 1e-9 for log, score in bends) else ()


@numba.njit(cache=True, parallel=True, nogil=True)
def fortnight_before(score, nights):
    """(H, T) → (H, T): largest known score of the `nights` nights before each night; −inf where none is known."""
    homes, length = score.shape
    out = np.full((homes, length), -np.inf)
    for h in numba.prange(homes):
        for back in range(1, nights + 1):
            for t in range(np.uintp(back), np.uintp(length)):
                before = score[h, t - np.uintp(back)]
                out[h, t] = before if before > out[h, t] else out[h, t]
    return out


def tail(score: np.ndarray, night: int, before: np.ndarray | None = None) -> Tail:
    """The site's past as night index `night` may use it: 240 nights that end a fortnight before it."""
    before = fortnight_before(score, QUIET_NIGHTS) if before is None else before
    past = slice(max(0, night - GUARD_NIGHTS - PAST_NIGHTS), max(0, night - GUARD_NIGHTS))
    known = ~np.isnan(score[:, past])
    reached = score[:, past][known]
    running = np.minimum(reached, before[:, past][known])
    return Tail(float(reached.size), np.sort(reached), np.sort(running)).fitted()


def pasts_of(score: np.ndarray) -> Callable[[int], Tail]:
    """The past of any night: made anew when it is asked for, as a large site's weighs as much as its scores."""
    before = fortnight_before(score, QUIET_NIGHTS)
    return lambda night: tail(score, night, before)


def rate(
    scores: Iterable,
    nights: Iterable[int],
    needed: float,
    second_opinion: Collection[str] = (),
    pasts: Sequence[Tail] | None = None,
) -> list["Rated"]:
    """Rarity and chance of every home on each asked night, for each detector's scores; `needed` rarity makes a case.

    A home looked at in several ways is that much likelier to show something by chance: where several scores can open the
    same kind of case, each has its share of the allowance, and its rarity is multiplied by that. Scores of a second opinion
    open none and are not counted. pasts: one for each of the scores, where others than these homes are the yardstick of the night.
    """
    scores, nights = list(scores), list(nights)
    opening = [one for one in scores if one.detector not in second_opinion]
    out = []
    for one, given in zip(scores, pasts or [None] * len(scores), strict=True):
        asked = sum(other.share for other in opening if other.signal == one.signal)
        share = min(1.0, one.share / asked) if asked else 1.0
        past_of, rarity, chance = pasts_of(one.score) if given is None else None, {}, {}
        for t in nights:
            past = past_of(t) if past_of else given
            rarity[t], chance[t] = (
                past.rarity(one.score[:, t]) * share,
                past.chance(one.score[:, t], needed / share),
            )
        out.append(Rated(one, rarity, chance, one.detector not in second_opinion))
    return out


@dataclass(frozen=True)
class Rated:
    """A detector's scores with, for each asked night index, the (H,) rarity and chance of every home."""

    scores: object
    rarity: Mapping[int, np.ndarray]
    chance: Mapping[int, np.ndarray]
    opens: bool = True  # may open a case


ONSET_DAYS = 60  # a rise is followed back so far


def onset(surprise: np.ndarray, longest: int = ONSET_DAYS) -> int:
    """Days back to the first day of the rise that ends the series: the start of the best run of Σ(z − half the rise).

    surprise: (T,) with NaN where not judged, the night last. 0 = it began on the night itself. Half the size of the shift is
    what the likelihood of a step takes off (Page 1954); the size is that of the best run of Σ(z − 0.5).
    """
    z = np.clip(surprise[-longest:][::-1], -3.0, 3.0)
    back = int(np.cumsum(np.where(np.isnan(z), 0.0, z - 0.5)).argmax())
    known = z[: back + 1][~np.isnan(z[: back + 1])]
    half = max(0.5, known.mean() / 2) if known.size else 0.5
    return int(np.cumsum(np.where(np.isnan(z), 0.0, z - half)).argmax())


def ratio(value: np.ndarray, expected: np.ndarray) -> float:
    """Observed over expected, both summed over the days on which both are known; NaN where none is."""
    known = ~np.isnan(value) & ~np.isnan(expected)
    if not known.any():
        return float("nan")
    return float(value[known].sum() / max(expected[known].sum(), 1e-9))


def reasons(expected, rated: list[Rated], night: int, least_rarity: float) -> pl.DataFrame:
    """Evidence of one night: a row for each home, detector and signal at least `least_rarity` rare (REASONS).

    expected: anomaly.expected.Expected; night: its day index. The episode's onset and the ratio of each signal over it
    are taken here, from what that night knew.
    """
    rows, episode = [], functools.cache(functools.partial(_episode, expected, night))
    for one in rated:
        with np.errstate(invalid="ignore"):
            homes = np.flatnonzero(one.rarity[night] >= least_rarity)
        rows += [_reason(expected, one, int(h), night, episode) for h in homes]
    return pl.DataFrame(rows, schema=REASONS, orient="row").sort("household", "detector", "signal")


def _episode(
    expected, night: int, home: int, signal: str
) -> tuple[int, bool, dict[str, float], dict[str, float]]:
    """Days back to the onset of the rise that a home's signal (or "all") shows, whether the night itself was read, and the ratio
    and the usual of every signal since.
    """
    surprise = _joint_surprise(expected, _concerned(expected, signal), home, night)
    back = onset(surprise)
    days = slice(night - back, night + 1)
    by_signal = _ratios(expected, range(len(expected.grid.signals)), home, days)
    return back, not np.isnan(surprise[-1]), by_signal, _usual(expected, by_signal, home, days)


def _concerned(expected, signal: str) -> list[int]:
    signals = expected.grid.signals
    return list(range(len(signals))) if signal == "all" else [signals.index(signal)]


def _reason(expected, one: Rated, home: int, night: int, episode) -> dict:
    grid, signal = expected.grid, one.scores.signal
    window_days = int(one.scores.window[home, night])
    back, read, by_signal, usual = episode(home, signal)
    pattern = _pattern(by_signal)  # where all rise together it is people, whichever signal speaks first
    in_window = _ratios(
        expected, _concerned(expected, signal), home, slice(max(0, night - window_days + 1), night + 1)
    )
    return {
        "household": grid.households[home],
        "detector": one.scores.detector,
        "signal": signal,
        "signature": pattern if signal == "all" or pattern == "people" else signature_of(signal),
        "window_days": window_days,
        "ratio": float(np.exp(np.mean(np.log([max(r, 1e-3) for r in in_window.values()]))))
        if in_window
        else 1.0,
        "score": float(one.scores.score[home, night]),
        "rarity": float(one.rarity[night][home]),
        # a sum may also grow because an old day drops out of its window: a case opens on a day that was read
        "opens": bool(one.opens and read),
        "chance_wrong": float(one.chance[night][home]),
        "onset": grid.day(night - back),
        "ratios": [{"key": name, "value": round(r, 4)} for name, r in by_signal.items()],
        "usual": [{"key": name, "value": round(u, 2)} for name, u in usual.items()],
    }


REASONS = {
    "household": pl.String,
    "detector": pl.String,
    "signal": pl.String,
    "signature": pl.String,
    "window_days": pl.Int32,
    "ratio": pl.Float64,
    "score": pl.Float64,
    "rarity": pl.Float64,
    "opens": pl.Boolean,
    "chance_wrong": pl.Float64,
    "onset": pl.Date,
    "ratios": pl.List(pl.Struct({"key": pl.String, "value": pl.Float64})),
    "usual": pl.List(pl.Struct({"key": pl.String, "value": pl.Float64})),
}


def _joint_surprise(expected, concerned, home: int, night: int) -> np.ndarray:
    """(ONSET_DAYS,) mean surprise of the concerned signals on the last days known by the night; NaN where none is."""
    days = slice(max(0, night + 1 - ONSET_DAYS), night + 1)
    late = expected.grid.lag[concerned, home, days] > np.arange(days.stop - days.start)[::-1]
    z = np.where(late, np.nan, np.clip(expected.surprise[concerned, home, days], -3.0, 3.0))
    present = (~np.isnan(z)).sum(axis=0)
    return np.where(present > 0, np.nansum(z, axis=0) / np.maximum(present, 1), np.nan)


def _ratios(expected, concerned, home: int, days: slice) -> dict[str, float]:
    """Signal → observed over expected on those days, as the last of them knew it, for the signals with any known day."""
    grid = expected.grid
    known, ago = {}, np.arange(days.stop - days.start)[::-1]
    for s in concerned:
        value = np.where(grid.lag[s, home, days] <= ago, grid.value[s, home, days], np.nan)
        known[grid.signals[s]] = ratio(value, expected.expected[s, home, days])
    return {name: r for name, r in known.items() if not np.isnan(r)}


def _usual(expected, signals: Iterable[str], home: int, days: slice) -> dict[str, float]:
    """Signal → mean of what those days expected, base units a day."""
    told = {name: expected.expected[expected.grid.signals.index(name), home, days] for name in signals}
    return {
        name: float(np.where(np.isnan(usual), 0.0, usual).sum() / np.count_nonzero(~np.isnan(usual)))
        for name, usual in told.items()
    }


def _pattern(ratios: Mapping[str, float]) -> str:
    """Kind of case a joint score makes: people where two or more signals are there and the weakest rises with the
    strongest (at least 1.1, and three tenths of its logarithm); else the strongest signal's own."""
    if not ratios:
        return "people"
    strongest = max(ratios, key=ratios.get)
    needed = max(np.log(1.1), 0.3 * np.log(max(ratios[strongest], 1e-3)))
    together = len(ratios) >= 2 and min(np.log(max(r, 1e-3)) for r in ratios.values()) >= needed
    return "people" if together else signature_of(strongest)


def signature_of(signal: str) -> str:
    """The kind of case a signal alone makes: entries are the door; several signals are people; others keep their name."""
    return {"all": "people", "entries": "door"}.get(signal, signal)
