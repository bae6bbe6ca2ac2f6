"""Estimates of shares and rates with their 95 % intervals."""

from math import sqrt
from typing import NamedTuple

NORMAL_95 = 1.96


class Estimate(NamedTuple):
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(hits: int, tried: int) -> Estimate:
    """Return the share `hits / tried` with its score interval (Wilson 1927); `tried` must be positive.

    Unlike the normal interval it stays within 0 to 1 and is right for few trials and for shares of 0 and 1.
    """
    share, z2 = hits / tried, NORMAL_95**2 / tried
    middle = (share + z2 / 2) / (1 + z2)
    half = NORMAL_95 * sqrt(share * (1 - share) / tried + z2 / (4 * tried)) / (1 + z2)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def poisson_interval(count: float) -> Estimate:
    """Return the count of independent events with its interval (Byar's approximation, Breslow & Day 1987)."""
    more = count + 1
    low = count * (1 - 1 / (9 * count) - NORMAL_95 / (3 * sqrt(count))) ** 3 if count >= 1 else 0.0
    high = more * (1 - 1 / (9 * more) + NORMAL_95 / (3 * sqrt(more))) ** 3
    return Estimate(count, low, high)
