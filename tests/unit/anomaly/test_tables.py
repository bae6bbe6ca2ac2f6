"""The tables: every column says in both languages what it means, and in what its numbers are counted."""

import dataframely as dy
import polars as pl
import pytest

from anomaly import tables

TABLES = tables.PUBLISHED | tables.META


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_what_one_row_is(name):
    assert TABLES[name].__doc__.strip().endswith(".")


@pytest.mark.parametrize("name", TABLES)
def test_a_column_has_its_meaning_and_its_unit_in_both_languages(name):
    for column in TABLES[name].columns().values():
        assert column.metadata["en"]
        assert column.metadata["zh"]
        unit = column.metadata.get("unit_en")
        assert column.metadata.get("unit_zh") == (tables.UNIT_NAMES_ZH[unit] if unit else None)


def test_a_key_is_never_null_and_other_columns_only_where_they_may_be():
    quality = {"household": ["a"], "signal": ["water"], "day": [None], "value": [1], "unit": ["litre"]}
    schema = dict(tables.empty(tables.Readings).schema)
    frame = pl.DataFrame(quality | {"quality": ["read"]}, schema=schema)
    with pytest.raises(dy.exc.ValidationError):
        tables.Readings.validate(frame)
    first_of_may = pl.date(2026, 5, 1)
    assert tables.Readings.is_valid(frame.with_columns(day=first_of_may, value=None), cast=True)
    assert not tables.Readings.is_valid(frame.with_columns(day=first_of_may, unit=None), cast=True)


def test_an_empty_table_has_its_columns_and_types():
    assert dict(tables.empty(tables.NotJudged).schema) == {
        "night": pl.Date,
        "household": pl.String,
        "signal": pl.String,
        "reason": pl.String,
    }
    assert tables.empty(tables.NotJudged).is_empty()
