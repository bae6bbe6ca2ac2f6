"""Compare the cases of a night before and after it was judged again."""

import polars as pl

from anomaly import tables

MIN_RARITY_CHANGE = 0.001
"""A rarity that moves by a smaller share is the same to a reader."""

_SAME_CASE = ["household", "signature"]


def compare_cases(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the cases that are new, gone or changed: the columns of tables.Revisions but night and revised.

    before, after: case_id, household, signature, rarity, rank (null where not listed) of the cases open on
    the night. A case is the same where home and kind are: its id changes with the night on which it opens.
    """
    both = _with_suffix(before, "before").join(
        _with_suffix(after, "after"), on=_SAME_CASE, how="full", coalesce=True
    )
    rarer = (pl.col("rarity_after") / pl.col("rarity_before") - 1).abs() > MIN_RARITY_CHANGE
    renamed = pl.col("case_id_before").ne_missing(pl.col("case_id_after"))
    moved = pl.col("rank_before").ne_missing(pl.col("rank_after"))
    change = (
        pl.when(pl.col("case_id_before").is_null())
        .then(pl.lit("new"))
        .when(pl.col("case_id_after").is_null())
        .then(pl.lit("gone"))
        .when(rarer | renamed | moved)
        .then(pl.lit("changed"))
    )
    changed = both.with_columns(change=change).filter(pl.col("change").is_not_null()).sort(_SAME_CASE)
    columns = tables.Revisions.column_names()
    return changed.select(name for name in columns if name not in ("night", "revised"))


def _with_suffix(cases: pl.DataFrame, side: str) -> pl.DataFrame:
    """Keep one row a home and kind, the last opened, and name its columns after the side."""
    last = cases.sort("case_id").unique(_SAME_CASE, keep="last", maintain_order=True)
    return last.select(
        *_SAME_CASE,
        pl.col("case_id", "rarity").name.suffix(f"_{side}"),
        pl.col("rank").cast(pl.Int32).alias(f"rank_{side}"),
    )
