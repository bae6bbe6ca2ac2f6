"""Read meter data in the form of Australia's market operator (AEMO, Meter Data File Format, NEM12).

A file is a sequence of records: 100 header; 200 a register of a meter, with its unit and interval; 300 a day
of that register, an interval a cell, with a quality flag; 400 the flags of intervals, where they differ in a
day (flag V); 500 details that are not needed; 900 end. Times are Australian Eastern Standard Time all year
round.
"""

from pathlib import Path

import polars as pl

from pipelines.config.sections import MADE_COLUMNS, Source
from pipelines.ingest.csv_text import WRONG_COUNT
from pipelines.ingest.file_text import read_text
from pipelines.ingest.text_table import MalformedFile, TextTable

OFFSET = "+10:00"
"""Of Australian Eastern Standard Time."""
ACTUAL = "A"
"""Flag of values that were metered; others (S, F substituted, E estimated, N none) were not."""
CONSUMPTION = "E"
"""First letter of registers of energy taken from the grid; B is fed into it, Q and K are reactive."""
DAY_MINUTES = 1440
_BEFORE_VALUES = 2
"""Cells of a 300 record before its first value."""


def read_nem12(path: Path, source: Source, packed: bool) -> TextTable:
    """Return a row for each metered interval of each home, its registers of consumption summed.

    Row 1 is the record below the header. Intervals that were not metered have no row. Raises MalformedFile
    for a file that does not begin and end as the format asks, holds no consumption or has another unit.
    """
    return parse_nem12(read_text(path, source.encoding, source.max_bytes, packed), source)


def parse_nem12(text: bytes, source: Source) -> TextTable:
    """As `read_nem12`, of the file's text."""
    lines = pl.read_lines(text)["line"].str.strip_chars(' \t\r",')
    records = pl.DataFrame({"cells": lines.str.split(",")}).with_row_index("row").cast({"row": pl.Int64})
    records = records.with_columns(kind=pl.col("cells").list.first()).filter(pl.col("kind") != "")
    if records.is_empty() or records.item(0, "cells").to_list()[:2] != ["100", "NEM12"]:
        raise MalformedFile("does not begin with a record 100,NEM12", "check `shape`, or export it as NEM12")
    if records.item(-1, "kind") != "900":
        raise MalformedFile("does not end with a record 900, it is cut short", "copy or export it again")
    records = records.with_columns(pl.col("row") - records.item(0, "row"))
    days = _days(records, source)
    values = _intervals(days.filter(~pl.col("broken")))
    flags = _flags(records)
    values = values.join(flags, on=["row", "interval"], how="left", maintain_order="left")
    metered = pl.coalesce("flag", pl.when(pl.col("quality") != "V").then("quality")) == ACTUAL
    values = values.filter(metered.fill_null(False))
    return _as_table(values, days.filter("broken")["row"])


