"""State that was lost or damaged is made anew, or named in one line; so are folders that cannot be used."""

import datetime as dt
import os
import shutil

import pytest

from tests.support.site import LAST, make_site


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path)


def test_rows_that_were_lost_are_read_again(site):
    site.nightly()
    before = site.published()
    for folder in ("rows/water", "days/power"):
        shutil.rmtree(site.root / "out/state" / folder)
    (site.root / f"out/state/nights/{LAST}/key.json").unlink()
    site.nightly()
    assert site.published() == before


def test_a_ledger_that_was_lost_is_made_anew(site):
    site.nightly()
    before = site.published()
    (site.root / "out/state/files.json").unlink()
    site.nightly()
    assert site.published() == before


@pytest.mark.parametrize(
    "name", ["evidence.parquet", "rarities.parquet", "expected.parquet", "not_judged.parquet", "done.json"]
)
def test_a_night_that_lost_a_file_is_judged_again(site, name):
    first = LAST - dt.timedelta(days=2)
    assert site.run("backfill", "--from", str(first), "--to", str(LAST)).exit_code == 0
    before = site.published()
    (site.root / f"out/state/nights/{first}/{name}").unlink()
    site.nightly()
    assert site.published() == before


def test_a_damaged_published_file_is_published_again(site):
    site.nightly()
    before = site.published()
    site.file.write_bytes(b"no database")
    status = site.run("status")
    assert status.exit_code == 2
    assert "cannot be read; run `anomaly nightly" in status.stderr
    site.nightly()
    assert site.published() == before


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"state": "x"}'])
def test_small_state_of_another_shape_is_one_line(site, content):
    site.nightly()
    site.put("out/state/version.json", content)
    run = site.nightly(code=4)
    assert "version.json: is damaged; remove that file and run again" in run.stderr


def test_a_ledger_of_another_shape_is_one_line(site):
    site.nightly()
    site.put("out/state/files.json", '{"a": 1}')
    assert "files.json: is damaged" in site.nightly(code=4).stderr


def test_a_folder_with_brackets_in_its_name_is_only_a_folder(tmp_path):
    site = make_site(tmp_path / "br[1] st*r")
    site.nightly()
    site.put("power-2.csv", f"id,day,used\n0001,{LAST},3.5\n")
    site.nightly()
    assert site.view("readings").height > 0


@pytest.mark.parametrize(
    ("folder", "words"),
    [(b"why?", "with a '?'"), (b"back\\slash", "with a backslash"), (b"latin-\xe9", "that is not in UTF-8")],
)
def test_a_store_that_duckdb_cannot_open_is_refused(tmp_path, folder, words):
    site = make_site(tmp_path / os.fsdecode(folder))
    refused = site.nightly(code=2).stderr
    assert f"DuckDB cannot open a path {words}; give [store] path" in refused and refused.count("\n") == 1
    assert not site.file.parent.joinpath("state").exists()
    doctor = site.run("doctor")
    assert doctor.exit_code == 3 and f"DuckDB cannot open a path {words}" in doctor.stdout
