"""The commands of those who decide: what they print, and with which exit code."""

import json

import pytest

from anomaly import tables
from pipelines.cli import review_commands
from tests.support.site import Site, day, make_site


@pytest.fixture
def site(site_with_case) -> Site:
    return site_with_case


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
def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(judged_site, args, words):
    result = judged_site.run("decide", *[judged_site.case_id() if a == "CASE" else a for a in args])
    assert result.exit_code == 2 and words in result.stderr
    assert not (judged_site.root / "out" / "state" / "outcomes.jsonl").exists()


def test_outcomes_are_those_of_the_tables():
    assert set(review_commands.OUTCOMES) == set(tables.OUTCOMES)


def test_decide_says_what_was_recorded_for_which_day(site):
    case = site.case_id()
    done = site.decide("benign", "--day", str(day(-2)), "--by", "A", "--minutes", "12")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{case}: benign, recorded for {day(-2)}\n")
    (line,) = site.decide(
        "benign", "--day", str(day(-2)), "--by", "A", "--minutes", "12", "--json"
    ).stdout.splitlines()
    assert json.loads(line) == {
        "message_type": "summary",
        "case": case,
        "outcome": "benign",
        "day": str(day(-2)),
        "told": ["it was recorded already"],
    }


def test_an_import_with_refused_rows_ends_with_3_and_a_line_for_each(site):
    good, bad = f"{site.case_id()},{day(-2)},benign,guests\n", f"c000000-0000000000,{day(-2)},benign,guests\n"
    file = site.put("field.csv", "case,day,outcome,reason\n" + good + bad)
    done = site.run("outcomes import", str(file))
    assert (done.exit_code, done.stdout) == (3, "")
    first, refused = done.stderr.splitlines()
    assert first == "1 recorded, 0 were there already" and refused.startswith("row 2: c000000-0000000000: no")
    row, summary = map(json.loads, site.run("outcomes import", str(file), "--json").stdout.splitlines())
    assert row == {"message_type": "refused", "text": refused}
    assert summary == {"message_type": "summary", "recorded": 0, "already": 1, "refused": 1}
    site.put("field.csv", "case,day,outcome,reason\n" + good)
    assert site.run("outcomes import", str(file)).exit_code == 0


def test_who_has_a_case_and_since_when(site):
    case = site.case_id()
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


def test_the_audit_log_is_whole_or_not_there_yet(judged_site, tmp_path):
    done = judged_site.run("audit verify")
    assert done.exit_code == 0 and done.stdout.startswith("1 lines, the chain is whole; last ")
    done = make_site(tmp_path).run("audit verify")
    assert done.exit_code == 2 and "there is no audit log yet; run `anomaly nightly" in done.stderr


def test_fairness_is_a_table_and_a_page_and_is_logged(site):
    done = site.run("audit fairness")
    page = site.root / "out" / "reports" / "fairness" / "index.html"
    assert done.exit_code == 0 and page.exists() and done.stderr == f"page  {page}\n"
    assert site.audit_lines()[-1]["step"] == "fairness"


def test_a_dry_prune_says_what_would_go_and_takes_nothing(site):
    done = site.run("prune", "--dry-run")
    assert done.exit_code == 0 and done.stderr == "nothing was taken out: a dry run\n"
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "raw",
        "readings",
        "nights",
        "reports",
        "drafts",
    ]
    lines = [json.loads(line) for line in site.run("prune", "--dry-run", "--json").stdout.splitlines()]
    assert [line.get("class") for line in lines[:-1]] == ["raw", "readings", "nights", "reports", "drafts"]
    assert lines[-1]["dry_run"] is True and lines[-1]["total"] == sum(line["rows"] for line in lines[:-1])
