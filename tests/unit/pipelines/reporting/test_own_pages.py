"""Pages of the tool are known by how they begin, files of a night by their names."""

from datetime import date

import pytest

from pipelines.errors import StateError
from pipelines.reporting import writer
from pipelines.reporting.own_pages import OWN_FILES, has_pages, is_own_page, refuse_foreign_nights
from tests.support.report_pages import NIGHT, case, case_page, night_page, overview_page


def test_every_page_and_file_that_is_written_is_known(tmp_path):
    folder = writer.write_night_folder(
        tmp_path, night_page([case()]), [writer.render_case(case_page(), None)]
    )
    writer.write_overview_page(tmp_path, overview_page(2))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files and all(OWN_FILES.fullmatch(path.relative_to(folder).as_posix()) for path in files)
    pages = list(tmp_path.rglob("*.html"))
    assert pages and all(map(is_own_page, pages))
    assert has_pages(folder)
    refuse_foreign_nights(tmp_path, [NIGHT, date(2001, 1, 1)])


def test_every_part_of_a_long_night_is_known():
    names = writer.render_night(night_page([case(rank) for rank in range(1, 160)]))
    assert {"index-2.html", "index-3.en.html", "round-2.html"} <= set(names)
    assert all(map(OWN_FILES.fullmatch, names))


def test_a_file_by_another_name_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="cases/note.txt: is none of own_pages.OWN_FILES"):
        writer.write_night_folder(tmp_path, night_page([case()]), [{"note.txt": b"x"}])
    assert not list(tmp_path.iterdir())


def test_a_page_of_another_program_is_not_replaced(tmp_path):
    page = tmp_path / "2026-03-01" / "index.html"
    page.parent.mkdir()
    page.write_text('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>mine</title>')
    assert not is_own_page(page)
    with pytest.raises(
        StateError, match="2026-03-01/index.html: is a page of another program; give .reports. path"
    ):
        refuse_foreign_nights(tmp_path, [date(2026, 3, 1)])


def test_a_folder_without_any_file_of_a_report_has_no_pages(tmp_path):
    (tmp_path / "x.html").touch()
    (tmp_path / "notes.txt").touch()
    assert not has_pages(tmp_path) and not has_pages(tmp_path / "none")
    (tmp_path / "cases.csv").touch()
    assert has_pages(tmp_path)
