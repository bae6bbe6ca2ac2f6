"""Sum surprise over windows that end at the night, and make the sums comparable over nights and lengths."""

from collections.abc import Mapping, Sequence

import numba
import numpy as np

from anomaly.compiled import compiled
from anomaly.expected.expectation import Expectation
from anomaly.peer_stats import PeerLookup, PeerStats, compute_locally, peer_lookup

PAST_NIGHTS = 240
"""Nights that a night is compared with."""
GUARD_NIGHTS = 14
"""Nights before it that are left out, so that a running surge is not its own yardstick."""
MIN_NIGHTS = 30
"""Past nights without which a night's spread is not compared with the usual one."""
WEEK = 7
TAIL_FROM, TAIL_STRETCH = 1.1, 1.8
"""Above TAIL_FROM `compress_tail` grows by the logarithm; TAIL_STRETCH makes it equal to the score again at
2.2, where a site without a past of its own takes a score for one in 6,000."""
BUCKETS = 2_000
"""Steps in which scores are counted, to know roughly where a quantile lies."""
HOMES_ABOVE = 20
"""Homes that must lie above a quantile for it to be steady."""
SCALE_QUANTILE = 0.97
FIRST_SCALE, FIRST_SCALE_WEIGHT = 3.0, 3_000.0
"""The divisor of `scale_by_past` while there is no past, and how many home-nights of it that counts for."""


# --- the steps that all detectors share ---------------------------------------------------------------------


def clipped_surprise(
    expected: Expectation, peers: PeerStats | None, clip: float, peers_min: int
) -> list[np.ndarray]:
    """Return each signal's surprise, (H, T), scaled by the night's spread and clipped to ±clip."""
    grid = expected.grid
    return [
        scale_by_night_spread(
            expected.surprise[s], grid.lag[s], clip, peers_min, peer_lookup(peers, grid, signal)
        )
        for s, signal in enumerate(grid.signals)
    ]


def sums_by_signal(expected: Expectation, surprise: Sequence[np.ndarray], days: int) -> np.ndarray:
    """Return the window sums of each signal's surprise, (S, H, nights), for the nights that are asked for."""
    lag, span_days = expected.grid.lag, expected.span_days
    nights = expected.scored_nights or expected.grid.days
    sums = np.empty((len(surprise), len(expected.vacant), nights))
    for s, z in enumerate(surprise):
        sums[s] = window_sums(z, lag[s], span_days[s], days, expected.scored_nights)
    return sums


def to_common_scale(
    sums: np.ndarray, expected: Expectation, peers: PeerStats | None, name: str, peers_min: int
) -> np.ndarray:
    """Return window sums (H, nights) as scores: measured by the night's peers, then by the site's own past.

    name: of the sums, under which `peers` keeps their statistics.
    """
    lookup = peer_lookup(peers, expected.grid, name, expected.scored_nights)
    return scale_by_past(standardise_by_peers(sums, peers_min, lookup), expected.grid.ordinal, lookup)


# --- from surprise to sums ----------------------------------------------------------------------------------


def scale_by_night_spread(
    z: np.ndarray, lag: np.ndarray, clip: float, peers_min: int, lookup: PeerLookup = compute_locally
) -> np.ndarray:
    """Return surprise (H, T) divided by the night's upper spread where that exceeds 1, then clipped to ±clip.

    Days that became known late have no part in the spread, so that it never changes afterwards. lookup: here
    and in the functions below, looks up the peers' statistics instead of taking those of these homes.
    """

    def upper_spread() -> np.ndarray:
        q50, q84 = _column_quantiles(np.where(lag == 0, z, np.nan), (0.5, 0.84), peers_min)
        return q84 - q50

    with np.errstate(invalid="ignore"):
        return np.clip(z / np.fmax(1.0, lookup("calm", upper_spread)), -clip, clip)


@compiled(parallel=True, nogil=True)
def window_sums(z, lag, span_days, days, last=0):
    """Return Σz/√(n · span) over each window's days known by its last day; NaN under half of them.

    (H, T). z: (H, T) surprise, NaN where not judged. lag: days until a value was known. span_days: days each
    value spans. days: length of the windows. last: only the windows that end on one of so many last days are
    asked for, (H, last); 0 for all.
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
                out[h, k] = total[k] / np.sqrt(n[k] * span_days[h, first + k])
    return out


def consensus(sums: np.ndarray) -> np.ndarray:
    """Return (Σ − ½ · range) / √(present) of the signals, (S, H, T) → (H, T); NaN with fewer than two."""
    present = (~np.isnan(sums)).sum(axis=0)
    spread = np.fmax.reduce(sums) - np.fmin.reduce(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = (np.nansum(sums, axis=0) - spread / 2) / np.sqrt(present)
    return np.where(present >= 2, joint, np.nan)


# --- from sums to scores ------------------------------------------------------------------------------------


def standardise_by_peers(
    score: np.ndarray, peers_min: int, lookup: PeerLookup = compute_locally
) -> np.ndarray:
    """Return (score − q50) / max(1, spread / its trailing median), where spread = upper quantile − q50.

    All of that night's homes. A night on which everybody is odd (a festival, a storm) is brought down; with
    too few peers nothing is changed. The upper quantile leaves HOMES_ABOVE homes above it, to be steady, and
    lies between .9 and .98: the further out, the better it sees the few per cent who have guests at a feast.
    """
    q50, widening = lookup("night", lambda: _middle_and_widening(score, peers_min))
    return np.where(np.isnan(q50), score, (score - q50) / widening)


def upper_tail_share(homes: int | np.ndarray) -> np.ndarray:
    """Return the share of so many homes that lie above the upper quantile of `standardise_by_peers`.

    Where a larger share is odd, the night is taken to be odd, not the homes.
    """
    return np.clip(HOMES_ABOVE / np.maximum(homes, 1), 0.02, 0.1)


def _middle_and_widening(score: np.ndarray, peers_min: int) -> np.ndarray:
    """Return each night's median, and how many times its usual spread is exceeded, at least 1, (2, T)."""
    upper = 1.0 - upper_tail_share((~np.isnan(score)).sum(axis=0))
    q50, high = _column_quantiles(score, (0.5, upper), peers_min)
    spread = high - q50
    usual = np.full_like(spread, np.nan)
    for t in range(spread.size):
        past = spread[max(0, t - PAST_NIGHTS) : t]
        past = past[~np.isnan(past)]
        if past.size >= MIN_NIGHTS:
            usual[t] = np.median(past)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([q50, np.fmax(1.0, spread / usual)])


