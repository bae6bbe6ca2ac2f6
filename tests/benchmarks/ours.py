"""This tool as the benchmark asks it, whole or with one step taken out."""

from dataclasses import dataclass, field

import numpy as np

from anomaly import detectors, evidence, expected
from anomaly.expected import ExpectedRules, Grid

REFIT_NIGHTS = 28


@dataclass(frozen=True)
class Variant:
    """Rules of the expectation and the detectors that open cases."""

    rules: ExpectedRules = ExpectedRules()
    together: detectors.REGISTER["together"] = field(default_factory=lambda: detectors.REGISTER["together"]())
    alone: detectors.REGISTER["alone"] = field(default_factory=lambda: detectors.REGISTER["alone"]())


def scores(grid: Grid, variant: Variant | None = None) -> dict[str, np.ndarray]:
    """(H, T) scores by name: "joint", the signals together (where there are several), and "cases", the rarest that could open any case."""
    variant = variant or Variant()
    seen = expected.expect(grid, variant.rules)
    alone = [one.score for one in variant.alone(seen)]
    joint = [one.score for one in variant.together(seen)]
    out = {"joint": joint[0]} if joint else {}
    if len(alone) + len(joint) == 1:
        return {"cases": alone[0]}
    stack = np.stack([log_rarity(score) for score in alone + joint])
    largest = np.where(np.isnan(stack), -np.inf, stack).max(axis=0)
    return out | {"cases": np.where(np.isneginf(largest), np.nan, largest)}


def log_rarity(score: np.ndarray) -> np.ndarray:
    """ln of the rarity before it is cut at 1, from the tail that each night's own past shows, fitted anew every 28 nights."""
    before = evidence.fortnight_before(score, evidence.QUIET_NIGHTS)
    out = np.full_like(score, np.nan)
    for start in range(0, score.shape[1], REFIT_NIGHTS):
        past = evidence.tail(score, start, before)
        part = slice(start, start + REFIT_NIGHTS)
        out[:, part] = (score[:, part] - past.at_200) / past.slope
    return out
