"""Read a cleaned register off at the local midnights, and subtract: the use of each day.

A midnight is known where a believed reading lies on it, or close enough on both sides of it and on one line:
then the level is interpolated. It is never interpolated across a gap. Of a register that is read about once
a day, a reading within a quarter of an hour of midnight is the midnight reading; at another hour the use
between two readings that lie a day apart is that of the day between the midnights that they stand for.
"""

import numba
import numpy as np

from anomaly.compiled import compiled
from anomaly.readings.cells import DOUBTFUL, INTERPOLATED, MISSING, READ, note_code
from anomaly.readings.register_cleaning import (
    DECIDED_BY,
    LEVEL,
    METERING_DAY_MARGIN,
    NEAR_MIDNIGHT,
    NO_MIDNIGHT,
    PENDING,
    READING_NOTE,
    SEGMENT,
)
from anomaly.readings.timestamps import DAY

# Columns of a day. USE: base units, where the quality is READ or INTERPOLATED. KNOWN_ON: the day whose night
# is the first to know it. HEAVIEST: the heaviest READING_NOTE of its readings.
QUALITY, NOTE, USE, KNOWN_ON, HEAVIEST = range(5)

# Columns of a midnight: how it is known, then LEVEL, SEGMENT (−1: on no line) and DECIDED_BY (−1: nothing
# later changes it) as of a cleaned reading.
_STATUS, _LEVEL, _SEGMENT, _DECIDED_BY = range(4)
_EXACT, _BETWEEN, _NO_READING, _UNDECIDED, _NOT_BELIEVED = range(5)

_NO_NOTE, _GAP, _UNCONFIRMED = note_code(None), note_code("gap"), note_code("unconfirmed")
_GLITCH, _RESET = note_code("glitch"), note_code("reset")


@compiled(parallel=True, nogil=True)
def daily_use(times, cleaned, stood_for, night_of, starts, home_of_span, first_day, last_day, max_distance):
    """Return the days of each span from `first_day` to `last_day`: (days of all spans, 5) int64.

    times, starts: as for `register_cleaning.clean`; cleaned, stood_for: the readings it gives, and their
    midnights. night_of: (readings,) the day (since 1970) whose night is the first that may use each reading.
    home_of_span, first_day, last_day: (spans,) whose days they are, and days since 1970. max_distance (µs):
    how far from a midnight the believed readings on both sides of it may lie.
    """
    spans = len(first_day)
    first_row = np.zeros(spans + 1, np.int64)
    for span in range(spans):
        first_row[span + 1] = first_row[span] + last_day[span] - first_day[span] + 1
    out = np.zeros((first_row[spans], 5), np.int64)
    for span in numba.prange(spans):
        a, b = starts[home_of_span[span]], starts[home_of_span[span] + 1]
        row, days = first_row[span], last_day[span] - first_day[span] + 1
        midnights = np.arange(first_day[span], last_day[span] + 2) * DAY
        edges = _read_midnights(times[a:b], cleaned[a:b], stood_for[a:b], midnights, max_distance)
        for k in range(days):
            _write_day(edges[k], edges[k + 1], first_day[span] + k, night_of, out[row + k])
        for i in range(a, b):
            k = (times[i] - 1) // DAY - first_day[span]
            if k >= 0 and k < days:
                out[row + k, HEAVIEST] = max(out[row + k, HEAVIEST], cleaned[i, READING_NOTE])
        _write_metering_days(
            times, cleaned, stood_for, night_of, a, b, first_day[span], out[row : row + days]
        )
    return out


@compiled()
def _read_midnights(times, cleaned, stood_for, midnights, max_distance):
    """Return (midnights, 4) int64: each midnight of one home, with the columns above."""
    edges = np.zeros((len(midnights), 4), np.int64)
    # left, right: indices of the nearest believed reading before each midnight, and of that at or after it
    n, following, left, right = len(times), 0, -1, 0
    for m in range(len(midnights)):
        at = midnights[m]
        while following < n and times[following] < at:
            if cleaned[following, SEGMENT] >= 0:
                left = following
            following += 1
        right = max(right, following)
        while right < n and cleaned[right, SEGMENT] < 0:
            right += 1
        exact = following < n and times[following] == at
        close_before = following > 0 and at - times[following - 1] <= max_distance
        close_after = following < n and times[following] - at <= max_distance
        if not exact and not (close_before and close_after):
            _read_from_one_side(times, cleaned, stood_for, following, at, edges[m])
        elif right == n:
            edges[m, _STATUS], edges[m, _DECIDED_BY] = _UNDECIDED, -1
        else:
            edges[m, _DECIDED_BY] = cleaned[right, DECIDED_BY]
            edges[m, _STATUS] = _read_between(times, cleaned, left, right, at, max_distance, edges[m])
    return edges


