"""Cross-check the signals of a home: a meter at zero behind a busy door, and the day it catches up.

Both days are marked, and a marked day is doubtful: its use is not the use of that day.
"""

from collections.abc import Mapping

import numba
import numpy as np
import polars as pl

from anomaly.compiled import compiled
from anomaly.tables import JUDGED_QUALITIES, UNKNOWN

CROSS_CHECK_DAYS = 60  # the days before a day that say what is usual; never the day itself or a later one
MIN_KNOWN_DAYS = 14  # of them
MAX_ZERO_SHARE = 0.1  # share of zero days up to which a zero means something
BUSY_SHARE = 0.5  # of the home's usual passages, from which its door is busy …
BUSY_PASSAGES = 2  # … at least
CATCH_UP_QUANTILE = 0.98  # of the days of use, which a catch-up day exceeds in a home without doors

# Bits of a meter's day. They are stored: keep their values.
ZERO = 1  # a zero that the doors contradict
CATCH_UP = 2  # the first use after such zeros
IN_RARE_RUN = 4  # the run of zeros that this day belongs to was rare when it began …
IN_CONTRADICTED_RUN = 8  # … and the doors have contradicted it by then
DOUBTFUL_MARKS = ZERO | CATCH_UP


def cross_check(readings: pl.DataFrame, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Return the readings of all signals with contradicted meter days called doubtful.

    Sorted by (household, signal, day).

    readings: READING_SCHEMA; kinds: signal -> "count", "usage" or "register".

    note "zero": a meter day of exactly zero, rare for this home, while the doors were at least half as busy
    as usual. note "catch_up": the first day of use after such zeros; without doors, after a run of rare
    zeros, if above the home's trailing .98 quantile. Values stay. Only days before say what is usual; along a
    meter's days `known_on` never falls back, so all of them are known when the day itself is.
    """
    readings = readings.sort("household", "signal", "day")
    if readings.is_empty():
        return readings
    home = readings["household"].rle_id().to_numpy()
    day = readings["day"].to_physical().to_numpy()
    day = day - day.min()
    shape = int(home.max()) + 1, int(day.max()) + 1
    value = readings["value"].fill_null(UNKNOWN).to_numpy()
    is_known = (readings["quality"].is_in(JUDGED_QUALITIES) & readings["value"].is_not_null()).to_numpy()
    is_read = (readings["quality"] == "read").to_numpy()
    rows_of = {name: (readings["signal"] == name).to_numpy() for name in readings["signal"].unique()}
    doors = np.full(shape, UNKNOWN)
    for name in (name for name in rows_of if kinds.get(name) == "count"):
        rows = rows_of[name] & is_read
        cells = home[rows], day[rows]
        doors[cells] = np.maximum(doors[cells], 0) + value[rows]
    marks = np.zeros(len(readings), np.uint8)
    for name in (name for name in rows_of if kinds.get(name) != "count"):
        rows = rows_of[name] & is_known
        cells = home[rows], day[rows]
        meter = np.full(shape, UNKNOWN)
        meter[cells] = value[rows]
        marks[rows] = mark_contradictions(meter, doors, np.zeros(shape, np.uint8), 0)[cells]
    note = pl.Series([None, "zero", "catch_up"]).gather(marks & DOUBTFUL_MARKS)
    return readings.with_columns(
        quality=pl.when(note.is_not_null()).then(pl.lit("doubtful")).otherwise("quality"),
        note=pl.coalesce(note, "note"),
    )


@compiled(parallel=True, nogil=True)
def mark_contradictions(meter, doors, marks_before, first):
    """Return (H, T) uint8: the bits of each day of a meter, anew from day `first` on.

    Days before keep those of `marks_before`.

    meter, doors: (H, T) int64, the day's use and the passages of all doors, UNKNOWN where not known. Where
    `first` is not 0, CROSS_CHECK_DAYS days before it are needed, and a known day among them. How rare zeros
    are is asked once, on the first day of a run: a long outage must not make itself usual.
    """
    out = marks_before.copy()
    for h in numba.prange(meter.shape[0]):
        after_zero, run = False, 0  # whether the last known day was zero, and the bits of its run
        for t in range(meter.shape[1]):
            value = meter[h, t]
            if value == UNKNOWN:
                continue
            if t < first:
                after_zero, run = value == 0, marks_before[h, t] & (IN_RARE_RUN | IN_CONTRADICTED_RUN)
                continue
            if value == 0:
                if not after_zero:
                    run = IN_RARE_RUN if _zeros_are_rare(meter[h], t) else 0
                if run & IN_RARE_RUN and _is_busy(doors[h], t):
                    run |= IN_CONTRADICTED_RUN
                    out[h, t] = run | ZERO
                else:
                    out[h, t] = run
            else:
                if not after_zero:
                    caught_up = False
                elif _usual_passages(doors[h], t) >= 0:
                    caught_up = run & IN_CONTRADICTED_RUN != 0
                else:
                    caught_up = _is_exceptional(meter[h], t)
                out[h, t] = CATCH_UP if caught_up and run & IN_RARE_RUN else 0
            after_zero = value == 0
    return out


@compiled()
def _zeros_are_rare(meter, t):
    """Return whether zeros are rare in the days before t."""
    known, zeros = 0, 0
    for u in range(max(0, t - CROSS_CHECK_DAYS), t):
        known += meter[u] != UNKNOWN
        zeros += meter[u] == 0
    return known >= MIN_KNOWN_DAYS and zeros <= MAX_ZERO_SHARE * known


@compiled()
def _usual_passages(doors, t):
    """Return the median of the days before t, or UNKNOWN.

    UNKNOWN where day t is not known, or fewer than MIN_KNOWN_DAYS before it are.
    """
    if doors[t] == UNKNOWN:
        return float(UNKNOWN)
    before = doors[max(0, t - CROSS_CHECK_DAYS) : t]
    before = before[before != UNKNOWN]
    return np.median(before) if before.size >= MIN_KNOWN_DAYS else float(UNKNOWN)


@compiled()
def _is_busy(doors, t):
    usual = _usual_passages(doors, t)
    return usual >= 0 and doors[t] >= BUSY_SHARE * usual and doors[t] >= BUSY_PASSAGES


@compiled()
def _is_exceptional(meter, t):
    """Return whether day t exceeds CATCH_UP_QUANTILE of the days of use before it."""
    before = meter[max(0, t - CROSS_CHECK_DAYS) : t]
    before = np.sort(before[before > 0])
    if before.size < MIN_KNOWN_DAYS:
        return False
    place = CATCH_UP_QUANTILE * (before.size - 1)
    below = int(place)
    above = before[min(below + 1, before.size - 1)]
    return meter[t] > before[below] + (above - before[below]) * (place - below)
