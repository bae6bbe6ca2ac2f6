import polars as pl
import pytest

from anomaly import tables
from pipelines.publish.sql_types import sql_type


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (pl.String(), "VARCHAR"),
        (pl.Date(), "DATE"),
        (pl.Datetime("us"), "TIMESTAMP"),
        (pl.Int64(), "BIGINT"),
        (pl.UInt8(), "UTINYINT"),
        (pl.List(pl.Struct({"key": pl.String, "value": pl.Float64})), "MAP(VARCHAR, DOUBLE)"),
    ],
)
def test_the_duckdb_type_of_a_column(dtype, expected):
    assert sql_type(dtype) == expected


def test_every_published_column_has_a_type():
    for table in (*tables.PUBLISHED.values(), *tables.META.values()):
        assert all(sql_type(dtype) for dtype in tables.empty(table).schema.values())


def test_another_type_is_an_error():
    with pytest.raises(KeyError):
        sql_type(pl.Time())
