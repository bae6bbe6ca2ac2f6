"""What would stop or degrade a night is found before it, each with one line that says what to do."""

import datetime as dt
import json
import os
import sys
from collections import namedtuple
from pathlib import Path

import filelock
import polars as pl
import pytest

from tests.support.site import LAST, Site, daily, make_site, rows, until


def findings(site: Site) -> tuple[int, dict[str, dict]]:
    result = site.run("doctor", "--json")
    *lines, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert summary == {
        "message_type": "summary",
        "checks": len(lines),
        "to_look_at": sum(not line["fine"] for line in lines),
    }
    return result.exit_code, {line["what"]: line for line in lines}


def test_doctor_finds_nothing_at_a_sound_site(tmp_path):
    site = make_site(tmp_path)
    code, found = findings(site)
    wrong = {name for name, line in found.items() if not line["fine"]}
    assert wrong <= {"calendar", "disk"}, found  # what depends on the day and on this machine
    assert code == (3 if wrong else 0)
    assert {
        "purpose",
        "source entries",
        "source water",
        "source power",
        "store",
        "reports",
        "file",
        "disk",
        "calendar",
        "clock",
        "fonts",
    } <= set(found)
    assert not site.file.parent.exists()  # it leaves nothing behind


@pytest.mark.parametrize(
    ("old", "new", "what", "words"),
    [
        ("2099-12-31", "2026-01-31", "purpose", "expired on 2026-01-31"),
        ("2099-12-31", str(dt.date.today() + dt.timedelta(days=9)), "purpose", "have it renewed"),
        ("water*.csv", "meters/*.csv", "source water", "matches no file"),
        ('value = "used"', 'value = "use"', "source power", "did you mean 'used'?"),
        ("out/anomaly.duckdb", "water.csv/anomaly.duckdb", "store", "cannot be written"),
        ("[store]", '[reports]\npath = "water.csv/reports"\n\n[store]', "reports", "cannot be written"),
        ("[store]", "[site.x]\n[store]", None, "unknown name `x` in [site]"),
        (
            'timezone = "Asia/Shanghai"',
            'timezone = "Asia/Shanghai"\ncalendar = "XX"',
            "calendar",
            "unknown country 'XX'",
        ),
    ],
    ids=["expired", "soon", "no file", "column", "store", "reports", "settings", "country"],
)
def test_doctor_finds(tmp_path, old, new, what, words):
    site = make_site(tmp_path)
    site.change(old, new)
    if what is None:
        result = site.run("doctor")
        assert result.exit_code == 2 and words in result.stderr
        return
    code, found = findings(site)
    assert code == 3 and not found[what]["fine"] and words in found[what]["detail"], found[what]
    text = site.run("doctor").stdout
    assert f"\nlook  {what}: " in f"\n{text}" and "\nok    fonts: " in text


def test_doctor_finds_a_provisional_calendar(tmp_path):
    from pipelines.config.settings import load_settings
    from pipelines.jobs.preflight import check_site

    found = {
        f.what: f for f in check_site(load_settings(make_site(tmp_path).settings), dt.datetime(2027, 3, 1))
    }
    assert (
        not found["calendar"].fine
        and "CN 2027 is provisional: put calendars/CN/2027.toml" in found["calendar"].detail
    )


def test_doctor_finds_a_held_lock_and_a_clock_that_is_behind(tmp_path):
    from pipelines.config.settings import load_settings
    from pipelines.jobs.preflight import check_site
    from pipelines.storage.state import Store

    site = make_site(tmp_path)
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    with store.locked():
        found = {f.what: f for f in check_site(settings, dt.datetime(2026, 1, 1))}
        assert (site.file.parent / "run.holder").exists()
    who = f"another run holds the lock (process {os.getpid()}, {Path(sys.argv[0]).name}"
    assert (
        not found["store"].fine
        and who in found["store"].detail
        and "wait for it to end, or stop it" in found["store"].detail
    )
    assert (
        not found["clock"].fine
        and "an input was written later" in found["clock"].detail
        and "set the clock" in found["clock"].detail
    )


def test_doctor_finds_readings_and_runs_that_lie_ahead_of_the_clock(tmp_path):
    site = make_site(tmp_path)
    tomorrow, later = (str(dt.date.today() + dt.timedelta(days=days)) for days in (1, 5))
    ahead = f"id,day,used\n0001,{later},3\n"
    site.put("power-2.csv", ahead.replace(later, tomorrow))
    assert findings(site)[1]["clock"]["fine"]
    site.put("power-2.csv", ahead)
    assert "but the latest reading is dated later" in findings(site)[1]["clock"]["detail"]
    (tmp_path / "power-2.csv").unlink()
    site.put(
        "out/state/runs.jsonl", json.dumps({"night": str(LAST), "finished_utc": f"{later}T03:00:00"}) + "\n"
    )
    assert "but the last run ended later" in findings(site)[1]["clock"]["detail"]


def test_doctor_finds_a_disk_that_a_night_may_fill(tmp_path, monkeypatch):
    site = make_site(tmp_path)
    gigabytes = namedtuple("usage", "free")
    monkeypatch.setattr("pipelines.jobs.preflight.shutil.disk_usage", lambda folder: gigabytes(int(1.2e9)))
    assert findings(site)[1]["disk"]["fine"]
    with open(site.put("out/anomaly.duckdb", ""), "wb") as file:
        file.truncate(1 << 30)  # a night writes another one beside it
    assert (
        "1.2 GB free" in (told := findings(site)[1]["disk"])["detail"]
        and told["detail"].endswith("a night may need 3.2 GB: make room")
        and not told["fine"]
    )


