"""The levels a home lives at, usual and past, as batched kernels over (household, day) arrays; each has a slow twin in tests/naive.py.

All are causal. Medians are looked for by counting, and loops run over unsigned numbers where it matters: what has no branch and
no index from the end the processor takes several days at a time.
"""

import numba
import numpy as np

WEEK = 7
BLOCK_DAYS = 28
BLOCKS_A_YEAR = 12
MOST_COUNTS = 16  # of values below a number, before they are sorted after all


@numba.njit(cache=True)
def _weekly_anchor(t, first_ordinal):
    """The latest anchor day index ≤ t (may be negative)."""
    return t - (first_ordinal + t) % WEEK


@numba.njit(cache=True, parallel=True, nogil=True)
def usual_and_spread(y, dates, ladder, days, last):
    """(H, T) shock-free log values → usual level of each of the `last` days, its spread, and how many days it rests on.

    y: (H, T) float64, NaN where not known and occupied; dates: weekday (T,) int8 and the first day's ordinal;
    ladder: (rungs, 3) int64 of (guard days, least days, days between renewals, 1 or 7): the first rung with enough days is taken.
    usual = median + weekday median shrunk by n / (n + 3); spread = 1.4826 · MAD of what is left. A rung that is renewed weekly
    rests on the days up to the last anchor older than its guard: for a week its window, which costs the most, stays as it is.
    Returns usual (H, last), spread (H, last), count (H, last) int16; NaN and 0 where no rung holds.
    """
    homes = len(y)
    usual = np.full((homes, last), np.nan)
    spread = np.full((homes, last), np.nan)
    count = np.zeros((homes, last), dtype=np.int16)
    for h in numba.prange(homes):
        room = rung_room(days, last)
        for guard, least, step in ladder:
            _rung(y[h], dates, (guard, least, step, days), (usual[h], spread[h], count[h]), room)
    return usual, spread, count


@numba.njit(cache=True)
def rung_room(days, asked):
    """What `_rung` works in, for windows of so many days before each of so many asked ones.

    The values of a window in order of days, the days, their weekdays; the base of each weekday; the values by weekday, how many
    there are, and what is left of the values without it.
    """
    most = days + asked + WEEK
    return (
        np.empty(most),
        np.empty(most, dtype=np.int64),
        np.empty(most, dtype=np.int64),
        np.empty(WEEK),
        np.empty((days, WEEK)),
        np.empty(WEEK, dtype=np.int64),
        np.empty(days),
    )


@numba.njit(cache=True)
def _rung(y, dates, rule, out, room):
    """Fill in those of the last days (as many as `out` has) on which no earlier rung held and this one does.

    y: NaN where not usable. The window moves on; its median and deviation say where those of the next one must be looked for.
    """
    weekday, ordinal = dates
    guard, least, step, days = rule
    usual, spread, count = out
    kept, on, day_of, base, by_weekday, size, left = room
    shift, last = len(y) - len(count), len(y)
    while last > shift and count[last - 1 - shift] > 0:
        last -= 1
    start = max(guard, shift)
    if last <= start:
        return
    until = max(start - guard - (ordinal + start - guard) % step, -1)  # the last day of the window
    begin = end = days
    for u in range(until, max(-1, until - 3 * days), -1):  # the first window, from its end
        if begin == 0:
            break
        if not np.isnan(y[u]):
            begin -= 1
            kept[begin], on[begin], day_of[begin] = y[u], u, weekday[u]
    level = deviation = np.nan
    due = start
    for t in range(start, last):
        if t == due:
            anchor = t - guard - (ordinal + t - guard) % step
            due = anchor + step + guard
            while until < anchor:
                until += 1
                if not np.isnan(y[until]):
                    kept[end], on[end], day_of[end] = y[until], until, weekday[until]
                    end += 1
            while begin < end and (end - begin > days or on[begin] <= until - 3 * days):
                begin += 1
            n = end - begin
            if n >= least:
                level, deviation = _renewed(
                    kept[begin:end], day_of[begin:end], (level, deviation), (base, by_weekday, size, left[:n])
                )
        if n >= least and count[t - shift] == 0:
            usual[t - shift], spread[t - shift], count[t - shift] = base[weekday[t]], 1.4826 * deviation, n


