"""Readers of the file: DuckDB of other versions, and programs that read while nights are published."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from anomaly import tables
from pipelines.publish.duckdb_file import publish
from tests.support.published_rows import META, frames
from tests.support.site import LAST, Site, daily, day, make_site, rows, until

HERE = duckdb.__version__.rpartition(".")[0]
OTHERS = ("1.4", "1.5")
"""DuckDB releases, besides the one installed, that data teams use; the latest patch of each is fetched."""

ASK = """
import duckdb, hashlib, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as con:
    views = con.execute("SELECT view_name FROM duckdb_views() WHERE schema_name = 'v1'").fetchall()
    names = [f"v1.{view}" for (view,) in sorted(views)]
    names += ["meta.schema_version", "meta.settings", "meta.dictionary", "meta.calendar"]
    answers = {}
    for name in names:
        rows = con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
        answers[name] = [len(rows), hashlib.sha256(repr(rows).encode()).hexdigest()]
    uncommented = "FROM duckdb_columns() WHERE schema_name IN ('v1', 'meta') AND comment IS NULL"
    comments = con.execute(f"SELECT count(*) {uncommented}").fetchone()[0]
    ratio = con.execute("SELECT ratios['water'] FROM v1.cases").fetchall()[0][0]
found = {"version": duckdb.__version__, "answers": answers, "uncommented": comments, "ratio": ratio}
print(json.dumps(found))
"""
"""Prints what every view and table answers, as its height and the hash of its rows."""

READ = """
import duckdb, json, pathlib, sys, time
file, stop, keep = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "keep"
LATEST = "(SELECT max(night) FROM v1.runs)"
LATEST_RUN = f"FROM v1.runs WHERE night = {LATEST}"
JUDGED = f"(SELECT count(DISTINCT household) FROM v1.expected WHERE night = {LATEST})"
OPEN = "(SELECT count(*) FROM v1.cases WHERE status <> 'closed')"
NEW = f"(SELECT count(*) FROM v1.cases WHERE opened = {LATEST})"
IS_A_CASE = "case_id IN (SELECT case_id FROM v1.cases)"
WRONG = "(SELECT coalesce(sum(chance_wrong), 0) FROM v1.worklist "
WRONG += f"WHERE night = {LATEST} AND first_listed)"
CHECKS = {
    "one run a night": "SELECT count(*) = count(DISTINCT night) FROM v1.runs",
    "judged": f"SELECT judged = {JUDGED} {LATEST_RUN}",
    "open": f"SELECT cases_open = {OPEN} {LATEST_RUN}",
    "new": f"SELECT cases_new = {NEW} {LATEST_RUN}",
    "doors": f"SELECT bool_and(night <= {LATEST} AND {IS_A_CASE}) IS NOT FALSE FROM v1.worklist",
    "wrong": f"SELECT abs(expected_wrong_doors - {WRONG}) < 1e-3 {LATEST_RUN}",
    "one reading a day": "SELECT count(*) = count(DISTINCT (household, signal, day)) FROM v1.readings",
    "readings": f"SELECT max(day) = {LATEST} FROM v1.readings",
    "version": "SELECT count(*) = 1 FROM meta.schema_version",
}
con = None
while True:
    last = stop.exists()
    con = con if keep and con else duckdb.connect(file, read_only=True, config={"threads": 1})
    wrong = [name for name, sql in CHECKS.items() if con.execute(sql).fetchall() != [(True,)]]
    look = "SELECT max(night), (SELECT count(*) FROM v1.readings) FROM v1.runs"
    night, readings = con.execute(look).fetchall()[0]
    print(json.dumps({"night": str(night), "readings": readings, "wrong": wrong}), flush=True)
    if not keep:
        con.close()
    if last:
        break
    time.sleep(0.2)
