"""Export files to read: one small table in every format, and what is read of it."""

import gzip
import io
import zipfile
from datetime import date, datetime

import polars as pl
import xlsxwriter

from pipelines.ingest.roles import MEASURED_ROLES

COLUMNS = {"household": "home", "time": "day", "value": "reading"}
PLAIN = "home,day,reading\n0001,2024-01-01,12.5\n0002,2024-01-02,13\n"
PLAIN_ROWS = [("0001", "2024-01-01", "12.5", 1), ("0002", "2024-01-02", "13", 2)]


def cells(frame: pl.DataFrame) -> list[tuple]:
    assert frame.columns[-2:] == ["row", "broken"] and frame["row"].dtype == pl.Int64
    assert all(
        dtype == pl.String for name, dtype in frame.schema.items() if name not in (*MEASURED_ROLES, "row")
    )
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


def zipped(files: dict[str, bytes | str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def zstandard(text: bytes) -> bytes:
    """Return a frame of one block that is not compressed: header, size, content (RFC 8878)."""
    assert len(text) < 256
    block = (len(text) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(text)]) + block + text


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
    "water.csv.zip": zipped({"out/": "", "out/water.csv": PLAIN, "__MACOSX/out/._water.csv": "x"}),
    "water.csv.zst": zstandard(PLAIN.encode()),
    "water.parquet": parquet(pl.DataFrame(TYPED)),
    "text.parquet": parquet(
        pl.DataFrame(
            {"home": ["0001", "0002"], "day": ["2024-01-01", "2024-01-02"], "reading": ["12.5", "13"]}
        )
    ),
    "water [1]*?.parquet": parquet(pl.DataFrame(TYPED)),
    "water.xlsx": workbook([tuple(TYPED), *zip(*TYPED.values(), strict=True)]),
}
