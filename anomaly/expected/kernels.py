"""Compiled kernels of the expectation, all in this file.

numba caches what it compiles by the text of its own file, so a compiled function calls compiled functions of
its own file only: else one could change unnoticed.

A *row* function (its name begins with an underscore) works on the days of one home. A kernel without
underscore loops over homes. There are two ways through the same row functions: `model.expect_recent` asks one
kernel after the other and has the peers' statistics worked out in between; `expect_recent_days` does all of
it for one home at a time, from statistics that are known already.

All kernels are causal: what they give for a day is made from that day's own past. Where something is held for
a week it is renewed at "anchors", every seventh day counted from the epoch, so that results do not depend on
where an array begins. Each has a slow twin in tests/support/naive.py, and the tricks that make them fast are
measured against plain library calls by tests/benchmarks/kernels.py.

Some loops run over unsigned numbers (`np.uintp`) and use `&` instead of `and`: without a branch, and without
an index from the end to allow for, the processor takes several days at a time.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from anomaly.compiled import compiled
from anomaly.expected.rules import ExpectedRules
from anomaly.tables import UNKNOWN

WEEK = 7
AGED_DAYS = 7
"""A day's value has a say in the step of its register when it is a week old."""
BLOCK_DAYS = 28
BLOCKS_PER_YEAR = 12
VACANCY_QUANTILE = 0.6
PAST_LEVEL_LUCK = 0.35
"""Spreads by which the second-highest of twelve monthly medians exceeds a steady home's level by chance."""
Z_90 = 1.645
"""The band from 5 % to 95 % of a normal spread."""

MAX_COUNTS = 16
"""Times that values below a number are counted before they are sorted after all."""
OCTAVE = 8
"""Buckets to a doubling, by the first three bits behind a number's leading one."""
BUCKETS = 32 * OCTAVE
TABLE_SIZE = 1 << 15
"""Logarithms of the whole numbers below this are looked up: most readings of a day."""
HOMES_PER_TASK = 64
"""Homes that share a thread's buffers, one after the other."""


class KernelParams(NamedTuple):
    """The rules of the expectation and the days it is made for, as kernels take them.

    baselines: (2, 3) int64 of (guard days, least days, days between renewals: 1 or 7), first choice first.
    weekday: (T,) int8, effective place in the week. ordinal: days from the epoch to the first day.
    days: how many of the last days are asked for. The other fields are those of ExpectedRules.
    """

    vacant_share: float
    vacancy_days: int
    baseline_days: int
    least_days: int
    guard_days: int
    short_guard_days: int
    short_least_days: int
    own_spread_share: float
    least_spread: float
    coarse_share: float
    coarse_days: int
    floor_share: float
    past_level: bool
    baselines: np.ndarray
    weekday: np.ndarray
    ordinal: int
    days: int


def kernel_params(rules: ExpectedRules, weekday: np.ndarray, ordinal: int, days: int) -> KernelParams:
    """Return the rules as kernels take them, for the last `days` days of those that begin at `ordinal`."""
    fields = {name: getattr(rules, name) for name in KernelParams._fields if hasattr(rules, name)}
    return KernelParams(**fields, weekday=weekday, ordinal=ordinal, days=days)


# --- finding medians and quantiles --------------------------------------------------------------------------


@compiled()
def _quantile(sorted_values, q):
    """Return the quantile q of sorted values, linear between the two nearest."""
    place = q * (sorted_values.size - 1)
    below = int(np.floor(place))
    above = min(below + 1, sorted_values.size - 1)
    return sorted_values[below] + (sorted_values[above] - sorted_values[below]) * (place - below)


@compiled()
def _median_by_counting(values, low, high):
    """Return the median of values, none NaN, by looking for it between `low` and `high` first.

    Without a good guess `low` and `high` may be NaN. Counting the values below a number costs next to nothing
    and moving values costs a lot: so a number is looked for that half of them lie below, and the middle ones
    are those next to it. Where equal values leave no such number, they are sorted.
    """
    half = len(values) // 2
    if not low < high:
        low, high = _guess_median(values)
    below_low, below_high = _count_below(values, low), _count_below(values, high)
    for _ in range(MAX_COUNTS):
        if below_low == half or below_high == half:
            return _median_next_to(values, low if below_low == half else high)
        if below_low > half:
            low, high, below_high = low - 2 * (high - low), low, below_low
            below_low = _count_below(values, low)
        elif below_high < half:
            low, high, below_low = high, high + 2 * (high - low), below_high
            below_high = _count_below(values, high)
        else:
            between = low + (high - low) * (half - below_low) / (below_high - below_low)
            n = _count_below(values, between)
            if n <= half:
                low, below_low = between, n
            else:
                high, below_high = between, n
    return np.median(values)


