"""Clean a register: which of its readings are believed, and on which line of the dial they lie.

One pass over a home's readings in time order, knowing nothing of what comes later: a reading that fits is
believed at once; one that does not waits, with those that agree with it, until later readings tell what it
was.

- A drop within the jitter is held at the running maximum (roll-back).
- A reading that leaves the line and is contradicted by the next ones is a glitch and dropped.
- One that stays is a change of base: a roll-over, if the old reading was near 10^k, the new one is near 0 and
  the use between them is likely; else a reset or an exchange, and the use across it belongs to nobody.
- A rise that is possible but far above all days before waits for one further reading.

Beside it, and of every reading, believed or not: the midnight that it stands for in a register that is read
once a day (`_midnight_stood_for`).
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from anomaly.compiled import compiled
from anomaly.readings.timestamps import DAY

# Columns of a cleaned reading. LEVEL: base units, so that levels of one segment may be subtracted. SEGMENT:
# number of the line on which the reading lies, or PENDING (not decided yet) or DROPPED (not believed).
# DECIDED_BY: index of the reading that decided it. READING_NOTE: place in READING_NOTES.
LEVEL, SEGMENT, DECIDED_BY, READING_NOTE = range(4)
PENDING, DROPPED = -2, -1
READING_NOTES = (None, "rollback", "glitch", "rollover", "reset")
"""What a reading may be said to be, by weight: of a day's readings the heaviest note is reported."""
_ROLLBACK, _GLITCH, _ROLLOVER, _RESET = 1, 2, 3, 4

# The state of one home before a reading: places in an int64 array, because it is stored. Only add at the end.
BASE = 0  # highest reading believed on this segment
BASE_TIME = 1  # µs, of the last reading believed
OFFSET = 2  # base units that roll-overs have added
SEGMENT_NUMBER = 3
LARGEST_DAY = 4  # largest use of a day so far
DAYS_SEEN = 5
ANCHOR_DAY = 6  # last day with a believed reading, −1 where the segment has none …
ANCHOR_LEVEL = 7  # … and the level of the first reading believed on it
STEP = 8  # greatest common divisor of all rises
RISES = 9
LAST_TIME = 10  # µs, of the last reading, believed or not; 0: there was none
LAST_MIDNIGHT = 11  # the midnight that it stands for, NO_MIDNIGHT for none
STATE_SIZE = 12

REMEMBERED_DAYS = 3  # the last day that is final, the one after it, and the one on which what waits began
STAYED_READINGS = 2  # further readings that make a change of base …
STAYED_TIME = DAY // 2  # … and the time they must span: faults of hourly meters last a few readings
SETTLED_DAYS = 14  # days before a home's own largest day says what is usual, where the unit has no floor
SURGE_TIMES = 3.0  # times the largest day so far: a rise above that waits
STEP_RISES = 10  # rises before a home's own step is believed
MIN_SPAN = 0.25  # days; over less, the limit of use is that of a quarter of a day
HOUR = DAY // 24
NEAR_MIDNIGHT = HOUR // 4
"""µs; of a register that is read about once a day, a reading so near to midnight is the midnight reading."""
METERING_DAY_MARGIN = 2 * HOUR  # two readings that lie a day apart, give or take this, are one metering day
SPARSE = 11 * HOUR  # a reading so long after the one before is one of a register read about once a day
NO_MIDNIGHT = -1
LONGEST_DRIFT = 15 * HOUR  # so far from its midnight a reading stays with it while the others follow daily
_FITS, _HIGH, _IMPOSSIBLE, _DROP = range(4)


class RegisterLimits(NamedTuple):
    """Limits of a register of some unit, in base units."""

    jitter: int  # a drop up to this is no fault
    max_per_day: float  # no day exceeds it
    floor_per_day: float  # a day's rise up to this never waits; inf: only the home's own days tell
    dial_unit: float = 1.0  # what the dial's last digit counts
    smallest_dial: float = 10_000.0  # no dial is passed below it


class CleanedRegisters(NamedTuple):
    """Cleaned readings of some homes, and what is needed to go on when later readings come.

    readings: (readings, 4) int64, with columns LEVEL, SEGMENT, DECIDED_BY, READING_NOTE.
    midnights: (readings,) int64, the midnight (that at which this day since 1970 begins) each stands for, or
    NO_MIDNIGHT.
    resume_index: (homes,) index of the first reading that must be cleaned again together with later ones.
    resume_state: (homes, STATE_SIZE) the state of each home before that reading.
    first_open_day: (homes,) first day (since 1970) that later readings may still change.
    """

    readings: np.ndarray
    midnights: np.ndarray
    resume_index: np.ndarray
    resume_state: np.ndarray
    first_open_day: np.ndarray


