"""A home's last half year taken apart for a person to see: level, shape of the week, remainder."""

import datetime as dt

import numpy as np
import polars as pl

from anomaly.expected.expectation import Expected
from anomaly.expected.model import log_offset
from anomaly.expected.stl import decomposed

DECOMPOSED_DAYS = 180
STEADY_SEASON = 35  # weeks: hardly changes in half a year; with the textbook's 7 the error of the week's shape is twice as large
BEFORE_DAYS = 28  # the level before a rise is told by so many days
PARTS = {
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Float64,
    "level": pl.Float64,
    "week": pl.Float64,
    "remainder": pl.Float64,
}
SHIFTS = {"signal": pl.String, "before": pl.Float64, "after": pl.Float64}


def decompose(expected: Expected, home: int, night: int, days: int = DECOMPOSED_DAYS) -> pl.DataFrame:
    """The last `days` days of a home's signals, as the night index `night` knew them, by robust STL on log values.

    signal, day, value and level (base units), week and remainder (factors: value ≈ level · week · remainder, both with the
    signal's offset). A row a known day: gaps are filled for the fit only. A coarse register is told by the means of the
    days it is judged on. A signal with fewer than 21 known days has no rows.
    """
    grid = expected.grid
    at = np.arange(max(0, night - days + 1), night + 1)
    in_time = grid.lag[:, home, : night + 1] + np.arange(night + 1) <= night
    frames = [pl.DataFrame(schema=PARTS)]
    for s, signal in enumerate(grid.signals):
        block = int(expected.span_days[s, home, night])
        value = _as_judged(np.where(in_time[s], grid.value[s, home, : night + 1], np.nan), block)[at]
        offset = log_offset(grid.units[s], grid.resolution[s, home, night] / block)
        known = ~np.isnan(value)
        start = int(known.argmax()) if known.any() else 0
        parts = decomposed(np.log(value[start:] + offset), STEADY_SEASON, sloped=False)
        if parts is None:
            continue
        kept = known[start:]
        columns = {
            "day": (at[start:][kept] + grid.ordinal).astype("datetime64[D]"),
            "value": value[start:][kept],
            "level": np.maximum(np.exp(parts.level[kept]) - offset, 0.0),
            "week": np.exp(parts.week[kept]),
            "remainder": np.exp(parts.remainder[kept]),
        }
        frames.append(
            pl.DataFrame({"signal": [signal] * int(kept.sum()), **columns}, schema_overrides={"day": pl.Date})
        )
    return pl.concat(frames)


def _as_judged(value: np.ndarray, block: int) -> np.ndarray:
    """Each day as the mean of the `block` days that end with it; NaN where one of them is not known."""
    if block == 1 or value.size < block:
        return value
    means = np.lib.stride_tricks.sliding_window_view(value, block).mean(axis=1)
    return np.concatenate([np.full(block - 1, np.nan), means])


def level_shifts(parts: pl.DataFrame, onset: dt.date) -> pl.DataFrame:
    """How the level of each signal moved at `onset`: signal, before, after (base units).

    Medians of the days without the shape of the week: of the 28 days before the onset, and of those since. The fitted
    level is not used, for it takes two weeks to follow; nor is its steepest step taken as an onset: on two simulated
    cities the median error of that is 3 days, that of `anomaly.evidence.days_since_onset` 1 day. A signal that lacks either is left out.
    """
    calm = pl.col("day").is_between(onset - dt.timedelta(days=BEFORE_DAYS), onset, closed="left")
    level = pl.col("value") / pl.col("week")
    medians = (
        level.filter(days).median().alias(name)
        for name, days in (("before", calm), ("after", pl.col("day") >= onset))
    )
    return parts.group_by("signal").agg(*medians).drop_nulls().sort("signal").select(SHIFTS.keys())
