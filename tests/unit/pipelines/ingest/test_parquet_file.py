from datetime import date, datetime
from decimal import Decimal

import polars as pl

from pipelines.config.sections import Source
from pipelines.ingest.parquet_file import read_parquet_file
from tests.support.export_files import COATS, COLUMNS, TYPED, cells, parquet


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


def test_a_parquet_file_without_rows_is_an_empty_table(read):
    assert read(parquet(pl.DataFrame(TYPED).clear()), "w.parquet").is_empty()


def test_a_damaged_parquet_page_does_not_end_the_process(refused):
    content = bytearray(COATS["water.parquet"])
    content[20:120] = bytes(range(100, 200))
    refused(bytes(content), "w.parquet")


def test_days_and_small_numbers_stay_typed_and_long_ones_become_text(tmp_path):
    frame = pl.DataFrame(
        {"home": [1], "day": [date(2024, 1, 1)], "reading": [12.0], "out": [10**15], "more": [5]}
    )
    frame.write_parquet(tmp_path / "w.parquet")
    source = Source("water", "w.parquet", COLUMNS | {"exits": "out"})
    table = read_parquet_file(tmp_path / "w.parquet", source)
    assert table.cells.row(0) == ("1", date(2024, 1, 1), 12.0, "1000000000000000", "5")
    assert table.row.to_list() == [1]


def test_a_picture_is_refused(refused):
    pictures = parquet(pl.DataFrame(TYPED | {"x": [b"\xff\xd8\xff\xe0", None]}))
    assert "column 'x' holds what looks like a picture" in str(refused(pictures, "w.parquet"))
