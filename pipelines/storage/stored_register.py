"""The household register as the state keeps it: which homes there are, and where they lie."""

import polars as pl

from pipelines.storage.state import Store

REGISTER_FILE = "register.parquet"
REGISTER_SCHEMA = pl.Schema(
    {
        "household": pl.String,
        "building": pl.String,
        "district": pl.String,
        "class": pl.String,
        "moved_in": pl.Date,
        "moved_out": pl.Date,
        "ambiguous": pl.Boolean,
    }
)
"""moved_in: earlier history is not this home's; moved_out: nor is what comes from that day on. ambiguous: the
id was given with different places."""


def has_register(store: Store) -> bool:
    """Return whether a register was loaded."""
    return store.path(REGISTER_FILE).exists()


def read_stored_register(store: Store) -> pl.DataFrame:
    """Return the register (REGISTER_SCHEMA), one row a home; empty where none was loaded."""
    register = store.read(REGISTER_FILE, REGISTER_SCHEMA)
    if "moved_out" not in register.columns:  # of an older version
        register = register.with_columns(moved_out=pl.lit(None, pl.Date))
    return register.select(REGISTER_SCHEMA.keys())


def write_register(store: Store, register: pl.DataFrame) -> None:
    """Write the register (REGISTER_SCHEMA) in place of the one before."""
    store.write(REGISTER_FILE, register.select(REGISTER_SCHEMA.keys()).cast(REGISTER_SCHEMA))
