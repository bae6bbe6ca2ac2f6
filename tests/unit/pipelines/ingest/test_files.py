"""Files are found in order and read as text; what cannot be read is one line, never a traceback."""

import gzip
import io
import os
import time
import zipfile
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.csv_text import MAX_CELL_LINES, MAX_LINE_BYTES, MAX_UNCLOSED_QUOTES
from pipelines.ingest.files import file_sha256, find_files
from pipelines.ingest.formats import read_file
from pipelines.ingest.roles import MEASURED_ROLES

COLUMNS = {"household": "home", "time": "day", "value": "reading"}
PLAIN = "home,day,reading\n0001,2024-01-01,12.5\n0002,2024-01-02,13\n"
ROWS = [("0001", "2024-01-01", "12.5", 1), ("0002", "2024-01-02", "13", 2)]
ANY_WHERE = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


@pytest.fixture
def read(tmp_path):
    def read(content: bytes | str, name: str = "water.csv", **how) -> pl.DataFrame:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_file(path, Source("water", name, how.pop("columns", COLUMNS), **how))

    return read


def told(read, content, name="water.csv", **how) -> SourceError:
    """The one line a bad file is refused with."""
    with pytest.raises(SourceError) as caught:
        read(content, name, **how)
    line = str(caught.value)
    assert (
        "\n" not in line
        and line.startswith("[water]")
        and name in line
        and line.endswith(caught.value.remedy)
    )
    assert (caught.value.source, os.path.basename(caught.value.file)) == ("water", name)
    return caught.value


def cells(frame: pl.DataFrame) -> list[tuple]:
    assert frame.columns[-2:] == ["row", "broken"] and frame["row"].dtype == pl.Int64
    assert all(dtype == pl.String for name, dtype in frame.schema.items() if name not in (*MEASURED_ROLES, "row"))
    return (
        frame.filter(pl.col("broken").is_null())
        .drop("broken")
        .with_columns(_as_told(pl.selectors.date()), _as_told(pl.selectors.float()))
        .rows()
    )


def _as_told(typed: pl.Expr) -> pl.Expr:
    return typed.cast(pl.String).str.strip_suffix(".0")


def broken(frame: pl.DataFrame) -> list[tuple]:
    bad = frame.filter(pl.col("broken").is_not_null())
    assert bad.drop("row", "broken").null_count().sum_horizontal().sum() == len(bad) * (len(bad.columns) - 2)
    return bad.select("row", "broken").rows()


# --- formats and encodings: one table, many coats


def workbook(rows, **formats) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        sheet, day, clock = (
            book.add_worksheet(),
            book.add_format({"num_format": "yyyy-mm-dd"}),
            book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        )
        for at, row in enumerate(rows):
            for place, cell in enumerate(row):
                if isinstance(cell, date):
                    sheet.write_datetime(at, place, cell, clock if isinstance(cell, datetime) else day)
                elif cell is not None:
                    (sheet.write_string if isinstance(cell, str) else sheet.write)(at, place, cell)
    return content.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


TYPED = {"home": ["0001", "0002"], "day": [date(2024, 1, 1), date(2024, 1, 2)], "reading": [12.5, 13.0]}
COATS = {
    "water.csv": PLAIN.encode(),
    "water.CSV": PLAIN.encode(),
    "water.txt": PLAIN.rstrip("\n").encode(),
    "bom.csv": PLAIN.encode("utf-8-sig"),
    "utf16.csv": PLAIN.encode("utf-16"),
    "crlf.csv": PLAIN.replace("\n", "\r\n").encode(),
    "cr.csv": PLAIN.replace("\n", "\r").encode(),
    "quoted.csv": b'"home","day","reading"\n"0001","2024-01-01","12.5"\n"0002","2024-01-02","13"\n',
    "padded.csv": b" home , day ,reading\n\t0001, 2024-01-01 ,12.5 \n 0002,2024-01-02,13",
    "tabs.tsv": PLAIN.replace(",", "\t").encode(),
    "water.csv.gz": gzip.compress(PLAIN.encode()),
    "water.gz": gzip.compress(PLAIN.encode("utf-16")),
    "water.parquet": parquet(pl.DataFrame(TYPED)),
    "text.parquet": parquet(
        pl.DataFrame(
            {"home": ["0001", "0002"], "day": ["2024-01-01", "2024-01-02"], "reading": ["12.5", "13"]}
        )
    ),
    "water [1]*?.parquet": parquet(pl.DataFrame(TYPED)),
    "water.xlsx": workbook([tuple(TYPED), *zip(*TYPED.values(), strict=True)]),
}


