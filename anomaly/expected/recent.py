"""The last days of many homes: what `expect` gives for them, a home at a time, from what the peers are known to say.

A night at a large site needs a fortnight of every home, not its whole past. One pass over a home's days does what the
arrays of `model` do one after the other; `model` with the same peers is its slow twin.
"""

import dataclasses
from typing import NamedTuple

import numba
import numpy as np

from anomaly.expected.expectation import Expected
from anomaly.expected.grid import AGED_DAYS, Grid
from anomaly.expected.kernels import _quantile
from anomaly.expected.levels import (
    BLOCK_DAYS,
    BLOCKS_A_YEAR,
    WEEK,
    _median_near,
    _rung,
    _weekly_anchor,
    rung_room,
)
from anomaly.expected.model import OFFSETS, PAST_LEVEL_LUCK, Z_90
from anomaly.expected.rules import ExpectedRules
from anomaly.peer_stats import PeerStats
from anomaly.tables import UNKNOWN

COMPILED_WITH = 0xA4C74844  # CRC-32 of kernels.py and levels.py: numba keeps what it compiles for as long as this file stays the same, whatever it calls elsewhere
OCTAVE = 8  # buckets to a doubling, by the first three bits behind a number's leading one
BUCKETS = 32 * OCTAVE
TABLED = 1 << 15  # whole numbers up to which logarithms are looked up: most readings of a day
BUNCH = 64  # homes that share a thread's arrays, one after the other
EXPECTED, LOW, HIGH, SURPRISE, COUNT, SPAN = range(6)


class Said(NamedTuple):
    """What the peers say: shock (S, G, T); their median level, base units, and median spread (S, K) of the last days, NaN with too few of them."""

    shock: np.ndarray
    level: np.ndarray
    spread: np.ndarray


class Numbers(NamedTuple):
    """ExpectedRules as a kernel takes them, and the days: weekday (T,), ordinal of the first, how many of the last are asked."""

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
    ladder: np.ndarray
    past_level: bool
    luck: float
    weekday: np.ndarray
    ordinal: int
    days: int


def expect_recent_fused(
    grid: Grid, rules: ExpectedRules, peers: PeerStats, days: int
) -> tuple[Expected, np.ndarray]:
    """The last `days` days of `expect` for homes that are none of the peers, and which days of all were vacant (H, T).

    Scores are asked of the last day only: the windows of those before it are cut off. Of the grid, `resolution` is not asked, and `value` may as well be whole numbers, UNKNOWN where not judged (half the memory).
    The model is the usual one, whatever the rules say.
    """

    def said(name: str, span: int) -> np.ndarray:
        return np.stack(
            [
                peers.get(f"expected {signal} {name}", grid.ordinal + grid.days - span, span)
                for signal in grid.signals
            ]
        )

    peer_lookup = Said(said("shock", grid.days), said("level", days), said("spread", days))
    units = np.array([(OFFSETS.get(unit, 1.0), unit != "count") for unit in grid.units], dtype=float)
    fields = {name: getattr(rules, name) for name in Numbers._fields if hasattr(rules, name)}
    how = Numbers(**fields, luck=PAST_LEVEL_LUCK, weekday=grid.weekday, ordinal=grid.ordinal, days=days)
    value = (
        grid.value
        if grid.value.dtype.kind == "i"
        else np.where(np.isnan(grid.value), UNKNOWN, grid.value).astype(np.int64)
    )
    told, vacant = last_days(value, grid.lag, grid.group, units, peer_lookup, how)
    short = dataclasses.replace(grid, value=value).last_days(days)
    short = dataclasses.replace(short, value=np.where(short.value == UNKNOWN, np.nan, short.value))
    named = {
        name: told[place]
        for name, place in (("expected", EXPECTED), ("low", LOW), ("high", HIGH), ("surprise", SURPRISE))
    }
    count, block = np.nan_to_num(told[COUNT]).astype(np.int16), told[SPAN].astype(np.int8)
    seen = Expected(
        grid=short,
        **named,
        log_ratio=np.full_like(told[SURPRISE], np.nan),
        history_days=count,
        vacant=vacant[:, -days:],
        span_days=block,
        scored_nights=1,
    )
    return seen, vacant


