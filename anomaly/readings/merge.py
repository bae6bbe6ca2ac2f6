"""Merge the rows of many files into one row for each household and time: the last one wins."""

import re

import polars as pl

from anomaly.readings.sorting import sort_rows

KEY = ("household", "time", "dated")
VALUE_COLUMNS = ("value", "exits", "periods")
"""Two rows of one key that agree in these say the same."""


def key_of_rows(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns that no two rows may share: KEY, and the meter where rows name one."""
    return (*KEY, "meter") if "meter" in rows.columns else KEY


def file_sort_key(file: str) -> str:
    """Return a text that sorts files by folder, stem and suffix, with numbers by size.

    "water.csv" < "water-2.csv" < "water-10.csv".
    """
    folder, _, name = file.rpartition("/")
    stem, dot, suffix = name.partition(".")
    padded = (
        re.sub(r"\d+", lambda digits: digits[0].zfill(12), part) for part in (folder, stem, dot + suffix)
    )
    return "\x1f".join(padded)


def is_whole_row() -> pl.Expr:
    """Return whether a row was read after its day was over (see `parse.OPEN_DAY`)."""
    return (pl.col("periods") >= 0).fill_null(True)


def merge_rows(stored: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return one row for each key (see `key_of_rows`), sorted by it, and counts of the rows that lost.

    Counts: `{"duplicate": n, "restated": n}`.

    Both frames have the columns of `parse_rows` and a text column `order` (see `file_sort_key`); other
    columns are kept.

    A row that was read when its day was over wins over one that was not. Of others the row of the later file
    wins, within a file the later row; a file that comes again replaces its own
    rows. A row that lost is a duplicate if it says the same as the winner (not counted where the same file
    came again), and restated if it says something else. The order of the input rows does not matter.
    """
    both = pl.concat(
        [stored.with_columns(is_new=pl.lit(False)), new.with_columns(is_new=pl.lit(True))], how="diagonal"
    )
    if both.is_empty():
        return both.drop("is_new"), {"duplicate": 0, "restated": 0}
    key = key_of_rows(both)
    both = sort_rows(both, key)
    same_key = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in key)
    if not both.select(same_key.any()).item():
        return both.drop("is_new"), {"duplicate": 0, "restated": 0}
    both = both.sort(*key, is_whole_row(), "order", "is_new", "row", *VALUE_COLUMNS, nulls_last=False)
    lost = both.select(pl.struct(key).is_last_distinct().not_()).to_series()
    winners = both.filter(~lost)
    losers = both.filter(lost).join(
        winners.select(*key, "order", "is_new", *VALUE_COLUMNS), on=key, suffix="_winner"
    )
    says_same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_winner")) for name in VALUE_COLUMNS)
    same_file_again = (
        (pl.col("order") == pl.col("order_winner")) & pl.col("is_new_winner") & ~pl.col("is_new")
    )
    counts = losers.select(duplicate=(says_same & ~same_file_again).sum(), restated=(~says_same).sum())
    return winners.drop("is_new"), {name: int(n) for name, n in counts.row(0, named=True).items()}
