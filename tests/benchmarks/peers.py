"""Other methods on the same grids. Each is causal and is given what helps it: logs, our sums, one-sidedness.

A peer takes `known`, the grid it may learn from, and `asked`, the grid it scores (for a city the same one,
for planted homes also the copies), and gives (H, T) scores of `asked`, larger is odder, NaN where it says
nothing. Its model is fitted on earlier days, every 28 days (forests) or 7 days (the rest).
"""

from concurrent.futures import Executor

import numpy as np

from anomaly.expected import Grid

OFFSETS = {"count": 0.7, "litre": 20.0, "Wh": 300.0}  # log(value + offset), as this tool has it
WEEK = 7
MONTH = 28
HISTORY = 84  # days of a trailing level
SUM_DAYS = 10
CLIP = 4.0  # of a daily z in a sum: the best of 2.5, 4, 6 and 20 for the trailing median
FIT_ROWS = 20_000
STL_DAYS = 240
STL_ROUNDS = {"inner_iter": 1, "outer_iter": 4}  # a robust fit in a third of the time of statsmodels' default


def logs(grid: Grid) -> np.ndarray:
    """(S, H, T) log values; what became known late is missing."""
    offset = np.array([OFFSETS[unit] for unit in grid.units])[:, None, None]
    return np.log(np.where(grid.lag == 0, grid.value, np.nan) + offset)


def filled(x: np.ndarray) -> np.ndarray:
    """(…, T) with each gap filled by the value a week before, else by the day before; NaN before the first
    known day."""
    out = x.copy()
    for t in range(1, x.shape[-1]):
        before = out[..., t - WEEK] if t >= WEEK else np.full(x.shape[:-1], np.nan)
        before = np.where(np.isnan(before), out[..., t - 1], before)
        out[..., t] = np.where(np.isnan(x[..., t]), before, x[..., t])
    return out


