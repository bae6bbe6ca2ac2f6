"""Which readings of a register are to be believed, and on what line they lie.

One pass over a home's readings in time order, knowing nothing of what comes later: a reading that fits is taken at once;
one that does not waits, with those that agree with it, until later readings tell what it was.

- A drop within the jitter is held at the running maximum (roll-back).
- A reading that leaves the line and is contradicted by the next ones is a glitch and dropped.
- One that stays is a change of base: a roll-over, if the old reading was near 10^k, the new one is near 0 and the use
  between them is likely; else a reset or an exchange, and the use across it is nobody's.
- A rise that is possible but far above all days before waits for one further reading.
"""

from typing import NamedTuple

import numba
import numpy as np

DAY = 86_400_000_000  # microseconds
REGISTER_NOTES = (
    "",
    "rollback",
    "glitch",
    "rollover",
    "reset",
)  # by weight: of a day's notes the last one here is told
_ROLLBACK, _GLITCH, _ROLLOVER, _RESET = 1, 2, 3, 4
LEVEL, SEGMENT, DECIDED, NOTE = range(4)  # columns of what `settle` gives
PENDING, DROPPED = -2, -1  # in place of a segment

BASE, TIME, OFFSET, LINE, LARGEST, SEEN, ANCHOR_DAY, ANCHOR, STEP, RISES = range(10)  # state of one home
STATES = 10
REMEMBERED_DAYS = 3  # the last day that is final, the one after it, and the one on which what waits began
STAYED = 2  # further readings that make a change of base …
STAYED_FOR = DAY // 2  # … and the time they must span: faults of hourly meters last a few readings
SETTLED_DAYS = 14  # days before a home's own largest day says what is usual, where the unit has no floor
SURGE = 3.0  # times the largest day so far
KNOWN_STEP = 10  # rises before a home's own step is believed
_FITS, _HIGH, _BEYOND, _DROP = range(4)


class Limits(NamedTuple):
    """What a register of this unit can do; base units."""

    jitter: int  # a drop up to this is no fault
    per_day: float  # no day exceeds it
    floor: float  # a rise up to this needs no second reading; inf: only the home's own days tell


@numba.njit(cache=True)
def settle(times, values, starts, limits):
    """int64 array (readings, 4): level, segment, index of the reading that decided it, note.

    times (µs) and values (int64) are sorted by home and time; `starts` are the homes' first indices and the total (homes + 1).
    Levels of one segment may be subtracted. Segment PENDING: not decided yet; DROPPED: not believed.
    """
    return settle_on(times, values, starts, limits, fresh(times, values, starts))[0]


@numba.njit(cache=True)
def fresh(times, values, starts):
    """int64 array (homes, STATES): the state of homes whose first readings these are."""
    states = np.zeros((len(starts) - 1, STATES), np.int64)
    for home in range(len(states)):
        states[home, BASE], states[home, TIME], states[home, ANCHOR_DAY] = (
            values[starts[home]],
            times[starts[home]],
            -1,
        )
    return states


@numba.njit(cache=True, parallel=True, nogil=True)
def settle_on(times, values, starts, limits, states):
    """What `settle` gives, from the state each home was in before its first reading here; and what later readings need.

    Second array (homes, 2): index of the first reading that later ones must be settled with, and the first day that they
    may still change. Third (homes, STATES): the state before that reading. From there on the outcome is the same as if
    all readings had been settled at once.
    """
    out, needed = np.zeros((len(times), 4), np.int64), np.zeros((len(states), 2), np.int64)
    then = np.zeros_like(states)
    for home in numba.prange(len(starts) - 1):
        a, b = starts[home], starts[home + 1]
        clean, index = np.zeros((REMEMBERED_DAYS, STATES), np.int64), np.full(REMEMBERED_DAYS, -1)
        _settle_home(times[a:b], values[a:b], limits, out[a:b], (states[home].copy(), clean, index))
        place, day = _cut(times[a:b], out[a:b], index)
        then[home], needed[home, 0], needed[home, 1] = clean[place], a + index[place], day
        out[a:b, DECIDED] += a
    return out, needed, then


@numba.njit(cache=True)
def _cut(times, out, index):
    """Which of the remembered days later readings must begin with, and the first day that is not final.

    A midnight is final once a reading at or after it is believed, a day once its closing midnight is; its opening one
    needs the readings of the day before. What waits is at the end and began on one of the remembered days at most.
    """
    last = len(times) - 1
    while last > 0 and out[last, SEGMENT] < 0:
        last -= 1
    day = times[last] // DAY if out[last, SEGMENT] >= 0 else (times[0] - 1) // DAY
    place, earliest = -1, -1
    for k in range(len(index)):
        if index[k] >= 0:
            if earliest < 0 or index[k] < index[earliest]:
                earliest = k
            if (times[index[k]] - 1) // DAY < day and (place < 0 or index[k] > index[place]):
                place = k
    return (earliest if place < 0 else place), day


