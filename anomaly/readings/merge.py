"""Rows of many files -> one row per household and time: the last one wins."""

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

KEY = ("household", "time", "dated")
_TOLD = ("value", "exits", "periods")  # what two rows must share to say the same


def file_sort_key(file: str) -> str:
    """Text that sorts files by folder, stem and suffix, numbers by size: "water.csv" < "water-2.csv" < "water-10.csv"."""
    parent, _, name = file.rpartition("/")
    stem, dot, suffix = name.partition(".")
    wide = (re.sub(r"\d+", lambda run: run[0].zfill(12), part) for part in (parent, stem, dot + suffix))
    return "\x1f".join(wide)


def merge_rows(stored: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """One row per (household, time, dated), sorted by them; `{"duplicate": n, "restated": n}`.

    Both frames have the columns of `parse_rows` and a text column `order` (see `file_order`); other columns are kept.
    The row of the later file wins, within a file the later row; a file that comes again replaces its own rows.
    A row that lost is a duplicate if it says the same as the winner (not counted where the same file came again),
    and restated if it says something else. The order of the input rows changes nothing.
    """
    both = pl.concat(
        [stored.with_columns(again=pl.lit(False)), new.with_columns(again=pl.lit(True))], how="diagonal"
    )
    if both.is_empty():
        return both.drop("again"), {"duplicate": 0, "restated": 0}
    both = sort_rows(both, KEY)
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in KEY)
    if not both.select(same.any()).item():
        return both.drop("again"), {"duplicate": 0, "restated": 0}
    both = both.sort(*KEY, "order", "again", "row", *_TOLD, nulls_last=False)
    lost = both.select(pl.struct(KEY).is_last_distinct().not_()).to_series()
    won = both.filter(~lost)
    rest = both.filter(lost).join(won.select(*KEY, "order", "again", *_TOLD), on=KEY, suffix="_won")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_won")) for name in _TOLD)
    reread = (pl.col("order") == pl.col("order_won")) & pl.col("again_won") & ~pl.col("again")
    counts = rest.select(duplicate=(same & ~reread).sum(), restated=(~same).sum()).row(0, named=True)
    return won.drop("again"), {name: int(n) for name, n in counts.items()}


def sort_rows(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows sorted by the key's columns. Rows that come by time, as day after day is exported, need the first column only."""
    ordinary = rows
    if not rows[key[0]].is_sorted():
        numbered = rows.schema[key[0]] == pl.UInt32
        ordinary = (
            rows[argsort_integers(rows[key[0]].to_numpy())]
            if numbered
            else rows.sort(key[0], maintain_order=True)
        )
    ordinary = ordinary.with_columns(pl.col(key[0]).set_sorted())
    later = [pl.col(name) for name in key[1:]]
    falls, same = pl.lit(False), pl.col(key[0]) == pl.col(key[0]).shift()
    for column in later:
        falls = falls | (same & (column < column.shift()))
        same = same & (column == column.shift())
    return rows.sort(key) if ordinary.select(falls.any()).item() else ordinary


def argsort_integers(numbers: np.ndarray) -> np.ndarray:
    """Where whole numbers from 0 to 2³² - 1 stand once they are sorted, equal ones in their order: 16 bits at a time, which NumPy sorts by counting."""
    low = np.argsort(numbers.astype(np.uint16), kind="stable")
    if numbers.size and numbers.max() >> 16:
        low = low[np.argsort((numbers >> 16).astype(np.uint16)[low], kind="stable")]
    return low
