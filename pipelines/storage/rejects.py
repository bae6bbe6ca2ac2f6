"""Keep the rows that were refused, with the reason, for `v1.rejects`."""

from collections.abc import Mapping

import polars as pl

from anomaly import tables
from pipelines.storage.state import Store

REJECTS_FILE = "rejects.parquet"
STORED_REJECT_SCHEMA = dict(tables.empty(tables.Rejects).schema)


def read_rejects(store: Store) -> pl.DataFrame:
    """Return every refused row (tables.Rejects): source, file, row, reason."""
    return store.read(REJECTS_FILE, STORED_REJECT_SCHEMA)


def replace_rejects(store: Store, source: str, rejects: Mapping[str, pl.DataFrame]) -> None:
    """Write the refused rows (row, reason) of some files of a source, by file, in place of earlier ones."""
    kept = read_rejects(store).filter((pl.col("source") != source) | ~pl.col("file").is_in(list(rejects)))
    fresh = [
        refused.select(source=pl.lit(source), file=pl.lit(file), row="row", reason="reason")
        for file, refused in rejects.items()
    ]
    store.write(REJECTS_FILE, pl.concat([kept, *fresh]).sort("source", "file", "row"))


def commonest_reason(rejects: pl.DataFrame) -> str:
    """Return the reason that most of the refused rows have; there must be one."""
    return rejects["reason"].value_counts(sort=True)["reason"][0]
