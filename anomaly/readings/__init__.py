"""Raw rows -> daily readings: parsing, units, day boundary, duplicates, gaps, resets, roll-overs, glitches. It never judges a home."""

from anomaly.readings.daily import READINGS, daily_readings
from anomaly.readings.doors import cross_check
from anomaly.readings.merge import file_order, merge_rows
from anomaly.readings.night import latest_night
from anomaly.readings.parse import REJECTS, ROWS, parse_rows
from anomaly.readings.register import parse_register
from anomaly.readings.rule import SignalRule, base_unit
from anomaly.readings.thin import thin

__all__ = [
    "READINGS",
    "REJECTS",
    "ROWS",
    "SignalRule",
    "base_unit",
    "cross_check",
    "daily_readings",
    "file_order",
    "latest_night",
    "merge_rows",
    "parse_register",
    "parse_rows",
    "thin",
]