"""


@pytest.fixture(scope="session")
def clients(pytestconfig) -> dict[str, dict[str, str]]:
    """Return release of DuckDB → the environment in which a Python uses it; fetched once and kept."""
    kept = pytestconfig.cache.mkdir("duckdb")
    found = {HERE: dict(os.environ)}
    for release in OTHERS:
        place = Path(kept) / release
        if not (place / "duckdb").exists():
            draft = place.with_name(f"{release}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            install += ["--no-deps", "--target", str(draft), f"duckdb=={release}.*"]
            subprocess.run(install, check=True, env=env, timeout=300)
            draft.rename(place)
        found[release] = os.environ | {"PYTHONPATH": str(place)}
    return found


@pytest.mark.long
def test_every_release_since_1_4_reads_the_same(clients, tmp_path):
    site = make_site(tmp_path)
    site.nightly()
    found = {}
    for release, env in clients.items():
        command = [sys.executable, "-c", ASK, str(site.file)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120)
        found[release] = json.loads(done.stdout)
        assert found[release].pop("version").startswith(f"{release}.")
    assert len(found) == 3 and found["1.4"] == found["1.5"] == found[HERE]
    answers = found[HERE]["answers"]
    names = {f"v1.{name}" for name in tables.PUBLISHED} | {f"meta.{name}" for name in tables.META}
    assert set(answers) == names
    assert found[HERE]["uncommented"] == 0 and 2.0 < found[HERE]["ratio"] < 4.5
    heights = {name: answers[f"v1.{name}"][0] for name in ("cases", "households", "readings")}
    assert heights == {"cases": 1, "households": 24, "readings": 3 * 24 * 75}


@pytest.mark.long
def test_three_readers_see_whole_nights_only_while_ten_are_published(clients, tmp_path):
    """Two open the file for each look, with the newest and the oldest DuckDB; the third keeps it open."""
    site, values, stop = make_site(tmp_path, last=day(-11)), daily(), tmp_path / "stop"
    site.nightly()
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(reader(clients[release], site, stop, how))
            for release, how in ((HERE, "anew"), ("1.4", "anew"), ("1.5", "keep"))
        ]
        # all have had a look before the first night is published
        looks = [[json.loads(one.stdout.readline())] for one in readers]
        for number in range(-10, 0):
            for name in values:
                site.put(f"{name}.csv", until(rows(name, values[name]), day(number)))
            site.nightly()
        stop.touch()
        for one, seen in zip(readers, looks, strict=True):
            out, err = one.communicate(timeout=60)
            assert one.returncode == 0, err
            seen += [json.loads(line) for line in out.splitlines()]
    assert [look for seen in looks for look in seen if look["wrong"]] == []
    # what each night holds, of 24 homes with three signals
    readings = {str(day(n)): 3 * 24 * (75 + n + 1) for n in range(-11, 0)}
    for seen in looks[:2]:
        nights = [look["night"] for look in seen]
        assert nights == sorted(nights) and len(set(nights)) >= 6 and nights[-1] == str(LAST)
        assert all(look["readings"] == readings[look["night"]] for look in seen)
    first = str(day(-11))
    assert len(looks[2]) > 10
    assert {(look["night"], look["readings"]) for look in looks[2]} == {(first, readings[first])}


@contextlib.contextmanager
def reader(env: dict[str, str], site: Site, stop: Path, how: str):
    """Run a program that looks at the file again and again until `stop` is there. how: anew, or keep."""
    started = subprocess.Popen(
        [sys.executable, "-c", READ, str(site.file), str(stop), how],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def test_what_is_attached_is_seen_anew_once_it_is_attached_again(tmp_path):
    path, count = tmp_path / "anomaly.duckdb", "SELECT count(*) FROM night.v1.households"
    publish(path, frames(), META)
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS night (READ_ONLY)")
        publish(path, frames(households=[]), META)
        assert con.execute(count).fetchall() == [(2,)]
        con.execute(f"DETACH night; ATTACH '{path}' AS night (READ_ONLY)")
        assert con.execute(count).fetchall() == [(0,)]


def test_a_program_sees_the_new_night_once_all_its_connections_were_closed(tmp_path):
    """DuckDB hands out the file it has open under a path, also when another lies there by now."""
    path, count = tmp_path / "anomaly.duckdb", "SELECT count(*) FROM v1.households"
    publish(path, frames(), META)
    kept = duckdb.connect(str(path), read_only=True)
    publish(path, frames(households=[]), META)
    with duckdb.connect(str(path), read_only=True) as beside:
        assert beside.execute(count).fetchall() == kept.execute(count).fetchall() == [(2,)]
    kept.close()
    with duckdb.connect(str(path), read_only=True) as anew:
        assert anew.execute(count).fetchall() == [(0,)]
