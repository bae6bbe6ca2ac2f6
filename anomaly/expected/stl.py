"""Take a series apart into level, week and remainder by STL (Cleveland and others 1990), on log values.

As an expectation (`[expected] model = "stl"`) it is the textbook method, there to compare the recipe with: no
guard, no vacant days, no peers. Its trend follows a sustained surge within days, so that little of it is left
in the remainder.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

WEEK = 7
FIT_DAYS = 112
"""Days a fit looks back."""
TREND_DAYS = 15
"""Width of the level's smoother, what STL takes by itself for weeks."""
TEXTBOOK_SEASON = 7
"""Width of the weekday's smoother in weeks."""
MIN_DAYS = 21
"""Known days without which nothing is fitted; STL itself needs two whole weeks."""


@dataclass(frozen=True)
class Parts:
    """A series of log values as level + week + remainder, each (T,); a gap is NaN in the remainder."""

    level: np.ndarray
    week: np.ndarray
    remainder: np.ndarray


class Forecast(NamedTuple):
    """What STL expects of each day, (H, T): centre and spread in logarithms, known days (int16) they rest
    on."""

    centre: np.ndarray
    spread: np.ndarray
    history_days: np.ndarray


def decompose_series(x: np.ndarray, season: int = TEXTBOOK_SEASON, *, sloped: bool = True) -> Parts | None:
    """Return the parts of a series by robust STL of period 7; None with under 21 known days.

    x: (T,) log values of consecutive days, NaN in gaps. season: weeks over which the shape of the week may
    change, an odd number of at least 7. sloped: the level is locally a line, as in the textbook; else a local
    mean, which at the end of the series never leaves what was seen.

    One NaN would make every output NaN, so gaps are filled first: by the median of the known days of their
    weekday.
    """
    known = ~np.isnan(x)
    if known.sum() < MIN_DAYS:
        return None
    # a smooth week is worked out at every tenth of its width, as Cleveland has it, and lies straight between
    jump = -(-season // 10)
    fit = _import_stl()(
        _fill_gaps(x, known),
        period=WEEK,
        seasonal=season,
        seasonal_jump=jump,
        trend=TREND_DAYS,
        trend_deg=int(sloped),
        robust=True,
    ).fit()
    return Parts(np.asarray(fit.trend), np.asarray(fit.seasonal), np.where(known, fit.resid, np.nan))


def preload_stl() -> None:
    """Import statsmodels, which takes a second; may run in a thread."""
    _import_stl()


def _import_stl() -> Any:
    from statsmodels.tsa.seasonal import STL  # slow to import, and few need it

    return STL


def _fill_gaps(x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill each gap with the median of its weekday's known days, or of all known days where it has none."""
    full = x.copy()
    for first in range(WEEK):
        same = np.arange(x.size) % WEEK == first
        full[same & ~known] = np.median(x[same & known] if (same & known).any() else x[known])
    return full


def forecast(x: np.ndarray, lag: np.ndarray, ordinal: int) -> Forecast:
    """Return what STL expects of each day; NaN and 0 where there is no fit.

    x: (H, T) log values. lag: (H, T) days until a value became known. ordinal: days from the epoch to the
    first day. Fitted anew at every weekly anchor (counted from the epoch) on the days of the 112 before it
    that were known by then, and held for the week: the last level + the last week's value of that weekday.
    Spread = 1.4826 · MAD of the remainder.

    About 6 ms a fit on one core: a year of 1,000 homes with three signals takes a quarter of an hour.
    """
    homes, length = x.shape
    centre, spread = np.full((homes, length), np.nan), np.full((homes, length), np.nan)
    history_days = np.zeros((homes, length), dtype=np.int16)
    for anchor in range(-ordinal % WEEK, length, WEEK):
        days = np.arange(max(0, anchor - FIT_DAYS), anchor)
        known = ~np.isnan(x[:, days]) & (lag[:, days] + days <= anchor)
        coming = slice(anchor, min(anchor + WEEK, length))
        for h in np.flatnonzero(known.sum(axis=1) >= MIN_DAYS):
            parts = decompose_series(np.where(known[h], x[h, days], np.nan)[known[h].argmax() :])
            if parts is not None:
                centre[h, coming] = parts.level[-1] + parts.week[-WEEK:][: length - anchor]
                spread[h, coming] = 1.4826 * np.nanmedian(np.abs(parts.remainder))
                history_days[h, coming] = known[h].sum()
    return Forecast(centre, spread, history_days)
