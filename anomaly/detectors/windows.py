"""Sums of surprise over windows that end at the night, made comparable over nights and lengths."""

import numba
import numpy as np

from anomaly.peer_stats import compute_locally

PAST_NIGHTS = 240  # nights a night is compared with
GUARD_NIGHTS = 14  # nights before it that are left out, so that a running surge is not its own yardstick
LEAST_NIGHTS = 30
WEEK = 7
BODY, STRETCH = 1.1, 1.8
BUCKETS = 2_000  # in which scores are counted, to know about where a quantile lies
ABOVE = 20  # homes that must lie above a quantile for it to be steady


@numba.njit(cache=True, parallel=True, nogil=True)
def window_sums(z, lag, block, days, last=0):
    """(H, T) → (H, T): Σz/√(n · block) over the days of the window known by its last day; NaN under half of them.

    z: surprise, NaN where not judged; lag: days until a value was known; block: days each value spans; last: the windows
    that end on one of so many last days are given, (H, last); 0 for all.
    """
    homes, length = z.shape
    first = length - last if last else 0
    out = np.full((homes, length - first), np.nan)
    for h in numba.prange(homes):
        total, n = np.zeros(length - first), np.zeros(length - first)
        for back in range(days - 1, -1, -1):  # a day of all windows at once
            begin = np.uintp(max(first, back))
            for t in range(begin, np.uintp(length)):
                u = t - np.uintp(back)
                known = (z[h, u] == z[h, u]) & (lag[h, u] <= back)
                total[t - np.uintp(first)] += z[h, u] if known else 0.0
                n[t - np.uintp(first)] += 1.0 if known else 0.0
        for k in range(length - first):
            if 2 * n[k] >= days:
                out[h, k] = total[k] / np.sqrt(n[k] * block[h, first + k])
    return out


def scale_by_night_spread(z, lag, clip, peers_min, hear=compute_locally):
    """(H, T) surprise divided by that night's upper spread over all homes where it exceeds 1, then clipped to ±clip.

    Days that became known late have no part in the spread, so that it never changes afterwards.
    hear: asks the peers (anomaly.peers) instead of these homes, here and in the functions below.
    """

    def spread():
        q50, q84 = _columns(np.where(lag == 0, z, np.nan), (0.5, 0.84), peers_min)
        return q84 - q50

    with np.errstate(invalid="ignore"):
        return np.clip(z / np.fmax(1.0, hear("calm", spread)), -clip, clip)


def standardise_by_peers(score, peers_min, hear=compute_locally):
    """(score − q50) / max(1, spread / its trailing median), spread = upper quantile − q50 over the night's homes.

    A night on which everybody is odd (a festival, a storm) calms down; with too few peers nothing is changed.
    The upper quantile leaves ABOVE homes above it, to be steady, and lies between .9 and .98: the further out, the better
    it sees the few per cent who have guests at a feast.
    """
    q50, wide = hear("night", lambda: _night(score, peers_min))
    return np.where(np.isnan(q50), score, (score - q50) / wide)


def upper_tail_share(homes):
    """Share of so many homes that lie above the upper quantile by which a night's spread is told: where more are odd, the night is."""
    return np.clip(ABOVE / np.maximum(homes, 1), 0.02, 0.1)


def _night(score, peers_min):
    """(2, T): the median score of each night, and by how much its spread exceeds the usual one, at least 1."""
    upper = 1.0 - upper_tail_share((~np.isnan(score)).sum(axis=0))
    q50, high = _columns(score, (0.5, upper), peers_min)
    spread = high - q50
    usual = np.full_like(spread, np.nan)
    for t in range(spread.size):
        past = spread[max(0, t - PAST_NIGHTS) : t]
        past = past[~np.isnan(past)]
        if past.size >= LEAST_NIGHTS:
            usual[t] = np.median(past)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([q50, np.fmax(1.0, spread / usual)])


def scale_by_past(score, ordinal, hear=compute_locally):
    """(H, T) → (H, T): score divided by its own high quantile over the site's earlier nights, held for a week
    (anchored by `ordinal`, the day number of the first column).

    The quantile is low enough that surges, which are rarer, do not move it.
    """
    return score / hear("scale", lambda: _scale(score, ordinal))


def _scale(score, ordinal, quantile=0.97, start=3.0):
    """(T,) the divisor of each night; `start` is the divisor while there is no past, and counts like 3,000 home-nights of it."""
    nights = np.arange(score.shape[1])
    held = np.flatnonzero((nights == 0) | ((ordinal + nights) % WEEK == 0))
    first, stop = np.maximum(held - PAST_NIGHTS - GUARD_NIGHTS, 0), np.maximum(held - GUARD_NIGHTS, 0)
    own, known = _past_quantiles(np.ascontiguousarray(score.T), first, stop, quantile)
    share = known / (known + 3000.0)
    scale = share * np.maximum(np.where(known > 0, own, start), start / 4) + (1 - share) * start
    return np.repeat(scale, np.diff(np.append(held, len(nights))))


