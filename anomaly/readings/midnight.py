"""A settled register at the local midnights, and the days between them."""

import numba
import numpy as np

from anomaly.readings.register_cleaning import DAY, DECIDED, LEVEL, NOTE, SEGMENT

READ, INTERPOLATED, GAP, WAITING, GLITCH, RESET = range(6)  # what a day is
STATE, USE, KNOWN, WORD = range(4)  # columns of what `days_between` gives
_AT, _NEAR, _NO_READING, _UNDECIDED, _NOT_BELIEVED = range(5)  # what a midnight is


@numba.njit(cache=True, parallel=True, nogil=True)
def days_between(times, settled, known, starts, spans, within):
    """int64 array (days of all homes, 4): what the day is, its use, the day it is known from, the heaviest note of its readings.

    known: the day (since 1970) whose night may use each reading. spans: (homes, 3): first day, last day, first row of the result.
    within (µs): a midnight is known only if a believed reading lies so close on both sides, on one line.
    """
    rows = 0
    for home in range(len(spans)):
        rows += spans[home, 1] - spans[home, 0] + 1
    out = np.zeros((rows, 4), np.int64)
    for home in numba.prange(len(spans)):
        a, b = starts[home], starts[home + 1]
        first, last, row = spans[home]
        edges = _midnights(times[a:b], settled[a:b], np.arange(first, last + 2) * DAY, within)
        for k in range(last - first + 1):
            _day(edges[k], edges[k + 1], first + k, known, out[row + k])
        for i in range(a, b):
            k = (times[i] - 1) // DAY - first
            if k >= 0 and k <= last - first and out[row + k, STATE] <= INTERPOLATED:
                out[row + k, WORD] = max(out[row + k, WORD], settled[i, NOTE])
    return out


@numba.njit(cache=True)
def _midnights(times, settled, midnights, within):
    """(midnights, 4): what it is, level, segment, index of the reading that decided it (-1: nothing later changes it)."""
    edges = np.zeros((len(midnights), 4), np.int64)
    n, right, believed_left, believed_right = len(times), 0, -1, 0
    for m in range(len(midnights)):
        at = midnights[m]
        while right < n and times[right] < at:
            if settled[right, SEGMENT] >= 0:
                believed_left = right
            right += 1
        believed_right = max(believed_right, right)
        while believed_right < n and settled[believed_right, SEGMENT] < 0:
            believed_right += 1
        exact = right < n and times[right] == at
        close = right > 0 and at - times[right - 1] <= within and right < n and times[right] - at <= within
        if not exact and not close:
            edges[m, 0], edges[m, 3] = _NO_READING, -1
        elif believed_right == n:
            edges[m, 0], edges[m, 3] = _UNDECIDED, -1
        else:
            edges[m, 3] = settled[believed_right, DECIDED]
            edges[m, 0] = _level(times, settled, believed_left, believed_right, (at, within), edges[m])
    return edges


@numba.njit(cache=True)
def _level(times, settled, left, right, place, edge):
    """Write level and segment of a midnight between two believed readings; return what the midnight is."""
    at, within = place
    edge[1], edge[2] = settled[right, LEVEL], settled[right, SEGMENT]
    if times[right] == at:
        return _AT
    if left < 0 or at - times[left] > within or times[right] - at > within:
        return _NOT_BELIEVED
    if settled[left, SEGMENT] != settled[right, SEGMENT]:
        edge[2] = -1  # on no line: the days on both sides see a change of base
        return _NEAR
    share = (at - times[left]) / (times[right] - times[left])
    edge[1] = settled[left, LEVEL] + np.int64(
        np.floor((settled[right, LEVEL] - settled[left, LEVEL]) * share + 0.5)
    )
    return _NEAR


@numba.njit(cache=True)
def _day(opening, closing, day, known, out):
    out[KNOWN] = day
    worst = max(opening[0], closing[0])
    if opening[0] == _NO_READING or closing[0] == _NO_READING:
        out[STATE] = GAP
        return
    if worst == _UNDECIDED or opening[0] == _UNDECIDED or closing[0] == _UNDECIDED:
        out[STATE] = WAITING
        return
    out[KNOWN] = max(day, known[opening[3]], known[closing[3]])
    if worst == _NOT_BELIEVED:
        out[STATE] = GLITCH
    elif opening[2] != closing[2] or opening[2] < 0:
        out[STATE] = RESET
    else:
        out[STATE] = READ if worst == _AT else INTERPOLATED
        out[USE] = closing[1] - opening[1]
