"""The data dictionary: every column of the published file with its type, unit and meaning.

All of it comes from anomaly/tables.py. As a frame it is `meta.dictionary` and what `anomaly tables` prints;
as a page it is DICTIONARY.md in this folder. `python -m pipelines.publish.dictionary` writes that page anew.
"""

from pathlib import Path

import dataframely as dy
import polars as pl

from anomaly import tables
from pipelines.publish.sql_types import sql_type

DICTIONARY_PAGE = Path(__file__).with_name("DICTIONARY.md")
_PAGE_HEAD = """# Data dictionary

Every view of `v1` and every table of `meta` in the published DuckDB file. This page is generated:
change `anomaly/tables.py`, then run `python -m pipelines.publish.dictionary`.
`anomaly tables` prints the same, `anomaly tables --language zh` in Chinese.
"""


def data_dictionary() -> pl.DataFrame:
    """Return one row a column (tables.Dictionary): those of v1 in order, then those of meta."""
    rows = [
        _dictionary_row(schema, name, table, column)
        for (schema, name), table in _published_tables().items()
        for column in table.column_names()
    ]
    return pl.DataFrame(rows, tables.empty(tables.Dictionary).schema)


def dictionary_page() -> str:
    """Return the dictionary in English as a Markdown page: contents, then the columns of each view."""
    published = _published_tables()
    contents = [
        f"- [{schema}.{name}](#{schema}{name}): {table_grain(table)}"
        for (schema, name), table in published.items()
    ]
    parts = [_PAGE_HEAD, "\n".join(contents) + "\n"]
    for (schema, name), columns in data_dictionary().group_by("schema", "view", maintain_order=True):
        grain = table_grain(published[schema, name])
        lines = [
            f"## {schema}.{name}",
            "",
            f"One row: {grain[0].lower()}{grain[1:]}.",
            "",
            "| column | type | unit | meaning |",
            "|---|---|---|---|",
        ]
        for row in columns.iter_rows(named=True):
            cells = (f"`{row['column']}`", row["type"], row["unit_en"] or "", row["meaning_en"])
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def table_grain(table: type[dy.Schema]) -> str:
    """Return what one row of a table is, in English, without a full stop: the table's docstring."""
    return " ".join((table.__doc__ or "").split()).rstrip(".")


def column_meanings(table: type[dy.Schema]) -> dict[str, str]:
    """Return column → its meaning in English."""
    return {column: _words(table, column)["en"] for column in table.column_names()}


def _published_tables() -> dict[tuple[str, str], type[dy.Schema]]:
    """Return (schema, name) → table, of every view of v1 and every table of meta."""
    return {("v1", name): table for name, table in tables.PUBLISHED.items()} | {
        ("meta", name): table for name, table in tables.META.items()
    }


def _dictionary_row(schema: str, name: str, table: type[dy.Schema], column: str) -> dict[str, str | None]:
    words = _words(table, column)
    return {
        "schema": schema,
        "view": name,
        "column": column,
        "type": sql_type(tables.empty(table).schema[column]),
        "meaning_en": words["en"],
        "meaning_zh": words["zh"],
        "unit_en": words.get("unit_en"),
        "unit_zh": words.get("unit_zh"),
    }


def _words(table: type[dy.Schema], column: str) -> dict[str, str]:
    """Return the column's meaning (en, zh) and, for a number, its unit (unit_en, unit_zh)."""
    return table.columns()[column].metadata or {}


if __name__ == "__main__":
    DICTIONARY_PAGE.write_text(dictionary_page(), encoding="utf-8")
