"""The loop as people use it: decide, import, assign, explain, and what the pages and the file say of it."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time

import filelock
import polars as pl
import pytest

from anomaly import tables
from pipelines.cli import review_commands
from pipelines.jobs.record_outcome import routine_warnings
from pipelines.storage.state import Store
from tests.support.site import LAST, SURGED, Site, daily, day, make_site, rows


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Site:
    """A site with a case on its last night but one; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("before"))
    site.nightly("--night", str(day(-2)))
    return site


@pytest.fixture
def site(before, tmp_path) -> Site:
    subprocess.run(["cp", "-a", f"{before.root}/.", str(tmp_path)], check=True)
    return Site(tmp_path)


def case_of(site: Site) -> str:
    return site.view("cases")["case_id"][0]


def decide(site: Site, outcome: str, *more: str, case: str | None = None):
    return site.run("decide", case or case_of(site), outcome, "--reason", "seen at the door", *more)


def log(site: Site) -> list[dict]:
    return [
        json.loads(line)
        for line in (site.root / "out" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    ]


# decide


def test_a_decision_is_published_at_once_and_leaves_the_next_list(site):
    case = case_of(site)
    assert decide(site, "benign", "--by", "A", "--minutes", "12").exit_code == 0
    (told,) = site.view("outcomes").rows(named=True)
    assert (told["case_id"], told["outcome"], told["reason"], told["by"], told["minutes"]) == (
        case,
        "benign",
        "seen at the door",
        "A",
        12,
    )
    assert site.view("cases")["decision"].to_list() == ["benign"]
    assert "benign" in site.run("worklist").stdout
    site.nightly()
    doors = site.view("worklist")
    assert (
        doors["night"].to_list() == [day(-2)] and site.view("cases").height == 1
    )  # the list of that night is as it was


def test_a_visit_before_the_last_list_takes_the_door_off_it(site):
    decide(site, "confirmed", "--day", str(day(-3)))
    assert site.view("worklist").is_empty() and site.view("outcomes")["day"].to_list() == [day(-3)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nobody", "benign", "--reason", "x"], "no such case"),
        (["CASE", "benign", "--reason", "  "], "reason is empty"),
        (["CASE", "benign"], "Missing option '--reason'"),
        (["CASE", "guilty", "--reason", "x"], "is not one of"),
        (["CASE", "benign", "--reason", "11010519491231002X said so"], "identity number"),
        (["CASE", "benign", "--reason", "x", "--day", "2199-01-01"], "lies in the future"),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(before, args, words):
    result = before.run("decide", *[case_of(before) if a == "CASE" else a for a in args])
    assert result.exit_code == 2 and words in result.stderr
    assert not (before.root / "out" / "state" / "outcomes.jsonl").exists()


def test_outcomes_are_those_of_the_tables():
    assert set(review_commands.OUTCOMES) == set(tables.OUTCOMES)


def test_records_survive_runs_backfills_and_the_loss_of_the_file(site):
    decide(site, "contested")
    told = site.view("outcomes")
    site.run("backfill", "--from", str(day(-4)), "--to", str(day(-1)))
    assert site.view("outcomes").equals(told)
    assert site.view("cases")["decision"].drop_nulls().to_list() == [
        "contested"
    ]  # though it opens earlier now, under another code
    site.file.unlink()
    site.nightly()
    assert site.view("outcomes").equals(told)


def test_the_code_on_paper_and_a_second_thought_still_count(site):
    """Backfilling gives the case another code; the first answer takes its door off the very list it stood on."""
    paper = case_of(site)
    site.run("backfill", "--from", str(day(-4)), "--to", str(day(-3)))
    assert paper not in site.view("cases")["case_id"]
    assert decide(site, "confirmed", "--day", str(day(-2)), case=paper).exit_code == 0
    assert (
        site.view("cases")["decision"].to_list() == ["confirmed"]
        and paper in site.run("explain", paper).stdout
    )
    decide(site, "benign", "--day", str(day(-2)), case=paper)
    assert site.view("account").filter(pl.col("grouped_by") == "all").select("answered", "wrong").rows() == [
        (1, 1)
    ]


def test_a_kill_while_publishing_loses_no_record(site):
    """The decider is killed once the journal holds its line; the next run publishes it."""
    case, lock = case_of(site), filelock.FileLock(site.root / "out" / "run.lock")
    journal = site.root / "out" / "state" / "outcomes.jsonl"
    with lock:  # so that it waits with the publishing
        code = "from pipelines.cli.commands import program; program()"
        told = ["decide", case, "benign", "--reason", "seen", "--settings", str(site.settings)]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *told], env=os.environ | {"PYTHONPATH": os.getcwd()}
        )
        while not journal.exists() or not journal.read_bytes().endswith(b"\n"):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert site.view("outcomes").is_empty()
    site.nightly()
    assert site.view("outcomes")["case_id"].to_list() == [case]


