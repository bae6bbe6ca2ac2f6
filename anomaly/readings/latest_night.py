"""Find the latest night that the readings reach."""

import datetime as dt

import polars as pl

from anomaly.tables import JUDGED_QUALITIES

USUAL_HOMES_DAYS = 28  # trailing days that say how many homes usually have a whole day


def find_latest_night(readings: pl.DataFrame) -> dt.date | None:
    """Return the latest day on which some signal has at least half of its usual homes whole.

    None where no day is whole.

    readings: READING_SCHEMA. A day is whole where its quality is read or interpolated. Usual: the median
    count of such homes over the 28 days that end at that day, of the days that have any.
    """
    whole = readings.filter(pl.col("quality").is_in(JUDGED_QUALITIES))
    if whole.is_empty():
        return None
    return latest_night_from_counts(whole.group_by("signal", "day").agg(homes=pl.len()))


def latest_night_from_counts(counts: pl.DataFrame) -> dt.date | None:
    """Return the same from the number of whole homes.

    counts: signal, day, homes; days on which none is whole may be left out.
    """
    counts = counts.sort("signal", "day")
    usual = pl.col("homes").rolling_median_by("day", window_size=f"{USUAL_HOMES_DAYS}d").over("signal")
    return counts.filter(2 * pl.col("homes") >= usual).select(pl.col("day").max()).item()
