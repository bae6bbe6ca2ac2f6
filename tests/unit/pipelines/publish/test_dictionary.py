"""The data dictionary as a frame and as a page."""

import re

import polars as pl

from anomaly import tables
from pipelines.publish.dictionary import DICTIONARY_PAGE, data_dictionary, dictionary_page


def test_every_published_column_is_in_it_once_in_order():
    expected = [
        (schema, name, column)
        for schema, published in (("v1", tables.PUBLISHED), ("meta", tables.META))
        for name, table in published.items()
        for column in table.column_names()
    ]
    assert data_dictionary().select("schema", "view", "column").rows() == expected


def test_a_column_with_its_type_unit_and_meanings():
    row = data_dictionary().row(
        by_predicate=(pl.col("view") == "runs") & (pl.col("column") == "judged"), named=True
    )
    assert row == {
        "schema": "v1",
        "view": "runs",
        "column": "judged",
        "type": "BIGINT",
        "meaning_en": "households judged",
        "meaning_zh": "已评估的住户数",
        "unit_en": "homes",
        "unit_zh": "户",
    }


def test_every_number_has_a_unit_and_nothing_else_has_in_both_languages():
    words = data_dictionary()
    is_number = pl.col("type").str.contains("INT|DOUBLE")
    assert words.filter(is_number != pl.col("unit_en").is_not_null()).is_empty()
    assert words.filter(pl.col("unit_en").is_null() != pl.col("unit_zh").is_null()).is_empty()
    assert words.filter(pl.any_horizontal(pl.col("meaning_en", "meaning_zh").str.len_chars() < 1)).is_empty()
    assert words.filter(~pl.col("meaning_zh").str.contains(r"\p{Han}")).is_empty()


def test_the_page_in_the_repository_is_up_to_date():
    assert DICTIONARY_PAGE.read_text(encoding="utf-8") == dictionary_page(), (
        "run `python -m pipelines.publish.dictionary` and commit the page"
    )


def test_the_page_has_every_view_with_its_grain_and_a_row_for_every_column():
    page = dictionary_page()
    assert "\n## v1.runs\n\nOne row: one run of the nightly job or of one night of a backfill.\n" in page
    assert "\n| `judged` | BIGINT | homes | households judged |\n" in page
    assert len(re.findall(r"^\| `", page, re.MULTILINE)) == data_dictionary().height


def test_every_entry_of_the_contents_leads_to_a_heading():
    page = dictionary_page()
    linked = re.findall(r"^- \[([\w.]+)\]\(#([\w-]+)\): ", page, re.MULTILINE)
    assert [title for title, _ in linked] == re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert all(anchor == title.lower().replace(".", "") for title, anchor in linked)
