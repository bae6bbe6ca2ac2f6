"""The two forms of a daily reading: cells of numbers, as they are made and stored, and labelled frames."""

import polars as pl

from anomaly.readings.signal_rule import SignalRule
from anomaly.tables import QUALITIES

READING_SCHEMA = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "unit": pl.String,
    "quality": pl.String,
    "known_on": pl.Date,
    "note": pl.String,
}
"""A labelled frame: one row is one signal of one household on one local day.

value: base units, null where unknown. quality: one of tables.QUALITIES. note: the rule that decided it, or
null: one of NOTE_LABELS. known_on: the day whose night is the first to know this row.
"""

CELL_SCHEMA = {"day": pl.Date, "value": pl.Int64, "quality": pl.UInt8, "note": pl.UInt8, "lag": pl.Int32}
"""A cell, beside the household or its number. quality and note: codes; lag: known_on − day, in days."""

NOTE_LABELS = (
    None,
    "gap",  # no row, or no register reading near a midnight
    "partial",  # fewer periods than the day holds
    "unconfirmed",  # a register reading that waits for a later one
    "glitch",  # readings that later ones contradicted, or more than a day can hold
    "reset",  # the register was exchanged or set back
    "rollback",  # a register ran backwards a little and was held
    "rollover",  # a register passed the end of its dial
    "exits",  # entries and exits far apart: one of two sensors failed
    "zero",  # a meter at zero behind a busy door
    "catch_up",  # the first use after such zeros
)
"""What the note of a day says; the code of a note is its place here. Codes are stored: only add at the
end."""

READ, INTERPOLATED, PARTIAL, DOUBTFUL, MISSING, ESTIMATED = range(len(QUALITIES))
"""The codes of the qualities: their places in tables.QUALITIES. Codes are stored."""

LONGEST_GAP = 400
"""Days without a row up to which each of them is a missing day. A longer gap has no days at all: it is longer
than anything that looks back, and one row with a wrong year must not lay out decades."""


def note_code(label: str | None) -> int:
    """Return the number that stands for a note."""
    return NOTE_LABELS.index(label)


def to_labelled_frame(cells: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return cells of one signal (household and CELL_SCHEMA) as a labelled frame (READING_SCHEMA)."""
    labelled = cells.with_columns(
        signal=pl.lit(rule.name),
        unit=pl.lit(rule.base),
        quality=pl.col("quality").replace_strict(range(len(QUALITIES)), QUALITIES, return_dtype=pl.String),
        note=pl.col("note").replace_strict(range(len(NOTE_LABELS)), NOTE_LABELS, return_dtype=pl.String),
        known_on=pl.col("day") + pl.duration(days="lag"),
    )
    return labelled.select(pl.col(name).cast(dtype) for name, dtype in READING_SCHEMA.items())


def doubt_days(days: pl.DataFrame, condition: pl.Expr, note: str) -> pl.DataFrame:
    """Return the days with those that meet the condition called doubtful, with that note. Values stay."""
    return days.with_columns(
        quality=pl.when(condition).then(pl.lit(DOUBTFUL, pl.UInt8)).otherwise("quality"),
        note=pl.when(condition).then(pl.lit(note_code(note), pl.UInt8)).otherwise("note"),
    )
