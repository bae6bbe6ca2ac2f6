"""Delimited text is split row by row; split at once by Polars' own reader it gives the same."""

import csv
import io
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.ingest import csv_text
from pipelines.ingest.csv_text import MAX_CELL_LINES
from pipelines.ingest.text_table import MalformedFile
from tests.support.export_files import COLUMNS, PLAIN, PLAIN_ROWS, broken, cells


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


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators(read, mark):
    assert cells(read(PLAIN.replace(",", mark), separator=mark)) == PLAIN_ROWS


@pytest.mark.parametrize("content", ["home,day,reading", "home,day,reading\n", "home,day,reading\n\n,,\n"])
def test_a_header_alone_is_an_empty_table(read, content):
    frame = read(content)
    assert frame.is_empty() and frame.columns == ["household", "time", "value", "row", "broken"]


def test_rows_with_too_few_or_too_many_cells_are_marked_and_nothing_shifts(read):
    frame = read("home,day,reading,note\n1,a,5,x\n2,6,y\n\n3,a,7,x,y\n4,a,8,\n5,a,9,x,,\n6,a\n")
    assert cells(frame) == [("1", "a", "5", 1), ("4", "a", "8", 5), ("5", "a", "9", 6)]
    assert broken(frame) == [
        (2, "wrong number of cells"),
        (4, "wrong number of cells"),
        (7, "wrong number of cells"),
    ]


def test_a_half_written_last_line_is_marked(read):
    assert broken(read(PLAIN + "0003,2024-0")) == [(3, "wrong number of cells")]
    assert broken(read(PLAIN + '0003,2024-01-03,"1')) == [(3, "quote not closed")]


def test_quoted_cells_hold_separators_quotes_and_newlines(read):
    frame = read('home,day,reading\n"A, 1","b\n\nc","5 ""x"""\nB, "6,5" ,""\nC,2" pipe,7\nD,"a""b"c,8\n')
    assert cells(frame) == [
        ("A, 1", "b\n\nc", '5 "x"', 1),
        ("B", "6,5", None, 2),
        ("C", '2" pipe', "7", 3),
        ("D", 'a"bc', "8", 4),
    ]


def test_a_quoted_header_may_span_lines(read):
    assert cells(
        read('"home","day","reading\n(m3)"\n1,a,5\n', columns=COLUMNS | {"value": "reading\n(m3)"})
    ) == [("1", "a", "5", 1)]


@pytest.mark.parametrize(
    "rest",
    [
        "2,b,6\n3,c,7\n",
        '2,"b",6\n3,c,7\n',
        '"2","b","6"\n"3","c","7"\n',
        "2,b,6\n3,c,7\n" + "4,d,8\n" * MAX_CELL_LINES,
    ],
)
def test_an_unclosed_quote_harms_its_own_row_only(read, rest):
    frame = read('home,day,reading\n1,a,"5\n' + rest)
    assert broken(frame) == [(1, "quote not closed")]
    assert cells(frame)[:2] == [("2", "b", "6", 2), ("3", "c", "7", 3)]


def test_quotes_that_never_close_are_looked_at_line_by_line(refused):
    begun = time.perf_counter()
    line = '1,"' + 'x""' * 2_000 + "\n"
    assert "never close" in str(refused("home,day\n" + line * 1_200))
    assert time.perf_counter() - begun < 10  # in one piece, joined again with each line: minutes


def test_a_header_without_end_and_one_of_too_many_columns_are_refused_at_once(refused):
    begun = time.perf_counter()
    names = "".join(f",c{place}" for place in range(20_000))
    cells = "1,2026-03-01,5" + ",5" * 20_000
    assert "has 20,003 columns, of which 16,384 are read" in str(
        refused(f"home,day,reading{names}\n{cells}\n")
    )
    assert "columns" in str(refused(f'"home",day,reading{names}\n{cells}\n'))
    assert "a line of more than 1 MB" in str(refused(f"home,day,{'x' * 3_400_000}\n1,2,3\n"))
    assert time.perf_counter() - begun < 5


cell_text = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\x1f\x85\u2028\u2029", exclude_categories=["Cc"])
    | st.sampled_from('",;\n "'),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(cell_text, cell_text, cell_text), max_size=6), st.booleans())
def test_whatever_pythons_writer_writes_is_read_back(read, rows, all_quoted):
    text = io.StringIO()
    csv.writer(
        text, quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL, lineterminator="\n"
    ).writerows([COLUMNS.values(), *rows])
    expected = [tuple(cell.strip() or None for cell in row) for row in rows]
    assert [row[:3] for row in cells(read(text.getvalue()))] == [row for row in expected if any(row)]


@pytest.mark.parametrize("text", [b'""', b'""\n', b'"",""\n', b'" ","\t"\n', b'"",""\n1,2\n'])
def test_a_header_of_empty_cells_is_none(text):
    with pytest.raises(MalformedFile):
        csv_text.parse_delimited(text, ",")