def scale_by_past(score: np.ndarray, ordinal: int, lookup: PeerLookup = compute_locally) -> np.ndarray:
    """Return scores (H, T) divided by their own high quantile over the site's earlier nights.

    The divisor is held for a week; ordinal, the day number of the first column, anchors the weeks. The
    quantile is low enough that surges, which are rarer, do not move it.
    """
    return score / lookup("scale", lambda: _past_scale(score, ordinal))


def _past_scale(score: np.ndarray, ordinal: int) -> np.ndarray:
    """Return the divisor of each night, (T,)."""
    nights = np.arange(score.shape[1])
    anchors = np.flatnonzero((nights == 0) | ((ordinal + nights) % WEEK == 0))
    first = np.maximum(anchors - PAST_NIGHTS - GUARD_NIGHTS, 0)
    stop = np.maximum(anchors - GUARD_NIGHTS, 0)
    own, known = _past_quantiles(np.ascontiguousarray(score.T), first, stop, SCALE_QUANTILE)
    share = known / (known + FIRST_SCALE_WEIGHT)
    own = np.maximum(np.where(known > 0, own, FIRST_SCALE), FIRST_SCALE / 4)
    return np.repeat(share * own + (1 - share) * FIRST_SCALE, np.diff(np.append(anchors, len(nights))))


@compiled(parallel=True, nogil=True)
def _past_quantiles(nights, first, stop, quantile):
    """Return the quantile of the known scores of each span of nights (NaN for none), and how many they are.

    nights: (T, H) scores. first, stop: the spans. Scores are counted in equal steps from the smallest to the
    largest; only those of the steps around the quantile are sorted. A fifteenth of the time of np.nanquantile
    (tests/benchmarks/kernels.py).
    """
    low, high = np.inf, -np.inf
    for night in nights:
        for score in night:
            low = min(low, score if score == score else np.inf)
            high = max(high, score if score == score else -np.inf)
    steps = BUCKETS / max(high - low, 1e-9)
    bucket = np.empty(nights.shape, dtype=np.uint16)
    count = np.zeros((len(nights) + 1, BUCKETS + 1), dtype=np.int32)  # cumulated over the nights
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
            lowest = np.searchsorted(upto, int(place), side="right")
            highest = np.searchsorted(upto, min(int(place) + 1, upto[-1] - 1), side="right")
            before = upto[lowest - 1] if lowest > 0 else 0
            near, n = np.empty(upto[highest] - before), 0
            for t in range(first[k], stop[k]):
                for h in range(np.uintp(nights.shape[1])):
                    if (bucket[t, h] >= lowest) & (bucket[t, h] <= highest):
                        near[n] = nights[t, h]
                        n += 1
            near = np.sort(near)
            below = int(place - before)
            above = min(below + 1, n - 1)
            own[k] = near[below] + (near[above] - near[below]) * (place - before - below)
    return own, known


def compress_tail(score: np.ndarray) -> np.ndarray:
    """Return the score, above TAIL_FROM grown by its logarithm only.

    A heavy tail is so made to fall off exponentially, as the common scale of rarity assumes.
    """
    tail = TAIL_FROM + TAIL_STRETCH * np.log2((1 + np.maximum(score, TAIL_FROM)) / (1 + TAIL_FROM))
    return np.where(score > TAIL_FROM, tail, score)


def best_window(score_by_days: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest score and the days of its window, the shorter at a tie, both (H, T).

    score_by_days: length of the window → (H, T) score.
    """
    lengths = sorted(score_by_days)
    stack = np.stack([np.nan_to_num(score_by_days[n], nan=-np.inf) for n in lengths])
    best = stack.max(axis=0)
    window = np.array(lengths, dtype=np.int16)[stack.argmax(axis=0)]
    return np.where(np.isneginf(best), np.nan, best), window


def _column_quantiles(
    values: np.ndarray, quantiles: Sequence[float | np.ndarray], peers_min: int
) -> np.ndarray:
    """Return linear quantiles of each column, (quantiles, T); NaN with fewer than `peers_min` known values.

    quantiles: each a number, or one for each column, which np.nanquantile cannot do.
    """
    out = np.full((len(quantiles), values.shape[1]), np.nan)
    known = (~np.isnan(values)).sum(axis=0)
    asked = np.flatnonzero(known >= max(peers_min, 1))
    ordered = np.sort(values.T[asked], axis=1)  # NaN last
    row = np.arange(asked.size)
    for i, quantile in enumerate(quantiles):
        place = np.broadcast_to(quantile, known.shape)[asked] * (known[asked] - 1)
        low = np.floor(place).astype(np.int64)
        below, above = ordered[row, low], ordered[row, np.minimum(low + 1, known[asked] - 1)]
        out[i, asked] = below + (above - below) * (place - low)
    return out
