"""Surges planted into copies of real homes' days."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from anomaly.expected import Grid
from tests.benchmarks.scoring import Episodes

LEAST_HISTORY = 60  # known days before the judged nights


@dataclass(frozen=True)
class Plan:
    """What is planted: each round into `share` of the homes, so that their peers stay ordinary, one surge a
    home."""

    nights: tuple[int, int]  # [start, stop) in which a surge begins and ends
    sizes: tuple[float, ...] = (1.5, 2.0, 3.0)
    days: tuple[int, int] = (10, 40)
    share: float = 0.05
    a_size: int = 200  # surges of each size, over all rounds


def rounds(grid: Grid, plan: Plan, seed: int) -> Iterator[tuple[Grid, Episodes]]:
    """Copies of the grid, each with surges of its own, until every size was planted `a_size` times.

    All signals of a home are multiplied by the size on the days of its surge and rounded to whole base units.
    """
    rng = np.random.default_rng(seed)
    start, stop = plan.nights
    known = ~np.isnan(grid.value).all(axis=0)
    fit = np.flatnonzero(
        (known[:, :start].sum(axis=1) >= LEAST_HISTORY) & (known[:, start:stop].mean(axis=1) >= 0.8)
    )
    each = max(1, round(plan.share * len(fit)))
    for done in range(0, plan.a_size * len(plan.sizes), each):
        homes = np.sort(rng.choice(fit, each, replace=False))
        length = rng.integers(plan.days[0], plan.days[1] + 1, each)
        first = start + (rng.random(each) * (stop - start - length + 1)).astype(np.int64)
        size = np.array(plan.sizes)[(done + rng.permutation(each)) % len(plan.sizes)]
        value = grid.value.copy()
        for h, a, n, times in zip(homes, first, length, size, strict=True):
            value[:, h, a : a + n] = np.rint(value[:, h, a : a + n] * times)
        yield (
            replace(grid, value=value),
            Episodes(homes, first, first + length - 1, size, np.ones(each, dtype=bool)),
        )


def copies(grid: Grid, planted: list[tuple[Grid, Episodes]]) -> tuple[Grid, Episodes, np.ndarray]:
    """All planted homes of all rounds as homes of one grid, after the untouched ones: for methods that judge
    a home alone.

    Also where the surges lie in that grid, and (H,) which home each row is or was copied from.
    """
    homes = np.concatenate([episodes.home for _, episodes in planted])
    value = np.concatenate([grid.value, *(one.value[:, episodes.home] for one, episodes in planted)], axis=1)
    stack = [np.concatenate([part, part[:, homes]], axis=1) for part in (grid.lag, grid.resolution)]
    names = grid.households + tuple(f"copy {n} of {grid.households[h]}" for n, h in enumerate(homes))
    all_homes = replace(
        grid,
        households=names,
        value=value,
        lag=stack[0],
        resolution=stack[1],
        group=np.concatenate([grid.group, grid.group[homes]]),
    )
    joined = {
        name: np.concatenate([getattr(e, name) for _, e in planted])
        for name in ("first", "last", "size", "asked")
    }
    untouched = np.arange(len(grid.households))
    return (
        all_homes,
        Episodes(np.arange(len(homes)) + len(untouched), **joined),
        np.concatenate([untouched, homes]),
    )
