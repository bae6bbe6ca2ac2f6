"""Files that other programs left beside the published file: the night goes on, and what it publishes
opens."""

import subprocess
import sys

from pipelines.publish import duckdb_file
from tests.support.site import make_site

WRITES_AND_DIES = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("CREATE TABLE x AS SELECT 1")
os._exit(9)
"""


def test_a_wal_of_a_writer_that_died_is_put_aside_and_the_night_opens(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.nightly("--night", "2026-05-13")
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(site.file)], check=False)
    wal = site.file.with_name(site.file.name + ".wal")
    assert wal.exists()
    content = wal.read_bytes()
    done = site.nightly()
    assert not wal.exists() and str(wal) in done.stderr
    aside = [path for path in site.file.parent.iterdir() if path.is_file() and path.read_bytes() == content]
    assert len(aside) == 1 and aside[0].suffix != ".wal" and "household-anomaly" in aside[0].name
    assert site.ask("SELECT max(night)::VARCHAR FROM v1.worklist") == [("2026-05-14",)]


def test_a_decision_beside_a_stale_wal_is_published_and_opens(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.nightly()
    case = site.ask("SELECT case_id FROM v1.worklist")[0][0]
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(site.file)], check=False)
    assert site.run("decide", case, "benign", "--reason", "guests").exit_code == 0
    assert site.ask("SELECT outcome FROM v1.outcomes") == [("benign",)]


def test_a_file_that_does_not_open_at_its_own_path_is_not_called_done(tmp_path, monkeypatch):
    site = make_site(tmp_path, ["power"])
    site.nightly("--night", "2026-05-13")
    commit = duckdb_file.commit

    def commit_and_spoil(draft, target):
        commit(draft, target)
        target.write_bytes(b"no database")

    monkeypatch.setattr(duckdb_file, "commit", commit_and_spoil)
    failed = site.run("nightly")
    assert failed.exit_code == 4 and failed.stderr.count("\n") <= 2 and str(site.file) in failed.stderr