@pytest.mark.parametrize("name", COATS)
def test_one_table_in_every_coat(read, name):
    assert cells(read(COATS[name], name)) == ROWS


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators(read, mark):
    assert cells(read(PLAIN.replace(",", mark), separator=mark)) == ROWS


@pytest.mark.parametrize("encoding", ["auto", "gb18030"])
def test_gb18030(read, encoding):
    text = "住户,楼栋,片区\n0001,3栋,南明区\n0002,华府小区1号楼,云岩区\n𠀀,,\n"
    columns = {"household": "住户", "building": "楼栋", "district": "片区"}
    frame = read(text.encode("gb18030"), columns=columns, encoding=encoding)
    assert cells(frame) == [
        ("0001", "3栋", "南明区", 1),
        ("0002", "华府小区1号楼", "云岩区", 2),
        ("𠀀", None, None, 3),
    ]
    assert read(text, columns=columns).equals(frame)


def test_a_named_encoding(read):
    text = "home,day,reading\nCañada,2024-01-01,1\n"
    assert cells(read(text.encode("latin-1"), encoding="latin-1")) == [("Cañada", "2024-01-01", "1", 1)]


def test_typed_parquet_loses_nothing(read):
    frame = pl.DataFrame(
        {
            "home": pl.Series([1, 2, 3, None], dtype=pl.Int64),
            "day": [
                datetime(2024, 1, 1, 0, 30),
                datetime(2024, 1, 1, 0, 30, 0, 500_000),
                None,
                datetime(2024, 1, 2),
            ],
            "reading": [400000.0, 0.1, float("nan"), 1234567.125],
            "out": pl.Series(
                [Decimal("1.50"), None, Decimal("2.00"), Decimal("3.25")], dtype=pl.Decimal(10, 2)
            ),
            "zone": pl.Series([datetime(2024, 1, 1)] * 4).dt.replace_time_zone("Asia/Shanghai"),
            "list": [[1, 2], [], None, [3]],
        }
    )
    columns = COLUMNS | {"exits": "out", "zone": "zone"}
    zone = "2024-01-01 00:00:00+08:00"
    assert cells(read(parquet(frame), "w.parquet", columns=columns)) == [
        ("1", "2024-01-01 00:30:00", "400000", "1.50", zone, 1),
        ("2", "2024-01-01 00:30:00.500", "0.1", None, zone, 2),
        ("3", None, None, "2.00", zone, 3),
        (None, "2024-01-02 00:00:00", "1234567.125", "3.25", zone, 4),
    ]


def test_sheets_keep_text_ids_and_know_dates_from_times(read):
    head = ("home", "day", "reading")
    dates = workbook(
        [
            head,
            ("0001", datetime(2024, 1, 1), 1.5),
            (None,) * 3,
            (101, datetime(2024, 1, 2), "1e3"),
            ("7", "2024-01-03", None),
        ]
    )
    assert cells(read(dates, "a.xlsx")) == [
        ("0001", "2024-01-01", "1.5", 1),
        ("101", "2024-01-02", "1e3", 3),
        ("7", "2024-01-03", None, 4),
    ]
    times = workbook(
        [head, ("0001", datetime(2024, 1, 1), 400000), ("0001", datetime(2024, 1, 1, 0, 30), 0.125)]
    )
    assert cells(read(times, "b.xlsx")) == [
        ("0001", "2024-01-01 00:00:00", "400000", 1),
        ("0001", "2024-01-01 00:30:00", "0.125", 2),
    ]


def test_numbers_come_as_the_settings_say_they_are_written(read):
    assert (
        cells(read("home;day;reading\n1;2024-01-01;1.234,5\n", separator=";", decimal=","))[0][2] == "1.234,5"
    )
    typed = pl.DataFrame({"home": [1.0], "day": ["x"], "reading": [1234.5]})
    assert cells(read(parquet(typed), "w.parquet", decimal=",")) == [("1", "x", "1234.5", 1)]
    sheet = workbook([("home", "day", "reading"), ("1.5", "x", 1234.5), ("1.5", "x", "1.234,5")])
    assert [row[::2] for row in cells(read(sheet, "w.xlsx", decimal=","))] == [
        ("1.5", "1234,5"),
        ("1.5", "1.234,5"),
    ]


def test_only_mapped_columns_are_handed_on_and_one_may_serve_two_roles(read):
    frame = read(
        "x,home,day,y,reading\n1,0001,2024-01-01,=2+2,=A1\n",
        columns=COLUMNS | {"periods": "y", "exits": "reading"},
    )
    assert frame.columns == ["household", "time", "value", "periods", "exits", "row", "broken"]
    assert cells(frame) == [("0001", "2024-01-01", "=A1", "=2+2", "=A1", 1)]


