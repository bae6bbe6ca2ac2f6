import polars as pl
import pytest

from pipelines.ingest.text_table import MalformedFile, TextTable, first_line, too_large, unique_header


def test_header_names_are_stripped_and_nameless_ones_called_by_their_place():
    assert unique_header([" home ", None, "", 'a""b', "", None]) == [
        "home",
        "(column 2)",
        "(column 3)",
        'a"b',
    ]
    assert unique_header([]) == []


def test_a_name_given_twice_is_refused():
    with pytest.raises(MalformedFile, match="two columns named 'day'") as caught:
        unique_header(["day", "home", " day"])
    assert caught.value.remedy == "name every column once"


def test_whole_rows_are_numbered_from_one_and_sound():
    table = TextTable.of_whole_rows(pl.DataFrame({"home": ["a", "b"]}))
    assert table.row.to_list() == [1, 2] and table.broken.to_list() == [None, None]
    assert (table.row.dtype, table.broken.dtype) == (pl.Int64, pl.String)


def test_errors_fit_into_one_line():
    assert too_large(5 << 20).problem == "holds more than 5 MB"
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError" and len(first_line(ValueError("x" * 500))) == 120
