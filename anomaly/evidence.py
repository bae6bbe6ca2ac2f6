"""Turn the scores of a night into evidence: how rare each one is, and what a person needs to know of it.

Rarity is the one common scale of all detectors (`anomaly.tail_model` says what it means and how it is
fitted), and the rarity that makes a case is the tool's one threshold.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.detectors.scores import ALL, Scores
from anomaly.expected.expectation import Expectation
from anomaly.tail_model import TailModel, fit_tail

ONSET_DAYS = 60
"""A rise is followed back so far."""
HOUSEHOLD_NIGHTS = 30_000.0
"""1,000 homes and 30 nights, the unit of the allowance of chance cases."""
EVIDENCE_SCHEMA = {
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


@dataclass(frozen=True)
class EvidenceRules:
    """How rare a score must be: `[evidence]` of the settings."""

    chance_cases: float = 5.0
    """New cases by chance per 1,000 homes and 30 nights, over all kinds of case together."""
    kept_share: float = 0.1
    """Evidence is written down, and keeps a case alive, from this share of a case's rarity on."""

    def __post_init__(self) -> None:
        if not 0 < self.chance_cases < np.inf:
            raise ValueError(
                f"chance_cases = {self.chance_cases}: nothing is rarer than never; write a number above 0"
            )
        if not 0 < self.kept_share <= 1:
            raise ValueError(f"kept_share = {self.kept_share}; write a share above 0 and at most 1")


def opening_rarity(rules: EvidenceRules, kinds: int) -> float:
    """Return the rarity a new case needs when `kinds` kinds of case share the allowance of chance cases."""
    return HOUSEHOLD_NIGHTS / rules.chance_cases * max(kinds, 1)


@dataclass(frozen=True)
class RatedScores:
    """A detector's scores with the rarity and chance of every home, (H,) arrays by night index."""

    scores: Scores
    rarity: Mapping[int, np.ndarray]
    chance: Mapping[int, np.ndarray]
    opens: bool = True
    """Whether these scores may open a case."""


def rate_scores(
    scores: Iterable[Scores],
    nights: Iterable[int],
    opening_rarity: float,
    second_opinion: Collection[str] = (),
    tails: Sequence[TailModel] | None = None,
) -> list[RatedScores]:
    """Return the rarity and chance of every home on each asked night, for each detector's scores.

    A home looked at in several ways is that much likelier to show something by chance. So where several
    scores can open the same kind of case, each has its share of the allowance, and its rarity is multiplied
    by that.

    nights: night indexes. opening_rarity: the rarity that makes a case. second_opinion: detectors whose
    scores open no case and are not counted. tails: one for each of the scores, where the tail is known from
    other homes; else each night's own is fitted to the scores given.
    """
    scores, nights = list(scores), list(nights)
    opening = [one for one in scores if one.detector not in second_opinion]
    rated = []
    for i, one in enumerate(scores):
        asked = sum(other.share for other in opening if other.signal == one.signal)
        share = min(1.0, one.share / asked) if asked else 1.0
        rarity, chance = {}, {}
        for night in nights:
            tail = fit_tail(one.score, night) if tails is None else tails[i]
            rarity[night] = tail.rarity(one.score[:, night]) * share
            chance[night] = tail.chance_ordinary(one.score[:, night], opening_rarity / share)
            del tail  # so that only one is held at a time: at a large site each is hundreds of megabytes
        rated.append(RatedScores(one, rarity, chance, one.detector not in second_opinion))
    return rated


def days_since_onset(surprise: np.ndarray, longest: int = ONSET_DAYS) -> int:
    """Return the days back to the first day of the rise that ends the series; 0: it began that night.

    surprise: (T,) with NaN where not judged, the night last. The first day is the start of the best run of
    Σ(z − half the rise): half the size of the shift is what the likelihood of a step takes off (Page 1954).
    The size is that of the best run of Σ(z − 0.5).
    """
    z = np.clip(surprise[-longest:][::-1], -3.0, 3.0)
    back = int(np.cumsum(np.where(np.isnan(z), 0.0, z - 0.5)).argmax())
    known = z[: back + 1][~np.isnan(z[: back + 1])]
    half = max(0.5, known.mean() / 2) if known.size else 0.5
    return int(np.cumsum(np.where(np.isnan(z), 0.0, z - half)).argmax())


def observed_ratio(value: np.ndarray, expected: np.ndarray) -> float:
    """Return observed over expected, both summed over the days on which both are known; NaN where none is."""
    known = ~np.isnan(value) & ~np.isnan(expected)
    if not known.any():
        return float("nan")
    return float(value[known].sum() / max(expected[known].sum(), 1e-9))


def evidence_frame(
    expected: Expectation, rated: Sequence[RatedScores], night: int, evidence_rarity: float
) -> pl.DataFrame:
    """Return the evidence of one night (EVIDENCE_SCHEMA): a row for each home, detector and signal.

    Only scores of at least `evidence_rarity` are evidence. night: day index in `expected`. The onset of the
    rise, and the ratio of each signal since, are worked out here, from what that night knew.
    """
    rows, rise_of = [], functools.cache(functools.partial(_rise, expected, night))
    for one in rated:
        with np.errstate(invalid="ignore"):
            homes = np.flatnonzero(one.rarity[night] >= evidence_rarity)
        rows += [_evidence_row(expected, one, int(home), night, rise_of) for home in homes]
    return pl.DataFrame(rows, schema=EVIDENCE_SCHEMA, orient="row").sort("household", "detector", "signal")


