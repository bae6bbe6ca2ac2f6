"""Make the CalIt2 sample from its original files: python reshape.py FOLDER_OF_ORIGINALS
sample_data/calit2."""

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl

DOOR = "calit2-main-door"
SLICE = timedelta(minutes=30)
FLOWS = {"9": "entries", "7": "exits"}


def access(original: Path) -> pl.DataFrame:
    """One row a half hour: household_id, time (start of the half hour), entries, exits.

    The originals give one row a direction, and the time at which the previous half hour was reported: its
    end. A half hour that lacks a direction would come out with an empty cell, not a zero.
    """
    columns = ["flow", "day", "clock", "count"]
    rows = pl.read_csv(original, has_header=False, new_columns=columns, infer_schema=False)
    time = (
        pl.concat_str("day", "clock", separator=" ").str.strip_chars().str.to_datetime("%m/%d/%y %H:%M:%S")
        - SLICE
    )
    wide = rows.with_columns(time=time, count=pl.col("count").str.strip_chars().cast(pl.Int64)).pivot(
        "flow", on_columns=list(FLOWS), index="time", values="count", aggregate_function=None
    )
    named = (
        wide.rename(FLOWS)
        .sort("time")
        .with_columns(household_id=pl.lit(DOOR), time=pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%S"))
    )
    return named.select("household_id", "time", "entries", "exits")


def events(original: Path) -> pl.DataFrame:
    """One row an event: date (ISO), begin, end, event, as labelled."""
    rows = pl.read_csv(
        original, has_header=False, new_columns=["date", "begin", "end", "event"], infer_schema=False
    )
    return rows.with_columns(pl.all().str.strip_chars()).with_columns(
        pl.col("date").str.to_date("%m/%d/%y").cast(pl.String)
    )


def main(folder: str, target: str) -> None:
    """Write access.csv and events.csv into `target`."""
    originals, made = Path(folder), Path(target)
    access(originals / "CalIt2_weeks1-9.data").write_csv(made / "access.csv")
    events(originals / "CalIt2_weeks1-9.events").write_csv(made / "events.csv")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
