"""How sure a share is."""

from math import sqrt

NORMAL_95 = 1.96


def wilson(hits: int, tried: int) -> tuple[float, float, float]:
    """Share and its 95 % interval (Wilson 1927): honest at 0 and 1 and for few trials. `tried` must be positive."""
    share, z2 = hits / tried, NORMAL_95**2 / tried
    middle = (share + z2 / 2) / (1 + z2)
    half = NORMAL_95 * sqrt(share * (1 - share) / tried + z2 / (4 * tried)) / (1 + z2)
    return share, max(0.0, middle - half), min(1.0, middle + half)
