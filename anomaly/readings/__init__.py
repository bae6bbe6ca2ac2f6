"""Raw rows -> daily readings: parsing, units, day boundary, duplicates, gaps, resets, roll-overs, glitches. It never judges a home."""

from anomaly.readings.arrays import ALWAYS, NEVER, Laid, Place, add_up, empty, lay
from anomaly.readings.daily import (
    CELLS,
    NOTES,
    READINGS,
    Carry,
    daily_readings,
    go_on,
    in_words,
    late_homes,
    no_carry,
)
from anomaly.readings.doors_and_meters import MARKED, WINDOW, contradictions, cross_check
from anomaly.readings.downsample import to_daily_grain
from anomaly.readings.household_register import parse_register
from anomaly.readings.latest_night import USUAL_DAYS, latest_night, latest_of
from anomaly.readings.merge import file_order, merge_rows, standing
from anomaly.readings.night_flow import least_flow
from anomaly.readings.parse import REJECTS, ROWS, parse_rows
from anomaly.readings.signal_rule import SignalRule, base_unit

__all__ = [
    "add_up",
    "ALWAYS",
    "CELLS",
    "MARKED",
    "Laid",
    "NEVER",
    "NOTES",
    "Place",
    "READINGS",
    "REJECTS",
    "ROWS",
    "Carry",
    "SignalRule",
    "USUAL_DAYS",
    "WINDOW",
    "base_unit",
    "contradictions",
    "cross_check",
    "daily_readings",
    "empty",
    "file_order",
    "go_on",
    "in_words",
    "late_homes",
    "lay",
    "latest_night",
    "latest_of",
    "least_flow",
    "merge_rows",
    "no_carry",
    "parse_register",
    "parse_rows",
    "standing",
    "to_daily_grain",
]
