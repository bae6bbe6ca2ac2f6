"""Count the rows of an event log, of which each is one passage."""

import polars as pl

NOON = 43_200_000_001
"""Microseconds after midnight at which a day without a passage says so: no door writes a time like that."""


def count_passages(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each home and time whose value is the number of passages (rows alike are several).

    rows: ROW_SCHEMA, of one file. A home of the file that has no passage on a day on which others have one
    gets a row of 0 there; days of which the file says nothing stay unknown.
    """
    if rows.is_empty():
        return rows
    day = pl.col("time").dt.date()
    counted = rows.group_by("household", "time", "dated", maintain_order=True).agg(
        pl.lit(0.0).alias("value") + pl.len(), pl.col("exits", "periods", "row").first()
    )
    days = rows.group_by(day.alias("day")).agg(pl.col("periods").first(), pl.col("dated").all())
    homes = rows.group_by("household", maintain_order=True).agg(pl.col("row").first())
    quiet = homes.join(days, how="cross").join(
        rows.select("household", day=day).unique(), on=["household", "day"], how="anti"
    )
    midnight = pl.col("day").cast(pl.Datetime("us"))
    stamped = midnight + pl.duration(microseconds=NOON)
    quiet = quiet.with_columns(
        time=pl.when("dated").then(midnight).otherwise(stamped),
        value=pl.lit(0.0),
        exits=pl.lit(None, pl.Int64),
    )
    return pl.concat([counted.select(rows.columns), quiet.select(rows.columns).sort("household", "time")])
