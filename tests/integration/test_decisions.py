"""From a case to an answer, and what the lists, the pages and the file then say."""

import os
import re
import signal
import subprocess
import sys
import time

import filelock
import polars as pl
import pytest

from tests.support.site import LAST, SURGED, daily, day, rows

# decide


def test_a_decision_is_published_at_once_and_leaves_the_next_list(site):
    case = site.case_id()
    assert site.decide("benign", "--by", "A", "--minutes", "12").exit_code == 0
    (row,) = site.view("outcomes").drop("day").rows(named=True)
    assert row == {
        "case_id": case,
        "outcome": "benign",
        "reason": "seen at the door",
        "by": "A",
        "minutes": 12,
    }
    assert site.view("cases")["decision"].to_list() == ["benign"]
    assert "benign" in site.run("worklist").stdout
    site.nightly()
    # the list of that night is as it was
    assert site.view("worklist")["night"].to_list() == [day(-2)] and site.view("cases").height == 1


def test_a_visit_before_the_last_list_takes_the_door_off_it(site):
    site.decide("confirmed", "--day", str(day(-3)))
    assert site.view("worklist").is_empty() and site.view("outcomes")["day"].to_list() == [day(-3)]


def test_answers_survive_runs_backfills_and_the_loss_of_the_file(site):
    site.decide("contested")
    recorded = site.view("outcomes")
    site.run("backfill", "--from", str(day(-4)), "--to", str(day(-1)))
    assert site.view("outcomes").equals(recorded)
    # the case opens earlier now, under another code
    assert site.view("cases")["decision"].drop_nulls().to_list() == ["contested"]
    site.file.unlink()
    site.nightly()
    assert site.view("outcomes").equals(recorded)


def test_the_code_on_paper_and_a_changed_decision_still_count(site):
    """A backfill gives the case another code; the first answer takes its door off the list it stood on."""
    paper = site.case_id()
    site.run("backfill", "--from", str(day(-4)), "--to", str(day(-3)))
    assert paper not in site.view("cases")["case_id"]
    assert site.decide("confirmed", "--day", str(day(-2)), case=paper).exit_code == 0
    assert site.view("cases")["decision"].to_list() == ["confirmed"]
    assert paper in site.run("explain", paper).stdout
    site.decide("benign", "--day", str(day(-2)), case=paper)
    of_all = site.view("account").filter(pl.col("grouped_by") == "all")
    assert of_all.select("answered", "wrong").rows() == [(1, 1)]


def test_a_kill_while_publishing_loses_no_answer(site):
    """The decider is killed once the journal holds its line; the next run publishes it."""
    case, lock = site.case_id(), filelock.FileLock(site.root / "out" / "run.lock")
    journal = site.root / "out" / "state" / "outcomes.jsonl"
    with lock:  # so that it waits with the publishing
        code = "from pipelines.cli.commands import program; program()"
        command = ["decide", case, "benign", "--reason", "seen", "--settings", str(site.settings)]
        process = subprocess.Popen(
            [sys.executable, "-c", code, *command], env=os.environ | {"PYTHONPATH": os.getcwd()}
        )
        while not journal.exists() or not journal.read_bytes().endswith(b"\n"):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert site.view("outcomes").is_empty()
    site.nightly()
    assert site.view("outcomes")["case_id"].to_list() == [case]


# explain


def test_explain_is_byte_for_byte_what_the_night_knew(site):
    """Later data, a restated day, a decision, another setting and a further night change nothing."""
    case = site.case_id()
    asked = [("explain", case), ("explain", SURGED), ("explain", case, "--for-resident")]
    then = [site.run(*args, "--night", str(day(-2))).stdout for args in asked]
    assert "frozen with the night: version" in then[0] and case in then[1] and case in then[2]
    site.decide("benign")
    values = daily()["power"]
    site.put("power-2.csv", rows("power", 3 * values).filter(pl.col("id") == SURGED))
    site.change("[signals.entries]", "[cases]\nquiet_days = 20\n\n[signals.entries]")
    site.nightly()
    assert [site.run(*args, "--night", str(day(-2))).stdout for args in asked] == then
    assert site.run("explain", SURGED).stdout != then[1]


def test_a_home_without_a_case_is_explained_from_what_is_stored_now(judged_site):
    other = judged_site.run("explain", "0003").stdout
    assert "no case that night: worked out now" in other and "\nentries, passages a day" in other
    assert judged_site.run("explain", "nobody").exit_code == 2
    early = judged_site.run("explain", judged_site.case_id(), "--night", str(day(-1)))
    assert early.exit_code == 2 and "was not judged" in early.stderr


# control doors


def test_control_doors_are_drawn_logged_and_answered(site):
    (drawn,) = site.view("control").rows(named=True)
    assert re.fullmatch(r"k\d{6}-[0-9a-f]{10}", drawn["case_id"])
    assert drawn["household"] != SURGED and drawn["night"] == day(-2)
    assert site.audit_lines()[0]["control"] == [drawn["case_id"]]
    assert drawn["household"] not in site.view("worklist")["household"]
    site.decide("confirmed", case=drawn["case_id"])
    (row,) = site.view("misses").rows(named=True)
    assert (row["drawn"], row["answered"], row["found"], row["unlisted"]) == (1, 1, 1, 23)
    assert row["missed_low"] > 0
    assert site.view("account").filter(pl.col("grouped_by") == "all")["answered"].to_list() == [0]
    site.change("[signals.entries]", "[control]\ndoors_per_night = 0\n\n[signals.entries]")
    site.nightly()
    assert site.view("control")["night"].to_list() == [day(-2)]


# the account of promised and found


def test_answers_fill_the_account_correct_the_chance_and_stop_a_kind(site):
    site.change("[signals.entries]", "[account]\nleast_outcomes = 1\nstop_share = 0.2\n\n[signals.entries]")
    promised = site.view("worklist")["chance_wrong"][0]
    site.decide("benign")
    is_people = (pl.col("grouped_by") == "signature") & (pl.col("name") == "people")
    people = site.view("account").row(by_predicate=is_people, named=True)
    assert (people["answered"], people["wrong"], people["wrong_share"]) == (1, 1, 1.0)
    assert people["promised"] == round(promised, 4)
    assert people["low"] == pytest.approx(0.207, abs=1e-3) and people["stopped"]
    assert people["chance_before"] == promised and people["chance_after"] == pytest.approx(0.75, abs=1e-3)
    site.nightly()
    (note,) = [run["notes"] for run in site.view("runs").rows(named=True) if run["night"] == LAST]
    assert note == "people not listed: 1 of its 1 answered doors were wrong"
    page = (site.root / "out" / "reports" / str(LAST) / "index.html").read_text(encoding="utf-8")
    assert "More people than usual is not listed: false alarms among its results: 1 of 1" in page
    overview = (site.root / "out" / "reports" / "index.html").read_text(encoding="utf-8")
    assert "Homes with a result: 1. False alarms among them: 1" in overview
    assert f"{100 * promised:.0f} % → 75 %" in overview and "no longer listed" in overview