def rolling(x: np.ndarray, days: int, skip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the last `days` days that end `skip` days ago; NaN where under half of
    them are known."""
    known = ~np.isnan(x)
    safe = np.where(known, x, 0.0)
    total, squares, n = (_last(v, days, skip) for v in (safe, safe**2, known.astype(float)))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(2 * n >= days, total / n, np.nan)
        return mean, np.sqrt(np.maximum(squares / n - mean**2, 0.0))


def _last(v: np.ndarray, days: int, skip: int = 0) -> np.ndarray:
    run = np.concatenate([np.zeros((*v.shape[:-1], 1)), np.cumsum(v, axis=-1)], axis=-1)
    end = np.maximum(np.arange(v.shape[-1]) + 1 - skip, 0)
    return run[..., end] - run[..., np.maximum(end - days, 0)]


def summed(z: np.ndarray, days: int = SUM_DAYS) -> np.ndarray:
    """(S, H, T) daily z → (H, T): Stouffer's sum over ten days and over the signals of the home; half of the
    days must be there."""
    known = ~np.isnan(z)
    total, n = (_last(v, days) for v in (np.where(known, np.clip(z, -CLIP, CLIP), 0.0), known.astype(float)))
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(2 * n >= days, total / np.sqrt(n), np.nan)
    present = (~np.isnan(each)).sum(axis=0)
    return np.where(present > 0, np.nansum(each, axis=0) / np.sqrt(np.maximum(present, 1)), np.nan)


def forest(known: Grid, asked: Grid, own_level: bool = False) -> np.ndarray:
    """PyOD's isolation forest on the day's value and its means of 7, 14 and 28 days, of each signal.

    own_level: all of it in standard deviations from the home's mean of the 84 days before, and only what lies
    above it. A forest knows no direction: nights whose week lies below the home's 84 days get the lowest
    score. Of five sets of features tried, the best one with and without own levels.
    """
    from pyod.models.iforest import IForest

    learnt = _forest_features(known, own_level)
    wanted = learnt if known is asked else _forest_features(asked, own_level)
    nothing = np.isnan(wanted).any(axis=2)
    score = np.where(nothing, np.nan, -1.0)
    usable = ~nothing & _rising(asked)
    for start in range(3 * MONTH, score.shape[1], MONTH):
        earlier = learnt[:, :start].reshape(-1, learnt.shape[2])
        earlier = earlier[~np.isnan(earlier).any(axis=1)]
        part = np.zeros_like(usable)
        part[:, start : start + MONTH] = usable[:, start : start + MONTH]
        if len(earlier) and part.any():
            model = IForest(n_estimators=100, random_state=0, n_jobs=1).fit(
                earlier[:: max(1, len(earlier) // FIT_ROWS)]
            )
            score[part] = model.decision_function(wanted[part])
    return score


def _rising(grid: Grid) -> np.ndarray:
    x = np.where(grid.lag == 0, grid.value, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(rolling(x, WEEK)[0] / rolling(x, HISTORY, skip=1)[0] - 1, axis=0) > 0


def _forest_features(grid: Grid, own_level: bool) -> np.ndarray:
    """(H, T, F); a signal without a value counts as the site's median; all NaN on nights without any
    signal."""
    x = np.where(grid.lag == 0, grid.value, np.nan)
    if own_level:
        mean, spread = rolling(x, HISTORY, skip=1)
        x = (x - mean) / np.maximum(spread, 0.1 * mean + 1e-9)
    means = [rolling(x, days)[0] for days in (7, 14, 28)]
    stack = np.stack([np.where(np.isnan(x), means[0], x), *means], axis=-1)
    stack = np.maximum(stack, 0.0) if own_level else stack
    gap = np.isnan(stack).any(axis=-1)
    for s in range(len(stack)):
        if not gap[s].all():
            stack[s][gap[s]] = np.nanmedian(stack[s].reshape(-1, stack.shape[-1])[::WEEK], axis=0)
    out = np.concatenate(list(stack), axis=-1)
    out[gap.all(axis=0)] = np.nan
    return out


def trailing_median(known: Grid, asked: Grid) -> np.ndarray:
    """The daily robust z, summed over ten days."""
    return summed(daily_median(asked))


def daily_median(asked: Grid) -> np.ndarray:
    """(S, H, T): robust z against the median and MAD of the 84 days before the last 14, counted from the
    start of a week."""
    x = logs(asked)
    z = np.full_like(x, np.nan)
    for start in range(5 * WEEK, x.shape[2], WEEK):
        past = x[:, :, max(0, start - 14 - HISTORY) : start - 14]
        part = slice(start, start + WEEK)
        z[:, :, part] = _robust(x[:, :, part], past)
    return z


def _robust(now: np.ndarray, past: np.ndarray) -> np.ndarray:
    """(now − median) / (1.4826 · MAD) of the past along the last axis; NaN under three weeks of it, and
    nothing is more regular than .1."""
    enough = (~np.isnan(past)).sum(axis=-1, keepdims=True) >= 3 * WEEK
    safe = np.where(enough, past, 0.0)
    middle = np.nanmedian(safe, axis=-1, keepdims=True)
    spread = 1.4826 * np.nanmedian(np.abs(safe - middle), axis=-1, keepdims=True)
    return np.where(enough, (now - middle) / np.maximum(spread, 0.1), np.nan)


def stl(asked: Grid, first: int, pool: Executor) -> dict[str, np.ndarray]:
    """statsmodels' STL of the 240 days that end each week: "STL residual" (the signals' sum of the day's
    robust z), the same over ten days, and "S-H-ESD" (Hochenbaum 2017: value less season and median, robust
    z), summed over ten days.

    The residual of a week's days comes from a fit that ends with that week, so it may see up to six days
    ahead, which is in its favour. Scores begin with day `first`.
    """
    x = logs(asked)
    series = filled(x).reshape(-1, x.shape[2])
    parts = np.array_split(np.arange(len(series)), 16)
    done = np.concatenate(list(pool.map(stl_rows, [series[p] for p in parts], [first] * len(parts))))
    residual, seasonless = (np.where(np.isnan(x), np.nan, done[:, k].reshape(x.shape)) for k in (0, 1))
    return {
        "STL residual, daily": summed(residual, 1),
        "STL residual, 10-day sum": summed(residual),
        "S-H-ESD, 10-day sum": summed(seasonless),
    }


def stl_rows(rows: np.ndarray, first_scored: int) -> np.ndarray:
    """(N, T) → (N, 2, T): robust z of the residual and of the value less season and median, from
    `first_scored` on and after a row's twelve weeks."""
    from statsmodels.tsa.seasonal import STL

    out = np.full((len(rows), 2, rows.shape[1]), np.nan)
    for i, row in enumerate(rows):
        known = np.flatnonzero(~np.isnan(row))
        begin = max(known[0] + HISTORY, first_scored) if known.size else row.size
        for start in range(begin, row.size, WEEK):
            first, stop = max(known[0], start + WEEK - STL_DAYS), min(start + WEEK, row.size)
            fit = STL(row[first:stop], period=WEEK, robust=True).fit(**STL_ROUNDS)
            at = start - first
            for k, left in enumerate((fit.resid, row[first:stop] - fit.seasonal)):
                out[i, k, start:stop] = _robust(left[at:], left[max(0, at - HISTORY) : at])
    return out
