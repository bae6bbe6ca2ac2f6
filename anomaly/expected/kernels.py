"""Batched kernels over (household, day) arrays; each has a slow twin in tests/naive.py.

All are causal: what they give for a day is made from that day's own past. Where a list of weeks is kept ("anchors"),
an anchor is every seventh day counted from the epoch, so that results do not depend on where an array begins.
"""

import numba
import numpy as np

WEEK = 7
BLOCK_DAYS = 28
BLOCKS_A_YEAR = 12
MOST_COUNTS = 16  # of values below a number, before they are sorted after all


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


@numba.njit(cache=True, parallel=True)
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


@numba.njit(cache=True, parallel=True)
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


@numba.njit(cache=True, parallel=True)
def shared_shock(departure, group, peers_min):
    """(H, T) departures from the homes' own levels → (H, T): the day's median over each home's peers, itself left out.

    Peers are the home's group where it has at least `peers_min` others that day, else all homes, else there is none (0).
    """
    homes, length = departure.shape
    order = np.argsort(group, kind="mergesort")
    out = np.zeros((homes, length))
    for t in numba.prange(length):
        column = departure[:, t]
        site = np.sort(column[~np.isnan(column)])
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
                elif site.size - left >= peers_min:
                    out[h, t] = _median_without(site, own)
            start = stop
    return out


@numba.njit(cache=True, parallel=True)
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


@numba.njit(cache=True, parallel=True)
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


@numba.njit(cache=True)
def _weekly_anchor(t, first_ordinal):
    """The latest anchor day index ≤ t (may be negative)."""
    return t - (first_ordinal + t) % WEEK


@numba.njit(cache=True, parallel=True)
def usual_and_spread(y, usable, dates, ladder, days):
    """(H, T) shock-free log values → usual level of each day, its spread, and how many days it rests on.

    y: (H, T) float64; usable: (H, T) bool (known and occupied); dates: weekday (T,) int8 and the first day's ordinal;
    ladder: (rungs, 3) int64 of (guard days, least days, days between renewals, 1 or 7): the first rung with enough days is taken.
    usual = median + weekday median shrunk by n / (n + 3); spread = 1.4826 · MAD of what is left. A rung that is renewed weekly
    rests on the days up to the last anchor older than its guard: for a week its window, which costs the most, stays as it is.
    Returns usual (H, T), spread (H, T), count (H, T) int16; NaN and 0 where no rung holds.
    """
    homes, length = y.shape
    usual = np.full((homes, length), np.nan)
    spread = np.full((homes, length), np.nan)
    count = np.zeros((homes, length), dtype=np.int16)
    for h in numba.prange(homes):
        for guard, least, step in ladder:
            _rung(y[h], usable[h], dates, (guard, least, step, days), (usual[h], spread[h], count[h]))
    return usual, spread, count


@numba.njit(cache=True)
def _rung(y, usable, dates, rule, out):
    """Fill in those of the last days (as many as `out` has) on which no earlier rung held and this one does.

    The window moves on: `kept` are its values in order of days, `ordered` the same sorted by weekday. Its median and
    deviation say where those of the next one must be looked for.
    """
    weekday, ordinal = dates
    guard, least, step, days = rule
    usual, spread, count = out
    shift, last = len(y) - len(count), len(y)
    while last > shift and count[last - 1 - shift] > 0:
        last -= 1
    start = max(guard, shift)
    if last <= start:
        return
    until = max(start - guard - (ordinal + start - guard) % step, -1)  # the last day of the window
    first, n = _first_kept(usable, until, days)
    kept, on = np.empty(days + len(count) + WEEK), np.empty(days + len(count) + WEEK, dtype=np.int64)
    ordered, size = np.empty((WEEK, days + WEEK)), np.zeros(WEEK, dtype=np.int64)
    left, base = np.empty(days), np.empty(WEEK)
    begin, end = 0, 0
    for u in range(first, until + 1):
        if usable[u]:
            end = _take(u, y, weekday, (kept, on, ordered, size), end)
    level = deviation = np.nan
    for t in range(start, last):
        if t == start or (ordinal + t - guard) % step == 0:
            while until < t - guard - (ordinal + t - guard) % step:
                until += 1
                if usable[until]:
                    end = _take(until, y, weekday, (kept, on, ordered, size), end)
            while begin < end and (end - begin > days or on[begin] <= until - 3 * days):
                d = weekday[on[begin]]
                _leave(ordered[d], size[d], kept[begin])
                size[d] -= 1
                begin += 1
            n = end - begin
            if n >= least:
                level, deviation = _renewed((kept[begin:end], on[begin:end], ordered, size), weekday, (level, deviation), (base, left))
        if n >= least and count[t - shift] == 0:
            usual[t - shift], spread[t - shift], count[t - shift] = base[weekday[t]], 1.4826 * deviation, n


