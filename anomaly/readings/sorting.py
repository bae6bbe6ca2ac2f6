"""Fast sorting for rows that mostly come in order already."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def sort_rows(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return the rows sorted by the columns of the key.

    Rows that come by time, as when day after day is exported, are sorted by the first column only, with their
    order
    kept: that is a fraction of a whole sort.
    """
    first, others = key[0], key[1:]
    by_first = rows
    if not rows[first].is_sorted():
        if rows.schema[first] == pl.UInt32:
            by_first = rows[argsort_integers(rows[first].to_numpy())]
        else:
            by_first = rows.sort(first, maintain_order=True)
    by_first = by_first.with_columns(pl.col(first).set_sorted())
    out_of_order, same_so_far = pl.lit(False), pl.col(first) == pl.col(first).shift()
    for column in map(pl.col, others):
        out_of_order = out_of_order | (same_so_far & (column < column.shift()))
        same_so_far = same_so_far & (column == column.shift())
    return rows.sort(key) if by_first.select(out_of_order.any()).item() else by_first


def argsort_integers(numbers: np.ndarray) -> np.ndarray:
    """Return the indices that sort whole numbers from 0 to 2³² − 1, stably.

    Sorts the lower and then the upper 16 bits, because NumPy sorts 16-bit integers by counting.
    """
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    if numbers.size and numbers.max() >> 16:
        order = order[np.argsort((numbers >> 16).astype(np.uint16)[order], kind="stable")]
    return order
