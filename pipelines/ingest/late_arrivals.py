"""Tell which judged nights are touched by readings that came, or changed, after they were judged.

A load notes how many readings it adds or changes on days up to the last judged night. Notes are numbered; a
night keeps the number of the next one when it was judged and published: that note and later ones touch it.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.tables import JUDGED_QUALITY_CODES
from pipelines.errors import StateDamaged
from pipelines.storage.daily_readings import STORED_CELL_SCHEMA
from pipelines.storage.state import Store

NOTES_FILE = "late.jsonl"
COUNT_FILE = "late_count.json"
"""The number of the next note: notes that are cut off at the end are missed."""
CHANGE_SCHEMA = pl.Schema(
    {name: STORED_CELL_SCHEMA[name] for name in ("day", "quality", "lag")}
    | {f"{name}_before": STORED_CELL_SCHEMA[name] for name in ("quality", "lag")}
)
"""A reading that a load writes; quality_before, lag_before: of what stood in its place, or null."""


class _JudgedNights(NamedTuple):
    """Arrays with one item a judged night: the number of the first note it did not know, and its day."""

    first_unknown: np.ndarray
    day: np.ndarray


def note_changes(store: Store, signal: str, changes: pl.DataFrame) -> None:
    """Note changes (CHANGE_SCHEMA) that judged nights would have known, by the first day they were known.

    To be called before they are written: a load that is broken off may note too much, never too little.
    """
    nights = store.judged_nights()
    if not nights or changes.is_empty():
        return
    now, before = _known_on("quality", "lag"), _known_on("quality_before", "lag_before")
    known = changes.select(known=pl.min_horizontal(now, before)).filter(pl.col("known") <= nights[-1])
    days = known.group_by("known").len().sort("known")
    if days.height:
        counts = {str(day): count for day, count in days.iter_rows()}
        number = _next_number(_read_notes(store))
        store.append_line(NOTES_FILE, {"number": number, "signal": signal, "days": counts})
        store.write_json(
            COUNT_FILE, number + 1
        )  # after the note: a kill between leaves one that is not counted


def mark_judged(store: Store, night: dt.date) -> None:
    """Remember that the night knew everything noted so far."""
    store.write_json(f"nights/{night}/late.json", _next_number(_read_notes(store)))


def trim_notes(store: Store, reach_days: int) -> None:
    """Remove the notes that touch no judged night any more: all of theirs were judged again since, or pruned.

    The last one stays, whatever it says: the next is numbered after it.
    """
    notes = _read_notes(store)
    nights = _judged_nights(store)
    kept = [
        note
        for note in notes[:-1]
        if _touches(note, nights.day[nights.first_unknown <= note["number"]], reach_days)
    ]
    if len(kept) < len(notes) - 1:
        store.write_lines(NOTES_FILE, [*kept, *notes[-1:]])


def touched_nights(store: Store, reach_days: int) -> dict[dt.date, int]:
    """Return the nights of whose last `reach_days` days readings came or changed since, with how many."""
    noted = [
        (note["number"], np.datetime64(day), count)
        for note in _read_notes(store)
        for day, count in note["days"].items()
    ]
    if not noted:
        return {}
    number, day, count = (np.array(column) for column in zip(*noted, strict=True))
    touched = {}
    for first_unknown, night in zip(*_judged_nights(store), strict=True):
        in_reach = (
            (number >= first_unknown) & (day <= night) & (day > night - np.timedelta64(reach_days, "D"))
        )
        if in_reach.any():
            touched[night.item()] = int(count[in_reach].sum())
    return touched


def describe_touched_nights(touched: dict[dt.date, int]) -> list[str]:
    """Return a line that says which nights are touched and what to do; none where none is."""
    if not touched:
        return []
    if len(touched) > 1:
        nights = f"{len(touched)} judged nights ({min(touched)} … {max(touched)})"
    else:
        nights = f"the judged night {min(touched)}"
    return [
        f"readings that came or changed since touch {nights}, at most {max(touched.values())} a night: "
        "`anomaly nightly --revise` judges again what they touch"
    ]


def _known_on(quality: str, lag: str) -> pl.Expr:
    """Return the day on which a reading that can be judged was first known; null for any other."""
    known_on = pl.col("day") + pl.duration(days=lag)
    return pl.when(pl.col(quality).is_in(JUDGED_QUALITY_CODES)).then(known_on)


def _read_notes(store: Store) -> list[dict]:
    """Read every note in order; one from before there were numbers counts by its place.

    Raises StateDamaged for a line that is no note, and where the last ones are gone.
    """
    notes = [{"number": place} | note for place, note in enumerate(store.read_lines(NOTES_FILE))]
    for line, note in enumerate(notes, 1):
        days = note.get("days")
        if type(note["number"]) is not int or not isinstance(days, dict):
            raise store.damaged_line(NOTES_FILE, line)
    if (lost := store.read_json(COUNT_FILE, 0) - _next_number(notes)) > 0:
        raise StateDamaged(
            f"{store.path(NOTES_FILE)}: lacks {lost} notes of late readings at its end; "
            f"put it back from a copy, or remove {COUNT_FILE} beside it: nights that those readings touch "
            "are not told then"
        )
    return notes


def _next_number(notes: Sequence[dict]) -> int:
    return notes[-1]["number"] + 1 if notes else 0


def _judged_nights(store: Store) -> _JudgedNights:
    nights = store.judged_nights()
    first_unknown = [store.read_json(f"nights/{night}/late.json", 0) for night in nights]
    return _JudgedNights(np.array(first_unknown, dtype=int), np.array(nights, dtype="datetime64[D]"))


def _touches(note: dict, nights: np.ndarray, reach_days: int) -> bool:
    """Return whether one of a note's days is among the last `reach_days` of one of the nights."""
    days = np.array(list(note["days"]), dtype="datetime64[D]")[:, None]
    return bool(((days <= nights) & (days > nights - np.timedelta64(reach_days, "D"))).any())