@compiled(fastmath=True)
def _guess_median(values):
    """Return two numbers that the median of values, none NaN, probably lies between: around their mean."""
    low, high, total = np.inf, -np.inf, 0.0
    for k in range(len(values)):
        low, high = min(low, values[k]), max(high, values[k])
        total += values[k]
    mean, margin = total / len(values), (high - low) / 24
    return mean - margin, mean + margin


@compiled()
def _count_below(values, at):
    n = 0
    for k in range(len(values)):
        n += values[k] < at
    return n


@compiled(fastmath={"nnan", "nsz"})
def _median_next_to(values, at):
    """Return the median of values of which half, rounded down, lie below `at`."""
    above, below = np.inf, -np.inf
    for k in range(len(values)):
        above = min(above, values[k] if values[k] >= at else np.inf)
        below = max(below, values[k] if values[k] < at else -np.inf)
    return above if len(values) % 2 else (below + above) / 2


@compiled(fastmath={"nnan", "nsz"})
def _partial_sort_columns(rows, n):
    """Sort the smaller half of the first n rows, each of the seven columns by itself; none is NaN.

    All columns are compared at once and each by name, so that the processor takes them together.
    """
    for p in range(n // 2 + 1):
        a, b, c, d = rows[p, 0], rows[p, 1], rows[p, 2], rows[p, 3]
        e, f, g = rows[p, 4], rows[p, 5], rows[p, 6]
        for r in range(p + 1, n):
            h, i, j, k = rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3]
            m, o, q = rows[r, 4], rows[r, 5], rows[r, 6]
            rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3] = max(h, a), max(i, b), max(j, c), max(k, d)
            rows[r, 4], rows[r, 5], rows[r, 6] = max(m, e), max(o, f), max(q, g)
            a, b, c, d, e, f, g = min(h, a), min(i, b), min(j, c), min(k, d), min(m, e), min(o, f), min(q, g)
        rows[p, 0], rows[p, 1], rows[p, 2], rows[p, 3] = a, b, c, d
        rows[p, 4], rows[p, 5], rows[p, 6] = e, f, g


# --- coarse registers ---------------------------------------------------------------------------------------


@compiled()
def _fill_step(series, lag, step):
    """Write the greatest common divisor of the values until a week before each day, at least 1.

    A value counts that became known within a week. Returns the day from which on the step is 1.
    """
    step[:] = 1.0
    divisor, fine_from = 0, 0
    for u in range(len(series) - AGED_DAYS):
        if not np.isnan(series[u]) and lag[u] < AGED_DAYS:
            divisor = math.gcd(divisor, np.int64(series[u]))
            if divisor == 1:
                break
        if divisor > 1:
            step[u + AGED_DAYS], fine_from = divisor, u + AGED_DAYS + 1
    return fine_from


@compiled()
def _average_coarse_days(series, lag, step, span, params):
    """Put the mean of the last `coarse_days` days in place of the value, on days of a coarse register.

    A day is coarse where the step exceeds `coarse_share` of the mean of the days older than the short guard
    that were known within it; a mean counts as at least 1. The mean is NaN where a value was not known on its
    day. span: the days that each value spans, to be filled in. Returns the day from which on no day is
    coarse.
    """
    guard, n = params.short_guard_days, params.coarse_days
    span[:] = 1
    total, known_days, fine_from = 0.0, 0, 0
    later_step = step[guard:]
    for u in range(len(later_step)):
        known = (series[u] == series[u]) & (lag[u] < guard)
        total += series[u] if known else 0.0
        known_days += known
        # most days are spared the division
        may_be = (1.01 * later_step[u] * known_days > params.coarse_share * total) & (known_days > 0)
        if may_be and later_step[u] > params.coarse_share * max(total / known_days, 1.0):
            span[u + guard], fine_from = -n, u + guard + 1  # the sign marks a mean that is yet to be made
    for t in range(fine_from - 1, -1, -1):  # from the last day back, as each mean needs the values before it
        if span[t] < 0:
            span[t] = n
            mean = 0.0 if t >= n - 1 else np.nan
            for u in range(max(0, t - n + 1), t + 1):
                mean += series[u] if lag[u] == 0 else np.nan
            series[t] = mean / n
    return fine_from


