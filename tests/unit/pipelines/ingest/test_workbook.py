import io
import zipfile
from datetime import datetime

import xlsxwriter

from tests.support.export_files import (
    cells,
    workbook,
)


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


def test_a_zip_that_is_no_workbook(refused):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "x")
    refused(content.getvalue(), "a.xlsx")


def test_a_stray_cell_far_away_is_told_with_its_place(refused):
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["home", "day", "reading"])
        sheet.write(900_000, 99, "stray")  # CV900001
    error = refused(content.getvalue(), "w.xlsx", max_bytes=1 << 30)
    assert "reaches to row 900,001 of column 100" in str(error)
    assert error.remedy == "delete what lies beyond the table, or export it as CSV"


def of_sheets(**sheets) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                for place, cell in enumerate(row):
                    sheet.write(at, place, cell)
    return content.getvalue()


HEAD = ("home", "day", "reading")
YEARS = {"2024": [HEAD, ("a", "2024-01-01", "1")], "2025": [HEAD, ("a", "2025-01-01", "2")]}


def test_further_sheets_are_read_where_the_settings_say_so(read, refused):
    book = of_sheets(notes=[("made by", "x")], **YEARS)
    error = refused(book, "years.xlsx")
    assert 'set sheet = "*"' in str(error) and "'2024', '2025'" in str(error) and "2024" not in error.kept
    both = [("a", "2024-01-01", "1", 1), ("a", "2025-01-01", "2", 2)]
    assert cells(read(book, "years.xlsx", sheet="*")) == both
    assert cells(read(book, "years.xlsx", sheet="2025")) == [("a", "2025-01-01", "2", 1)]
    assert "'notes', '2024', '2025'" in str(refused(book, "years.xlsx", sheet="2023"))


def test_sheets_without_the_columns_are_passed_over_behind_the_first_and_told_before_it(read, refused):
    first = of_sheets(data=YEARS["2024"], notes=[("made by", "x")], empty=[])
    assert cells(read(first, "first.xlsx")) == [("a", "2024-01-01", "1", 1)]
    behind = of_sheets(cover=[("Water",)], data=YEARS["2024"])
    assert 'set sheet = "data"' in str(refused(behind, "behind.xlsx"))
    assert cells(read(behind, "behind.xlsx", sheet="*")) == [("a", "2024-01-01", "1", 1)]
