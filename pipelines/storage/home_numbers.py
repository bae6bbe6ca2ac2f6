"""Number the homes: the state names a home by its number and keeps ids in one list alone.

Homes are numbered in the order in which they were first seen; a number never changes and is never given
again.
"""

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from pipelines.storage.state import Store

HOMES_FILE = "homes.parquet"
HOMES_PER_BLOCK = 1 << 15
"""Homes whose readings lie together in the state and are worked on together."""


class HomeNumbers:
    """Household ids by number: `households` (String) holds the id of home n in its row n."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.households = store.read(HOMES_FILE, {"household": pl.String})["household"]

    def __len__(self) -> int:
        return len(self.households)

    def frame(self) -> pl.DataFrame:
        """Return home (UInt32), household of every home."""
        return self.households.to_frame("household").with_row_index("home")

    def replace_ids(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows, in their order, with `home` in place of `household`.

        Ids not seen before get the next numbers.         New ids are numbered in their hash order, so that a
        sample of homes, the first in that order, lies together.
        """
        numbered = self._join(rows)
        if numbered["home"].null_count():
            new = numbered.filter(pl.col("home").is_null())["household"].unique().sort()
            new = new.gather(np.argsort(hash_order(new), kind="stable"))
            self.households = pl.concat([self.households, new])
            self.store.write(HOMES_FILE, self.households.to_frame())
            numbered = self._join(rows)
        return numbered.drop("household")

    def _join(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.join(self.frame(), on="household", how="left", maintain_order="left")


def hash_order(ids: Iterable[str]) -> np.ndarray:
    """Return numbers (UInt32) that sort ids in an order that means nothing and is always the same."""
    return np.fromiter(map(zlib.crc32, map(str.encode, ids)), np.uint32)


def home_blocks(homes: int, size: int = HOMES_PER_BLOCK) -> Iterator[range]:
    """Yield the home numbers 0 … `homes` - 1 as ranges of at most `size`."""
    return (range(start, min(start + size, homes)) for start in range(0, homes, size))