def test_an_optional_column_may_be_absent(read):
    columns = {"household": "home", "building": "building"}
    assert cells(read("home\n1\n", columns=columns, optional=frozenset({"building"}))) == [("1", None, 1)]
    told(read, "home\n1\n", columns=columns)


@pytest.mark.parametrize("content", ["home,day,reading", "home,day,reading\n", "home,day,reading\n\n,,\n"])
def test_a_header_alone_is_an_empty_table(read, content):
    frame = read(content)
    assert frame.is_empty() and frame.columns == ["household", "time", "value", "row", "broken"]


def test_a_parquet_file_without_rows_is_an_empty_table(read):
    assert read(parquet(pl.DataFrame(TYPED).clear()), "w.parquet").is_empty()


# --- rows that are not right


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


cell_text = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\x1f\x85\u2028\u2029", exclude_categories=["Cc"])
    | st.sampled_from('",;\n "'),
    max_size=8,
)


@ANY_WHERE
@given(st.lists(st.tuples(cell_text, cell_text, cell_text), max_size=6), st.booleans())
def test_whatever_pythons_writer_writes_is_read_back(read, rows, all_quoted):
    import csv

    text = io.StringIO()
    csv.writer(
        text, quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL, lineterminator="\n"
    ).writerows([COLUMNS.values(), *rows])
    expected = [tuple(cell.strip() or None for cell in row) for row in rows]
    assert [row[:3] for row in cells(read(text.getvalue()))] == [row for row in expected if any(row)]


# --- files that are not right

BOMB = gzip.compress(b"1,2,3\n" * 2_000_000)
BAD = {
    "empty.csv": b"",
    "blank.csv": b"\n \n",
    "empty.csv.gz": gzip.compress(b""),
    "nul.csv": PLAIN.encode() + b"0003,2024-01-03,\x005\n",
    "unit.csv": PLAIN.encode() + b"0003\x1f2024-01-03,5\n",
    "random.csv": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.csv.gz": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.xlsx": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "random.parquet": bytes(i * i * 7919 % 251 for i in range(20_000)),
    "empty.xlsx": b"",
    "empty.parquet": b"",
    "blank.xlsx": workbook([]),
    "cut.csv.gz": gzip.compress(os.urandom(9) * 99 + PLAIN.encode() * 500)[:-20],
    "cut.xlsx": COATS["water.xlsx"][:-200],
    "cut.parquet": COATS["water.parquet"][:-40],
    "sheet.csv": COATS["water.xlsx"],
    "parquet.csv": COATS["water.parquet"],
    "packed.csv": gzip.compress(PLAIN.encode()),
    "plain.csv.gz": PLAIN.encode(),
    "plain.xlsx": PLAIN.encode(),
    "plain.parquet": PLAIN.encode(),
    "water.xls": PLAIN.encode(),
    "water.json": b"{}",
    "water.xlsx.gz": gzip.compress(COATS["water.xlsx"]),
    "huge_cell.csv": PLAIN.encode() + b"x" * 10_000_000 + b",2024-01-01,5\n",
    "huge_quoted_cell.csv": PLAIN.encode() + b'"' + b"x" * MAX_LINE_BYTES + b'",2024-01-01,5\n',
    "quotes.csv": PLAIN.encode() + b'1,2,"3\n' * (MAX_UNCLOSED_QUOTES * 3),
    "latin.csv": "home,day,reading\nCañada,2024-01-01,1\nCoruña".encode("latin-1") + b"\xff\xff\n,1,2\n",
    "half.csv": "home,day,reading\n1,2,3\n南".encode()[:-1],
    "twice.csv": b"home,day,reading,day\n1,2,3,4\n",
    "twice.xlsx": workbook([("home", "day", "reading", "day"), ("1", "2", "3", "4")]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_told_in_one_line(read, name):
    begun = time.perf_counter()
    told(read, BAD[name], name)
    assert time.perf_counter() - begun < 5


def test_a_zip_that_is_no_workbook(read):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "x")
    told(read, content.getvalue(), "a.xlsx")


def test_a_bomb_is_given_up_while_it_unpacks(read):
    unpacked = io.BytesIO()
    with zipfile.ZipFile(unpacked, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 2_000_000)
    equal = parquet(pl.DataFrame({name: pl.repeat("1", 200_000, eager=True) for name in COLUMNS.values()}))
    long = parquet(pl.DataFrame({name: pl.repeat("1" * 1000, 2000, eager=True) for name in COLUMNS.values()}))
    lines = PLAIN.encode() + b"\n" * 100_000
    for name, content in {
        "b.csv.gz": BOMB,
        "b.csv": b"1,2,3\n" * 200_000,
        "b.xlsx": unpacked.getvalue(),
        "b.parquet": equal,
        "c.parquet": long,
        "c.csv": lines,
    }.items():
        assert (
            "holds more than 1 MB: split the export, by month for instance, or raise [limits] file_mb"
            in str(told(read, content, name, max_bytes=1 << 20))
        ), name


def test_a_bomb_of_nothing_ends_at_its_first_bytes(read):
    begun = time.perf_counter()
    told(read, gzip.compress(b"\0" * 200_000_000, 1), "zeros.csv.gz")
    assert time.perf_counter() - begun < 5


@ANY_WHERE
@given(st.sampled_from([name for name in COATS if name != "text.parquet"]), st.data())
def test_a_damaged_file_is_read_or_told_never_a_traceback(read, name, data):
    content = bytearray(COATS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(content[: data.draw(st.integers(1, len(content)))]), name)
    except SourceError as error:
        assert "\n" not in str(error)


def test_a_damaged_parquet_page_does_not_end_the_process(read):
    content = bytearray(COATS["water.parquet"])
    content[20:120] = bytes(range(100, 200))
    told(read, bytes(content), "w.parquet")


def test_a_missing_column_is_guessed_at(read):
    assert "did you mean 'reading'" in str(
        told(read, "home,day,reading\n", columns=COLUMNS | {"value": "readings"})
    )
    assert "separator" in str(told(read, "home;day;reading\n1;2;3\n"))
    assert "'home', 'day', 'x'" in str(told(read, "home,day,x\n"))


def test_an_unknown_encoding_is_told(read):
    assert "encoding" in str(told(read, PLAIN.encode() + b"\xff", encoding="utf-8"))
    told(read, PLAIN, encoding="utf-nine")


def test_a_file_that_is_gone_is_told(tmp_path):
    with pytest.raises(SourceError, match="cannot be opened"):
        read_file(tmp_path / "gone.csv", Source("water", "gone.csv", COLUMNS))


# --- persons


def test_columns_of_persons_stop_the_file_mapped_or_not(read):
    line = str(told(read, "home,day,reading,姓名,remark\n1,a,2,x,13800138000\n"))
    assert "'姓名'" in line and "leave this column out" in line and "13800138000" not in line
    told(read, "home,day,reading\n11010519491231002X,a,2\n")
    told(read, "home,day,reading\n1,a,11010519491231002X\n")
    told(read, "name,day,reading\n1,a,2\n", columns=COLUMNS | {"household": "name"})
    told(read, parquet(pl.DataFrame(TYPED | {"x": [["a@b.org"], []]})), "w.parquet")
    told(read, parquet(pl.DataFrame(TYPED | {"x": [b"\xff\xd8\xff\xe0", b""]})), "w.parquet")
    assert len(read("home,day,reading\n" + "1,a,13800138000\n2,a,13912345678\n3,a,15012345678\n")) == 3


# --- finding files


def names(root, files) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files(root, Source("water", files, COLUMNS))]


