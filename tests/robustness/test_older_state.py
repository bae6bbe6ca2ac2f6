"""State that an older version wrote is migrated or rebuilt: nothing that people decided is lost, and the
nights go on.

`states/0.1.0-cd35c36.tar.gz` is a tiny site (tests.support.site) as version 0.1.0 of commit cd35c36 left it:
nights 2026-05-11 and 2026-05-12 judged, one case listed, assigned to "team 2" and decided `no_access`, its
pages left out.
"""

import tarfile
from datetime import date

import pytest

from tests.support.paths import ROOT
from tests.support.site import LAST, Site

STATES = sorted((ROOT / "tests" / "support" / "states").glob("*.tar.gz"))


@pytest.fixture(params=STATES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def older(request, tmp_path) -> Site:
    """A site as an older version left it."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return Site(tmp_path / "site")


def test_there_is_an_older_state():
    assert STATES


def test_the_next_night_goes_on_from_it(older):
    before = {view: older.view(view) for view in ("outcomes", "assignments", "runs")}
    assert older.nightly().stderr.startswith(f"night {LAST}")
    assert older.view("outcomes").equals(before["outcomes"])
    assert older.view("assignments").equals(before["assignments"])
    assert older.view("runs").height == before["runs"].height + 1
    assert older.ask("SELECT DISTINCT night FROM v1.worklist ORDER BY 1")[0] == (date(2026, 5, 11),)
    assert "the chain is whole" in older.run("audit verify").output


def test_what_people_decided_is_recorded_on_and_explained(older):
    case = older.ask("SELECT case_id FROM v1.outcomes")[0][0]
    again = older.run("decide", case, "benign", "--reason", "guests, seen", "--day", "2026-05-13")
    assert again.exit_code == 0, again.output
    assert older.ask("SELECT outcome FROM v1.outcomes ORDER BY outcome") == [("benign",), ("no_access",)]
    assert case in older.run("explain", case, "--night", "2026-05-12").output


def test_its_published_file_is_made_anew_from_its_state(older):
    readings = older.view("readings")
    older.file.unlink()
    older.nightly()
    assert older.view("readings").equals(readings)
    assert older.ask("SELECT count(*) FROM v1.outcomes") == [(1,)]
