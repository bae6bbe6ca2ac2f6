"""The night that readings reach to."""

import datetime as dt

import polars as pl

USUAL_HOMES_DAYS = 28


def find_latest_night(readings: pl.DataFrame) -> dt.date | None:
    """The latest day on which some signal has at least half of its usual homes whole; None without any whole day.

    Usual: the median count of homes with a whole day (read or interpolated) over the 28 days that end at that day on
    which it has any.
    """
    whole = readings.filter(pl.col("quality").is_in(["read", "interpolated"]))
    if whole.is_empty():
        return None
    return latest_night_from_counts(whole.group_by("signal", "day").agg(homes=pl.len()))


def latest_night_from_counts(counts: pl.DataFrame) -> dt.date | None:
    """The same from how many homes are whole: signal, day, homes; days on which none is may be left out."""
    counts = counts.sort("signal", "day")
    usual = pl.col("homes").rolling_median_by("day", window_size=f"{USUAL_HOMES_DAYS}d").over("signal")
    return counts.filter(2 * pl.col("homes") >= usual)["day"].max()