@numba.njit(cache=True)
def _settle_home(times, values, limits, out, memory):
    state, clean, index = memory  # the last days that began with nothing waiting: the state then, and where
    first, kind, days = -1, _FITS, 0  # the readings first … j - 1 wait, and why the first of them does
    for j in range(len(times)):
        if first < 0 and (j == 0 or (times[j] - 1) // DAY != (times[j - 1] - 1) // DAY):
            clean[days % REMEMBERED_DAYS], index[days % REMEMBERED_DAYS] = state, j
            days += 1
        fit = _fit(times[j], values[j], state, limits)
        agrees = first >= 0 and _agrees(times, values, j, state, limits)
        if agrees and kind == _HIGH:
            for i in range(first, j):
                _take(times, values, i, j, state, out)
            first, agrees = -1, False
            fit = _fit(times[j], values[j], state, limits)
        if agrees and (kind == _BEYOND or fit != _FITS):
            out[j, SEGMENT] = PENDING
            if j - first >= STAYED and times[j] - times[first] >= STAYED_FOR and values[j] > 0:
                _change_base(times, values, first, state, limits, out)
                for i in range(first, j + 1):
                    _take(times, values, i, j, state, out)
                first = -1
            continue
        if first >= 0:  # contradicted
            out[first:j, SEGMENT], out[first:j, DECIDED], out[first:j, NOTE] = DROPPED, j, _GLITCH
            first = -1
        if fit == _FITS:
            _take(times, values, j, j, state, out)
        else:
            first, kind = j, fit
            out[j, SEGMENT] = PENDING


@numba.njit(cache=True)
def _fit(time, value, state, limits):
    rise, days = value - state[BASE], (time - state[TIME]) / DAY
    if rise < -_jitter(state, limits):
        return _DROP
    if rise > limits.per_day * max(days, 0.25):
        return _BEYOND
    return _HIGH if rise > _usual(days, state, limits) else _FITS


@numba.njit(cache=True)
def _usual(days, state, limits):
    """The rise over so many days that needs no second reading."""
    if np.isinf(limits.floor):
        day = SURGE * state[LARGEST] if state[SEEN] >= SETTLED_DAYS else np.inf
    else:
        day = max(limits.floor, SURGE * state[LARGEST])
    return day * max(days, 1.0)


@numba.njit(cache=True)
def _jitter(state, limits):
    return max(limits.jitter, 2 * _step(state))


@numba.njit(cache=True)
def _step(state):
    """The step the register counts in, as far as its rises tell; 0 while there are too few."""
    return state[STEP] if state[RISES] >= KNOWN_STEP else 0


@numba.njit(cache=True)
def _agrees(times, values, j, state, limits):
    """Whether reading j goes on from the reading before it, which waits."""
    rise = values[j] - values[j - 1]
    return -_jitter(state, limits) <= rise <= limits.per_day * max((times[j] - times[j - 1]) / DAY, 0.25)


@numba.njit(cache=True)
def _take(times, values, i, j, state, out):
    """Reading i is believed since reading j; the register never runs backwards."""
    rise = values[i] - state[BASE]
    if rise < 0:
        out[i, NOTE] = _ROLLBACK
    if rise > 0:
        a, b = state[STEP], rise
        while b:
            a, b = b, a % b
        state[STEP] = a
        state[RISES] += 1
    state[BASE] = max(values[i], state[BASE])
    state[TIME] = times[i]
    level = state[BASE] + state[OFFSET]
    out[i, LEVEL], out[i, SEGMENT], out[i, DECIDED] = level, state[LINE], j
    day = (times[i] - 1) // DAY
    if state[ANCHOR_DAY] < 0:
        state[ANCHOR_DAY], state[ANCHOR] = day, level
    elif day > state[ANCHOR_DAY]:
        days = day - state[ANCHOR_DAY]
        state[LARGEST] = max(state[LARGEST], (level - state[ANCHOR]) // days)
        state[SEEN] += days
        state[ANCHOR_DAY], state[ANCHOR] = day, level


@numba.njit(cache=True)
def _change_base(times, values, first, state, limits, out):
    """Make reading `first` the new base: a roll-over goes on counting, a reset begins a new segment."""
    old, new = state[BASE], values[first]
    top = 10_000
    while top <= old or top < 10_000 * _step(state):
        top *= 10
    use, days = top - old + new, (times[first] - state[TIME]) / DAY
    likely = min(_usual(days, state, limits), limits.per_day * max(days, 0.25))
    if new < old and top - old <= top // 10 and new <= top // 10 and use <= likely:
        state[OFFSET] += top
        state[BASE] = 0
        out[first, NOTE] = _ROLLOVER
    else:
        state[LINE] += 1
        state[BASE] = new
        state[OFFSET] = 0
        state[ANCHOR_DAY] = -1
        out[first, NOTE] = _RESET
    state[TIME] = times[first]