@compiled(parallel=True, nogil=True)
def fill_steps(value, lag, step):
    """Write into `step` (H, T) the step that each home's register moved in until a week before each day.

    value: (H, T) float64, whole numbers, NaN where not known. lag: (H, T) int, days until a value was known.
    """
    for h in numba.prange(len(value)):
        _fill_step(value[h], lag[h], step[h])


@compiled(parallel=True, nogil=True)
def average_coarse_days(series, lag, step, span, params):
    """Put means in place of the values of coarse registers; `series` and `span` (H, T) are written to."""
    for h in numba.prange(len(series)):
        _average_coarse_days(series[h], lag[h], step[h], span[h], params)


# --- vacant days --------------------------------------------------------------------------------------------


@compiled()
def _fill_buckets(series, lag, bucket):
    """Write the bucket, one of BUCKETS in ascending order, of each number from 0 on.

    What is not known, or was not on its day, gets the bucket BUCKETS, whose count nobody asks for.
    """
    for t in range(len(series)):
        number = min((np.float32(series[t] + 1.0).view(np.int32) >> 20) - 127 * OCTAVE, BUCKETS - 1)
        bucket[t] = number if (lag[t] == 0) & (series[t] == series[t]) else BUCKETS


@compiled()
def _smallest_of_bucket(bucket):
    return np.int32((bucket + 127 * OCTAVE) << 20).view(np.float32) - 1.0


@compiled()
def _bucket_of_rank(count, rank, bucket, before):
    """Return the bucket that holds the value of that rank, and how many values lie before it.

    bucket, before: a bucket to begin with and how many values lie before that.
    """
    while before > rank:
        bucket -= 1
        before -= count[bucket]
    while before + count[bucket] <= rank:
        before += count[bucket]
        bucket += 1
    return bucket, before


@compiled()
def _fill_quantile_bounds(series, lag, params, lower, upper, bucket, count):
    """Write bounds of each day's trailing quantile, from counting the values of its window by buckets.

    The quantile is that of the `vacancy_days` days before the latest anchor. NaN where too few of them are
    known. bucket: (T,) and count: (BUCKETS + 1,) are buffers.
    """
    length, days, n = len(series), params.vacancy_days, 0
    count[:] = 0
    at, before = 0, 0  # the bucket that was asked for last, and how many values lie in those before it
    _fill_buckets(series, lag, bucket)
    t = 0
    while t < length:
        stop = min(
            length, t + WEEK - (params.ordinal + t) % WEEK
        )  # the quantile is held until the next anchor
        low = high = np.nan
        if n >= params.short_least_days:
            rank = int(VACANCY_QUANTILE * (n - 1))
            at, before = _bucket_of_rank(count, rank, at, before)
            above, _ = _bucket_of_rank(count, min(rank + 1, n - 1), at, before)
            low = _smallest_of_bucket(at)
            high = np.inf if above == BUCKETS - 1 else _smallest_of_bucket(above + 1)
        for u in range(np.uintp(t), np.uintp(stop)):
            lower[u], upper[u] = low, high
            count[bucket[u]] += 1
            before += bucket[u] < at
            n += bucket[u] < BUCKETS
        for u in range(np.uintp(max(0, t - days)), np.uintp(max(0, stop - days))):
            count[bucket[u]] -= 1
            before -= bucket[u] < at
            n -= bucket[u] < BUCKETS
        t = stop


class VacancyBuffers(NamedTuple):
    """Arrays that `_fill_vacant` works in: one home's bounds of the quantiles, buckets, and flags by day."""

    lower: np.ndarray
    upper: np.ndarray
    bucket: np.ndarray
    counts: np.ndarray
    seen: np.ndarray
    occupied: np.ndarray
    undecided: np.ndarray


@compiled()
def _vacancy_buffers(signals, length):
    return VacancyBuffers(
        np.empty((signals, length)),
        np.empty((signals, length)),
        np.empty(length, dtype=np.uint16),
        np.empty(BUCKETS + 1, dtype=np.int32),
        np.empty(length, dtype=np.bool_),
        np.empty(length, dtype=np.bool_),
        np.empty(length, dtype=np.bool_),
    )


@compiled()
def _flag_days(series, lag, share, lower, upper, seen, occupied, undecided):
    """Mark the days on which one signal is seen, shows that somebody was there, and leaves that open."""
    for t in range(len(series)):
        known = (lag[t] == 0) & (series[t] == series[t]) & (lower[t] == lower[t])
        seen[t] |= known
        occupied[t] |= known & (series[t] > share * upper[t])
        undecided[t] |= known & (series[t] > share * lower[t])