@numba.njit(cache=True, parallel=True, nogil=True)
def last_days(value, lag, group, units, said, how):
    """(6, S, H, K): EXPECTED, LOW, HIGH, SURPRISE, COUNT and SPAN (days a value spans) of the last K days; and (H, T) vacant.

    value: (S, H, T) whole numbers, UNKNOWN where not judged; lag: (S, H, T) int; group: (H,) place in said.shock; none of these
    homes is among the peers that said. units: (S, 2): the logarithm's offset, and 1 where the signal may be coarse.
    """
    signals, homes, length = value.shape
    told = np.full((6, signals, homes, how.days), np.nan)
    vacant = np.zeros((homes, length), dtype=np.bool_)
    logs = np.empty((signals, TABLED))
    for s in range(signals):
        for v in range(TABLED):
            logs[s, v] = np.log(v + units[s, 0])
    since = max(
        0,
        length
        - how.days
        - max(how.guard_days, how.short_guard_days)
        - WEEK
        - max(3 * how.baseline_days, BLOCK_DAYS * BLOCKS_A_YEAR),
    )
    for bunch in numba.prange((homes + BUNCH - 1) // BUNCH):
        series, step, span = (
            np.empty((signals, length)),
            np.empty((signals, length)),
            np.empty((signals, length), dtype=np.int8),
        )
        bounds, flags = np.empty((2, signals, length)), np.empty((3, length), dtype=np.bool_)
        room = (
            bounds[0],
            bounds[1],
            np.empty(length, dtype=np.uint16),
            np.empty(BUCKETS + 1, dtype=np.int32),
            flags,
        )
        y, offset, windows = np.empty(length), np.empty(length), rung_room(how.baseline_days, how.days)
        odd = np.empty(signals, dtype=np.int64)
        for h in range(bunch * BUNCH, min(homes, (bunch + 1) * BUNCH)):
            for s in range(signals):
                odd[s] = _series(value[s, h], lag[s, h], units[s, 1] > 0, how, (series[s], step[s], span[s]))
            _vacant(series, lag, h, how, room, vacant[h])
            for s in range(signals):
                shock = said.shock[s, group[h]]
                for t in range(length):
                    offset[t] = (
                        units[s, 0] if t >= odd[s] else max(units[s, 0], 0.7 * step[s, t] / span[s, t])
                    )
                for t in range(np.uintp(since), np.uintp(max(since, odd[s]))):
                    usable = (
                        not np.isnan(series[s, t])
                        and not vacant[h, t]
                        and lag[s, h, t] < how.short_guard_days
                    )
                    y[t] = np.log(series[s, t] + offset[t]) - shock[t] if usable else np.nan
                for t in range(np.uintp(max(since, odd[s])), np.uintp(length)):
                    v = value[s, h, t]
                    usable = (v != UNKNOWN) & (not vacant[h, t]) & (lag[s, h, t] < how.short_guard_days)
                    y[t] = (
                        (logs[s, np.uintp(v)] if 0 <= v < TABLED else np.log(v + units[s, 0])) - shock[t]
                        if usable
                        else np.nan
                    )
                usual, spread = _usual(
                    y, how, (said.level[s], said.spread[s], offset), told[COUNT, s, h], windows
                )
                for k in range(how.days):
                    t = length - how.days + k
                    told[SPAN, s, h, k] = span[s, t]
                    if not np.isnan(usual[k]):
                        _in_units(
                            usual[k] + shock[t],
                            spread[k],
                            (np.log(series[s, t] + offset[t]), offset[t], step[s, t] / span[s, t]),
                            told[:, s, h, k],
                        )
    return told, vacant


@numba.njit(cache=True)
def _series(value, lag, may_be_coarse, how, out):
    """The series to judge, the step it moved in and the days each value spans: see grid.resolution and model.judged_series.

    Returns the day from which on the step is 1 and every value spans one day.
    """
    series, step, span = out
    guard, n = how.short_guard_days, how.coarse_days
    for t in range(len(value)):
        series[t] = value[t] if value[t] != UNKNOWN else np.nan
    step[:], span[:] = 1.0, 1
    gcd = odd = 0
    for u in range(len(value) - AGED_DAYS):
        if value[u] != UNKNOWN and lag[u] < AGED_DAYS and (gcd == 0 or value[u] % gcd):
            gcd = _common(gcd, value[u])
            if gcd == 1:
                break
        if gcd > 1:
            step[u + AGED_DAYS], odd = gcd, u + AGED_DAYS + 1
    if not may_be_coarse:
        return odd
    total = days = 0
    later = step[guard:]
    for u in range(len(later)):
        known = (value[u] != UNKNOWN) & (lag[u] < guard)
        total += value[u] if known else 0
        days += known
        # the first comparison only spares most days the division
        if (1.01 * later[u] * days > how.coarse_share * total) & (days > 0) and later[
            u
        ] > how.coarse_share * max(total / days, 1.0):
            t = u + guard
            span[t], series[t], odd = n, np.nan, t + 1
            if t >= n - 1:
                series[t] = 0.0
                for k in range(t - n + 1, t + 1):
                    series[t] += value[k] if value[k] != UNKNOWN and lag[k] == 0 else np.nan
                series[t] /= n
    return odd


@numba.njit(cache=True)
def _common(a, b):
    """Greatest common divisor of whole numbers from 0 on."""
    while b:
        a, b = b, a % b
    return a


@numba.njit(cache=True)
def _bucketed(series, lag, out):
    """Numbers from 0 on to one of BUCKETS, in order; what is not known, or was not on its day, to one more, whose count nobody asks for."""
    for t in range(len(series)):
        bucket = min((np.float32(series[t] + 1.0).view(np.int32) >> 20) - 127 * OCTAVE, BUCKETS - 1)
        out[t] = bucket if (lag[t] == 0) & (series[t] == series[t]) else BUCKETS


@numba.njit(cache=True)
def _edge(bucket):
    """The smallest number of a bucket."""
    return np.int32((bucket + 127 * OCTAVE) << 20).view(np.float32) - 1.0


@numba.njit(cache=True)
def _bounds(series, lag, how, out):
    """Between which numbers the trailing quantile of each day lies, from counting the window's values by bucket (NaN: too few of them)."""
    least, most, bucket, count = out
    length, days, n = len(series), how.vacancy_days, 0
    count[:] = 0
    place, passed = 0, 0  # the bucket that was asked for last, and how many values lie in those before it
    _bucketed(series, lag, bucket)
    t = 0
    while t < length:
        stop = min(length, t + WEEK - (how.ordinal + t) % WEEK)  # until when the quantile is held
        low = high = np.nan
        if n >= how.short_least_days:
            rank = int(0.6 * (n - 1))
            place, passed = _holding(count, rank, place, passed)
            above, _ = _holding(count, min(rank + 1, n - 1), place, passed)
            low, high = _edge(place), (np.inf if above == BUCKETS - 1 else _edge(above + 1))
        for u in range(np.uintp(t), np.uintp(stop)):
            least[u], most[u] = low, high
            count[bucket[u]] += 1
            passed += bucket[u] < place
            n += bucket[u] < BUCKETS
        for u in range(np.uintp(max(0, t - days)), np.uintp(max(0, stop - days))):
            count[bucket[u]] -= 1
            passed -= bucket[u] < place
            n -= bucket[u] < BUCKETS
        t = stop


@numba.njit(cache=True)
def _vacant(series, lag, h, how, room, vacant):
    """Days on which every signal that is there is low against its own trailing quantile: see model.vacant_days.

    As a rule the bounds of the quantiles tell; only for a day that they leave open is a window's quantile worked out.
    """
    least, most, bucket, count, flags = room
    for s in range(len(series)):
        _bounds(series[s], lag[s, h], how, (least[s], most[s], bucket, count))
    flags[:] = False
    for s in range(len(series)):
        _told(series[s], lag[s, h], (how.vacant_share, least[s], most[s]), flags[0], flags[1], flags[2])
    for t in range(len(vacant)):
        vacant[t] = (
            flags[0, t]
            and not flags[1, t]
            and (not flags[2, t] or _is_vacant(series, lag, h, how, t, least[:, t]))
        )


@numba.njit(cache=True)
def _told(series, lag, bounds, seen, lived, open_):
    """What one signal says of each day: that anything is known of it, that somebody lived there, that somebody may have."""
    share, least, most = bounds
    for t in range(len(series)):
        known = (lag[t] == 0) & (series[t] == series[t]) & (least[t] == least[t])
        seen[t] |= known
        lived[t] |= known & (series[t] > share * most[t])
        open_[t] |= known & (series[t] > share * least[t])


@numba.njit(cache=True)
def _is_vacant(series, lag, h, how, t, known):
    """Whether a day is, by the quantiles themselves; NaN among `known` are signals that say nothing of it."""
    anchor = max(0, t - (how.ordinal + t) % WEEK)
    for s in range(len(series)):
        v = series[s, t]
        if lag[s, h, t] == 0 and not np.isnan(v) and not np.isnan(known[s]):
            first = max(0, anchor - how.vacancy_days)
            quantile = _sorted_quantile(series[s], lag[s, h], first, anchor)
            if v > how.vacant_share * quantile:
                return False
    return True


@numba.njit(cache=True)
def _holding(count, rank, bucket, passed):
    """The bucket that holds the value of that rank, and how many lie before it; looked for from one of which that is known."""
    while passed > rank:
        bucket -= 1
        passed -= count[bucket]
    while passed + count[bucket] <= rank:
        passed += count[bucket]
        bucket += 1
    return bucket, passed


@numba.njit(cache=True)
def _sorted_quantile(series, lag, first, stop):
    kept, n = np.empty(stop - first), 0
    for u in range(first, stop):
        if not np.isnan(series[u]) and lag[u] == 0:
            kept[n] = series[u]
            n += 1
    return _quantile(np.sort(kept[:n]), 0.6)


@numba.njit(cache=True)
def _usual(y, how, peers, count, windows):
    """(K,) usual level and spread of the last days, in logarithms without the shock: see model._usual."""
    level, peers_spread, offset = peers
    days, length = how.days, len(y)
    usual, spread, n = np.full(days, np.nan), np.full(days, np.nan), np.zeros(days, dtype=np.int16)
    for guard, least, step in how.ladder:
        _rung(
            y,
            (how.weekday, how.ordinal),
            (guard, least, step, how.baseline_days),
            (usual, spread, n),
            windows,
        )
    for k in range(days):
        count[k] = n[k]
        if n[k]:
            other = peers_spread[k]
            share = how.own_spread_share * min(1.0, n[k] / (2 * how.least_days))
            mixed = spread[k] if np.isnan(other) else np.sqrt(share * spread[k] ** 2 + (1 - share) * other**2)
            spread[k] = max(mixed, how.least_spread)
    if how.past_level:
        _raise_to_past(y, how, usual, spread)
    for k in range(days):
        t = length - days + k
        if n[k] and not np.isnan(level[k]):
            usual[k] = max(usual[k], np.log(how.floor_share * level[k] + offset[t]))
    return usual, spread


@numba.njit(cache=True)
def _raise_to_past(y, how, usual, spread):
    """Usual is at least the level lived at before (levels.past_level), less how.luck spreads."""
    days, length = how.days, len(y)
    k = 0
    while k < days:
        guarded, least = length - days + k - how.guard_days, np.inf
        end = _weekly_anchor(guarded, how.ordinal)
        stop = min(days, k + WEEK - (guarded - end))  # the days of one anchor
        for j in range(k, stop):
            if not np.isnan(usual[j]):
                least = min(least, usual[j] + how.luck * spread[j])
        past = _second_block(y, end, least) if least < np.inf else -np.inf
        for j in range(k, stop):
            if not np.isnan(usual[j]):
                usual[j] = max(usual[j], past - how.luck * spread[j])
        k = stop


@numba.njit(cache=True)
def _second_block(y, end, least):
    """The second-highest block median of the past year where it exceeds `least`; else anything up to that."""
    highest, second, kept = -np.inf, least, np.empty(BLOCK_DAYS)
    for k in range(BLOCKS_A_YEAR):
        last = end - BLOCK_DAYS * k
        if last < 0:
            break
        first, stop, above, n = np.uintp(max(0, last - BLOCK_DAYS + 1)), np.uintp(last + 1), 0, 0
        for u in range(first, stop):
            above += y[u] > second
        if (
            above < BLOCK_DAYS // 4
        ):  # half of the fewest days that count; its median does not exceed the second so far
            continue
        for u in range(first, stop):
            kept[n] = y[u]
            n += not np.isnan(y[u])
        if n < BLOCK_DAYS // 2 or 2 * above < n:
            continue
        median = _median_near(kept[:n], second, second + 0.2)
        if median > highest:
            highest, second = median, max(second, highest)
        elif median > second:
            second = median
    return second


@numba.njit(cache=True)
def _in_units(centre, spread, observed, out):
    """Write EXPECTED, LOW, HIGH and SURPRISE of a day: see model.expect."""
    x, offset, step = observed
    amount = max(np.exp(centre) - offset, 0.0)
    spread = np.sqrt(spread**2 + (step / (amount + offset)) ** 2 / 12)
    out[EXPECTED] = amount
    out[LOW] = max(np.exp(centre - Z_90 * spread) - offset, 0.0)
    out[HIGH] = np.exp(centre + Z_90 * spread) - offset
    out[SURPRISE] = (x - centre) / spread
