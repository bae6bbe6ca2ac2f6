"""Batched kernels over (household, day) arrays: quantiles of the days before, and what all homes say of a day. Each has a slow twin in tests/naive.py.

All are causal: what they give for a day is made from that day's own past. Where a list of weeks is kept ("anchors"),
an anchor is every seventh day counted from the epoch, so that results do not depend on where an array begins.
"""

import numba
import numpy as np

WEEK = 7


@numba.njit(cache=True)
def _quantile(sorted_values, q):
    """Linear-interpolated quantile of an already sorted array."""
    place = q * (sorted_values.size - 1)
    below = int(np.floor(place))
    above = min(below + 1, sorted_values.size - 1)
    return sorted_values[below] + (sorted_values[above] - sorted_values[below]) * (place - below)


@numba.njit(cache=True)
def _enter(ordered, n, value):
    """Put a value into the first n of `ordered`, which stay sorted."""
    at = n
    while at > 0 and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value


@numba.njit(cache=True)
def _leave(ordered, n, value):
    """Take a value out of the first n of `ordered`."""
    for k in range(np.searchsorted(ordered[:n], value), n - 1):
        ordered[k] = ordered[k + 1]


@numba.njit(cache=True)
def _middle(ordered, n):
    """Median of the first n of sorted values."""
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


@numba.njit(cache=True, parallel=True, nogil=True)
def trailing_quantile(value, days, q, least, first_ordinal):
    """(H, T) → (H, T): quantile q of the last `days` days before each weekly anchor, held for the week.

    NaN until `least` known days lie in the window.
    """
    homes, length = value.shape
    out = np.full((homes, length), np.nan)
    for h in numba.prange(homes):
        ordered, n, held = np.empty(days + 1), 0, np.nan
        for t in range(length):
            if (first_ordinal + t) % WEEK == 0 or t == 0:
                held = _quantile(ordered[:n], q) if n >= least else np.nan
            out[h, t] = held
            if not np.isnan(value[h, t]):
                _enter(ordered, n, value[h, t])
                n += 1
            if t >= days and not np.isnan(value[h, t - days]):
                _leave(ordered, n, value[h, t - days])
                n -= 1
    return out


@numba.njit(cache=True, parallel=True, nogil=True)
def trailing_level(x, usable, guard, days, least):
    """(H, T) → (H, T): median of the last `days` usable values older than `guard` days; NaN under `least`.

    The search goes back three times `days`, so that an absence does not empty the baseline.
    """
    homes, length = x.shape
    out = np.full((homes, length), np.nan)
    for h in numba.prange(homes):
        ordered, kept, begin, end = np.empty(days + 1), np.empty(length, dtype=np.int64), 0, 0
        for t in range(guard, length):
            if usable[h, t - guard]:
                _enter(ordered, end - begin, x[h, t - guard])
                kept[end] = t - guard
                end += 1
            while begin < end and (end - begin > days or kept[begin] <= t - guard - 3 * days):
                _leave(ordered, end - begin, x[h, kept[begin]])
                begin += 1
            if end - begin >= least:
                out[h, t] = _middle(ordered, end - begin)
    return out


@numba.njit(cache=True, parallel=True, nogil=True)
def take_means(value, lag, resolution, rule, out):
    """Write into series and block (H, T), on coarse days, the mean of the last `n` values and n; NaN where one was not known on its day.

    rule: guard, share and n. A day is coarse where the step exceeds this share of the mean of the days older than `guard` that
    were known within it; a mean counts as at least 1.
    """
    guard, share, n = rule
    series, block = out
    for h in numba.prange(len(value)):
        total, days = 0.0, 0
        for t in range(guard, value.shape[1]):
            if not np.isnan(value[h, t - guard]) and lag[h, t - guard] < guard:
                total += value[h, t - guard]
                days += 1
            if days > 0 and resolution[h, t] > share * max(total / days, 1.0):
                block[h, t], series[h, t] = n, np.nan if t < n - 1 else 0.0
                for u in range(max(0, t - n + 1), t + 1):
                    series[h, t] += value[h, u] if lag[h, u] == 0 else np.nan
                series[h, t] /= n


@numba.njit(cache=True, parallel=True, nogil=True)
def shared_shock(departure, group, peers_min):
    """(H, T) departures from the homes' own levels → (H, T): the day's median over each home's peers, itself left out.

    Peers are the home's group where it has at least `peers_min` others that day, else all homes, else there is none (0).
    """
    homes, length = departure.shape
    order = np.argsort(group, kind="mergesort")
    out = np.zeros((homes, length))
    for t in numba.prange(length):
        column = departure[:, t]
        site = np.empty(0)  # all known values in order, once they are asked for
        asked = False
        start = 0
        while start < homes:
            stop = start
            while stop < homes and group[order[stop]] == group[order[start]]:
                stop += 1
            members = column[order[start:stop]]
            members = np.sort(members[~np.isnan(members)])
            for h in order[start:stop]:
                own = departure[h, t]
                left = 0 if np.isnan(own) else 1
                if group[h] > 0 and members.size - left >= peers_min:
                    out[h, t] = _median_without(members, own)
                    continue
                if not asked:
                    site, asked = np.sort(column[~np.isnan(column)]), True
                if site.size - left >= peers_min:
                    out[h, t] = _median_without(site, own)
            start = stop
    return out


@numba.njit(cache=True, parallel=True, nogil=True)
def group_shock(departure, group, groups, peers_min):
    """(H, T) → (groups, T): what `shared_shock` gives for a home that has no part in it, by its group."""
    length = departure.shape[1]
    order = np.argsort(group, kind="mergesort")
    out = np.zeros((groups, length))
    for t in numba.prange(length):
        known = ~np.isnan(departure[:, t])
        if known.sum() >= peers_min:
            out[:, t] = np.median(departure[known, t])
        start = 0
        while start < group.size:
            stop, g = start, group[order[start]]
            while stop < group.size and group[order[stop]] == g:
                stop += 1
            members = departure[order[start:stop], t]
            members = members[~np.isnan(members)]
            if g > 0 and members.size >= peers_min:
                out[g, t] = np.median(members)
            start = stop
    return out


@numba.njit(cache=True, parallel=True, nogil=True)
def median_by_day(value, least):
    """(H, T) → (T,): the median of each day's known values; NaN where fewer than `least` are known."""
    out = np.full(value.shape[1], np.nan)
    for t in numba.prange(value.shape[1]):
        known = value[:, t][~np.isnan(value[:, t])]
        if known.size >= max(least, 1):
            out[t] = np.median(known)
    return out


@numba.njit(cache=True)
def _median_without(sorted_values, own):
    """Median of sorted values with one occurrence of `own` left out (NaN: nothing is left out)."""
    n = sorted_values.size
    if np.isnan(own):
        return _quantile(sorted_values, 0.5)
    at = np.searchsorted(sorted_values, own)
    rest = n - 1
    low, high = (rest - 1) // 2, rest // 2
    low += 1 if low >= at else 0
    high += 1 if high >= at else 0
    return (sorted_values[low] + sorted_values[high]) / 2