def test_a_busy_store_keeps_the_record_and_says_when_it_shows(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.record_outcome.LOCK_SECONDS", 0)
    with filelock.FileLock(site.root / "out" / "run.lock"):
        result = decide(site, "benign")
    assert result.exit_code == 0 and "the file shows it after the next run" in result.stderr
    assert decide(site, "confirmed").exit_code == 0 and site.view("outcomes").height == 2


def test_deciding_in_haste_or_always_alike_is_remarked(site, tmp_path, monkeypatch):
    def warned(outcomes, seconds_apart):
        store = Store(tmp_path / f"{len(outcomes)}-{seconds_apart}" / "anomaly.duckdb")
        now = dt.datetime(2026, 5, 20, 9, tzinfo=dt.UTC)
        for i, outcome in enumerate(reversed(outcomes)):
            recorded = (now - dt.timedelta(seconds=i * seconds_apart)).isoformat()
            store.append_line("outcomes.jsonl", {"how": "decide", "outcome": outcome, "recorded": recorded})
        return [line.partition(";")[0] for line in routine_warnings(store, now)]

    assert warned(["confirmed", "benign"] * 5, 5) == ["warning: 10 decisions were recorded within a minute"]
    assert (
        warned(["confirmed", "benign"] * 4 + ["benign"], 5) == [] == warned(["confirmed", "benign"] * 6, 60)
    )
    assert warned(["benign"] + ["confirmed"] * 19, 90) == [
        "warning: 19 of the last 20 decisions are confirmed"
    ]
    assert warned(["benign"] * 2 + ["confirmed"] * 18, 120) == []
    monkeypatch.setattr("pipelines.jobs.record_outcome.HASTY_DECISIONS", 1)
    assert "1 decisions were recorded within a minute" in decide(site, "benign").stderr


# import


def test_the_field_file_row_by_row(site):
    case = case_of(site)
    good = f"{case},{day(-2)},no_access,nobody met,team 2,5\n{case},{day(-2)},benign,family visiting,,\n"
    bad = f"{case},{day(-2)},fine,x,,\nc000000-0000000000,{day(-2)},benign,x,,\n{case},soon,benign,x,,\n{case},{day(-2)},benign,,,\n"
    file = site.put("field.csv", "case,day,outcome,reason,by,minutes\n" + good + bad)
    result = site.run("outcomes import", str(file))
    assert result.exit_code == 3 and "2 recorded, 0 were there already" in result.stderr
    assert [f"row {n}:" in result.stderr for n in (1, 2, 3, 4, 5, 6)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    assert site.view("outcomes")["outcome"].to_list() == ["benign", "no_access"] and site.view("cases")[
        "decision"
    ].to_list() == ["benign"]
    again = site.run("outcomes import", str(file))
    assert "0 recorded, 2 were there already" in again.stderr and site.view("outcomes").height == 2


def test_a_field_file_in_gb18030_with_case_id_and_no_minutes(site):
    site.put(
        "field.csv",
        f"case_id,day,outcome,reason,by\n{case_of(site)},{day(-2)},benign,亲戚来访,王伟\n".encode("gb18030"),
    )
    assert site.run("outcomes import", str(site.root / "field.csv")).exit_code == 0
    assert site.view("outcomes").select("reason", "by").rows() == [("亲戚来访", "王伟")]


def test_a_file_that_is_none_is_refused(site):
    assert (
        "has no column outcome"
        in site.run("outcomes import", str(site.put("f.csv", "case,day,reason\n"))).stderr
    )
    assert "cannot be read" in site.run("outcomes import", str(site.root / "none.csv")).stderr


# assign


def test_who_has_a_case_and_since_when(site):
    case = case_of(site)
    assert site.run("assign", case, "--to", "team 2", "--by", "A").exit_code == 0
    site.run("assign", case, "--to", "team 3")
    assert site.view("assignments").select("to", "by").rows() == [("team 2", "A"), ("team 3", None)]
    assert (
        site.view("worklist")["assigned"].to_list() == ["team 3"] and "team 3" in site.run("worklist").stdout
    )
    assert site.run("assign", "nobody", "--to", "x").exit_code == 2
    assert (
        case in site.run("worklist", "--desk", "occupancy").stdout
        and "nobody to visit" in site.run("worklist", "--desk", "water").stdout
    )


# what a night knew


def test_explain_is_byte_for_byte_what_the_night_knew(site):
    """Later data, a restated day, a decision, another setting and a further night change nothing."""
    case = case_of(site)
    asked = [("explain", case), ("explain", SURGED), ("explain", case, "--for-resident")]
    then = [site.run(*args, "--night", str(day(-2))).stdout for args in asked]
    assert "frozen with the night: version" in then[0] and case in then[1] and case in then[2]
    decide(site, "benign")
    values = daily()["power"]
    site.put("power-2.csv", rows("power", 3 * values).filter(pl.col("id") == SURGED))
    site.change("[signals.entries]", "[cases]\nquiet_days = 20\n\n[signals.entries]")
    site.nightly()
    assert [site.run(*args, "--night", str(day(-2))).stdout for args in asked] == then
    assert site.run("explain", SURGED).stdout != then[1]


def test_a_home_without_a_case_is_explained_from_what_is_stored_now(before):
    other = before.run("explain", "0003").stdout
    assert "no case that night: worked out now" in other and "\nentries (count a day)" in other
    assert before.run("explain", "nobody").exit_code == 2
    early = before.run("explain", case_of(before), "--night", str(day(-1)))
    assert early.exit_code == 2 and "was not judged" in early.stderr


# control doors


def test_control_doors_are_drawn_logged_and_answered(site):
    (drawn,) = site.view("control").rows(named=True)
    assert (
        re.fullmatch(r"k\d{6}-[0-9a-f]{10}", drawn["case_id"])
        and drawn["household"] != SURGED
        and drawn["night"] == day(-2)
    )
    assert log(site)[0]["control"] == [drawn["case_id"]]
    assert drawn["household"] not in site.view("worklist")["household"]
    decide(site, "confirmed", case=drawn["case_id"])
    (row,) = site.view("misses").rows(named=True)
    assert (row["drawn"], row["answered"], row["found"], row["unlisted"]) == (1, 1, 1, 23) and row[
        "missed_low"
    ] > 0
    assert site.view("account").filter(pl.col("grouped_by") == "all")["answered"].to_list() == [0]
    site.change("[signals.entries]", "[control]\ndoors_per_night = 0\n\n[signals.entries]")
    site.nightly()
    assert site.view("control")["night"].to_list() == [day(-2)]


# the account


def test_outcomes_settle_the_account_correct_the_chance_and_stop_a_kind(site):
    site.change("[signals.entries]", "[account]\nleast_outcomes = 1\nstop_share = 0.2\n\n[signals.entries]")
    promised = site.view("worklist")["chance_wrong"][0]
    decide(site, "benign")
    people = (
        site.view("account")
        .filter((pl.col("grouped_by") == "signature") & (pl.col("name") == "people"))
        .row(0, named=True)
    )
    assert (people["answered"], people["wrong"], people["promised"], people["wrong_share"]) == (
        1,
        1,
        round(promised, 4),
        1.0,
    )
    assert people["low"] == pytest.approx(0.207, abs=1e-3) and people["stopped"]
    assert people["chance_before"] == promised and people["chance_after"] == pytest.approx(0.75, abs=1e-3)
    site.nightly()
    (note,) = [run["notes"] for run in site.view("runs").rows(named=True) if run["night"] == LAST]
    assert note == "people not listed: 1 of its 1 answered doors were wrong"
    page = (site.root / "out" / "reports" / str(LAST) / "index.html").read_text(encoding="utf-8")
    assert "More people than usual is not listed: 1 of its 1 answered doors were wrong" in page
    overview = (site.root / "out" / "reports" / "index.html").read_text(encoding="utf-8")
    assert (
        "Of 1 answered doors 1 were wrong" in overview
        and f"{100 * promised:.0f} % → 75 %" in overview
        and "no longer listed" in overview
    )