@numba.njit(cache=True, parallel=True, nogil=True)
def _past_quantiles(nights, first, stop, quantile):
    """(T, H) scores → the linear quantile of the known scores of each span of nights, and how many they are; NaN for none.

    Scores are counted in equal steps from the smallest to the largest: only those of the steps about the quantile are put in order.
    """
    low, high = np.inf, -np.inf
    for night in nights:
        for score in night:
            low, high = (
                min(low, score if score == score else np.inf),
                max(high, score if score == score else -np.inf),
            )
    steps = BUCKETS / max(high - low, 1e-9)
    bucket = np.empty(nights.shape, dtype=np.uint16)
    count = np.zeros((len(nights) + 1, BUCKETS + 1), dtype=np.int32)
    for t in numba.prange(len(nights)):
        for h in range(nights.shape[1]):
            score = nights[t, h]
            bucket[t, h] = min(max((score - low) * steps, 0.0), BUCKETS - 1.0) if score == score else BUCKETS
            count[t + 1, bucket[t, h]] += 1
    for t in range(len(nights)):
        count[t + 1] += count[t]
    own, known = np.full(len(first), np.nan), np.zeros(len(first))
    for k in numba.prange(len(first)):
        upto = np.cumsum(count[stop[k], :BUCKETS] - count[first[k], :BUCKETS])
        known[k] = upto[-1]
        if upto[-1] > 0:
            place = quantile * (upto[-1] - 1)
            least, most = (
                np.searchsorted(upto, int(place), side="right"),
                np.searchsorted(upto, min(int(place) + 1, upto[-1] - 1), side="right"),
            )
            before = upto[least - 1] if least > 0 else 0
            about, n = np.empty(upto[most] - before), 0
            for t in range(first[k], stop[k]):
                for h in range(np.uintp(nights.shape[1])):
                    if (bucket[t, h] >= least) & (bucket[t, h] <= most):
                        about[n] = nights[t, h]
                        n += 1
            about = np.sort(about)
            at = place - before
            below = int(at)
            above = min(below + 1, n - 1)
            own[k] = about[below] + (about[above] - about[below]) * (at - below)
    return own, known


def compress_tail(score):
    """The score, above BODY grown by its logarithm only: a heavy tail made to fall off exponentially, as rarity's common scale has it.

    STRETCH makes the two equal again at 2.2, where a site without a past of its own takes a score for one in 6,000.
    """
    tail = BODY + STRETCH * np.log2((1 + np.maximum(score, BODY)) / (1 + BODY))
    return np.where(score > BODY, tail, score)


@numba.njit(cache=True, parallel=True, nogil=True)
def consensus(sums):
    """(S, H, T) → (H, T): (Σ − ½ · range) / √(number present); NaN with fewer than two present."""
    signals, homes, nights = sums.shape
    out = np.full((homes, nights), np.nan)
    for h in numba.prange(homes):
        for t in range(nights):
            total, low, high, n = 0.0, np.inf, -np.inf, 0
            for s in range(signals):
                if not np.isnan(sums[s, h, t]):
                    total += sums[s, h, t]
                    low, high = min(low, sums[s, h, t]), max(high, sums[s, h, t])
                    n += 1
            if n >= 2:
                out[h, t] = (total - (high - low) / 2) / np.sqrt(n)
    return out


def best_window(scored: dict[int, np.ndarray]):
    """{days: (H, T) score} → the largest score and the days of its window (the shorter at a tie)."""
    lengths = sorted(scored)
    stack = np.stack([np.nan_to_num(scored[n], nan=-np.inf) for n in lengths])
    best = stack.max(axis=0)
    window = np.array(lengths, dtype=np.int16)[stack.argmax(axis=0)]
    return np.where(np.isneginf(best), np.nan, best), window


def _columns(values, quantiles, peers_min):
    """Column quantiles (linear; each a number or one a column), NaN for columns with fewer than `peers_min` known values.

    One sort a column, NaN last: what np.nanquantile gives, thirty times faster.
    """
    out = np.full((len(quantiles), values.shape[1]), np.nan)
    known = (~np.isnan(values)).sum(axis=0)
    asked = np.flatnonzero(known >= max(peers_min, 1))
    ordered = np.sort(values.T[asked], axis=1)
    row = np.arange(asked.size)
    for place, quantile in enumerate(quantiles):
        at = np.broadcast_to(quantile, known.shape)[asked] * (known[asked] - 1)
        low = np.floor(at).astype(np.int64)
        below, above = ordered[row, low], ordered[row, np.minimum(low + 1, known[asked] - 1)]
        out[place, asked] = below + (above - below) * (at - low)
    return out