@numba.njit(cache=True)
def _renewed(kept, day_of, last, room):
    """Median and deviation of a window, looked for about the last ones; `base` by weekday is filled in."""
    base, by_weekday, size, left = room
    level, deviation = last
    level = _median_near(kept, level - 0.1 * deviation, level + 0.1 * deviation)
    size[:] = 0
    for k in range(len(kept)):
        d = day_of[k]
        by_weekday[size[d], d] = kept[k]
        size[d] += 1
    most = size.max()
    for d in range(WEEK):
        for k in range(size[d], most):
            by_weekday[k, d] = np.inf
    _least_first(by_weekday, most)
    for d in range(WEEK):
        n = size[d]
        base[d] = (
            level
            if n == 0
            else level + ((by_weekday[(n - 1) // 2, d] + by_weekday[n // 2, d]) / 2 - level) * n / (n + 3.0)
        )
    for k in range(len(kept)):
        left[k] = abs(kept[k] - base[day_of[k]])
    return level, _median_near(left, 0.9 * deviation, 1.1 * deviation)


@numba.njit(cache=True, fastmath={"nnan", "nsz"})
def _least_first(rows, n):
    """Put the smaller half of the first n rows in order, each column by itself; none is NaN.

    All columns at once, each by name: so the processor takes them together, without a branch.
    """
    for p in range(n // 2 + 1):
        a, b, c, d, e, f, g = (
            rows[p, 0],
            rows[p, 1],
            rows[p, 2],
            rows[p, 3],
            rows[p, 4],
            rows[p, 5],
            rows[p, 6],
        )
        for r in range(p + 1, n):
            h, i, j, k, m, o, q = (
                rows[r, 0],
                rows[r, 1],
                rows[r, 2],
                rows[r, 3],
                rows[r, 4],
                rows[r, 5],
                rows[r, 6],
            )
            rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3] = max(h, a), max(i, b), max(j, c), max(k, d)
            rows[r, 4], rows[r, 5], rows[r, 6] = max(m, e), max(o, f), max(q, g)
            a, b, c, d, e, f, g = min(h, a), min(i, b), min(j, c), min(k, d), min(m, e), min(o, f), min(q, g)
        rows[p, 0], rows[p, 1], rows[p, 2], rows[p, 3], rows[p, 4], rows[p, 5], rows[p, 6] = (
            a,
            b,
            c,
            d,
            e,
            f,
            g,
        )


@numba.njit(cache=True)
def _median_near(values, low, high):
    """Median of values, of which none is NaN, looked for between low and high first (and anywhere, where these are no such numbers).

    Counting the values below a number costs next to nothing, moving them a lot: so a number with half of them below it is
    looked for, and the middle ones are those beside it. Where equal values leave no such number they are sorted.
    """
    half = len(values) // 2
    if not low < high:
        low, high = _about(values)
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


@numba.njit(cache=True, fastmath=True)
def _about(values):
    """Two numbers between which the median of values, of which none is NaN, is likely to lie: about their mean."""
    low, high, total = np.inf, -np.inf, 0.0
    for k in range(len(values)):
        low, high = min(low, values[k]), max(high, values[k])
        total += values[k]
    mean, near = total / len(values), (high - low) / 24
    return mean - near, mean + near


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


@numba.njit(cache=True, parallel=True, nogil=True)
def past_level(y, guard, first_ordinal, last):
    """(H, T), NaN where not usable → (H, last): the second-highest 28-day median of the past year, older than `guard` days.

    A level a home has lived at within the past year is not a surge. Blocks end at weekly anchors; a block counts with
    at least half its days; fewer than two blocks give NaN.
    """
    homes, length = y.shape
    shift = length - last
    out = np.full((homes, last), np.nan)
    for h in numba.prange(homes):
        block = np.full(length, np.nan)
        kept = np.empty(BLOCK_DAYS)
        for end in range(max(0, shift - guard - WEEK - BLOCK_DAYS * BLOCKS_A_YEAR), length):
            if (first_ordinal + end) % WEEK != 0:
                continue
            n = 0
            for u in range(max(0, end - BLOCK_DAYS + 1), end + 1):
                if not np.isnan(y[h, u]):
                    kept[n] = y[h, u]
                    n += 1
            if n >= BLOCK_DAYS // 2:
                block[end] = _median_near(kept[:n], np.nan, np.nan)
        for t in range(shift, length):
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
                out[h, t - shift] = second
    return out
