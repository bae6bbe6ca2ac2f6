"""Readings that came, or changed, after nights that would have known them were judged: which nights they touch.

A load notes how many readings it adds or changes on days up to the last judged night. A night keeps how many notes there
were when it was judged and published: later notes touch it.
"""

import datetime as dt

import numpy as np
import polars as pl

from anomaly.tables import QUALITIES
from pipelines.store import Store

NOTES = "late.jsonl"
USED = [QUALITIES.index("read"), QUALITIES.index("interpolated")]  # no other reading is judged


def note(store: Store, signal: str, cells: pl.DataFrame) -> None:
    """Note the cells that judged nights would have known, by the first day on which they, or what they replace, were known.

    cells: day, quality, lag, and quality_before, lag_before of what stood there, empty where nothing did. To be called
    before they are kept: a load that is broken off may note too much, never too little.
    """
    nights = store.nights()
    if not nights or cells.is_empty():
        return
    now, before = (_known_on(quality, lag) for quality, lag in (("quality", "lag"), ("quality_before", "lag_before")))
    days = cells.select(known=pl.min_horizontal(now, before)).filter(pl.col("known") <= nights[-1]).group_by("known").len().sort("known")
    if days.height:
        store.append_line(NOTES, {"signal": signal, "days": {str(day): n for day, n in days.iter_rows()}})


def _known_on(quality: str, lag: str) -> pl.Expr:
    return pl.when(pl.col(quality).is_in(USED)).then(pl.col("day") + pl.duration(days=lag))


def judged(store: Store, night: dt.date) -> None:
    """Remember that the night knew everything noted so far."""
    store.write_json(f"nights/{night}/late.json", len(store.read_lines(NOTES)))


def touched(store: Store, reach: int) -> dict[dt.date, int]:
    """Judged night → readings of its last `reach` days that came or changed since, where there are any."""
    noted = [(line, np.datetime64(day), n) for line, known in enumerate(store.read_lines(NOTES)) for day, n in known["days"].items()]
    if not noted:
        return {}
    line, day, n = (np.array(column) for column in zip(*noted, strict=True))
    found = {}
    for night in store.nights():
        since = store.read_json(f"nights/{night}/late.json", 0)
        last = np.datetime64(night)
        found[night] = int(n[(line >= since) & (day <= last) & (day > last - reach)].sum())
    return {night: readings for night, readings in found.items() if readings}


def told(found: dict[dt.date, int]) -> list[str]:
    """A line for people: which nights are touched, and what to do."""
    if not found:
        return []
    nights = f"{len(found)} judged nights ({min(found)} … {max(found)})" if len(found) > 1 else f"the judged night {min(found)}"
    return [f"readings that came or changed since touch {nights}, at most {max(found.values())} a night: `anomaly nightly --revise` judges again what they touch"]
