"""Readings: raw rows of one signal become one reading for each home and local day. No home is judged here.

The order in which a reading is made, and the module that holds each rule:

1. `signal_rule`: what the settings say of the signal; `units`: its base unit and what no home exceeds in a
   day.
2. `parse`: text cells become typed rows, those that cannot be right become rejects; `timestamps`: times
   become local.
3. `merge`: rows of many files become one row for each home and time, the last one wins.
4. `daily`: typed rows become days, by kind of signal:
   - a register, in `register_days`: `register_cleaning` finds the readings to be believed (roll-backs,
     glitches, roll-overs, resets), `midnights` reads the register off at the local midnights and subtracts;
   - a count or use, in `period_days`: periods are summed, and whole days told from partial and missing ones;
     days on which one of two door sensors failed are doubtful; `mean_power` makes power a use, and
     `restarting_register` reads registers that begin anew each day;
   - homes with several meters, or with estimated readings, in `meters`.
   `incremental` holds what is remembered of a signal, so that new rows do not mean reading all again.
5. `cells`: the form of a day: quality, note, and the day whose night is the first to know it.
6. `doors_and_meters`: the signals of one home are checked against each other.
7. `arrays`: days laid out for scoring; `latest_night`: the night they reach.

Beside the order: `household_register` reads who lives where, `night_flow` measures leaks by the hour,
`downsample` brings old fine rows down to days, `sorting` sorts rows that mostly come in order.
"""

from anomaly.readings.arrays import (
    COUNTS_ALWAYS,
    COUNTS_NEVER,
    ArrayLayout,
    ReadingArrays,
    add_home_totals,
    write_cells,
)
from anomaly.readings.cells import CELL_SCHEMA, NOTE_LABELS, READING_SCHEMA, to_labelled_frame
from anomaly.readings.daily import advance, daily_readings, homes_to_rebuild
from anomaly.readings.doors_and_meters import (
    CROSS_CHECK_DAYS,
    DOUBTFUL_MARKS,
    cross_check,
    mark_contradictions,
)
from anomaly.readings.downsample import to_daily_grain
from anomaly.readings.household_register import parse_household_register, parse_signal_ids
from anomaly.readings.incremental import IncrementalState
from anomaly.readings.latest_night import USUAL_HOMES_DAYS, find_latest_night, latest_night_from_counts
from anomaly.readings.merge import file_sort_key, is_whole_row, merge_rows
from anomaly.readings.night_flow import has_night_flow, minimum_night_flow
from anomaly.readings.parse import EXTRA_COLUMNS, REJECT_SCHEMA, ROW_SCHEMA, parse_rows
from anomaly.readings.signal_rule import SIGNAL_KINDS, SignalRule
from anomaly.readings.sorting import argsort_integers
from anomaly.readings.timestamps import read_times
from anomaly.readings.units import base_unit

__all__ = [
    "CELL_SCHEMA",
    "COUNTS_ALWAYS",
    "COUNTS_NEVER",
    "CROSS_CHECK_DAYS",
    "DOUBTFUL_MARKS",
    "EXTRA_COLUMNS",
    "NOTE_LABELS",
    "READING_SCHEMA",
    "REJECT_SCHEMA",
    "ROW_SCHEMA",
    "SIGNAL_KINDS",
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
    "has_night_flow",
    "homes_to_rebuild",
    "is_whole_row",
    "latest_night_from_counts",
    "mark_contradictions",
    "merge_rows",
    "minimum_night_flow",
    "parse_household_register",
    "parse_rows",
    "parse_signal_ids",
    "read_times",
    "to_daily_grain",
    "to_labelled_frame",
    "write_cells",
]
