"""Rows of the hour that comes twice, and of the hour that never comes, on the days the clocks change.

Times with an offset name one moment and need none of this. Of times without one, a source that keeps the
local clock names the hour that comes twice twice; a source that keeps its own clock all year names an hour
that the local clock leaves out.
"""

import functools
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from anomaly.readings.signal_rule import SignalRule

HOURS_BESIDE = 3  # in which no time comes twice where the doubled rows are two passes and no restatement
_MICROSECOND = timedelta(microseconds=1)


class ClockChange(NamedTuple):
    """A change of the clocks of a zone."""

    at: datetime
    """UTC, naive."""
    forward: timedelta
    """How far the clocks were put forward; negative where they were put back."""


@functools.lru_cache(maxsize=512)
def clock_changes(timezone: str, year: int) -> tuple[ClockChange, ...]:
    """Return the changes of a zone's clocks in a year, by UTC."""
    zone, changes = ZoneInfo(timezone), []

    def offset(moment: datetime) -> timedelta:
        return moment.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta()

    low, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)
    while low < end:
        high = low + timedelta(days=1)
        if offset(low) != offset(high):
            before, after = low, high
            while after - before > timedelta(minutes=1):
                middle = before + (after - before) / 2
                before, after = (middle, after) if offset(middle) == offset(low) else (before, middle)
            changes.append(ClockChange(_whole_minutes(after), offset(high) - offset(low)))
        low = high
    return tuple(changes)


def separate_passes(rows: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return the rows of a file with those of the second pass of a repeated hour set after the first.

    rows: household, time (local, naive), dated, in the order of the file.

    Where a home has two rows for each time of the hour that comes twice, and one for each time beside it, the
    later ones are the second pass. Elsewhere two rows for one time are left as they are: one restates the
    other.
    """
    zone = rule.source_timezone or rule.timezone
    for change in _changes_near(rows, zone):
        if change.forward >= timedelta():
            continue
        fold, first_pass = -change.forward, change.at + change.forward
        start = _site_time(first_pass, rule.timezone)
        # in the site's own zone the second pass has the same times, a microsecond later
        later = _MICROSECOND if zone == rule.timezone else fold
        near = pl.col("time").is_between(
            start - timedelta(hours=HOURS_BESIDE), start + fold + timedelta(hours=HOURS_BESIDE)
        )
        is_near = rows.select((near & ~pl.col("dated")).fill_null(False)).to_series()
        if not is_near.any():
            continue
        key = ["household", "time", *(name for name in ("meter",) if name in rows.columns)]
        in_hour = pl.col("time").is_between(start, start + fold)
        told = rows.filter(is_near).select(
            *key,
            number=pl.int_range(pl.len()).over(key),
            comes=pl.len().over(key),
            in_hour=in_hour,
            restated=(~in_hour & pl.struct(key).is_duplicated()).any().over("household"),
            is_second=(pl.col("time") + _MICROSECOND).is_in(pl.col("time").implode()).over("household"),
        )
        second = ((pl.col("comes") == 2) & (pl.col("number") == 1) & pl.col("in_hour")) & ~(
            pl.col("restated") | pl.col("is_second")
        )
        moved = told.select(time=pl.when(second).then(pl.col("time") + later).otherwise("time")).to_series()
        place = pl.int_range(len(rows), eager=True).filter(is_near)
        rows = rows.with_columns(time=rows["time"].scatter(place, moved))
    return rows


def _changes_near(rows: pl.DataFrame, zone: str) -> list[ClockChange]:
    """Return the changes of a zone's clocks among the times of rows."""
    first, last = rows["time"].min(), rows["time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return []
    a_day = timedelta(days=1)
    changes = [change for year in range(first.year, last.year + 1) for change in clock_changes(zone, year)]
    return [change for change in changes if first - a_day <= change.at <= last + a_day]


def _site_time(moment: datetime, timezone: str) -> datetime:
    """Return a moment of UTC as naive time of a zone."""
    return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


def _whole_minutes(moment: datetime) -> datetime:
    """Return the moment at the beginning of its minute."""
    return moment.replace(second=0, microsecond=0)