@compiled()
def _read_between(times, cleaned, left, right, at, max_distance, edge):
    """Write level and segment of the midnight `at` between two believed readings; return how it is known."""
    edge[_LEVEL], edge[_SEGMENT] = cleaned[right, LEVEL], cleaned[right, SEGMENT]
    if times[right] == at:
        return _EXACT
    if left < 0 or at - times[left] > max_distance or times[right] - at > max_distance:
        return _NOT_BELIEVED
    if cleaned[left, SEGMENT] != cleaned[right, SEGMENT]:
        edge[_SEGMENT] = -1  # the base changed around this midnight: the days on both sides of it are lost
        return _BETWEEN
    share = (at - times[left]) / (times[right] - times[left])
    rise = cleaned[right, LEVEL] - cleaned[left, LEVEL]
    edge[_LEVEL] = cleaned[left, LEVEL] + np.int64(np.floor(rise * share + 0.5))
    return _BETWEEN


@compiled()
def _read_from_one_side(times, cleaned, stood_for, following, at, edge):
    """Write the midnight `at` of which only one side has a reading close by, if any; `following`: the next.

    A reading within a quarter of an hour is that of the midnight where it lies long after the one before it.
    """
    edge[_STATUS], edge[_DECIDED_BY], near = _NO_READING, -1, -1
    if following > 0 and at - times[following - 1] <= NEAR_MIDNIGHT:
        near = following - 1
    elif following < len(times) and times[following] - at <= NEAR_MIDNIGHT:
        near = following
    if near < 0 or stood_for[near] == NO_MIDNIGHT:
        return
    if cleaned[near, SEGMENT] == PENDING:
        edge[_STATUS] = _UNDECIDED
        return
    edge[_DECIDED_BY] = cleaned[near, DECIDED_BY]
    edge[_STATUS] = _EXACT if cleaned[near, SEGMENT] >= 0 else _NOT_BELIEVED
    edge[_LEVEL], edge[_SEGMENT] = cleaned[near, LEVEL], cleaned[near, SEGMENT]


@compiled()
def _write_metering_days(times, cleaned, stood_for, night_of, start, end, first_day, out):
    """Write days that no midnight gives: each between two readings (start … end) that lie a day apart."""
    for j in range(start + 1, end):
        is_metering_day = abs(times[j] - times[j - 1] - DAY) <= METERING_DAY_MARGIN
        day, k = stood_for[j - 1], stood_for[j - 1] - first_day
        if not is_metering_day or stood_for[j] != day + 1 or k < 0 or k >= len(out):
            continue
        if stood_for[j - 1] == NO_MIDNIGHT or out[k, QUALITY] != MISSING:
            continue
        opening, closing = cleaned[j - 1], cleaned[j]
        if opening[SEGMENT] == PENDING or closing[SEGMENT] == PENDING:
            out[k, QUALITY], out[k, NOTE] = DOUBTFUL, _UNCONFIRMED
            continue
        # of the day's readings none but the one that closes it is part of it
        out[k, KNOWN_ON], out[k, HEAVIEST] = day, closing[READING_NOTE]
        for decided in (opening[DECIDED_BY], closing[DECIDED_BY]):
            # the reading that closes a metering day belongs to its night, however long after midnight it is
            known = stood_for[decided] - 1 if stood_for[decided] != NO_MIDNIGHT else night_of[decided]
            out[k, KNOWN_ON] = max(out[k, KNOWN_ON], known)
        if opening[SEGMENT] < 0 or closing[SEGMENT] < 0:
            out[k, QUALITY], out[k, NOTE] = DOUBTFUL, _GLITCH
        elif opening[SEGMENT] != closing[SEGMENT]:
            out[k, QUALITY], out[k, NOTE] = DOUBTFUL, _RESET
        else:
            out[k, QUALITY], out[k, NOTE] = INTERPOLATED, _NO_NOTE
            out[k, USE] = closing[LEVEL] - opening[LEVEL]


@compiled()
def _write_day(opening, closing, day, night_of, out):
    """Write the day between two midnights."""
    out[KNOWN_ON] = day
    if opening[_STATUS] == _NO_READING or closing[_STATUS] == _NO_READING:
        out[QUALITY], out[NOTE] = MISSING, _GAP
    elif opening[_STATUS] == _UNDECIDED or closing[_STATUS] == _UNDECIDED:
        out[QUALITY], out[NOTE] = DOUBTFUL, _UNCONFIRMED
    else:
        out[KNOWN_ON] = max(day, night_of[opening[_DECIDED_BY]], night_of[closing[_DECIDED_BY]])
        if opening[_STATUS] == _NOT_BELIEVED or closing[_STATUS] == _NOT_BELIEVED:
            out[QUALITY], out[NOTE] = DOUBTFUL, _GLITCH
        elif opening[_SEGMENT] != closing[_SEGMENT] or opening[_SEGMENT] < 0:
            out[QUALITY], out[NOTE] = DOUBTFUL, _RESET
        else:
            both_exact = opening[_STATUS] == _EXACT and closing[_STATUS] == _EXACT
            out[QUALITY], out[NOTE] = (READ if both_exact else INTERPOLATED), _NO_NOTE
            out[USE] = closing[_LEVEL] - opening[_LEVEL]