@compiled()
def initial_states(times, values, starts):
    """Return (homes, STATE_SIZE) int64: the state of homes of which nothing is known yet.

    Arguments as for `clean`.
    """
    states = np.zeros((len(starts) - 1, STATE_SIZE), np.int64)
    for home in range(len(states)):
        states[home, BASE] = values[starts[home]]
        states[home, BASE_TIME] = times[starts[home]]
        states[home, ANCHOR_DAY] = -1
    return states


@compiled(parallel=True, nogil=True)
def clean(times, values, starts, limits, states):
    """Clean the registers of some homes; return CleanedRegisters.

    times (µs) and values (base units): (readings,) int64, sorted by home and time. starts: (homes + 1,) index
    of each home's first reading, and their number. limits: RegisterLimits. states: (homes, STATE_SIZE) the
    state of each home before its first reading here.

    Cleaned from the resume state on, together with later readings, the outcome is the same as if all had been
    cleaned at once.
    """
    homes = len(starts) - 1
    readings = np.zeros((len(times), 4), np.int64)
    midnights = np.zeros(len(times), np.int64)
    resume_index = np.zeros(homes, np.int64)
    resume_state = np.zeros_like(states)
    first_open_day = np.zeros(homes, np.int64)
    for home in numba.prange(homes):
        a, b = starts[home], starts[home + 1]
        day_states = np.zeros((REMEMBERED_DAYS, STATE_SIZE), np.int64)
        day_starts = np.full(REMEMBERED_DAYS, -1)
        state = states[home].copy()
        _clean_home(
            times[a:b], values[a:b], limits, state, readings[a:b], midnights[a:b], day_states, day_starts
        )
        place, open_day = _resume_point(times[a:b], readings[a:b], day_starts)
        resume_index[home] = a + day_starts[place]
        resume_state[home] = day_states[place]
        first_open_day[home] = open_day
        readings[a:b, DECIDED_BY] += a
    return CleanedRegisters(readings, midnights, resume_index, resume_state, first_open_day)


