"""Text split at once by Polars' own reader is what it is split line by line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.ingest import csv_text
from pipelines.ingest.text_table import MalformedFile


def as_read(text: bytes, separator: str) -> tuple | str:
    """Header, cells, numbers and reasons of its rows; or why it cannot be read."""
    try:
        table = csv_text.parse_delimited(text, separator)
    except MalformedFile as error:
        return error.problem
    return table.cells.columns, table.cells.rows(), table.row.to_list(), table.broken.to_list()


bare_cell = st.sampled_from(
    ["", "", "1", "2.5", "0001", "2026-01-05", " a ", "\t", "中", "\u3000", "x y", "1;2", "\r"]
)
bare_rows = st.integers(2, 3).flatmap(
    lambda width: st.lists(
        st.lists(bare_cell, min_size=width, max_size=width) | st.lists(bare_cell, max_size=4), max_size=6
    ).map(lambda rows: [["home", "day", "value"][:width], *rows])
)


@settings(deadline=None)
@given(bare_rows, st.sampled_from(",;\t |，"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_text_without_quotes_is_split_at_once_as_it_is_line_by_line(rows, separator, line_end, ended):
    text = (line_end.join(separator.join(row) for row in rows) + line_end * ended).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "_split_at_once", lambda *_: None)
        line_by_line = as_read(text, separator)
    assert as_read(text, separator) == line_by_line


@pytest.mark.parametrize("wide", [2, 50_000, 99_999])
def test_a_row_too_long_is_found_however_far_it_lies_from_one_too_short(wide):
    rows = [f"{n},a,5" for n in range(1, 100_001)]
    for more, told in ((",", [1]), (",6", [1, wide + 1])):
        rows[0], rows[wide] = "1,a", f"{wide + 1},a,5{more}"
        table = csv_text.parse_delimited("\n".join(["home,day,reading", *rows]).encode(), ",")
        assert table.row.filter(
            table.broken == csv_text.WRONG_COUNT
        ).to_list() == told and table.broken.null_count() == 100_000 - len(told)
