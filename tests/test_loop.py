"""The loop as people use it: decide, import, assign, reveal, and what the log, the pages and the file say of it."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

import filelock
import polars as pl
import pytest

from pipelines import desk
from anomaly import tables
from tests.site import LAST, SURGED, Site, daily, day, make_site, rows

KEY = "0123456789abcdef0123456789abcdef0123\n"


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
    return [json.loads(line) for line in (site.root / "out" / "audit.jsonl").read_text(encoding="utf-8").splitlines()]


# decide


def test_a_decision_is_published_at_once_and_leaves_the_next_list(site):
    case = case_of(site)
    assert decide(site, "benign", "--by", "A", "--minutes", "12").exit_code == 0
    (told,) = site.view("outcomes").rows(named=True)
    assert (told["case_id"], told["outcome"], told["reason"], told["by"], told["minutes"]) == (case, "benign", "seen at the door", "A", 12)
    assert site.view("cases")["decision"].to_list() == ["benign"]
    assert "benign" in site.run("worklist").stdout
    site.nightly()
    doors = site.view("worklist")
    assert doors["night"].to_list() == [day(-2)] and site.view("cases").height == 1  # the list of that night is as it was


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
    assert set(desk.OUTCOMES) == set(tables.OUTCOMES)


def test_records_survive_runs_backfills_and_the_loss_of_the_file(site):
    decide(site, "contested")
    told = site.view("outcomes")
    site.run("backfill", "--from", str(day(-4)), "--to", str(day(-1)))
    assert site.view("outcomes").equals(told)
    assert site.view("cases")["decision"].drop_nulls().to_list() == ["contested"]  # though it opens earlier now, under another code
    site.file.unlink()
    site.nightly()
    assert site.view("outcomes").equals(told)


def test_a_kill_while_publishing_loses_no_record(site):
    """The decider is killed once the journal holds its line; the next run publishes it."""
    case, lock = case_of(site), filelock.FileLock(site.root / "out" / "run.lock")
    journal = site.root / "out" / "state" / "outcomes.jsonl"
    with lock:  # so that it waits with the publishing
        code = "from pipelines.cli import main; main(prog_name='anomaly')"
        told = ["decide", case, "benign", "--reason", "seen", "--settings", str(site.settings)]
        process = subprocess.Popen([sys.executable, "-c", code, *told], env=os.environ | {"PYTHONPATH": os.getcwd()})
        while not journal.exists() or not journal.read_bytes().endswith(b"\n"):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert site.view("outcomes").is_empty()
    site.nightly()
    assert site.view("outcomes")["case_id"].to_list() == [case]


def test_a_busy_store_keeps_the_record_and_says_when_it_shows(site, monkeypatch):
    monkeypatch.setattr("pipelines.decide.LOCK_SECONDS", 0)
    with filelock.FileLock(site.root / "out" / "run.lock"):
        result = decide(site, "benign")
    assert result.exit_code == 0 and "the file shows it after the next run" in result.stderr
    assert decide(site, "confirmed").exit_code == 0 and site.view("outcomes").height == 2


def test_deciding_in_haste_or_always_alike_is_remarked(site):
    said = [decide(site, "confirmed").stderr for _ in range(10)]
    assert "10 decisions were recorded within a minute" in said[9] and "within a minute" not in said[8]
    assert "nearly always accepted" in [decide(site, "confirmed").stderr for _ in range(10)][-1]


# import


def test_the_field_file_row_by_row(site):
    case = case_of(site)
    good = f"{case},{day(-2)},no_access,nobody met,team 2,5\n{case},{day(-2)},benign,family visiting,,\n"
    bad = f"{case},{day(-2)},fine,x,,\nc000000-0000000000,{day(-2)},benign,x,,\n{case},soon,benign,x,,\n{case},{day(-2)},benign,,,\n"
    file = site.put("field.csv", "case,day,outcome,reason,by,minutes\n" + good + bad)
    result = site.run("outcomes import", str(file))
    assert result.exit_code == 3 and "2 recorded, 0 were there already" in result.stderr
    assert [f"row {n}:" in result.stderr for n in (1, 2, 3, 4, 5, 6)] == [False, False, True, True, True, True]
    assert site.view("outcomes")["outcome"].to_list() == ["benign", "no_access"] and site.view("cases")["decision"].to_list() == ["benign"]
    again = site.run("outcomes import", str(file))
    assert "0 recorded, 2 were there already" in again.stderr and site.view("outcomes").height == 2


def test_a_field_file_in_gb18030_with_case_id_and_no_minutes(site):
    site.put("field.csv", f"case_id,day,outcome,reason,by\n{case_of(site)},{day(-2)},benign,亲戚来访,王伟\n".encode("gb18030"))
    assert site.run("outcomes import", str(site.root / "field.csv")).exit_code == 0
    assert site.view("outcomes").select("reason", "by").rows() == [("亲戚来访", "王伟")]


def test_a_file_that_is_none_is_refused(site):
    assert "has no column outcome" in site.run("outcomes import", str(site.put("f.csv", "case,day,reason\n"))).stderr
    assert "cannot be read" in site.run("outcomes import", str(site.root / "none.csv")).stderr


# assign


def test_who_has_a_case_and_since_when(site):
    case = case_of(site)
    assert site.run("assign", case, "--to", "team 2", "--by", "A").exit_code == 0
    site.run("assign", case, "--to", "team 3")
    assert site.view("assignments").select("to", "by").rows() == [("team 2", "A"), ("team 3", None)]
    assert site.view("worklist")["assigned"].to_list() == ["team 3"] and "team 3" in site.run("worklist").stdout
    assert site.run("assign", "nobody", "--to", "x").exit_code == 2


# the audit log


def test_every_step_leaves_a_line_and_the_chain_is_whole(site):
    decide(site, "benign")
    site.run("assign", case_of(site), "--to", "team 2")
    site.run("outcomes import", str(site.put("f.csv", "case,day,outcome,reason\n")))
    site.run("audit fairness")
    site.run("audit record")
    site.nightly()
    assert [line["step"] for line in log(site)] == ["run", "decide", "assign", "import", "fairness", "record", "run"]
    assert log(site)[0]["night"] == str(day(-2)) and len(log(site)[0]["settings_sha256"]) == 64 and log(site)[1]["outcome"] == "benign"
    verified = site.run("audit verify")
    assert verified.exit_code == 0 and verified.stdout.startswith("7 lines, the chain is whole")


def change(lines):
    lines[1] = lines[1].replace(b"benign", b"normal")


def change_last(lines):
    lines[-1] = lines[-1].replace(b"team 2", b"team 9")


def remove(lines):
    del lines[1]


def cut_off(lines):
    del lines[-1]


def move(lines):
    lines[1], lines[2] = lines[2], lines[1]


def insert(lines):
    lines.insert(1, lines[1])


@pytest.mark.parametrize("tamper", [change, change_last, remove, cut_off, move, insert])
def test_a_line_changed_removed_added_or_moved_is_found(site, tamper):
    decide(site, "benign")
    site.run("assign", case_of(site), "--to", "team 2")
    path = site.root / "out" / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    tamper(lines)
    path.write_bytes(b"".join(lines))
    result = site.run("audit verify")
    assert result.exit_code == 3 and "audit.jsonl" in result.stderr


def test_a_line_cut_short_by_a_kill_is_no_tampering(site):
    with open(site.root / "out" / "audit.jsonl", "ab") as file:
        file.write(b'{"at": "2026')
    assert site.run("audit verify").exit_code == 0
    decide(site, "benign")
    assert site.run("audit verify").exit_code == 0 and [line["step"] for line in log(site)] == ["run", "decide"]


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
    assert re.fullmatch(r"k\d{6}-[0-9a-f]{10}", drawn["case_id"]) and drawn["household"] != SURGED and drawn["night"] == day(-2)
    assert log(site)[0]["control"] == [drawn["case_id"]]
    assert drawn["household"] not in site.view("worklist")["household"]
    decide(site, "confirmed", case=drawn["case_id"])
    (row,) = site.view("misses").rows(named=True)
    assert (row["drawn"], row["answered"], row["found"], row["unlisted"]) == (1, 1, 1, 23) and row["missed_low"] > 0
    assert site.view("account").filter(pl.col("grouped_by") == "all")["answered"].to_list() == [0]
    site.change("[signals.entries]", "[control]\ndoors_per_night = 0\n\n[signals.entries]")
    site.nightly()
    assert site.view("control")["night"].to_list() == [day(-2)]


# the account


def test_outcomes_settle_the_account_correct_the_chance_and_stop_a_kind(site):
    site.change("[signals.entries]", "[account]\nleast_outcomes = 1\nstop_share = 0.2\n\n[signals.entries]")
    promised = site.view("worklist")["chance_wrong"][0]
    decide(site, "benign")
    people = site.view("account").filter((pl.col("grouped_by") == "signature") & (pl.col("name") == "people")).row(0, named=True)
    assert (people["answered"], people["wrong"], people["promised"], people["wrong_share"]) == (1, 1, round(promised, 4), 1.0)
    assert people["low"] == pytest.approx(0.207, abs=1e-3) and people["stopped"]
    assert people["chance_before"] == promised and people["chance_after"] == pytest.approx(0.75, abs=1e-3)
    site.nightly()
    (note,) = [run["notes"] for run in site.view("runs").rows(named=True) if run["night"] == LAST]
    assert note == "people not listed: 1 of its 1 answered doors were wrong"
    page = (site.root / "out" / "reports" / str(LAST) / "index.html").read_text(encoding="utf-8")
    assert "More people than usual is not listed: 1 of its 1 answered doors were wrong" in page
    overview = (site.root / "out" / "reports" / "index.html").read_text(encoding="utf-8")
    assert "Of 1 answered doors 1 were wrong" in overview and "100 % → 75 %" in overview and "no longer listed" in overview


# pseudonyms


def keyed(site: Site) -> Site:
    site.put("private/key", KEY).chmod(0o600)
    site.change("[signals.power]", '[pseudonyms]\nkey = "private/key"\nmap = "private/map.csv"\n\n[signals.power]')
    return site


def test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged(tmp_path):
    site = keyed(make_site(tmp_path, ["power"]))
    site.put("households.csv", "id,place\n" + "".join(f"{h:04},N\n" for h in range(24)))
    site.change("[pseudonyms]", '[households]\nfiles = "households.csv"\ncolumns = { household = "id", district = "place" }\n\n[pseudonyms]')
    site.nightly()
    homes = site.view("households")["household"].to_list()
    assert len(homes) == 24 and all(re.fullmatch("h[0-9a-f]{20}", home) for home in homes)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix in (".html", ".csv", ".json", ".jsonl")]
    assert files and not [path for path in files if re.search(rf"\b{SURGED}\b", path.read_text(encoding="utf-8"))]
    stored = [pl.read_parquet(path) for path in (tmp_path / "out").rglob("*.parquet")]
    assert not [1 for frame in stored if "household" in frame.columns and SURGED in frame["household"]]
    assert stat.S_IMODE((tmp_path / "private" / "map.csv").stat().st_mode) == 0o600
    case = case_of(site)
    refused = site.run("reveal", case, "--reason", " ", "--by", "A")
    assert refused.exit_code == 2 and [line["step"] for line in log(site)] == ["run"]
    told = site.run("reveal", case, "--reason", "visit on Friday", "--by", "A")
    assert told.stdout == f"{SURGED}\n"
    assert {name: log(site)[-1][name] for name in ("step", "case", "reason", "by")} == {"step": "reveal", "case": case, "reason": "visit on Friday", "by": "A"}
    assert SURGED not in (tmp_path / "out" / "audit.jsonl").read_text(encoding="utf-8")


def test_a_key_that_is_weak_open_or_new_is_refused(tmp_path, before):
    site = keyed(make_site(tmp_path, ["power"]))
    (tmp_path / "private" / "key").chmod(0o640)
    assert "can be read by others" in site.nightly(code=2).stderr
    site.put("private/key", "short").chmod(0o600)
    assert "at least 32 are needed" in site.nightly(code=2).stderr
    site.put("private/key", KEY)
    site.nightly()
    site.put("private/key", KEY.upper())
    assert "start anew" in site.nightly(code=2).stderr
    assert "nothing to reveal" in before.run("reveal", case_of(before), "--reason", "x", "--by", "A").stderr


# for the public


def test_fairness_and_the_record_are_pages_in_every_language(site):
    site.change('languages = ["en"]', 'languages = ["en", "zh"]')
    decide(site, "benign")
    assert "No group's doors are wrong far more often" in site.run("audit fairness").stdout
    page = site.root / "out" / "reports" / "record" / "index.html"
    assert site.run("audit record").stdout == f"{page}\n"
    told = {name: page.with_name(name).read_text(encoding="utf-8") for name in ("index.html", "index.zh.html")}
    for words in ("Trying the night", "Draft impact assessment", "Of 1 answered doors 1 were wrong", "Everything", "objections@example.org")[:3]:
        assert words in told["index.html"]
    assert "影响评估草稿" in told["index.zh.html"] and "Trying the night" in told["index.zh.html"]
    assert (site.root / "out" / "reports" / "fairness" / "index.zh.html").exists()
    assert not [path for path in site.root.rglob("*audit*") if path.is_file() and path.name != "audit.jsonl"]