def signature_of(signal: str) -> str:
    """Return the kind of case that a signal alone makes: entries are the door, several signals are people."""
    return {ALL: "people", "entries": "door"}.get(signal, signal)


def signature_of_ratios(ratios: Mapping[str, float]) -> str:
    """Return the kind of case that the ratios of a home's signals make.

    It is people where two or more signals are there and the weakest rises with the strongest: at least 1.1,
    and three tenths of its logarithm. Else it is the strongest signal's own kind.
    """
    if not ratios:
        return "people"
    strongest = max(ratios, key=lambda signal: ratios[signal])
    needed = max(np.log(1.1), 0.3 * np.log(max(ratios[strongest], 1e-3)))
    together = len(ratios) >= 2 and min(np.log(max(r, 1e-3)) for r in ratios.values()) >= needed
    return "people" if together else signature_of(strongest)


class _Rise(NamedTuple):
    """A rise that lasts until the night: when it began and what the home's signals did since."""

    days_back: int
    night_was_read: bool
    ratios: dict[str, float]
    """Signal → observed over expected."""
    usual: dict[str, float]
    """Signal → mean of what was expected, base units a day."""


def _rise(expected: Expectation, night: int, home: int, signal: str) -> _Rise:
    """Find the rise of a home's signal, or of all signals together for ALL."""
    surprise = _mean_surprise(expected, _signal_indexes(expected, signal), home, night)
    back = days_since_onset(surprise)
    days = slice(night - back, night + 1)
    ratios = _ratios(expected, range(len(expected.grid.signals)), home, days)
    return _Rise(back, not np.isnan(surprise[-1]), ratios, _mean_expected(expected, ratios, home, days))


def _signal_indexes(expected: Expectation, signal: str) -> list[int]:
    signals = expected.grid.signals
    return list(range(len(signals))) if signal == ALL else [signals.index(signal)]


def _evidence_row(
    expected: Expectation, one: RatedScores, home: int, night: int, rise_of: Callable[[int, str], _Rise]
) -> dict[str, object]:
    grid, signal = expected.grid, one.scores.signal
    window_days = int(one.scores.window[home, night])
    rise = rise_of(home, signal)
    pattern = signature_of_ratios(rise.ratios)
    window = slice(max(0, night - window_days + 1), night + 1)
    in_window = list(_ratios(expected, _signal_indexes(expected, signal), home, window).values())
    # where all signals rise together it is people, whichever signal the detector looked at
    of_people = signal == ALL or pattern == "people"
    return {
        "household": grid.households[home],
        "detector": one.scores.detector,
        "signal": signal,
        "signature": pattern if of_people else signature_of(signal),
        "window_days": window_days,
        "ratio": float(np.exp(np.mean(np.log(np.maximum(in_window, 1e-3))))) if in_window else 1.0,
        "score": float(one.scores.score[home, night]),
        "rarity": float(one.rarity[night][home]),
        # a sum may also grow because an old day drops out of its window: a case opens on a day that was read
        "opens": bool(one.opens and rise.night_was_read),
        "chance_wrong": float(one.chance[night][home]),
        "onset": grid.day(night - rise.days_back),
        "ratios": [{"key": name, "value": round(r, 4)} for name, r in rise.ratios.items()],
        "usual": [{"key": name, "value": round(u, 2)} for name, u in rise.usual.items()],
    }


def _mean_surprise(expected: Expectation, signals: Sequence[int], home: int, night: int) -> np.ndarray:
    """Return the signals' mean surprise on the last ONSET_DAYS days; NaN where the night knew none."""
    days = slice(max(0, night + 1 - ONSET_DAYS), night + 1)
    late = expected.grid.lag[signals, home, days] > np.arange(days.stop - days.start)[::-1]
    z = np.where(late, np.nan, np.clip(expected.surprise[signals, home, days], -3.0, 3.0))
    present = (~np.isnan(z)).sum(axis=0)
    return np.where(present > 0, np.nansum(z, axis=0) / np.maximum(present, 1), np.nan)


def _ratios(expected: Expectation, signals: Iterable[int], home: int, days: slice) -> dict[str, float]:
    """Return signal → observed over expected on those days, as the last of them knew it; without unknown
    ones."""
    grid = expected.grid
    ratios, days_ago = {}, np.arange(days.stop - days.start)[::-1]
    for s in signals:
        value = np.where(grid.lag[s, home, days] <= days_ago, grid.value[s, home, days], np.nan)
        ratios[grid.signals[s]] = observed_ratio(value, expected.expected[s, home, days])
    return {name: ratio for name, ratio in ratios.items() if not np.isnan(ratio)}


def _mean_expected(expected: Expectation, signals: Iterable[str], home: int, days: slice) -> dict[str, float]:
    """Return signal → mean of what was expected on those days, base units a day."""
    means = {}
    for name in signals:
        usual = expected.expected[expected.grid.signals.index(name), home, days]
        means[name] = float(np.where(np.isnan(usual), 0.0, usual).sum() / np.count_nonzero(~np.isnan(usual)))
    return means