@compiled()
def _fill_vacant(series, lag, params, buffers, vacant):
    """Write on which days every signal that is there is low against its own trailing quantile.

    series: (S, T). lag: (S, T). As a rule the bounds of the quantiles decide; only for a day that they leave
    open is a quantile worked out.
    """
    buffers.seen[:] = False
    buffers.occupied[:] = False
    buffers.undecided[:] = False
    for s in range(len(series)):
        lower, upper = buffers.lower[s], buffers.upper[s]
        _fill_quantile_bounds(series[s], lag[s], params, lower, upper, buffers.bucket, buffers.counts)
        _flag_days(
            series[s],
            lag[s],
            params.vacant_share,
            lower,
            upper,
            buffers.seen,
            buffers.occupied,
            buffers.undecided,
        )
    for t in range(len(vacant)):
        vacant[t] = (
            buffers.seen[t]
            and not buffers.occupied[t]
            and (not buffers.undecided[t] or _is_vacant(series, lag, params, t, buffers.lower[:, t]))
        )


@compiled()
def _is_vacant(series, lag, params, t, lower):
    """Return whether day t is vacant, by the quantiles themselves; a signal with `lower` NaN has no say."""
    anchor = max(0, t - (params.ordinal + t) % WEEK)
    for s in range(len(series)):
        if lag[s, t] == 0 and not np.isnan(series[s, t]) and not np.isnan(lower[s]):
            window = slice(max(0, anchor - params.vacancy_days), anchor)
            known = series[s, window][(lag[s, window] == 0) & ~np.isnan(series[s, window])]
            if series[s, t] > params.vacant_share * _quantile(np.sort(known), VACANCY_QUANTILE):
                return False
    return True


@compiled(parallel=True, nogil=True)
def vacant_days(series, lag, params):
    """Return (H, T) bool: days on which every present signal is low against the home's own 60 % quantile.

    series: (S, H, T), NaN where not known. lag: (S, H, T); a value that was not known on its day has no say,
    so that a day is called vacant, or not, once and for all. A missing signal counts as agreeing; with no
    signal at all the day is not called vacant.
    """
    signals, homes, length = series.shape
    vacant = np.zeros((homes, length), dtype=np.bool_)
    for task in numba.prange((homes + HOMES_PER_TASK - 1) // HOMES_PER_TASK):
        buffers = _vacancy_buffers(signals, length)
        for h in range(task * HOMES_PER_TASK, min(homes, (task + 1) * HOMES_PER_TASK)):
            _fill_vacant(series[:, h], lag[:, h], params, buffers, vacant[h])
    return vacant


# --- the usual level and its spread -------------------------------------------------------------------------


class WindowBuffers(NamedTuple):
    """Arrays that `_fill_from_baseline` works in.

    values, day, weekday: the days of the window in order, their values and weekdays, as many as there may be.
    base: (7,) the usual level of each weekday. by_weekday: the values, a column each weekday.
    size: (7,) how many values each weekday has. rest: what is left of the values without their base.
    """

    values: np.ndarray
    day: np.ndarray
    weekday: np.ndarray
    base: np.ndarray
    by_weekday: np.ndarray
    size: np.ndarray
    rest: np.ndarray


@compiled()
def _window_buffers(window_days, asked_days):
    """Return buffers for windows of `window_days` days before each of `asked_days` days."""
    longest = window_days + asked_days + WEEK
    return WindowBuffers(
        np.empty(longest),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.int64),
        np.empty(WEEK),
        np.empty((window_days, WEEK)),
        np.empty(WEEK, dtype=np.int64),
        np.empty(window_days),
    )


