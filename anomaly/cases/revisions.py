"""What a night that is judged again says otherwise of its cases."""

import polars as pl

from anomaly import tables

SEEN = 0.001  # a rarity that moves by less is the same to a reader
_BY = ["household", "signature"]


def changes(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The columns of tables.Revisions but night and revised, one row a case that is new, gone or changed.

    before, after: case_id, household, signature, rarity, rank (null where not listed) of the cases open on the night.
    A case is the same where home and kind are: its code changes with the night on which it opens.
    """
    sides = [_side(frame, name) for name, frame in (("before", before), ("after", after))]
    both = sides[0].join(sides[1], on=_BY, how="full", coalesce=True)
    there = [pl.col(f"case_id_{name}").is_not_null() for name in ("before", "after")]
    moved = (pl.col("rarity_after") / pl.col("rarity_before") - 1).abs() > SEEN
    other = (
        moved
        | pl.col("case_id_before").ne_missing(pl.col("case_id_after"))
        | pl.col("rank_before").ne_missing(pl.col("rank_after"))
    )
    change = (
        pl.when(~there[0])
        .then(pl.lit("new"))
        .when(~there[1])
        .then(pl.lit("gone"))
        .when(other)
        .then(pl.lit("changed"))
    )
    told = both.with_columns(change=change).filter(pl.col("change").is_not_null()).sort(_BY)
    return told.select(name for name in tables.Revisions.column_names() if name not in ("night", "revised"))


def _side(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row a home and kind, the last opened, its columns named after the side."""
    columns = {f"{column}_{name}": pl.col(column) for column in ("case_id", "rarity")} | {
        f"rank_{name}": pl.col("rank").cast(pl.Int32)
    }
    return frame.sort("case_id").unique(_BY, keep="last", maintain_order=True).select(*_BY, **columns)
