import polars as pl

from pipelines.config.sections import Source
from pipelines.ingest.roles import holds_numbers, to_roles
from pipelines.ingest.text_table import TextTable
from tests.support.export_files import COLUMNS, TYPED, cells, parquet


def test_only_mapped_columns_are_handed_on_and_one_may_serve_two_roles(read):
    frame = read(
        "x,home,day,y,reading\n1,0001,2024-01-01,=2+2,=A1\n",
        columns=COLUMNS | {"periods": "y", "exits": "reading"},
    )
    assert frame.columns == ["household", "time", "value", "periods", "exits", "row", "broken"]
    assert cells(frame) == [("0001", "2024-01-01", "=A1", "=2+2", "=A1", 1)]


def test_an_optional_column_may_be_absent(read, refused):
    columns = {"household": "home", "building": "building"}
    assert cells(read("home\n1\n", columns=columns, optional=frozenset({"building"}))) == [("1", None, 1)]
    refused("home\n1\n", columns=columns)


def test_a_missing_column_is_guessed_at(refused):
    assert "did you mean 'reading'" in str(
        refused("home,day,reading\n", columns=COLUMNS | {"value": "readings"})
    )
    assert "separator" in str(refused("home;day;reading\n1;2;3\n"))
    assert "'home', 'day', 'x'" in str(refused("home,day,x\n"))


def test_columns_of_persons_stop_the_file_mapped_or_not(read, refused):
    line = str(refused("home,day,reading,姓名,remark\n1,a,2,x,13800138000\n"))
    assert "'姓名'" in line and "leave this column out" in line and "13800138000" not in line
    refused("home,day,reading\n11010519491231002X,a,2\n")
    refused("home,day,reading\n1,a,11010519491231002X\n")
    refused("name,day,reading\n1,a,2\n", columns=COLUMNS | {"household": "name"})
    refused(parquet(pl.DataFrame(TYPED | {"x": [["a@b.org"], []]})), "w.parquet")
    refused(parquet(pl.DataFrame(TYPED | {"x": [b"\xff\xd8\xff\xe0", b""]})), "w.parquet")
    assert len(read("home,day,reading\n" + "1,a,13800138000\n2,a,13912345678\n3,a,15012345678\n")) == 3


def test_cells_are_stripped_and_rows_without_any_are_left_out():
    table = TextTable(
        pl.DataFrame({"home": [" a ", " ", None, "b"], "note": [None, "", "x", None]}),
        pl.Series([1, 2, 3, 4]),
        pl.Series([None, None, None, "quote not closed"]),
    )
    source = Source("water", "w.csv", {"household": "home"})
    assert to_roles(table, source).rows() == [("a", 1, None), (None, 3, None), ("b", 4, "quote not closed")]


def test_columns_of_numbers_are_those_of_values_exits_and_periods():
    source = Source("water", "w.csv", COLUMNS | {"exits": "out"})
    assert [holds_numbers(name, source) for name in ("reading", "out", "day", "home", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
