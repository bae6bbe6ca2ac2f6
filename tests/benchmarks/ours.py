"""This tool as the benchmark asks it, whole or with one step taken out."""

from dataclasses import dataclass, replace

import numpy as np

from anomaly import expected, tail_model
from anomaly.detectors import ALL, Scores
from anomaly.detectors.alone import Alone
from anomaly.detectors.spike import Spike
from anomaly.detectors.together import Together
from anomaly.detectors.windows import best_window, clipped_surprise, sums_by_signal, to_common_scale
from anomaly.expected import Expectation, ExpectedRules, Grid
from anomaly.peer_stats import PeerStats

REFIT_NIGHTS = 28


NOBODY = 10**9  # peers nobody has
UNCUT = 1e9


@dataclass(frozen=True)
class PlainTogether(Together):
    """The signals' window sums added up as they are: one loud signal may carry the others."""

    def __call__(self, expected: Expectation, peers: PeerStats | None = None) -> list[Scores]:
        if len(expected.grid.signals) < 2:
            return []
        surprise = clipped_surprise(expected, peers, self.clip, self.peers_min)
        by_days = {}
        for days in self.windows:
            sums = sums_by_signal(expected, surprise, days)
            present = (~np.isnan(sums)).sum(axis=0)
            mean = np.nansum(sums, axis=0) / np.sqrt(np.maximum(present, 1))
            plain = np.where(present >= 2, mean, np.nan)
            by_days[days] = to_common_scale(plain, expected, peers, f"plain {days}", self.peers_min)
        score, window = best_window(by_days)
        return [Scores(self.name, ALL, score, window)]


@dataclass(frozen=True)
class Variant:
    """Rules of the expectation and the detectors that open cases."""

    rules: ExpectedRules = ExpectedRules()
    together: Together = Together()
    alone: Alone = Alone()
    spike: Spike | None = Spike()


def _with(**detector) -> Variant:
    return Variant(together=Together(**detector), alone=Alone(**detector))


RULES = ExpectedRules()
ABLATIONS = {
    "the whole tool": Variant(),
    "vacant days are not told apart": Variant(replace(RULES, vacant_share=0.0)),
    "no peers in the expectation (day factor, floor, shared spread)": Variant(
        replace(RULES, peers_min=NOBODY)
    ),
    "spread is the home's own": Variant(replace(RULES, own_spread_share=1.0)),
    "no floor under usual": Variant(replace(RULES, floor_share=0.0)),
    "past levels do not count": Variant(replace(RULES, past_level=False)),
    "no scaling by the night's peers": _with(peers_min=NOBODY),
    "surprise is not clipped": _with(clip=UNCUT),
    "spikes are not looked for": Variant(spike=None),
    "one window of 10 days": _with(windows=(10,)),
    "signals added up without the consensus penalty": Variant(together=PlainTogether()),
}


def scores(grid: Grid) -> dict[str, np.ndarray]:
    """(H, T) scores by name: "joint", the signals together (where there are several), and "cases", the rarest
    that could open any case."""
    seen, whole = expected.expect(grid), Variant()
    joint = {}
    for one in whole.together(seen):
        joint["joint"] = one.score
    return joint | {"cases": cases(seen, whole)}


def ablated(grid: Grid) -> dict[str, np.ndarray]:
    """ "cases" of every variant in ABLATIONS; expectations are made once for all variants that share their
    rules."""
    out = {}
    for rules in dict.fromkeys(variant.rules for variant in ABLATIONS.values()):
        seen = expected.expect(grid, rules)
        out |= {name: cases(seen, variant) for name, variant in ABLATIONS.items() if variant.rules == rules}
    return {name: out[name] for name in ABLATIONS}


def cases(seen: expected.Expectation, variant: Variant) -> np.ndarray:
    """(H, T): the largest log rarity of the scores that open cases, each by its share."""
    asked = (variant.alone, variant.together, variant.spike)
    found = [one for detector in asked if detector for one in detector(seen)]
    stack = np.stack([log_rarity(one.score) + np.log(one.share) for one in found])
    largest = np.where(np.isnan(stack), -np.inf, stack).max(axis=0)
    return np.where(np.isneginf(largest), np.nan, largest)


def log_rarity(score: np.ndarray) -> np.ndarray:
    """ln of the rarity, not cut at 1, from the tail that each night's own past shows, fitted anew every 28
    nights."""
    out = np.full_like(score, np.nan)
    for start in range(0, score.shape[1], REFIT_NIGHTS):
        past = tail_model.fit_tail(score, start)
        part = slice(start, start + REFIT_NIGHTS)
        out[:, part] = past.log_rarity(score[:, part])
    return out
