"""Readings that came, or changed, after nights that would have known them were judged: which nights they touch.

A load notes how many readings it adds or changes on days up to the last judged night. Notes are numbered; a night keeps the
number of the next one when it was judged and published: that note and later ones touch it.
"""

import datetime as dt
import json

import numpy as np
import polars as pl

from anomaly.tables import QUALITIES
from pipelines.storage.atomic_write import write_text
from pipelines.storage.state import Store

NOTES_FILE = "late.jsonl"
USED = [QUALITIES.index("read"), QUALITIES.index("interpolated")]  # no other reading is judged


def note_changes(store: Store, signal: str, cells: pl.DataFrame) -> None:
    """Note the cells that judged nights would have known, by the first day on which they, or what they replace, were known.

    cells: day, quality, lag, and quality_before, lag_before of what stood there, empty where nothing did. To be called
    before they are kept: a load that is broken off may note too much, never too little.
    """
    nights = store.judged_nights()
    if not nights or cells.is_empty():
        return
    now, before = (
        _known_on(quality, lag) for quality, lag in (("quality", "lag"), ("quality_before", "lag_before"))
    )
    days = (
        cells.select(known=pl.min_horizontal(now, before))
        .filter(pl.col("known") <= nights[-1])
        .group_by("known")
        .len()
        .sort("known")
    )
    if days.height:
        store.append_line(
            NOTES_FILE,
            {
                "number": _next(_notes(store)),
                "signal": signal,
                "days": {str(day): n for day, n in days.iter_rows()},
            },
        )


def _known_on(quality: str, lag: str) -> pl.Expr:
    return pl.when(pl.col(quality).is_in(USED)).then(pl.col("day") + pl.duration(days=lag))


def _notes(store: Store) -> list[dict]:
    """Every note in order; one from before there were numbers counts by its place."""
    return [{"number": place} | line for place, line in enumerate(store.read_lines(NOTES_FILE))]


def _next(notes: list[dict]) -> int:
    return notes[-1]["number"] + 1 if notes else 0


def mark_judged(store: Store, night: dt.date) -> None:
    """Remember that the night knew everything noted so far."""
    store.write_json(f"nights/{night}/late.json", _next(_notes(store)))


def trim_notes(store: Store, reach: int) -> None:
    """Let go of the notes that touch no judged night any more: all of theirs were judged again since, or pruned. The last one
    stays, whatever it says: the next is numbered after it.
    """
    notes = _notes(store)
    since, last = _judged(store)
    kept = [note for note in notes[:-1] if _reached(note, last[since <= note["number"]], reach)]
    if len(kept) < len(notes) - 1:
        lines = [json.dumps(note, sort_keys=True, ensure_ascii=False) for note in (*kept, *notes[-1:])]
        write_text(store.path(NOTES_FILE), "".join(f"{line}\n" for line in lines))


def _judged(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Of every judged night the number of the first note it did not know, and its day."""
    nights = store.judged_nights()
    since = [store.read_json(f"nights/{night}/late.json", 0) for night in nights]
    return np.array(since, dtype=int), np.array(nights, dtype="datetime64[D]")


def _reached(note: dict, nights: np.ndarray, reach: int) -> bool:
    """Whether one of its days is among the last `reach` of one of the nights."""
    days = np.array(list(note["days"]), dtype="datetime64[D]")[:, None]
    return bool(((days <= nights) & (days > nights - reach)).any())


def touched_nights(store: Store, reach: int) -> dict[dt.date, int]:
    """Judged night → readings of its last `reach` days that came or changed since, where there are any."""
    noted = [
        (note["number"], np.datetime64(day), n) for note in _notes(store) for day, n in note["days"].items()
    ]
    if not noted:
        return {}
    number, day, n = (np.array(column) for column in zip(*noted, strict=True))
    found = {
        night.item(): int(n[(number >= since) & (day <= night) & (day > night - reach)].sum())
        for since, night in zip(*_judged(store), strict=True)
    }
    return {night: readings for night, readings in found.items() if readings}


def describe_touched_nights(found: dict[dt.date, int]) -> list[str]:
    """A line for people: which nights are touched, and what to do."""
    if not found:
        return []
    nights = (
        f"{len(found)} judged nights ({min(found)} … {max(found)})"
        if len(found) > 1
        else f"the judged night {min(found)}"
    )
    return [
        f"readings that came or changed since touch {nights}, at most {max(found.values())} a night: `anomaly nightly --revise` judges again what they touch"
    ]