@compiled()
def _fill_from_baseline(y, params, baseline, usual, spread, count, buffers):
    """Fill in those of the last days that no earlier baseline filled in and this one can.

    y: (T,) NaN where not usable. baseline: a row of params.baselines. The window holds the last
    `baseline_days` usable days older than the guard, looked for three times as far back, so that an absence
    does not empty it. A baseline that is renewed weekly rests on the days up to the last anchor older than
    its guard: for a week its window, which costs the most, stays as it is.
    """
    guard, least, renewal = baseline[0], baseline[1], baseline[2]
    days = params.baseline_days
    shift, last = len(y) - len(count), len(y)
    while last > shift and count[last - 1 - shift] > 0:
        last -= 1
    start = max(guard, shift)
    if last <= start:
        return
    values, day, weekday = buffers.values, buffers.day, buffers.weekday
    until = max(start - guard - (params.ordinal + start - guard) % renewal, -1)  # the last day of the window
    begin = end = days
    for u in range(until, max(-1, until - 3 * days), -1):  # the first window, from its end
        if begin == 0:
            break
        if not np.isnan(y[u]):
            begin -= 1
            values[begin], day[begin], weekday[begin] = y[u], u, params.weekday[u]
    level = deviation = np.nan
    due = start
    n = 0
    for t in range(start, last):
        if t == due:
            anchor = t - guard - (params.ordinal + t - guard) % renewal
            due = anchor + renewal + guard
            while until < anchor:
                until += 1
                if not np.isnan(y[until]):
                    values[end], day[end], weekday[end] = y[until], until, params.weekday[until]
                    end += 1
            while begin < end and (end - begin > days or day[begin] <= until - 3 * days):
                begin += 1
            n = end - begin
            if n >= least:
                level, deviation = _update_window_stats(
                    values[begin:end], weekday[begin:end], level, deviation, buffers
                )
        if n >= least and count[t - shift] == 0:
            usual[t - shift] = buffers.base[params.weekday[t]]
            spread[t - shift] = 1.4826 * deviation
            count[t - shift] = n