def _days(records: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Return the 300 records of consumption: row, cells, nmi, minutes, count, quality, broken."""
    cells = pl.col("cells")
    is_register = pl.col("kind") == "200"
    names = {"nmi": 1, "register": 4, "unit": 7, "minutes": 8}
    of_register = [
        pl.when(is_register).then(cells.list.get(at, null_on_oob=True).str.strip_chars().fill_null(""))
        .forward_fill().alias(name)
        for name, at in names.items()
    ]  # fmt: skip
    days = records.with_columns(of_register).filter(
        (pl.col("kind") == "300") & pl.col("register").str.to_uppercase().str.starts_with(CONSUMPTION)
    )
    if days.is_empty():
        raise MalformedFile(
            f"has no day of a register of consumption ({CONSUMPTION}1, {CONSUMPTION}2 …)",
            "check that the export holds energy taken from the grid",
        )
    units = days["unit"].str.to_lowercase().unique().sort().to_list()
    if units != [source.unit.lower()]:
        raise MalformedFile(
            f"holds values in {', '.join(units)}, and `unit` says {source.unit}",
            f"set `unit` in [signals.{source.name}]",
            kept_problem=f"holds values in another unit than {source.unit}",
        )
    minutes = pl.col("minutes").cast(pl.Int64, strict=False)
    days = days.with_columns(minutes=pl.when(minutes.is_in([5, 15, 30])).then(minutes))
    count = DAY_MINUTES // pl.col("minutes")
    quality = cells.list.get(_BEFORE_VALUES + count, null_on_oob=True).str.strip_chars().str.to_uppercase()
    days = days.with_columns(count=count, quality=quality.str.head(1))
    is_flag = pl.col("quality").is_in(["A", "S", "F", "E", "N", "V"])
    return days.with_columns(broken=~is_flag.fill_null(False))


def _intervals(days: pl.DataFrame) -> pl.DataFrame:
    """Return row, nmi, day, minutes, quality, interval (from 1 on) and value of each cell of the days."""
    values = pl.col("cells").list.slice(_BEFORE_VALUES, pl.col("count"))
    day = pl.col("cells").list.get(1).str.strip_chars()
    long = days.select(
        "row",
        "nmi",
        "minutes",
        "quality",
        day=day,
        value=values,
        interval=pl.int_ranges(1, pl.col("count") + 1),
    )
    return long.explode("value", "interval")


def _flags(records: pl.DataFrame) -> pl.DataFrame:
    """Return row (of the 300 record), interval and flag of what the 400 records say."""
    day = pl.when(pl.col("kind") == "300").then("row").forward_fill()
    cells = pl.col("cells")
    first, last = (cells.list.get(at, null_on_oob=True).cast(pl.Int64, strict=False) for at in (1, 2))
    flags = records.with_columns(day=day).filter(pl.col("kind") == "400")
    flag = cells.list.get(3, null_on_oob=True).str.strip_chars().str.to_uppercase().str.head(1)
    flags = flags.select(
        row="day", first=first.clip(1, DAY_MINUTES), last=last.clip(1, DAY_MINUTES), flag=flag
    )
    flags = flags.drop_nulls().filter(pl.col("first") <= pl.col("last"))
    each = flags.with_columns(interval=pl.int_ranges("first", pl.col("last") + 1)).explode("interval")
    return each.select("row", "interval", "flag").unique(["row", "interval"], keep="last")


def _as_table(values: pl.DataFrame, broken_rows: pl.Series) -> TextTable:
    """Return the table of text: registers of one home and time summed where all are numbers."""
    made = MADE_COLUMNS["nem12"]
    minute = (pl.col("interval") - 1) * pl.col("minutes")
    clock = pl.format(
        "{}:{}:00", (minute // 60).cast(pl.String).str.zfill(2), (minute % 60).cast(pl.String).str.zfill(2)
    )
    number = pl.col("value").cast(pl.Float64, strict=False)
    values = values.with_columns(time=pl.format("{} {}" + OFFSET, "day", clock), number=number)
    key = ["nmi", "time"]
    if values.select(pl.struct(key).is_duplicated().any()).item():
        values = values.group_by(key, maintain_order=True).agg(
            pl.col("row").first(),
            value=pl.when(pl.col("number").null_count() == 0)
            .then(pl.col("number").sum().round(9).cast(pl.String))
            .otherwise(pl.col("value").first()),
        )
    cells = values.select(
        pl.col("nmi").alias(made["household"]),
        pl.col("time").alias(made["time"]),
        pl.col("value").alias(made["value"]),
    )
    broken = pl.DataFrame(
        {name: pl.Series([None] * len(broken_rows), dtype=pl.String) for name in cells.columns}
    )
    reasons = [
        pl.repeat(None, len(cells), dtype=pl.String, eager=True),
        pl.repeat(WRONG_COUNT, len(broken), dtype=pl.String, eager=True),
    ]
    return TextTable(pl.concat([cells, broken]), pl.concat([values["row"], broken_rows]), pl.concat(reasons))