@compiled()
def _clean_home(times, values, limits, state, out, midnights, day_states, day_starts):
    """Clean the readings of one home into `out` and `midnights`; `state` goes along with them.

    day_states, day_starts: filled with the last days that began with nothing waiting: the state then, and the
    index of the day's first reading; −1 where there was no such day.
    """
    waiting, kind, days = -1, _FITS, 0  # the readings waiting … j − 1 wait, and why the first of them does
    for j in range(len(times)):
        if waiting < 0 and (j == 0 or (times[j] - 1) // DAY != (times[j - 1] - 1) // DAY):
            day_states[days % REMEMBERED_DAYS], day_starts[days % REMEMBERED_DAYS] = state, j
            days += 1
        midnights[j] = _midnight_stood_for(times[j], state)
        state[LAST_TIME], state[LAST_MIDNIGHT] = times[j], midnights[j]
        fit = _classify(times[j], values[j], state, limits)
        agrees = waiting >= 0 and _follows_previous(times, values, j, state, limits)
        if agrees and kind == _HIGH:
            for i in range(waiting, j):
                _believe(times, values, i, j, state, out)
            waiting, agrees = -1, False
            fit = _classify(times[j], values[j], state, limits)
        if agrees and (kind == _IMPOSSIBLE or fit != _FITS):
            out[j, SEGMENT] = PENDING
            stayed = j - waiting >= STAYED_READINGS and times[j] - times[waiting] >= STAYED_TIME
            if stayed and values[j] > 0:
                _change_base(times, values, waiting, state, limits, out)
                for i in range(waiting, j + 1):
                    _believe(times, values, i, j, state, out)
                waiting = -1
            continue
        if waiting >= 0:  # contradicted
            out[waiting:j, SEGMENT], out[waiting:j, DECIDED_BY], out[waiting:j, READING_NOTE] = (
                DROPPED,
                j,
                _GLITCH,
            )
            waiting = -1
        if fit == _FITS:
            _believe(times, values, j, j, state, out)
        else:
            waiting, kind = j, fit
            out[j, SEGMENT] = PENDING


@compiled()
def _midnight_stood_for(time, state):
    """Return the midnight that a reading stands for, as the day since 1970 that begins there, or NO_MIDNIGHT.

    Only a reading long after the one before it stands for a midnight: the register is read about once a day.
    It is the one nearest to the reading, at noon the earlier; or the one after the last reading's, where that
    lies a metering day before, so that readings taken now before and now after noon go on day by day.
    """
    step = time - state[LAST_TIME]
    if step < SPARSE:
        return NO_MIDNIGHT
    if state[LAST_MIDNIGHT] > 0 and abs(step - DAY) <= METERING_DAY_MARGIN:
        following = state[LAST_MIDNIGHT] + 1
        if abs(time - following * DAY) <= LONGEST_DRIFT:
            return following
    return (time - 1 - NEAR_MIDNIGHT + DAY // 2) // DAY


@compiled()
def _resume_point(times, cleaned, day_starts):
    """Return where later readings must begin, as a place in `day_starts`, and the first open day.

    A midnight is final once a reading at or after it is believed, a day once its closing midnight is; its
    opening one needs the readings of the day before. What waits is at the end and began on one of the
    remembered days at most.
    """
    last = len(times) - 1
    while last > 0 and cleaned[last, SEGMENT] < 0:
        last -= 1
    open_day = times[last] // DAY if cleaned[last, SEGMENT] >= 0 else (times[0] - 1) // DAY
    place, earliest = -1, -1
    for k in range(len(day_starts)):
        if day_starts[k] >= 0:
            if earliest < 0 or day_starts[k] < day_starts[earliest]:
                earliest = k
            before_open_day = (times[day_starts[k]] - 1) // DAY < open_day
            if before_open_day and (place < 0 or day_starts[k] > day_starts[place]):
                place = k
    return (earliest if place < 0 else place), open_day


@compiled()
def _classify(time, value, state, limits):
    """Return whether a reading fits on the line, drops below it, or rises high or impossibly above it."""
    rise, days = value - state[BASE], (time - state[BASE_TIME]) / DAY
    if rise < -_allowed_drop(state, limits):
        return _DROP
    if rise > limits.max_per_day * max(days, MIN_SPAN):
        return _IMPOSSIBLE
    return _HIGH if rise > _unremarkable_rise(days, state, limits) else _FITS


@compiled()
def _unremarkable_rise(days, state, limits):
    """Return the rise over so many days that needs no second reading."""
    if np.isinf(limits.floor_per_day):
        per_day = SURGE_TIMES * state[LARGEST_DAY] if state[DAYS_SEEN] >= SETTLED_DAYS else np.inf
    else:
        per_day = max(limits.floor_per_day, SURGE_TIMES * state[LARGEST_DAY])
    return per_day * max(days, 1.0)


@compiled()
def _allowed_drop(state, limits):
    return max(limits.jitter, 2 * _known_step(state))


@compiled()
def _known_step(state):
    """Return the step in which the register counts, as far as its rises tell; 0 while there are too few."""
    return state[STEP] if state[RISES] >= STEP_RISES else 0


@compiled()
def _follows_previous(times, values, j, state, limits):
    """Return whether reading j goes on from the reading before it, which waits."""
    rise, days = values[j] - values[j - 1], (times[j] - times[j - 1]) / DAY
    return -_allowed_drop(state, limits) <= rise <= limits.max_per_day * max(days, MIN_SPAN)


@compiled()
def _believe(times, values, i, j, state, out):
    """Put reading i, believed because of reading j, on the line; a register never runs backwards."""
    rise = values[i] - state[BASE]
    if rise < 0:
        out[i, READING_NOTE] = _ROLLBACK
    if rise > 0:
        state[STEP] = math.gcd(state[STEP], rise)
        state[RISES] += 1
    state[BASE] = max(values[i], state[BASE])
    state[BASE_TIME] = times[i]
    level = state[BASE] + state[OFFSET]
    out[i, LEVEL], out[i, SEGMENT], out[i, DECIDED_BY] = level, state[SEGMENT_NUMBER], j
    day = (times[i] - 1) // DAY
    if state[ANCHOR_DAY] < 0:
        state[ANCHOR_DAY], state[ANCHOR_LEVEL] = day, level
    elif day > state[ANCHOR_DAY]:
        days = day - state[ANCHOR_DAY]
        state[LARGEST_DAY] = max(state[LARGEST_DAY], (level - state[ANCHOR_LEVEL]) // days)
        state[DAYS_SEEN] += days
        state[ANCHOR_DAY], state[ANCHOR_LEVEL] = day, level


@compiled()
def _change_base(times, values, first, state, limits, out):
    """Make reading `first` the new base: a roll-over goes on counting, a reset begins a new segment."""
    old, new = state[BASE], values[first]
    # the dial's end: the next power of ten of what its last digit counts
    dial_end = limits.dial_unit
    while dial_end < limits.smallest_dial or round(dial_end) <= old or dial_end < 10_000 * _known_step(state):
        dial_end *= 10
    dial = np.int64(round(dial_end))
    use, days = dial - old + new, (times[first] - state[BASE_TIME]) / DAY
    likely = min(_unremarkable_rise(days, state, limits), limits.max_per_day * max(days, MIN_SPAN))
    near_end = dial - old <= dial // 10 and new <= dial // 10
    if new < old and near_end and use <= likely:
        state[OFFSET] += dial
        state[BASE] = 0
        out[first, READING_NOTE] = _ROLLOVER
    else:
        state[SEGMENT_NUMBER] += 1
        state[BASE] = new
        state[OFFSET] = 0
        state[ANCHOR_DAY] = -1
        out[first, READING_NOTE] = _RESET
    state[BASE_TIME] = times[first]
