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


def test_a_ledger_of_another_shape_is_made_anew(site):
    site.nightly()
    before = site.published()
    site.put("out/state/files.json", '{"a": 1}')
    assert "files.json: was damaged, and is made anew" in site.nightly().stderr
    assert site.published() == before


def test_a_changed_file_of_a_state_without_checksums_is_one_line(site):
    """As version 0.1.0 left it: only the shape tells."""
    site.nightly()
    site.put("out/state/files.json", '{"a": 1}')
    site.file.parent.joinpath("state/sums.json").unlink()
    assert "files.json: is damaged; remove that file and run again" in site.nightly(code=4).stderr
    assert site.nightly(code=4).stderr


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda journal: journal.unlink(), id="removed"),
        pytest.param(lambda journal: journal.write_bytes(journal.read_bytes()[:-9]), id="cut"),
        pytest.param(lambda journal: journal.write_bytes(b"x" + journal.read_bytes()[1:]), id="changed"),
    ],
)
def test_a_decision_never_vanishes(site, change):
    site.nightly()
    assert site.decide("benign").exit_code == 0
    case = site.case_id()
    before = site.published(("outcomes",))
    change(site.root / "out/state/outcomes.jsonl")
    told = site.nightly(code=4).stderr
    assert told.count("\n") == 1 and "outcomes.jsonl: l" in told and "from a copy" in told, told
    assert site.published(("outcomes",)) == before
    if "lacks" in told:  # without a copy it is recorded once more, as the line says
        assert f"anomaly decide {case} benign --day " in told
        assert site.decide("benign").exit_code == 0
        site.nightly()
    # `explain` and the others read no decision that is none
    assert "Traceback" not in site.run("outcomes").output


def test_runs_that_vanish_are_told(site):
    site.nightly()
    (site.root / "out/state/runs.jsonl").unlink()
    assert "runs.jsonl: lacks 1 of the runs that the audit log has" in site.nightly(code=3).stderr


def test_the_audit_log_without_its_head_ends_the_night(site):
    site.nightly()
    (site.root / "out/state/chain.json").unlink()
    assert "chain.json: is missing" in site.run("audit verify").stderr
    assert "chain.json: is missing" in site.nightly(code=4).stderr


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
