"""Raw rows -> daily readings: parsing, units, day boundary, duplicates, gaps, resets, roll-overs, glitches. It never judges a home."""

from anomaly.readings.arrays import (
    COUNTS_ALWAYS,
    COUNTS_NEVER,
    ArrayLayout,
    ReadingArrays,
    add_home_totals,
    write_cells,
)
from anomaly.readings.daily import (
    CELL_SCHEMA,
    NOTE_LABELS,
    READING_SCHEMA,
    IncrementalState,
    advance,
    daily_readings,
    homes_to_rebuild,
    to_labelled_frame,
)
from anomaly.readings.doors_and_meters import (
    CROSS_CHECK_DAYS,
    DOUBTFUL_MARKS,
    cross_check,
    mark_contradictions,
)
from anomaly.readings.downsample import to_daily_grain
from anomaly.readings.household_register import parse_household_register
from anomaly.readings.latest_night import USUAL_HOMES_DAYS, find_latest_night, latest_night_from_counts
from anomaly.readings.merge import argsort_integers, file_sort_key, merge_rows
from anomaly.readings.night_flow import minimum_night_flow
from anomaly.readings.parse import REJECT_SCHEMA, ROW_SCHEMA, parse_rows
from anomaly.readings.signal_rule import SignalRule, base_unit

__all__ = [
    "COUNTS_ALWAYS",
    "COUNTS_NEVER",
    "CELL_SCHEMA",
    "CROSS_CHECK_DAYS",
    "DOUBTFUL_MARKS",
    "NOTE_LABELS",
    "READING_SCHEMA",
    "REJECT_SCHEMA",
    "ROW_SCHEMA",
    "USUAL_HOMES_DAYS",
    "ArrayLayout",
    "IncrementalState",
    "ReadingArrays",
    "SignalRule",
    "add_home_totals",
    "advance",
    "argsort_integers",
    "base_unit",
    "cross_check",
    "daily_readings",
    "file_sort_key",
    "find_latest_night",
    "homes_to_rebuild",
    "latest_night_from_counts",
    "mark_contradictions",
    "merge_rows",
    "minimum_night_flow",
    "parse_household_register",
    "parse_rows",
    "to_daily_grain",
    "to_labelled_frame",
    "write_cells",
]
