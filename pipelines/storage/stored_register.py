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
        "ambiguous": pl.Boolean,
    }
)
"""moved_in: earlier history is not this home's. ambiguous: the id was given with different places."""


def has_register(store: Store) -> bool:
    """Return whether a register was loaded."""
    return store.path(REGISTER_FILE).exists()


def read_stored_register(store: Store) -> pl.DataFrame:
    """Return the register (REGISTER_SCHEMA), one row a home; empty where none was loaded."""
    return store.read(REGISTER_FILE, REGISTER_SCHEMA)


def write_register(store: Store, register: pl.DataFrame) -> None:
    """Write the register (REGISTER_SCHEMA) in place of the one before."""
    store.write(REGISTER_FILE, register.select(REGISTER_SCHEMA.keys()).cast(REGISTER_SCHEMA))