@numba.njit(cache=True)
def _renewed(window, weekday, last, out):
    """Median and deviation of a window, looked for about the last ones; `base` by weekday is filled in."""
    kept, on, ordered, size = window
    level, deviation = last
    base, left = out
    level = _median_near(kept, level - 0.1 * deviation, level + 0.1 * deviation)
    for d in range(WEEK):
        base[d] = level
        if size[d]:
            base[d] += (_middle(ordered[d], size[d]) - level) * size[d] / (size[d] + 3.0)
    for k in range(len(kept)):
        left[k] = abs(kept[k] - base[weekday[on[k]]])
    return level, _median_near(left[: len(kept)], 0.9 * deviation, 1.1 * deviation)


@numba.njit(cache=True)
def _take(u, y, weekday, window, end):
    """Put day u at the end of the window; returns its new end."""
    kept, on, ordered, size = window
    d = weekday[u]
    _enter(ordered[d], size[d], y[u])
    size[d] += 1
    kept[end], on[end] = y[u], u
    return end + 1


@numba.njit(cache=True)
def _first_kept(usable, last, days):
    """The first day of a window that ends on `last`, and how many usable days it holds: `days`, or what there is in three times as many."""
    first, n = last + 1, 0
    while first > max(0, last - 3 * days + 1) and n < days:
        first -= 1
        n += usable[first]
    return first, n


@numba.njit(cache=True)
def _median_near(values, low, high):
    """Median of values, of which none is NaN, looked for between low and high first (and anywhere, where these are no such numbers).

    Counting the values below a number costs next to nothing, moving them a lot: so a number with half of them below it is
    looked for, and the middle ones are those beside it. Where equal values leave no such number they are sorted.
    """
    half = len(values) // 2
    if not low < high:
        low, high = values.min(), values.max()
    below, upto = _below(values, low), _below(values, high)
    for _ in range(MOST_COUNTS):
        if below == half or upto == half:
            return _beside(values, low if below == half else high)
        if below > half:
            low, high, upto = low - 2 * (high - low), low, below
            below = _below(values, low)
        elif upto < half:
            low, high, below = high, high + 2 * (high - low), upto
            upto = _below(values, high)
        else:
            at = low + (high - low) * (half - below) / (upto - below)
            n = _below(values, at)
            if n <= half:
                low, below = at, n
            else:
                high, upto = at, n
    return _median(values.copy(), len(values))


@numba.njit(cache=True)
def _below(values, at):
    n = 0
    for k in range(len(values)):
        n += values[k] < at
    return n


@numba.njit(cache=True, fastmath={"nnan", "nsz"})
def _beside(values, at):
    """Median of values of which half, rounded down, lie below `at`."""
    above, below = np.inf, -np.inf
    for k in range(len(values)):
        above = min(above, values[k] if values[k] >= at else np.inf)
        below = max(below, values[k] if values[k] < at else -np.inf)
    return above if len(values) % 2 else (below + above) / 2


@numba.njit(cache=True)
def _median(values, n):
    """Median of the first n values, which change places (Hoare's selection)."""
    low, high, middle = 0, n - 1, n // 2
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break
    if n % 2:
        return values[middle]
    below = values[0]
    for k in range(1, middle):
        below = max(below, values[k])
    return (below + values[middle]) / 2


@numba.njit(cache=True, parallel=True)
def past_level(y, usable, guard, first_ordinal):
    """(H, T) → (H, T): the second-highest 28-day median of the past year, older than `guard` days.

    A level a home has lived at within the past year is not a surge. Blocks end at weekly anchors; a block counts with
    at least half its days; fewer than two blocks give NaN.
    """
    homes, length = y.shape
    out = np.full((homes, length), np.nan)
    for h in numba.prange(homes):
        block = np.full(length, np.nan)
        kept = np.empty(BLOCK_DAYS)
        for end in range(length):
            if (first_ordinal + end) % WEEK != 0:
                continue
            n = 0
            for u in range(max(0, end - BLOCK_DAYS + 1), end + 1):
                if usable[h, u]:
                    kept[n] = y[h, u]
                    n += 1
            if n >= BLOCK_DAYS // 2:
                block[end] = np.median(kept[:n])
        for t in range(length):
            end = _weekly_anchor(t - guard, first_ordinal)
            highest, second = -np.inf, -np.inf
            for k in range(BLOCKS_A_YEAR):
                at = end - BLOCK_DAYS * k
                if at >= 0 and not np.isnan(block[at]):
                    if block[at] > highest:
                        highest, second = block[at], highest
                    elif block[at] > second:
                        second = block[at]
            if second > -np.inf:
                out[h, t] = second
    return out
