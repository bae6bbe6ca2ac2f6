"""Tell from counts of homes by day whether a source is whole, late, thin or dead on a night."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

LOOK_BACK_DAYS = 28
"""Days up to the newest one of a source that say how many homes it usually has."""
ORDINARY_AGE_DAYS = 3
"""A source may be so many days behind without being late; water read every few days is ordinary."""
DEAD_DAYS = 7
"""A source that is late by more than so many days is dead."""
MIN_EARLIER_NIGHTS = 5
"""Earlier nights from which on they say how far behind a source usually is."""
HOME_COUNT_SCHEMA = pl.Schema({"day": pl.Date, "homes": pl.Int64, "judged": pl.Int64, "estimated": pl.Int64})
"""Of one signal. homes: with a day of any quality, a missing one included. judged: whose day is fit to be
judged. estimated: whose day is an estimate."""


@dataclass(frozen=True)
class SourceHealth:
    """How whole a source is on a night; the columns of `tables.Sources` that rest on readings."""

    newest_day: dt.date | None
    """The newest day that is fit to be judged for at least half of the usual homes; where no day is, for any
    home."""
    age_days: int | None
    """Days from that day to the night."""
    homes_usual: int
    homes_read: int
    """Of these, whose newest day is fit to be judged."""
    share_judged: float
    """The share of the usual homes of which the night itself is fit to be judged; 0 where there are none."""
    estimated: int
    """Homes of which the newest day is an estimate."""
    status: str
    """One of `tables.SOURCE_STATUSES`."""


def source_health(
    counts: pl.DataFrame, night: dt.date, usual_age: int | None = None, homes_before: int = 0
) -> SourceHealth:
    """Return how whole a source is on the night.

    counts: HOME_COUNT_SCHEMA, the days on which it has any home; those after the night have no say.
    usual_age: how many days it was behind on earlier nights (`usual_age_days`), None where that is not known.
    homes_before: the most homes that an earlier night has read.
    """
    known = counts.filter(pl.col("day") <= night, pl.col("homes") > 0).sort("day")
    if known.is_empty():
        return SourceHealth(None, None, homes_before, 0, 0.0, 0, "dead")
    window = known.filter(pl.col("day") > known["day"][-1] - dt.timedelta(days=LOOK_BACK_DAYS))
    usual = max(*window["homes"].to_list(), homes_before)
    whole = known.filter(2 * pl.col("judged") >= usual)
    some = known.filter(pl.col("judged") > 0)
    if some.is_empty():
        return SourceHealth(None, None, usual, 0, 0.0, 0, "dead")
    day, _, judged, estimated = (whole if whole.height else some).row(-1)
    age = (night - day).days
    status = _status(whole, some, night, age, usual_age)
    share = int(known.filter(pl.col("day") == night)["judged"].sum()) / usual
    return SourceHealth(day, age, usual, judged, share, estimated, status)


def _status(whole: pl.DataFrame, some: pl.DataFrame, night: dt.date, age: int, usual_age: int | None) -> str:
    """Return the status. whole, some: the days fit to be judged for half of the usual homes, for any home."""
    ordinary = usual_age or 0
    last_ordinary = ordinary + max(ordinary, ORDINARY_AGE_DAYS)
    newest = some["day"][-1]
    if (night - newest).days > last_ordinary + DEAD_DAYS:
        return "dead"
    if whole.is_empty():
        return "thin"
    # The last day that should be whole by now; some meters may be a day behind the others.
    due = newest - dt.timedelta(days=1) if usual_age is None else night - dt.timedelta(days=usual_age)
    if some.filter(pl.col("day") > whole["day"][-1], pl.col("day") <= due).height:
        return "thin"
    return "late" if age > last_ordinary else "ok"


def usual_age_days(ages: Sequence[int]) -> int | None:
    """Return how many days a source is usually behind: the median of earlier nights, None for too few.

    ages: of nights on which it was not dead.
    """
    if len(ages) < MIN_EARLIER_NIGHTS:
        return None
    return sorted(ages)[len(ages) // 2]
