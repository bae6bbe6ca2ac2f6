"""Bring tables of other shapes into the one that is read: a row for each home and time.

An export may give a column to each period of the day (`shape = "intervals"`) or to each home (`"meters"`).
Every cell becomes a row that keeps the number of the row it stood in; an empty cell is no reading and no row.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly.pii import find_personal_columns
from anomaly.readings import SignalRule, read_times
from pipelines.config.sections import FILE_COLUMN, MADE_COLUMNS, PASSAGE_COLUMN, Source
from pipelines.ingest.roles import check_columns, columns_of_roles, personal_columns
from pipelines.ingest.text_table import MalformedFile, TextTable

PERIODS_PER_DAY = (24, 48, 72, 96, 144, 288, 1440)
"""How many equal periods an export gives a day."""
DAY_MINUTES = 1440
MANY_NAMES = 6
"""Names of columns that are shown in a message."""


class Period(NamedTuple):
    """A column that holds one period of the day, and the minute at which it begins."""

    column: str
    start: int


class DayPeriods(NamedTuple):
    """The periods of a day in the order of their columns, and how many minutes each lasts.

    elapsed: they count on over the hour that comes twice, and so name no clock time on that day.
    """

    periods: list[Period]
    minutes: int
    elapsed: bool = False


def to_long(table: TextTable, source: Source) -> TextTable:
    """Return a table with a row for each home and time; one of shape "long" is returned as it is.

    Raises MalformedFile where the columns are not those of the shape.
    """
    if source.shape not in _SHAPES:
        return table
    check_columns(table.cells.columns, source)
    return _SHAPES[source.shape](table, source)


def add_made_columns(table: TextTable, path: Path, source: Source) -> TextTable:
    """Return a table with what is not in its cells: the id in the file's name, and 1 for each passage.

    Raises MalformedFile for a name without an id.
    """
    made = {}
    if source.household_from_file:
        found = re.search(source.household_from_file, path.name)
        if not found or not (household := found[1] if found.re.groups else found[0]):
            raise MalformedFile(
                "has a name in which no id is found",
                f"set household_from_file in [signals.{source.name}], or name other files",
            )
        made[FILE_COLUMN] = household
    if PASSAGE_COLUMN in source.columns.values():
        made[PASSAGE_COLUMN] = "1"
    if not made:
        return table
    has_cells = pl.any_horizontal(pl.all().cast(pl.String).str.strip_chars() != "").fill_null(False)
    cells = table.cells.with_columns(
        pl.when(has_cells).then(pl.lit(text)).alias(name) for name, text in made.items()
    )
    return TextTable(cells, table.row, table.broken)


# a column for each period of the day


def find_periods(names: Sequence[str], source: Source) -> DayPeriods:
    """Find the columns that hold a period of the day, by their names: times, or numbers counted from 0 or 1.

    Columns named in another way than the others ("Total") are none of them. Raises MalformedFile where the
    periods do not make a day.
    """
    families: dict[str, list[str]] = {}
    for name in names:
        if re.search(r"\d", name):
            families.setdefault(_family(name), []).append(name)
    largest = max(map(len, families.values()), default=0)
    found = [family for family in families.values() if len(family) == largest]
    if len(found) > 1:
        first, second = found[0][0], found[1][0]
        raise MalformedFile(
            f"has several columns for each period of the day ({first!r}, {second!r})",
            "leave all but one kind out of the export",
            kept_problem="has several columns for each period of the day",
        )
    columns = found[0] if found else []
    if periods := _periods_by_clock(columns, source.stamp) or _periods_by_number(columns):
        return periods
    shown = ", ".join(map(repr, columns[:MANY_NAMES])) + (", …" if len(columns) > MANY_NAMES else "")
    raise MalformedFile(
        f"has {len(columns)} columns for periods ({shown}), which do not make a day",
        f"name a column for each of {', '.join(map(str, PERIODS_PER_DAY))} equal periods, by time or number; "
        f"or leave `shape` out of [signals.{source.name}]",
        kept_problem=f"has {len(columns)} columns for periods, which do not make a day",
    )


def _family(name: str) -> str:
    """Return what the name of a column shares with those of the other periods."""
    name = re.sub(r"^(?:1899-12-3\d|1900-01-0\d) ", "", name.strip().lower())  # a sheet's time of day
    return re.sub(r"\d+", "#", re.sub(r"\b[ap]\.?m\b\.?", "m", name))


_CLOCK = re.compile(r"(?<!\d)(\d{1,2})(?:[:.h时](\d{2}))(?::\d{2})?\s*([ap])?\.?(?:m\b)?", re.IGNORECASE)
_HOUR = re.compile(r"(?<!\d)(\d{1,2})\s*([ap])\.?m\b", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")


def _periods_by_clock(columns: Sequence[str], stamp: str) -> DayPeriods | None:
    """Return the periods of columns named by times; None where not all are, or they do not make a day."""
    begins, ends = [], []
    for name in columns:
        times = [_minute(hour, minute, half) for hour, minute, half in _CLOCK.findall(name)]
        times = times or [_minute(hour, "0", half) for hour, half in _HOUR.findall(name)]
        if not times:
            times = _minutes_without_colon(name)
        if not 1 <= len(times) <= 2:
            return None
        begins.append(times[0])
        ends.append(times[-1])
    length = DAY_MINUTES // len(columns) if len(columns) in PERIODS_PER_DAY else 0
    if not length:
        return None
    if begins == ends:
        begins = _begins_of_named(begins, length, stamp)
    if sorted(begin % DAY_MINUTES for begin in begins) != list(range(0, DAY_MINUTES, length)):
        return None
    return DayPeriods([Period(*one) for one in zip(columns, begins, strict=True)], length)


def _minute(hour: str, minute: str, half: str) -> int:
    if not half:
        return 60 * int(hour) + int(minute)
    return 60 * (int(hour) % 12 + 12 * (half.lower() == "p")) + int(minute)


def _minutes_without_colon(name: str) -> list[int]:
    """Return the time of a name such as "0030" or "2400"; nothing where it is none."""
    digits = _DIGITS.findall(name)
    if len(digits) != 1 or len(digits[0]) not in (3, 4) or int(digits[0]) % 100 > 59:
        return []
    return [int(digits[0]) // 100 * 60 + int(digits[0]) % 100]


def _begins_of_named(times: list[int], length: int, stamp: str) -> list[int]:
    """Return where periods begin that are named by one time each.

    24:00, or a midnight behind all others, is an end whatever `stamp` says; so is the last minute of each.
    """
    if all((time + 1) % length == 0 for time in times):
        times = [time + 1 for time in times]
    if times[-1] == 0 and times[0] == length:
        times = [*times[:-1], DAY_MINUTES]
    if DAY_MINUTES in times or stamp == "end":  # then 00:00 in front closes the day before
        return [time - length for time in times]
    return times


def _periods_by_number(columns: Sequence[str]) -> DayPeriods | None:
    """Return the periods of columns that are counted; None where they are not, or do not make a day.

    A day may have an hour more than 24: then the periods count on over the hour that comes twice.
    """
    digits = [_DIGITS.findall(name) for name in columns]
    if not columns or not all(digits):
        return None
    places = [int(found[-1]) for found in digits]
    first = min(places)
    if first > 1 or sorted(places) != list(range(first, first + len(places))):
        return None
    for usual in PERIODS_PER_DAY:
        if len(places) in (usual, usual + usual // 24):
            length = DAY_MINUTES // usual
            begins = [(place - first) * length for place in places]
            periods = [Period(*one) for one in zip(columns, begins, strict=True)]
            return DayPeriods(periods, length, elapsed=len(places) > usual)
    return None


def _intervals_to_long(table: TextTable, source: Source) -> TextTable:
    cells, time = table.cells, source.columns["time"]
    mapped = columns_of_roles(source)
    day = find_periods([name for name in cells.columns if name not in mapped], source)
    periods = sorted(day.periods, key=lambda period: period.start)
    texts, day_number = _times_of_periods(cells[time], day, [period.start for period in periods], source)
    long = _stack(table, [period.column for period in periods])
    place = day_number.to_numpy()[long.source_row] * len(periods) + long.column
    return long.table(texts.gather(place).alias(time))


def _times_of_periods(
    days: pl.Series, day: DayPeriods, starts: list[int], source: Source
) -> tuple[pl.Series, pl.Series]:
    """Return the time texts of each different day, period by period, and the number of each row's day.

    A day that cannot be read stands for itself, so that its rows are refused for it.
    """
    stripped = days.str.strip_chars() if days.dtype == pl.String else days
    distinct = stripped.unique(maintain_order=True).rename("cell").to_frame().with_row_index("number")
    rule = SignalRule(source.name, "usage", time_format=source.time_format, timezone=source.timezone)
    number = stripped.rename("cell").to_frame().join(
        distinct, on="cell", how="left", nulls_equal=True, maintain_order="left"
    )["number"]  # fmt: skip
    read = distinct.with_columns(
        day=read_times(distinct["cell"], rule)["time"].dt.date(), cell=pl.col("cell").cast(pl.String)
    )
    shift = day.minutes if source.stamp == "end" else 0
    minutes = [start + shift for start in starts]
    each = read.join(pl.DataFrame({"minute": minutes}), how="cross", maintain_order="left_right")
    midnight = pl.col("day").cast(pl.Datetime("us"))
    if day.elapsed:
        local = midnight.dt.replace_time_zone(source.timezone, ambiguous="earliest", non_existent="null")
        text = (local + pl.duration(minutes="minute")).dt.to_string("%Y-%m-%d %H:%M:%S%:z")
    else:
        text = (midnight + pl.duration(minutes="minute")).dt.to_string("%Y-%m-%d %H:%M:%S")
    return each.select(pl.coalesce(text, "cell")).to_series(), number


# a column for each home


def _meters_to_long(table: TextTable, source: Source) -> TextTable:
    mapped = columns_of_roles(source)
    homes = [name for name in table.cells.columns if name not in mapped and not _is_nameless(name)]
    if not homes:
        raise MalformedFile(
            "has no column for any home",
            f"give each home a column, or leave `shape` out of [signals.{source.name}]",
        )
    # ids stand where names of columns do, and are looked at as a column of ids is
    if found := find_personal_columns(pl.DataFrame({"meter": homes})):
        reason = found["meter"].replace("holds", "is one of several whose names hold")
        raise personal_columns({homes[0]: reason}, table.cells.columns)
    long = _stack(table, homes)
    household = pl.Series(homes).gather(long.column).alias(MADE_COLUMNS["meters"]["household"])
    return long.table(household)


def _is_nameless(column: str) -> bool:
    return re.fullmatch(r"\(column \d+\)", column) is not None


# both


class _LongRows(NamedTuple):
    """Rows of a long table: which row and which of the stacked columns each came from, and its value."""

    wide: TextTable
    stacked: list[str]
    source_row: np.ndarray
    column: np.ndarray
    value: pl.Series

    def table(self, made: pl.Series) -> TextTable:
        """Return the table with one more column, or another in place of one of that name."""
        rest = self.wide.cells.drop(self.stacked).select(pl.all().gather(self.source_row))
        cells = rest.with_columns(made, self.value)
        broken = self.wide.broken.gather(self.source_row)
        cells = cells.with_columns(pl.when(broken.is_null()).then(pl.all()))
        return TextTable(cells, self.wide.row.gather(self.source_row), broken)


def _stack(table: TextTable, columns: list[str]) -> _LongRows:
    """Stack the cells of the columns, row by row; empty ones are left out, a broken row stays as one."""
    text = table.cells.select(pl.col(columns).cast(pl.String))
    values = text.select(pl.concat_list(pl.all())).to_series().explode()
    count, width = len(text), len(columns)
    column = np.tile(np.arange(width, dtype=np.uint32), count)
    source_row = np.repeat(np.arange(count, dtype=np.uint32), width)
    filled = (values.str.strip_chars() != "").fill_null(False).to_numpy()
    broken = table.broken.is_not_null().to_numpy()
    keep = filled | (np.repeat(broken, width) & (column == 0))
    value = values.filter(pl.Series(keep)).alias(MADE_COLUMNS["meters"]["value"])
    return _LongRows(table, columns, source_row[keep], column[keep], value)


_SHAPES: Mapping[str, Callable[[TextTable, Source], TextTable]] = {
    "intervals": _intervals_to_long,
    "meters": _meters_to_long,
}
