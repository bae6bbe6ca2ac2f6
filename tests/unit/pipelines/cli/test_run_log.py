"""A run watched: a log of its steps and a notice at its end, counts only, and neither ever changes what comes of the night."""

import json
import os
import re
import sys
import time
from pathlib import Path

import filelock
import pytest

from pipelines.cli import run_log
from tests.support.site import HOMES, LAST, SURGED, Site, make_site
from tests.unit.pipelines.runtime.test_process_pool import alive, until

HOOK = """import json, os, sys
told = {"told": json.load(sys.stdin), "env": {n: v for n, v in os.environ.items() if n.startswith("ANOMALY_")}, "args": sys.argv[1:], "folder": os.getcwd()}
open(sys.argv[1], "a").write(json.dumps(told) + "\\n")
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


def logged(site: Site, name: str = run_log.LOG) -> list[dict]:
    return [json.loads(line) for line in (site.root / "out" / name).read_text(encoding="utf-8").splitlines()]


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
        "message_type": "notice", "event": "done", "exit_code": 0, "command": "nightly", "site": "Tiny", "night": str(LAST),
        "did": True, "degraded": 0, "judged": HOMES, "cases_open": 1, "cases_new": 1,
    }  # fmt: skip
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


def test_a_degraded_and_a_failed_night_give_notice_too(site):
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
        ("degraded", 3, "nightly"), ("degraded", 3, "backfill"), ("failed", 11, "nightly"), ("failed", 2, "nightly"),
    ]  # fmt: skip
    assert told[0]["degraded"] == 1 and [one.get("error") for one in told] == [
        None,
        None,
        "StoreLocked",
        "SettingsError",
    ]
    assert (
        SURGED not in (site.root / "notices.txt").read_text() + (site.root / "out" / "log.jsonl").read_text()
    )
    ends = [line for line in logged(site) if line["message_type"] in ("degraded", "failed")]
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


SLOW = "import os, subprocess, sys, time; open('pid', 'w').write(str(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)); time.sleep(600)"


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
    assert [line["level"] for line in logged(site)][-2:] == ["info", "warning"] and site.file.exists()
    if (tmp_path / "pid").exists():  # what it had started is gone with it
        assert until(lambda: not alive(int((tmp_path / "pid").read_text())), 10)


def test_the_log_has_a_line_for_every_step_and_names_no_home(site):
    site.nightly("--json")
    lines = logged(site)
    assert [line["message_type"] for line in lines if line["message_type"] != "progress"] == ["start", "done"]
    texts = [line["text"] for line in lines if line["message_type"] == "progress"]
    assert "loading water" in texts and "publishing" in texts and f"writing the report of {LAST}" in texts
    assert all(
        re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["at"])
        and line["process"] == os.getpid()
        for line in lines
    )
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines) and {
        line["level"] for line in lines
    } == {"info"}
    assert lines[-1]["judged"] == HOMES and lines[-1]["stopped"] == []
    written = (site.root / "out" / "log.jsonl").read_text()
    assert not re.search(r"\b00[012]\d\b", written) and not [
        code for code in site.view("cases")["case_id"] if code in written
    ]


def test_the_log_is_put_aside_before_it_grows(site, monkeypatch):
    monkeypatch.setattr(run_log, "LOG_BYTES", 2_000)
    for _ in range(8):
        site.nightly()
        sizes = {path.name: path.stat().st_size for path in (site.root / "out").glob("log*")}
        assert set(sizes) <= {run_log.LOG, run_log.OLDER} and max(sizes.values()) < 3_000
    assert logged(site, run_log.OLDER)[-1]["at"] <= logged(site)[0]["at"]


def test_a_log_that_cannot_be_written_stops_nothing(site):
    (site.root / "out" / run_log.LOG).mkdir(parents=True)
    site.nightly()
    assert notices(site)[0]["told"]["event"] == "done"


def test_the_command_is_not_published_with_the_settings(site):
    site.nightly()
    assert (
        b"hook.py" not in site.file.read_bytes()
        and "hook.py" not in Path(site.root / "out" / "manifest.json").read_text()
    )


def test_the_manifest_says_what_made_the_night_and_how_long_each_step_took(site):
    site.nightly()
    manifest = json.loads((site.root / "out" / "manifest.json").read_text())
    assert set(manifest["steps"]) == {"load", "judge", "publish", "report"} and sum(
        manifest["steps"].values()
    ) == pytest.approx(manifest["seconds"], abs=0.5)
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3])) and {
        "duckdb",
        "polars",
        "numba",
    } <= set(manifest["versions"])
    assert {f["file"]: len(f["sha256"]) for f in manifest["inputs"]} == dict.fromkeys(
        ("entries.csv", "water.csv", "power.csv"), 64
    )
