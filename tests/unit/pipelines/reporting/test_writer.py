"""The reports on disk: whole or not at all, the same bytes for the same page."""

import os
import stat
from datetime import date, timedelta

import pytest
from PIL import Image

from anomaly import charts
from pipelines.reporting import writer
from pipelines.storage.atomic_write import draft_path, moved_aside_path
from tests.support.html_reader import HtmlReader
from tests.support.report_pages import NIGHT, case, case_page, night_page, overview_page


def test_a_night_on_disk(tmp_path):
    folder = writer.write_night_folder(
        tmp_path, night_page([case()]), [writer.render_case(case_page(), charts.chinese_font())]
    )
    name = case()["case_id"]
    written = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert written == sorted(
        [
            "cases.csv",
            "index.html",
            "index.en.html",
            "round.html",
            "round.en.html",
            *(f"cases/{name}{end}" for end in (".html", ".en.html", ".png", ".en.png")),
        ]
    )
    assert folder == tmp_path / "2026-03-14" and [p.name for p in tmp_path.iterdir()] == ["2026-03-14"]
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0, path
        assert path.stat().st_size <= 150_000
    assert (folder / "cases.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with Image.open(folder / "cases" / f"{name}.png") as image:
        assert image.mode == "P"
    assert (folder / "cases" / f"{name}.png").stat().st_size <= 40_000
    for page in folder.rglob("*.html"):
        for attrs in HtmlReader(page.read_text("utf-8")).all("a", "img"):
            target = attrs.get("src") or attrs["href"]
            if not target.startswith("#") and not target.startswith(("../index", "../../index")):
                assert (page.parent / target).exists(), (page.name, target)


def test_the_same_page_gives_the_same_bytes():
    assert writer.render_case(case_page(), None) == writer.render_case(case_page(), None)


def test_an_older_report_stands_until_the_new_one_is_whole(tmp_path):
    folder = writer.write_night_folder(tmp_path, night_page([]), [])
    (folder / "cases" / "mark.html").write_text("old")

    def broken():
        yield writer.render_case(case_page(), None)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError):
        writer.write_night_folder(tmp_path, night_page([case()]), broken())
    assert (folder / "cases" / "mark.html").exists() and [p.name for p in tmp_path.iterdir()] == [folder.name]
    writer.write_night_folder(tmp_path, night_page([]), [])
    assert not (folder / "cases" / "mark.html").exists() and [p.name for p in tmp_path.iterdir()] == [
        folder.name
    ]


def test_pages_are_on_the_disk_before_they_take_their_place(tmp_path, monkeypatch):
    """After a power cut there is the old report or the new one.

    What is renamed is on the disk before, and its new name at the end.
    """
    safe, late = set(), []

    def fsync(descriptor, kept=os.fsync):
        safe.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        kept(descriptor)

    def checked(name):
        kept = getattr(os, name)

        def move(old, new):
            moved = [str(old), *(str(path) for path in (old.rglob("*") if old.is_dir() else ()))]
            late.extend(path for path in moved if path not in safe)
            safe.difference_update({str(new.parent)})
            kept(old, new)

        monkeypatch.setattr(os, name, move)

    monkeypatch.setattr(os, "fsync", fsync)
    checked("rename")
    checked("replace")
    folder = writer.write_night_folder(
        tmp_path, night_page([case()]), [writer.render_case(case_page(), None)]
    )
    writer.write_overview_page(tmp_path, overview_page(1))
    assert late == [] and {str(tmp_path), f"{draft_path(folder)}/cases/{case()['case_id']}.png"} <= safe


def test_what_an_interrupted_run_left_behind_is_cleared_and_an_old_report_comes_back(tmp_path):
    folder = writer.write_night_folder(tmp_path, night_page([]), [])
    folder.rename(moved_aside_path(folder))  # stopped between the two renames
    draft_path(folder).mkdir()
    with pytest.raises(ValueError, match="cannot name a file"):
        writer.write_night_folder(
            tmp_path,
            night_page([]),
            (writer.render_case(page, None) for page in [case_page(case_id="../evil")]),
        )
    assert (folder / "index.html").exists() and [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_what_others_put_beside_a_nights_pages_stays(tmp_path):
    folder = writer.write_night_folder(tmp_path, night_page([]), [])
    theirs = [folder / "notes.txt", folder / "cases" / "photos" / "door.jpg"]
    for path in (*theirs, tmp_path / ".git.old" / "x", tmp_path / ".notes.draft"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("theirs")
    writer.write_night_folder(tmp_path, night_page([]), [])
    assert (folder / "index.html").exists() and all(path.read_text() == "theirs" for path in theirs)
    writer.remove_night_folder(folder)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(theirs)
    writer.clear_leftovers(tmp_path, [date(2026, 3, 1)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".git.old", ".notes.draft", folder.name]


def test_what_a_run_of_version_0_1_0_left_is_cleared(tmp_path):
    folder = writer.write_night_folder(tmp_path, night_page([]), [])
    folder.rename(tmp_path / f".{folder.name}.old")
    (tmp_path / f".{folder.name}.draft").mkdir()
    writer.clear_leftovers(tmp_path, [date.fromisoformat(folder.name)])
    assert (folder / "index.html").exists() and [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_the_overview_on_disk_links_only_what_is_there(tmp_path):
    writer.write_night_folder(tmp_path, night_page([]), [])
    (tmp_path / "9999-99-99").mkdir()
    (tmp_path / "9999-99-99" / "index.html").touch()
    index = writer.write_overview_page(tmp_path, overview_page(2))
    assert index == tmp_path / "index.html" and (tmp_path / "index.en.html").exists()
    hrefs = [a["href"] for a in HtmlReader(index.read_text("utf-8")).all("a") if "/" in a["href"]]
    assert hrefs == ["2026-03-14/index.html"] * 2
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".draft")]


def test_a_first_listing_long_ago_does_not_break_the_charts():
    page = case_page(onset=NIGHT - timedelta(days=200), opened=date(2025, 9, 1))
    assert len(writer.render_case(page, None)) == 4
