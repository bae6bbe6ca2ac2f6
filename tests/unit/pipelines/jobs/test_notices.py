"""Notices of how a run ended: counts only, and whatever becomes of them never changes the night."""

import json
import sys
import time
from pathlib import Path

import filelock
import pytest

from pipelines.config.settings import load_settings
from pipelines.jobs import nightly
from pipelines.jobs.notices import send_notice
from tests.support.site import HOMES, LAST, SURGED, Site, make_site
from tests.unit.pipelines.runtime.test_process_pool import alive, until

HOOK = """import json, os, sys
told = json.load(sys.stdin)
env = {name: value for name, value in os.environ.items() if name.startswith("ANOMALY_")}
line = {"told": told, "env": env, "args": sys.argv[1:], "folder": os.getcwd()}
open(sys.argv[1], "a").write(json.dumps(line) + "\\n")
"""


def hooked(site: Site, *command: str, seconds: float = 30) -> None:
    """Set the site's notify command; words may refer to the site's folder."""
    site.change("[store]", f"[notify]\ncommand = {json.dumps(command)}\nseconds = {seconds}\n\n[store]")


@pytest.fixture
def site(tmp_path) -> Site:
    """A site whose notices are written down beside it."""
    site = make_site(tmp_path)
    site.put("hook.py", HOOK)
    hooked(site, sys.executable, "hook.py", "notices.txt", "a b; $(id)")
    return site


def notices(site: Site) -> list[dict]:
    path = site.root / "notices.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_night_that_is_done_gives_notice_in_counts(site):
    site.nightly()
    (notice,) = notices(site)
    told = notice["told"]
    assert (
        told.pop("seconds") > 0
        and told.pop("version")
        and told.pop("expected_wrong_doors") > 0
        and told.pop("not_judged") >= 0
    )
    assert told == {
        "message_type": "notice",
        "event": "done",
        "exit_code": 0,
        "command": "nightly",
        "site": "Tiny",
        "night": str(LAST),
        "did": True,
        "degraded": 0,
        "judged": HOMES,
        "cases_open": 1,
        "cases_new": 1,
    }
    assert notice["env"] == {
        "ANOMALY_EVENT": "done",
        "ANOMALY_EXIT_CODE": "0",
        "ANOMALY_SITE": "Tiny",
        "ANOMALY_NIGHT": str(LAST),
    }
    assert notice["args"] == ["notices.txt", "a b; $(id)"] and notice["folder"] == str(
        site.root
    )  # no shell in between
    site.nightly()
    assert notices(site)[1]["told"]["event"] == "done" and notices(site)[1]["told"]["did"] is False


def test_a_degraded_and_a_failed_night_give_notice_too(site, monkeypatch):
    monkeypatch.setattr(nightly, "RUN_LOCK_SECONDS", 0)
    site.put(
        "water.csv", f"{SURGED},2026-05-01,12.5\n{SURGED},2026-05-02,13\n"
    )  # without a header: its first row is told as one
    assert SURGED in site.nightly(code=3).stderr
    site.run("backfill", "--from", str(LAST), "--to", str(LAST))
    with filelock.FileLock(site.root / "out" / "run.lock"):
        site.nightly(code=11)
    for name in ("water", "entries", "power"):
        site.put(f"{name}.csv", b"")
    site.change("2099-12-31", "2020-01-01")
    site.nightly(code=2)
    told = [notice["told"] for notice in notices(site)]
    assert [(one["event"], one["exit_code"], one["command"]) for one in told] == [
        ("degraded", 3, "nightly"),
        ("degraded", 3, "backfill"),
        ("failed", 11, "nightly"),
        ("failed", 2, "nightly"),
    ]
    assert told[0]["degraded"] == 1 and [one.get("error") for one in told] == [
        None,
        None,
        "StoreLocked",
        "SettingsError",
    ]
    assert (
        SURGED not in (site.root / "notices.txt").read_text() + (site.root / "out" / "log.jsonl").read_text()
    )
    ends = [line for line in site.log_lines() if line["message_type"] in ("degraded", "failed")]
    assert [(line["level"], line.get("stopped")) for line in ends] == [("warning", ["water"])] * 2 + [
        ("error", None)
    ] * 2


def test_a_bug_and_an_interruption_are_failures(site, monkeypatch):
    for error, code in ((ZeroDivisionError(SURGED), 1), (KeyboardInterrupt(), 130)):
        monkeypatch.setattr(
            "pipelines.jobs.nightly.published_frames", lambda *args, error=error: (_ for _ in ()).throw(error)
        )
        assert site.run("nightly").exit_code == code
    assert [
        (one["told"]["event"], one["told"]["exit_code"], one["told"]["error"]) for one in notices(site)
    ] == [("failed", 1, "ZeroDivisionError"), ("failed", 130, "KeyboardInterrupt")]
    assert SURGED not in (site.root / "out" / "log.jsonl").read_text()


SLOW = """import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pid", "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("command", "seconds", "words"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], 30, "ended with 7"),
        (["/no/such/program"], 30, "cannot be run (No such file or directory)"),
        ([".."], 30, "cannot be run (Permission denied)"),
        ([sys.executable, "-c", SLOW], 1.5, "did not end within 1.5 seconds and was stopped"),
        (["false"], 30, "ended with 1"),  # before it has read what it is told
    ],
)
def test_a_command_that_fails_or_hangs_warns_and_changes_nothing(tmp_path, command, seconds, words):
    site = make_site(tmp_path, ["power"])
    hooked(site, *command, seconds=seconds)
    begun = time.monotonic()
    result = site.nightly()
    assert time.monotonic() - begun < 30 and result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert f"[notify] {command[0]} {words}; the night stands as it is" in line
    assert [line["level"] for line in site.log_lines()][-2:] == ["info", "warning"] and site.file.exists()
    if (tmp_path / "pid").exists():  # what it had started is gone with it
        assert until(lambda: not alive(int((tmp_path / "pid").read_text())), 10)


def test_the_command_is_not_published_with_the_settings(site):
    site.nightly()
    assert (
        b"hook.py" not in site.file.read_bytes()
        and "hook.py" not in Path(site.root / "out" / "manifest.json").read_text()
    )


def test_a_notice_reaches_the_command_as_json_and_in_its_environment(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.put("hook.py", HOOK)
    hooked(site, sys.executable, "hook.py", "notices.txt", "a b; $(id)")
    notice = {"event": "failed", "exit_code": 4, "site": "Tiny 户", "error": "NothingReadable"}
    send_notice(load_settings(site.settings), notice, warn=pytest.fail)
    (received,) = notices(site)
    assert received == {
        "told": notice,
        "env": {"ANOMALY_EVENT": "failed", "ANOMALY_EXIT_CODE": "4", "ANOMALY_SITE": "Tiny 户"},
        "args": ["notices.txt", "a b; $(id)"],  # no shell in between
        "folder": str(site.root),
    }


def test_without_a_command_there_is_no_notice(tmp_path):
    send_notice(load_settings(make_site(tmp_path).settings), {"event": "done"}, warn=pytest.fail)


def test_a_command_that_fails_is_warned_of_once(tmp_path):
    site = make_site(tmp_path)
    hooked(site, "false")
    warnings = []
    send_notice(load_settings(site.settings), {"event": "done"}, warnings.append)
    assert warnings == ["warning: [notify] false ended with 1; the night stands as it is"]