@compiled()
def _update_window_stats(values, weekday, level, deviation, buffers):
    """Return the median and the median deviation of a window, and fill in the base of each weekday.

    level, deviation: those of the window before, around which they are looked for; NaN without one. The base
    of a weekday is the level + its own median's difference from it, shrunk by n / (n + 3).
    """
    base, by_weekday, size, rest = buffers.base, buffers.by_weekday, buffers.size, buffers.rest
    level = _median_by_counting(values, level - 0.1 * deviation, level + 0.1 * deviation)
    size[:] = 0
    for k in range(len(values)):
        d = weekday[k]
        by_weekday[size[d], d] = values[k]
        size[d] += 1
    longest = size.max()
    for d in range(WEEK):
        for k in range(size[d], longest):
            by_weekday[k, d] = np.inf
    _partial_sort_columns(by_weekday, longest)
    for d in range(WEEK):
        n, base[d] = size[d], level
        if n > 0:
            median = (by_weekday[(n - 1) // 2, d] + by_weekday[n // 2, d]) / 2
            base[d] = level + (median - level) * n / (n + 3.0)
    for k in range(len(values)):
        rest[k] = abs(values[k] - base[weekday[k]])
    return level, _median_by_counting(rest[: len(values)], 0.9 * deviation, 1.1 * deviation)


@compiled(parallel=True, nogil=True)
def usual_and_spread(y, params):
    """Return the usual level of each of the last days, its spread, and the days it rests on, all (H, days).

    y: (H, T) float64 log values without the shock of their day, NaN where not known and occupied. usual =
    median + weekday median shrunk by n / (n + 3); spread = 1.4826 · MAD of what is left; of the window of the
    first of the baselines that has enough days. NaN and 0 (int16) where none has.
    """
    homes = len(y)
    usual = np.full((homes, params.days), np.nan)
    spread = np.full((homes, params.days), np.nan)
    count = np.zeros((homes, params.days), dtype=np.int16)
    for h in numba.prange(homes):
        buffers = _window_buffers(params.baseline_days, params.days)
        for baseline in params.baselines:
            _fill_from_baseline(y[h], params, baseline, usual[h], spread[h], count[h], buffers)
    return usual, spread, count


@compiled()
def _mix_spread(spread, count, peers_spread, params):
    """Mix a home's variance with its peers' median variance; a short history leans on the peers'."""
    for k in range(len(spread)):
        if count[k]:
            other = peers_spread[k]
            if not np.isnan(other):
                share = params.own_spread_share * min(1.0, count[k] / (2 * params.least_days))
                spread[k] = np.sqrt(share * spread[k] ** 2 + (1 - share) * other**2)
            spread[k] = max(spread[k], params.least_spread)


@compiled()
def _raise_to_past_level(y, usual, spread, params):
    """Raise usual to a level lived at within the past year, less PAST_LEVEL_LUCK spreads: it is not a surge.

    The past level is the second-highest 28-day median of the year that ends `guard_days` before the day.
    Blocks end at weekly anchors; a block counts with at least half its days; fewer than two give no level.
    """
    days, length = params.days, len(y)
    k = 0
    while k < days:
        guarded, lowest = length - days + k - params.guard_days, np.inf
        end = guarded - (params.ordinal + guarded) % WEEK  # the latest anchor, may be negative
        stop = min(days, k + WEEK - (guarded - end))  # the days of one anchor
        for j in range(k, stop):
            if not np.isnan(usual[j]):
                lowest = min(lowest, usual[j] + PAST_LEVEL_LUCK * spread[j])
        past = _second_block_median(y, end, lowest) if lowest < np.inf else -np.inf
        for j in range(k, stop):
            if not np.isnan(usual[j]):
                usual[j] = max(usual[j], past - PAST_LEVEL_LUCK * spread[j])
        k = stop


@compiled()
def _second_block_median(y, end, lowest):
    """Return the second-highest block median of the year up to `end` where it exceeds `lowest`, else −inf."""
    highest, second, known = -np.inf, lowest, np.empty(BLOCK_DAYS)
    for k in range(BLOCKS_PER_YEAR):
        last = end - BLOCK_DAYS * k
        if last < 0:
            break
        first, stop, above, n = np.uintp(max(0, last - BLOCK_DAYS + 1)), np.uintp(last + 1), 0, 0
        for u in range(first, stop):
            above += y[u] > second
        if (
            above < BLOCK_DAYS // 4
        ):  # under half of the fewest days that count: its median does not exceed `second`
            continue
        for u in range(first, stop):
            known[n] = y[u]
            n += not np.isnan(y[u])
        if n < BLOCK_DAYS // 2 or 2 * above < n:
            continue
        median = _median_by_counting(known[:n], second, second + 0.2)
        if median > highest:
            highest, second = median, max(second, highest)
        elif median > second:
            second = median
    return second if second > lowest else -np.inf


@compiled(parallel=True, nogil=True)
def mix_spread_and_past(y, usual, spread, count, peers_spread, params):
    """Mix spreads with the peers' and raise usual to levels lived at before; both are written to.

    y, usual, spread, count: as in `usual_and_spread`. peers_spread: (days,) NaN with too few peers.
    """
    for h in numba.prange(len(y)):
        _mix_spread(spread[h], count[h], peers_spread, params)
        if params.past_level:
            _raise_to_past_level(y[h], usual[h], spread[h], params)


@compiled()
def _floor(usual, offset, peers_level, params):
    """Return usual, at least a share of the peers' median level (NaN with too few peers)."""
    if np.isnan(usual) or np.isnan(peers_level):
        return usual
    return max(usual, np.log(params.floor_share * peers_level + offset))


@compiled(parallel=True, nogil=True)
def raise_to_floor(usual, offset, peers_level, params):
    """Raise usual (H, days) of near-empty homes to the floor; offset: (H, days), peers_level: (days,)."""
    for h in numba.prange(len(usual)):
        for k in range(params.days):
            usual[h, k] = _floor(usual[h, k], offset[h, k], peers_level[k], params)


class InUnits(NamedTuple):
    """An expectation in base units, and how far the observed value departs from it in spreads."""

    expected: float
    low: float
    high: float
    surprise: float


@compiled()
def _in_units(centre, spread, x, offset, step):
    """Turn an expectation in logarithms into units.

    step: by how much the value moves at a time; a value within half of it is as good as the expected one.
    """
    amount = max(np.exp(centre) - offset, 0.0)
    spread = np.sqrt(spread**2 + (step / (amount + offset)) ** 2 / 12)
    return InUnits(
        amount,
        max(np.exp(centre - Z_90 * spread) - offset, 0.0),
        np.exp(centre + Z_90 * spread) - offset,
        (x - centre) / spread,
    )


@compiled(parallel=True, nogil=True)
def to_units(centre, spread, x, offset, step):
    """Return expected, low, high and surprise, all (H, days), of expectations in logarithms (H, days)."""
    expected, low, high, surprise = (
        np.full(centre.shape, np.nan),
        np.full(centre.shape, np.nan),
        np.full(centre.shape, np.nan),
        np.full(centre.shape, np.nan),
    )
    for h in numba.prange(len(centre)):
        for k in range(centre.shape[1]):
            if not np.isnan(centre[h, k]):
                units = _in_units(centre[h, k], spread[h, k], x[h, k], offset[h, k], step[h, k])
                expected[h, k], low[h, k], high[h, k] = units.expected, units.low, units.high
                surprise[h, k] = units.surprise
    return expected, low, high, surprise


# --- what all homes did on a day ----------------------------------------------------------------------------


@compiled()
def _insert(ordered, n, value):
    """Put a value into the first n of `ordered`, which stay sorted."""
    at = n
    while at > 0 and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value


@compiled()
def _remove(ordered, n, value):
    """Take a value out of the first n of `ordered`."""
    for k in range(np.searchsorted(ordered[:n], value), n - 1):
        ordered[k] = ordered[k + 1]


@compiled(parallel=True, nogil=True)
def trailing_level(x, usable, guard, days, least):
    """Return the median of the last `days` usable values older than the guard, NaN under `least`, (H, T).

    The search goes back three times `days`, so that an absence does not empty the window.
    """
    homes, length = x.shape
    out = np.full((homes, length), np.nan)
    for h in numba.prange(homes):
        ordered, day, begin, end = np.empty(days + 1), np.empty(length, dtype=np.int64), 0, 0
        for t in range(guard, length):
            if usable[h, t - guard]:
                _insert(ordered, end - begin, x[h, t - guard])
                day[end] = t - guard
                end += 1
            while begin < end and (end - begin > days or day[begin] <= t - guard - 3 * days):
                _remove(ordered, end - begin, x[h, day[begin]])
                begin += 1
            n = end - begin
            if n >= least:
                out[h, t] = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return out


@compiled()
def _median_without(sorted_values, own):
    """Return the median of sorted values with one occurrence of `own` left out (NaN: nothing is left out)."""
    if np.isnan(own):
        return _quantile(sorted_values, 0.5)
    at = np.searchsorted(sorted_values, own)
    rest = sorted_values.size - 1
    low, high = (rest - 1) // 2, rest // 2
    low += 1 if low >= at else 0
    high += 1 if high >= at else 0
    return (sorted_values[low] + sorted_values[high]) / 2


@compiled(parallel=True, nogil=True)
def shared_shock(departure, group, peers_min):
    """Return the day's median departure over each home's peers, the home itself left out, (H, T).

    departure: (H, T) from the homes' own levels, NaN where not known. group: (H,) int32, 0 for unknown. Peers
    are the home's group where it has at least `peers_min` others that day, else all homes, else there is no
    shock (0).
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
                left_out = 0 if np.isnan(own) else 1
                if group[h] > 0 and members.size - left_out >= peers_min:
                    out[h, t] = _median_without(members, own)
                    continue
                if not asked:
                    site, asked = np.sort(column[~np.isnan(column)]), True
                if site.size - left_out >= peers_min:
                    out[h, t] = _median_without(site, own)
            start = stop
    return out


@compiled(parallel=True, nogil=True)
def group_shock(departure, group, groups, peers_min):
    """Return what `shared_shock` gives for a home that has no part in it, by its group, (groups, T)."""
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


@compiled(parallel=True, nogil=True)
def median_by_day(value, least):
    """Return the median of each day's known values, (H, T) → (T,); NaN where fewer than `least` are known."""
    out = np.full(value.shape[1], np.nan)
    for t in numba.prange(value.shape[1]):
        known = value[:, t][~np.isnan(value[:, t])]
        if known.size >= max(least, 1):
            out[t] = np.median(known)
    return out


# --- all steps for one home at a time -----------------------------------------------------------------------


class PeerArrays(NamedTuple):
    """Statistics of the peers: shock (S, groups, T); their median level (base units) and spread (S, days).

    Level and spread are NaN with too few peers.
    """

    shock: np.ndarray
    level: np.ndarray
    spread: np.ndarray


class RecentArrays(NamedTuple):
    """Expectations of the last days, (S, H, days) as in Expectation; vacant: (H, T), of all days."""

    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    surprise: np.ndarray
    history_days: np.ndarray
    span_days: np.ndarray
    vacant: np.ndarray


class SeriesBuffers(NamedTuple):
    """One home's series to judge, its steps and the days each value spans, (S, T); y: (T,) its log values."""

    series: np.ndarray
    step: np.ndarray
    span: np.ndarray
    y: np.ndarray


@compiled(parallel=True, nogil=True)
def expect_recent_days(value, lag, group, offset, may_be_coarse, peers, params):
    """Return RecentArrays of homes that are none of the peers.

    value: (S, H, T) whole numbers, UNKNOWN where not judged. lag: (S, H, T) int. group: (H,) place in
    peers.shock. offset: (S,) added to values before their logarithm, as far as they are not coarse.
    may_be_coarse: (S,) bool.
    """
    signals, homes, length = value.shape
    shape = (signals, homes, params.days)
    out = RecentArrays(
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
        np.zeros(shape, dtype=np.int16),
        np.ones(shape, dtype=np.int8),
        np.zeros((homes, length), dtype=np.bool_),
    )
    logs = np.empty((signals, TABLE_SIZE))
    for s in range(signals):
        for v in range(TABLE_SIZE):
            logs[s, v] = np.log(v + offset[s])
    for task in numba.prange((homes + HOMES_PER_TASK - 1) // HOMES_PER_TASK):
        buffers = SeriesBuffers(
            np.empty((signals, length)),
            np.empty((signals, length)),
            np.empty((signals, length), dtype=np.int8),
            np.empty(length),
        )
        fine_from = np.empty(signals, dtype=np.int64)
        windows = _window_buffers(params.baseline_days, params.days)
        vacancy = _vacancy_buffers(signals, length)
        for h in range(task * HOMES_PER_TASK, min(homes, (task + 1) * HOMES_PER_TASK)):
            for s in range(signals):
                fine_from[s] = _fill_series(value[s, h], lag[s, h], may_be_coarse[s], s, params, buffers)
            _fill_vacant(buffers.series, lag[:, h], params, vacancy, out.vacant[h])
            for s in range(signals):
                shock = peers.shock[s, group[h]]
                _fill_log_values(
                    value[s, h],
                    lag[s, h],
                    out.vacant[h],
                    shock,
                    fine_from[s],
                    offset[s],
                    logs[s],
                    s,
                    params,
                    buffers,
                )
                _fill_recent_days(s, h, shock, offset[s], peers, params, buffers, windows, out)
    return out


@compiled()
def _fill_series(value, lag, may_be_coarse, s, params, buffers):
    """Fill in the series of signal s, its step and span; return the day from which on both are 1."""
    series, step, span = buffers.series[s], buffers.step[s], buffers.span[s]
    for t in range(len(value)):
        series[t] = value[t] if value[t] != UNKNOWN else np.nan
    fine_from = _fill_step(series, lag, step)
    span[:] = 1
    if may_be_coarse:
        fine_from = max(fine_from, _average_coarse_days(series, lag, step, span, params))
    return fine_from


@compiled()
def _fill_log_values(value, lag, vacant, shock, fine_from, offset, logs, s, params, buffers):
    """Fill in y of the days looked back on: log values less the shock of their day, NaN where not usable."""
    series, step, span, y = buffers.series[s], buffers.step[s], buffers.span[s], buffers.y
    length = len(y)
    longest_guard = max(params.guard_days, params.short_guard_days)
    lookback = longest_guard + WEEK + max(3 * params.baseline_days, BLOCK_DAYS * BLOCKS_PER_YEAR)
    first = max(0, length - params.days - lookback)
    for t in range(np.uintp(first), np.uintp(max(first, fine_from))):
        usable = not np.isnan(series[t]) and not vacant[t] and lag[t] < params.short_guard_days
        log = np.log(series[t] + max(offset, 0.7 * (step[t] / span[t])))
        y[t] = log - shock[t] if usable else np.nan
    for t in range(np.uintp(max(first, fine_from)), np.uintp(length)):
        v = value[t]
        usable = (v != UNKNOWN) & (not vacant[t]) & (lag[t] < params.short_guard_days)
        y[t] = (
            (logs[np.uintp(v)] if 0 <= v < TABLE_SIZE else np.log(v + offset)) - shock[t]
            if usable
            else np.nan
        )


@compiled()
def _fill_recent_days(s, h, shock, offset, peers, params, buffers, windows, out):
    """Write the expectations of the last days of signal s of home h into RecentArrays."""
    days, length = params.days, len(buffers.y)
    usual, spread = np.full(days, np.nan), np.full(days, np.nan)
    count = out.history_days[s, h]
    for baseline in params.baselines:
        _fill_from_baseline(buffers.y, params, baseline, usual, spread, count, windows)
    _mix_spread(spread, count, peers.spread[s], params)
    if params.past_level:
        _raise_to_past_level(buffers.y, usual, spread, params)
    for k in range(days):
        t = length - days + k
        out.span_days[s, h, k] = buffers.span[s, t]
        if count[k]:
            step = buffers.step[s, t] / buffers.span[s, t]
            offset_here = max(offset, 0.7 * step)
            x = np.log(buffers.series[s, t] + offset_here)
            centre = _floor(usual[k], offset_here, peers.level[s, k], params) + shock[t]
            units = _in_units(centre, spread[k], x, offset_here, step)
            out.expected[s, h, k], out.low[s, h, k], out.high[s, h, k] = units.expected, units.low, units.high
            out.surprise[s, h, k] = units.surprise
