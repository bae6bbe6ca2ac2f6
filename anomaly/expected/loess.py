"""Robust STL of daily values with a week (Cleveland and others 1990) as one compiled function.

The same steps in the same order as in statsmodels, which the tests hold it against; in a fifth of the time, and without
the second it takes to import.
"""

import numba
import numpy as np

WEEK = 7
LOW_PASS = 9  # days: the least odd number above a week
INNER, OUTER = 2, 15  # rounds of the parts, and of the weights, as Cleveland has them for robust fits


@numba.njit(cache=True, nogil=True)
def taken_apart(x, season, trend, sloped):
    """(T,) values without gaps, at least two weeks → level and week, each (T,).

    season: width of the weekday's smoother in weeks; trend: of the level's in days, both odd; sloped: whether the level is
    locally a line, else a mean.
    """
    days = len(x)
    level, week, robust, even, near = np.zeros(days), np.zeros(days), np.ones(days), np.ones(days), _tricube(max(season, trend, LOW_PASS))
    for outer in range(OUTER + 1):
        for _ in range(INNER):
            shape = _by_weekday(x - level, robust, season, near)
            low = _smoothed(_means(_means(_means(shape, WEEK), WEEK), 3), even, LOW_PASS, True, near)
            week = shape[WEEK:-WEEK] - low
            level = _smoothed(x - week, robust, trend, sloped, near)
        if outer < OUTER:
            robust = _robust(np.abs(x - (level + week)))
    return level, week


@numba.njit(cache=True, nogil=True)
def _tricube(most):
    """[reach, distance] → weight: 1 in the middle, 0 at the end of the reach."""
    out = np.zeros((most + 1, most + 1))
    out[:, 0] = 1.0
    for reach in range(1, most + 1):
        for away in range(1, reach):
            out[reach, away] = (1.0 - (away / reach) ** 3.0) ** 3.0
    return out


@numba.njit(cache=True, nogil=True)
def _by_weekday(x, robust, width, near):
    """(T,) → (T + 2 weeks,): each weekday smoothed by itself, a week further at both ends."""
    out = np.empty(len(x) + 2 * WEEK)
    for first in range(WEEK):
        own, weight = x[first::WEEK].copy(), robust[first::WEEK].copy()
        weeks, w = len(own), np.empty(len(own))
        smooth = _smoothed(own, weight, width, True, near)
        more = max(0, width - weeks) // 2
        before = _local(own, weight, (-1, 0, min(width, weeks)), near[min(width, weeks) + more], True, w)
        after = _local(own, weight, (weeks, max(0, weeks - width), weeks), near[min(width, weeks) + more], True, w)
        out[first] = smooth[0] if np.isnan(before) else before
        out[first + WEEK : first + WEEK * (weeks + 1) : WEEK] = smooth
        out[first + WEEK * (weeks + 1)] = smooth[-1] if np.isnan(after) else after
    return out


@numba.njit(cache=True, nogil=True)
def _smoothed(x, weight, width, sloped, near):
    """Loess of x at each of its places; where no weight is left, x itself."""
    places, out, w = len(x), np.empty(len(x)), np.empty(len(x))
    more = max(0, width - places) // 2  # a smoother wider than the series reaches beyond it
    for at in range(places):
        left = min(max(0, at + 1 - (width + 2) // 2), max(0, places - width))
        right = min(left + width, places)
        out[at] = _local(x, weight, (at, left, right), near[max(at - left, right - 1 - at) + more], sloped, w)
        if np.isnan(out[at]):
            out[at] = x[at]
    return out


@numba.njit(cache=True, nogil=True)
def _local(x, weight, where, near, sloped, w):
    """The mean, or line, of x[left:right] at a place, weighted by `weight` and its distance; NaN without weight. w: scratch."""
    at, left, right = where
    total = 0.0
    for j in range(left, right):
        w[j] = near[abs(j - at)] * weight[j]
        total += w[j]
    if total <= 0:
        return np.nan
    for j in range(left, right):
        w[j] /= total
    if sloped:
        middle, spread = 0.0, 0.0
        for j in range(left, right):
            middle += w[j] * (j + 1)
        for j in range(left, right):
            spread += w[j] * (j + 1 - middle) ** 2
        if np.sqrt(spread) > 0.001 * (len(x) - 1):
            tilt = (at + 1 - middle) / spread
            for j in range(left, right):
                w[j] *= tilt * (j + 1 - middle) + 1.0
    told = 0.0
    for j in range(left, right):
        told += w[j] * x[j]
    return told


@numba.njit(cache=True, nogil=True)
def _means(x, width):
    """Mean of each `width` values in a row."""
    out, total = np.empty(len(x) - width + 1), 0.0
    for at in range(width):
        total += x[at]
    out[0] = total / width
    for at in range(1, len(out)):
        total += x[at + width - 1] - x[at - 1]
        out[at] = total / width
    return out


@numba.njit(cache=True, nogil=True)
def _robust(away):
    """Bisquare weights of the remainders: 0 from six medians on."""
    order = np.sort(away)
    most = 3.0 * (order[len(away) // 2] + order[len(away) - len(away) // 2 - 1])
    out = np.ones(len(away))
    for j in range(len(away) if most > 0 else 0):
        if away[j] > 0.999 * most:
            out[j] = 0.0
        elif away[j] > 0.001 * most:
            out[j] = (1.0 - (away[j] / most) ** 2) ** 2
    return out
