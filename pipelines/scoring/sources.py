"""Tell of each night how whole its sources are, and write it down with the night."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from anomaly import tables
from anomaly.messages import source_sentence
from anomaly.source_health import LOOK_BACK_DAYS, SourceHealth, source_health, usual_age_days
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import LATEST_NIGHT_DAYS

SOURCES_FILE = "sources.parquet"
"""In the folder of a night: tables.Sources."""
EARLIER_NIGHTS_DAYS = 90
"""Earlier nights of so many days say how many homes a source has, and how late it usually is."""
FIRST_LOOK_DAYS = 120
"""Where no earlier night says it, the readings of so many days do."""
USUAL_AGE_NIGHTS = 28
"""Earlier nights whose median age is the usual one."""


def read_sources(store: Store, nights: Sequence[dt.date]) -> pl.DataFrame:
    """Return tables.Sources of the nights; of one that was judged by an older version there are no rows."""
    schema = dict(tables.empty(tables.Sources).schema)
    frames = [store.read(f"nights/{night}/{SOURCES_FILE}", schema) for night in nights]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def write_sources(settings: Settings, inputs: Inputs, store: Store, nights: Sequence[dt.date]) -> None:
    """Write into the folder of each night how whole its sources were, by the readings dated up to it."""
    first = min(nights) - dt.timedelta(days=EARLIER_NIGHTS_DAYS)
    others = [night for night in store.judged_nights() if first <= night < max(nights)]
    found = read_sources(store, sorted(set(others) - set(nights)))
    for night in sorted(nights):
        rows = sources_on_night(settings, inputs, night, found)
        store.write(f"nights/{night}/{SOURCES_FILE}", rows)
        found = pl.concat([found, rows])


def sources_on_night(
    settings: Settings, inputs: Inputs, night: dt.date, earlier: pl.DataFrame
) -> pl.DataFrame:
    """Return tables.Sources of one night. earlier: the same of other nights; later ones have no say."""
    refused = dict(inputs.rejects.group_by("source").len().iter_rows())
    first = night - dt.timedelta(days=EARLIER_NIGHTS_DAYS)
    earlier = earlier.filter(pl.col("night") >= first, pl.col("night") < night).sort("night")
    rows = [
        _signal_row(inputs, name, night, earlier.filter(pl.col("source") == name))
        for name in settings.sources
    ]
    if settings.households:
        homes = inputs.register.height
        rows.append(_row("households", SourceHealth(None, None, homes, homes, 1.0, 0, "ok"), None))
    for row in rows:
        row |= {"night": night, "refused": refused.get(row["source"], 0)}
        if row["source"] in inputs.failed:
            row["status"] = "unreadable"
        row["note"] = source_sentence("en", row)
    table = tables.empty(tables.Sources)
    return pl.DataFrame(rows, schema=table.schema, orient="row").sort("source")


def degraded_sources(sources: pl.DataFrame) -> pl.DataFrame:
    """Return the sources of a night that are late, thin or dead.

    An unreadable one has its line already, with what to do about its file.
    """
    return sources.filter(pl.col("status").is_in(["late", "thin", "dead"]))


def degraded_notes(sources: pl.DataFrame, other_notes: Sequence[str] = ()) -> list[str]:
    """Return a line for each of them.

    other_notes: lines that there are anyway; where one says why a source has no day at all, it is enough.
    """
    named = {note.partition(":")[0] for note in other_notes}
    explained = pl.col("newest_day").is_null() & pl.col("source").is_in(list(named))
    return degraded_sources(sources).filter(~explained)["note"].to_list()


def ordinary_notes(sources: pl.DataFrame) -> list[str]:
    """Return a line for each source that ends before the night, as it usually does."""
    return sources.filter(pl.col("status") == "ok", pl.col("note") != "")["note"].to_list()


def _signal_row(inputs: Inputs, signal: str, night: dt.date, earlier: pl.DataFrame) -> dict:
    alive = earlier.filter(pl.col("status") != "dead", pl.col("age_days").is_not_null())
    usual_age = usual_age_days(alive["age_days"].tail(USUAL_AGE_NIGHTS).to_list())
    homes_before = max(earlier["homes_read"].to_list(), default=0)
    counts = _count_homes(inputs, signal, night, has_earlier=earlier.height > 0)
    return _row(signal, source_health(counts, night, usual_age, homes_before), usual_age)


def _row(source: str, health: SourceHealth, usual_age: int | None) -> dict:
    return {
        "source": source,
        "newest_day": health.newest_day,
        "age_days": health.age_days,
        "usual_age_days": usual_age,
        "homes_usual": health.homes_usual,
        "homes_read": health.homes_read,
        "share_judged": health.share_judged,
        "estimated": health.estimated,
        "status": health.status,
    }


def _count_homes(inputs: Inputs, signal: str, night: dt.date, has_earlier: bool) -> pl.DataFrame:
    """Return HOME_COUNT_SCHEMA of the last days up to the night; of all days where these hold nothing."""
    stored = inputs.stored
    lately = stored.span().last - dt.timedelta(days=LATEST_NIGHT_DAYS[0] - 1)  # counted for the latest night
    first = min(lately, night - dt.timedelta(days=LOOK_BACK_DAYS if has_earlier else FIRST_LOOK_DAYS))
    counts = stored.count_homes(signal, first)
    if counts.filter(pl.col("day") <= night).is_empty():
        counts = stored.count_homes(signal, None)
    return counts