def test_doctor_takes_no_lock_of_a_run_that_was_killed_and_refuses_a_newer_store(tmp_path):
    site = make_site(tmp_path)
    site.put("out/run.holder", "process 1 since 2026-05-14\n")
    site.put("out/run.lock", "")
    before = sorted(site.root.rglob("*"))
    assert findings(site)[1]["store"]["fine"] and sorted(site.root.rglob("*")) == before
    with filelock.FileLock(site.root / "out" / "run.lock"):
        assert "(process 1 since 2026-05-14)" in findings(site)[1]["store"]["detail"]
    site.put("out/state/version.json", '{"state": 99}')
    assert "written by a newer version" in findings(site)[1]["store"]["detail"]


def test_doctor_reads_the_newest_file_as_loading_orders_them(tmp_path):
    """water-2 was copied last and is still not the newest."""
    site = make_site(tmp_path)
    for number in (10, 2):
        site.put(f"water-{number}.csv", (site.root / "water.csv").read_text())
        os.utime(site.root / f"water-{number}.csv", (1_700_000_000 - number,) * 2)
    assert findings(site)[1]["source water"]["detail"].startswith(
        "3 files, 1800 rows in the newest (water-10.csv);"
    )


def test_doctor_opens_the_published_file(tmp_path):
    site = make_site(tmp_path)
    assert findings(site)[1]["file"]["detail"].endswith("is not published yet")
    site.nightly()
    assert findings(site)[1]["file"]["detail"].endswith("opens, 1 run")
    site.file.chmod(0o640)
    site.file.write_bytes(b"torn" * 4096)
    code, found = findings(site)
    assert (
        code == 3
        and not found["file"]["fine"]
        and "remove that file; the next nightly rebuilds it" in found["file"]["detail"]
    )
    log = site.put("out/anomaly.duckdb.wal", b"torn too")
    assert "anomaly.duckdb.wal, of another program, lies beside it" in findings(site)[1]["file"]["detail"]
    log.unlink()
    site.file.unlink()
    site.nightly()
    assert findings(site)[1]["file"]["fine"]


def test_doctor_says_how_to_get_a_chinese_font(tmp_path, monkeypatch):
    from anomaly import charts

    monkeypatch.setattr(charts, "chinese_font", lambda: None)
    assert "pip install '.[zh]' from the checkout" in findings(make_site(tmp_path))[1]["fonts"]["detail"]


def test_doctor_says_which_night_can_be_judged_with_what(tmp_path):
    site = make_site(tmp_path)
    site.put("water.csv", until(rows("water", daily()["water"]), LAST - dt.timedelta(days=3)))
    _, found = findings(site)
    day = LAST - dt.timedelta(days=3)
    assert found["source water"]["fine"] and f"newest usable day {day}" in found["source water"]["detail"]
    assert found["night"] == {
        "message_type": "finding",
        "what": "night",
        "fine": True,
        "detail": f"{LAST} can be judged with entries, power; water up to {day} (3 days behind)",
    }
    assert found["ids"]["detail"] == "3 sources speak of 24 homes by the same ids"
    site.put("water.csv", until(rows("water", daily()["water"]), LAST - dt.timedelta(days=16)))
    _, found = findings(site)
    assert not found["source water"]["fine"] and "water is dead" in found["source water"]["detail"]


def test_doctor_says_how_late_a_signal_usually_is(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    site.put("water.csv", until(rows("water", daily()["water"]), LAST - dt.timedelta(days=8)))
    site.run("backfill", "--from", str(LAST - dt.timedelta(days=8)), "--to", str(LAST))
    assert "(8 days behind, usually 4)" in findings(site)[1]["night"]["detail"]


def test_doctor_warns_of_days_above_max_per_day(tmp_path):
    site = make_site(tmp_path)
    site.change('unit = "kWh"', 'unit = "kWh"\nmax_per_day = 0.5')
    detail = findings(site)[1]["source power"]["detail"]
    assert "max_per_day" in detail and "set unit" in detail


def test_doctor_finds_that_nothing_can_be_judged(tmp_path):
    site = make_site(tmp_path, ("power",))
    site.put("power.csv", "id,day,used\n")
    code, found = findings(site)
    assert code == 3 and not found["night"]["fine"] and "nothing can be judged" in found["night"]["detail"]
    assert site.run("nightly").exit_code == 4


def test_doctor_names_files_that_are_gone_and_ids_that_differ(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    site.put("power-2.csv", "id,day,used\n0001,2026-05-14,3\n")
    site.nightly()
    (tmp_path / "power-2.csv").unlink()
    site.put("water.csv", rows("water", daily()["water"]).with_columns(id="W" + pl.col("id")))
    _, found = findings(site)
    assert found["files"]["detail"] == (
        "1 file that was loaded is gone; what it gave stays in use: power: power-2.csv"
    )
    assert "share 0 of 24 ids" in found["ids"]["detail"] and not found["ids"]["fine"]
