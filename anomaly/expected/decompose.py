"""Take a home's last half year apart for a person to see: level, shape of the week, remainder."""

import datetime as dt

import numpy as np
import polars as pl

from anomaly.expected.expectation import Expectation
from anomaly.expected.model import log_offset
from anomaly.expected.stl import decompose_series

SHOWN_DAYS = 180
STEADY_SEASON = 35
"""Weeks: the week hardly changes in half a year; with the textbook's 7 its shape has twice the error."""
BEFORE_DAYS = 28
"""Days that the level before a rise is taken from."""
PARTS_SCHEMA = {
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Float64,
    "level": pl.Float64,
    "week": pl.Float64,
    "remainder": pl.Float64,
}
SHIFTS_SCHEMA = {"signal": pl.String, "before": pl.Float64, "after": pl.Float64}


def decompose(expected: Expectation, home: int, night: int, days: int = SHOWN_DAYS) -> pl.DataFrame:
    """Return the parts of a home's signals on its last days, as the night knew them (PARTS_SCHEMA).

    home: place in the grid. night: day index. value and level are in base units, week and remainder are
    factors: value ≈ level · week · remainder, both with the signal's offset. By robust STL on log values.

    There is a row for each known day: gaps are filled for the fit only. A coarse register is shown by the
    means of the days it is judged on. A signal with fewer than 21 known days has no rows.
    """
    grid = expected.grid
    at = np.arange(max(0, night - days + 1), night + 1)
    in_time = grid.lag[:, home, : night + 1] + np.arange(night + 1) <= night
    frames = [pl.DataFrame(schema=PARTS_SCHEMA)]
    for s, signal in enumerate(grid.signals):
        span = int(expected.span_days[s, home, night])
        value = _trailing_means(np.where(in_time[s], grid.value[s, home, : night + 1], np.nan), span)[at]
        offset = log_offset(grid.units[s], grid.resolution[s, home, night] / span)
        known = ~np.isnan(value)
        start = int(known.argmax()) if known.any() else 0
        parts = decompose_series(np.log(value[start:] + offset), STEADY_SEASON, sloped=False)
        if parts is None:
            continue
        shown = known[start:]
        columns = {
            "day": (at[start:][shown] + grid.ordinal).astype("datetime64[D]"),
            "value": value[start:][shown],
            "level": np.maximum(np.exp(parts.level[shown]) - offset, 0.0),
            "week": np.exp(parts.week[shown]),
            "remainder": np.exp(parts.remainder[shown]),
        }
        signals = [signal] * int(shown.sum())
        frames.append(pl.DataFrame({"signal": signals, **columns}, schema_overrides={"day": pl.Date}))
    return pl.concat(frames)


def _trailing_means(value: np.ndarray, span: int) -> np.ndarray:
    """Return each day as the mean of the `span` days that end with it; NaN where one of them is not known."""
    if span == 1 or value.size < span:
        return value
    means = np.lib.stride_tricks.sliding_window_view(value, span).mean(axis=1)
    return np.concatenate([np.full(span - 1, np.nan), means])


def level_shifts(parts: pl.DataFrame, onset: dt.date) -> pl.DataFrame:
    """Return how the level of each signal moved at `onset`: signal, before, after (base units).

    parts: what `decompose` gives. Both are medians of the days without the shape of the week: of the 28 days
    before the onset, and of those since. The fitted level is not used, because it takes two weeks to follow;
    nor is its steepest step taken as an onset: on two simulated cities the median error of that is 3 days,
    that of `anomaly.evidence.days_since_onset` 1 day. A signal that lacks either is left out.
    """
    calm = pl.col("day").is_between(onset - dt.timedelta(days=BEFORE_DAYS), onset, closed="left")
    level = pl.col("value") / pl.col("week")
    before, after = level.filter(calm).median(), level.filter(pl.col("day") >= onset).median()
    shifts = parts.group_by("signal").agg(before=before, after=after)
    return shifts.drop_nulls().sort("signal").select(SHIFTS_SCHEMA.keys())
