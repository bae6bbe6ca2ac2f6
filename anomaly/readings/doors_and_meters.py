"""What the signals of one home say of each other: a meter at zero behind a busy door, and the day it catches up."""

from collections.abc import Mapping

import numba
import numpy as np
import polars as pl

from anomaly.tables import UNKNOWN

CROSS_CHECK_DAYS = 60  # the days before a day that tell what is usual; never the day itself or a later one
ENOUGH = 14  # known days
RARE = 0.1  # share of zero days up to which a zero means something
BUSY = 0.5  # of the home's usual passages
PASSAGES = 2  # at least
HIGH = 0.98  # quantile a catch-up day exceeds in a home without doors
ZERO, CATCH_UP, ODD, CONTRADICTED = (
    1,
    2,
    4,
    8,
)  # bits of what is said of a meter's day: the two marks, and of its run of zeros
DOUBTFUL_MARKS = ZERO | CATCH_UP


def cross_check(readings: pl.DataFrame, kinds: Mapping[str, str]) -> pl.DataFrame:
    """The readings of all signals, sorted by (household, signal, day); meter days the doors contradict become doubtful.

    readings: columns of `daily_readings`; kinds: signal -> "count", "usage" or "register".
    note "zero": a meter day of exactly zero, rare for this home, while the doors were at least half as busy as usual.
    note "catch_up": the first day of use after such zeros; without doors, after a run of rare zeros, if above the
    home's trailing .98 quantile. Values stay. Only days before say what is usual; along a meter's days `known_on`
    never falls back, so all of them are known when the day itself is.
    """
    readings = readings.sort("household", "signal", "day")
    if readings.is_empty():
        return readings
    first, homes = readings["day"].min(), readings["household"].unique(maintain_order=True)
    days = (readings["day"].max() - first).days + 1
    at = readings.select(home=pl.col("household").rle_id(), day=(pl.col("day") - first).dt.total_days())
    known = (readings["quality"].is_in(["read", "interpolated"]) & readings["value"].is_not_null()).to_numpy()
    value = readings["value"].fill_null(UNKNOWN).to_numpy()
    place = at["home"].to_numpy(), at["day"].to_numpy()
    signal = {name: (readings["signal"] == name).to_numpy() for name in readings["signal"].unique()}
    doors = np.full((len(homes), days), UNKNOWN)
    for name in (name for name in signal if kinds.get(name) == "count"):
        mine = signal[name] & (readings["quality"] == "read").to_numpy()
        box = place[0][mine], place[1][mine]
        doors[box] = np.maximum(doors[box], 0) + value[mine]
    mark = np.zeros(len(readings), np.uint8)
    for name in (name for name in signal if kinds.get(name) != "count"):
        mine = signal[name] & known
        box = place[0][mine], place[1][mine]
        meter = np.full((len(homes), days), UNKNOWN)
        meter[box] = value[mine]
        mark[mine] = mark_contradictions(meter, doors, np.zeros(meter.shape, np.uint8), 0)[box]
    note = pl.Series([None, "zero", "catch_up"]).gather(mark & DOUBTFUL_MARKS)
    return readings.with_columns(
        quality=pl.when(note.is_not_null()).then(pl.lit("doubtful")).otherwise("quality"),
        note=pl.coalesce(note, "note"),
    )


@numba.njit(cache=True, parallel=True, nogil=True)
def mark_contradictions(meter, doors, before, first):
    """(H, T) uint8: what is said of each day of a meter from day `first` on, as bits; days before keep those of `before`.

    meter, doors: (H, T) int64, the day's use and the passages of all doors, UNKNOWN where not known. Where `first` is not
    0, WINDOW days before it are needed, and a known day among them. ZERO and CATCH_UP as in `cross_check`; ODD: the run
    of zeros this day belongs to was rare when it began; CONTRADICTED: and the doors have contradicted it by then.
    """
    out = before.copy()
    for h in numba.prange(meter.shape[0]):
        # how rare zeros are is asked once, on the first day of the run: a long outage must not make itself usual
        after_zero, said = False, 0
        for t in range(meter.shape[1]):
            value = meter[h, t]
            if value == UNKNOWN:
                continue
            if t < first:
                after_zero, said = value == 0, before[h, t] & (ODD | CONTRADICTED)
                continue
            if value == 0:
                if not after_zero:
                    said = ODD if _rare(meter[h], t) else 0
                if said & ODD and _busy(doors[h], t):
                    said |= CONTRADICTED
                    out[h, t] = said | ZERO
                else:
                    out[h, t] = said
            else:
                caught_up = after_zero and (
                    _above(meter[h], t) if _usual(doors[h], t) < 0 else said & CONTRADICTED != 0
                )
                out[h, t] = CATCH_UP if caught_up and said & ODD else 0
            after_zero = value == 0
    return out


@numba.njit(cache=True)
def _rare(meter, t):
    """Whether zeros are rare in the days before t."""
    known, zeros = 0, 0
    for u in range(max(0, t - CROSS_CHECK_DAYS), t):
        known += meter[u] != UNKNOWN
        zeros += meter[u] == 0
    return known >= ENOUGH and zeros <= RARE * known


@numba.njit(cache=True)
def _usual(doors, t):
    """Median passages of the days before t; UNKNOWN where day t has none itself or too few days before it have."""
    if doors[t] == UNKNOWN:
        return float(UNKNOWN)
    before = doors[max(0, t - CROSS_CHECK_DAYS) : t]
    before = before[before != UNKNOWN]
    return np.median(before) if before.size >= ENOUGH else float(UNKNOWN)


@numba.njit(cache=True)
def _busy(doors, t):
    usual = _usual(doors, t)
    return usual >= 0 and doors[t] >= BUSY * usual and doors[t] >= PASSAGES


@numba.njit(cache=True)
def _above(meter, t):
    """Whether day t exceeds the quantile HIGH of the days of use before it."""
    before = meter[max(0, t - CROSS_CHECK_DAYS) : t]
    before = np.sort(before[before > 0])
    if before.size < ENOUGH:
        return False
    place = HIGH * (before.size - 1)
    low = int(place)
    high = before[min(low + 1, before.size - 1)]
    return meter[t] > before[low] + (high - before[low]) * (place - low)
