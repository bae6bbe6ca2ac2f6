"""The DuckDB type of each Polars type that a published column may have."""

import polars as pl

_SQL_TYPES = {
    "String": "VARCHAR",
    "Date": "DATE",
    "Datetime": "TIMESTAMP",
    "Boolean": "BOOLEAN",
    "Float64": "DOUBLE",
    "Int64": "BIGINT",
    "Int32": "INTEGER",
    "Int8": "TINYINT",
    "UInt32": "UINTEGER",
    "UInt8": "UTINYINT",
}


def sql_type(dtype: pl.DataType) -> str:
    """Return the DuckDB type of a column; a list of (key, value) pairs is a map from text to a double.

    Raises KeyError for a type that no published column has.
    """
    return "MAP(VARCHAR, DOUBLE)" if isinstance(dtype, pl.List) else _SQL_TYPES[dtype.base_type().__name__]