def test_files_come_by_folder_stem_and_suffix(tmp_path):
    for name in [
        "b/water.csv",
        "a/water-late.csv",
        "a/water.csv",
        "a/water.parquet",
        "a/water-10.csv",
        "a/water-2.csv",
        "a/2024-02.csv.gz",
        "a/2024-02.csv",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    in_a = [
        "2024-02.csv",
        "2024-02.csv.gz",
        "water.csv",
        "water.parquet",
        "water-2.csv",
        "water-10.csv",
        "water-late.csv",
    ]
    assert names(tmp_path, "a/*") == [f"a/{name}" for name in in_a]
    assert names(tmp_path, "*/water.csv") == ["a/water.csv", "b/water.csv"]
    assert names(tmp_path, "**/*late*") == ["a/water-late.csv"]
    assert names(tmp_path, str(tmp_path / "b" / "*")) == ["b/water.csv"]


def test_hidden_files_locks_and_half_copies_are_passed_over(tmp_path):
    for name in [
        ".water.csv",
        "~$water.xlsx",
        "water.csv.tmp",
        "water.csv.part",
        "water.csv~",
        "water [1].csv",
    ]:
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert names(tmp_path, "*") == names(tmp_path, "water [1].csv") == ["water [1].csv"]


@pytest.mark.parametrize("files", ["water*", "no/such.csv", "access", "access/*"])
def test_no_file_is_told_with_what_to_do(tmp_path, files):
    (tmp_path / "access").mkdir()
    with pytest.raises(SourceError) as caught:
        find_files(tmp_path, Source("entries", files, COLUMNS))
    assert str(caught.value).startswith(f"[entries] {files} matches no file")
    assert (files == "access") == ("access/*" in caught.value.remedy)


def test_the_hash_of_a_file(tmp_path):
    path = tmp_path / "a" / "w.csv"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    assert (
        file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1
