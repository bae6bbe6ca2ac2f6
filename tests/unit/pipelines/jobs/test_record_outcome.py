"""Outcomes, assignments and reveals: what is recorded, what is refused, and what the person is told."""

import datetime as dt

import filelock
import pytest

from pipelines.config.settings import Settings, load_settings
from pipelines.errors import AuditLogBroken, NotFound, NotRecorded
from pipelines.jobs import record_outcome
from pipelines.jobs.record_outcome import OutcomeEntry, assign, decide, import_outcomes, reveal
from pipelines.storage.state import Store
from tests.support.site import SURGED, Site, day, make_site


@pytest.fixture
def site(site_with_case) -> Site:
    return site_with_case


@pytest.fixture
def settings(site) -> Settings:
    return load_settings(site.settings)


def journal(site: Site, name: str) -> list[dict]:
    """The lines of a journal, without the clock."""
    lines = Store(site.file).read_lines(f"{name}.jsonl")
    return [{name: value for name, value in line.items() if name != "recorded"} for line in lines]


# decide


def test_an_outcome_is_recorded_with_what_was_promised_of_its_door(site, settings):
    (door,) = site.view("worklist").rows(named=True)
    assert decide(settings, OutcomeEntry(door["case_id"], "benign", " guests ", day(-2), "A", 12)) == []
    assert journal(site, "outcomes") == [
        {
            "case_id": door["case_id"],
            "day": str(day(-2)),
            "outcome": "benign",
            "reason": "guests",
            "by": "A",
            "minutes": 12,
            "household": SURGED,
            "signature": "people",
            "district": None,
            "class": None,
            "chance_before": door["chance_before"],
            "chance_wrong": door["chance_wrong"],
            "listed": str(day(-2)),
            "since": str(day(-2)),
            "how": "decide",
        }
    ]
    assert site.audit_lines()[-1]["step"] == "decide"


@pytest.mark.parametrize("change", ["head", "tail"])
def test_nothing_is_recorded_that_the_audit_log_cannot_take(site, settings, change):
    """The journal would otherwise be ahead of the log."""
    log = site.file.parent / "audit.jsonl"
    if change == "head":
        (site.file.parent / "state" / "chain.json").unlink()
    else:
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    before = {path: path.read_bytes() for path in (log, *site.file.parent.rglob("*.jsonl"))}
    case = site.view("worklist")["case_id"][0]
    with pytest.raises(AuditLogBroken):
        decide(settings, OutcomeEntry(case, "benign", "guests", day(-2)))
    with pytest.raises(AuditLogBroken):
        assign(settings, case, "desk 3", None)
    assert {path: path.read_bytes() for path in before} == before


def test_an_outcome_of_a_later_day_counts_from_the_next_night_on(site, settings):
    decide(settings, OutcomeEntry(site.case_id(), "benign", "guests", day(-1)))
    assert journal(site, "outcomes")[0]["since"] == str(day(-1))


def test_the_same_entry_again_is_recorded_once(site, settings):
    entry = OutcomeEntry(site.case_id(), "benign", "guests", day(-2))
    decide(settings, entry)
    assert decide(settings, entry) == ["it was recorded already"]
    assert len(journal(site, "outcomes")) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "guilty"}, "outcome 'guilty' is not there; choose from "),
        ({"day": dt.date(2199, 1, 1)}, "day 2199-01-01 lies in the future"),
        ({"minutes": -1}, "minutes = -1"),
        ({"reason": " "}, "reason is empty"),
        ({"reason": "\udcff\udcfe"}, "reason is not text in UTF-8"),
        ({"reason": "call 13812340000"}, "reason holds what looks like a phone number; leave it out"),
        ({"reason": "his car 京A12345 is there"}, "reason holds what looks like a number plate"),
        ({"by": "13812340000"}, "by holds what looks like a phone number"),
        ({"by": "\udcff"}, "by is not text in UTF-8"),
    ],
)
def test_an_entry_that_cannot_be_right_is_refused(site, settings, change, message):
    right = {"case_id": site.case_id(), "outcome": "benign", "reason": "guests", "day": day(-2)}
    with pytest.raises(NotRecorded, match=message):
        decide(settings, OutcomeEntry(**right | change))


def test_a_case_that_is_not_there_and_a_site_without_nights_are_refused(tmp_path, settings):
    entry = OutcomeEntry("c000000-0000000000", "benign", "guests", day(-2))
    with pytest.raises(NotFound, match="no such case"):
        decide(settings, entry)
    unjudged = load_settings(make_site(tmp_path / "unjudged").settings)
    with pytest.raises(NotFound, match="no night has been judged"):
        decide(unjudged, entry)


def test_a_busy_store_keeps_the_record_and_says_when_it_shows(site, settings, monkeypatch):
    monkeypatch.setattr(record_outcome, "LOCK_SECONDS", 0)
    entry = OutcomeEntry(site.case_id(), "benign", "guests", day(-2))
    with filelock.FileLock(site.root / "out" / "run.lock"):
        (remark,) = decide(settings, entry)
    assert remark == "recorded; another run holds the lock, and the file shows it after the next run"
    assert site.view("outcomes").is_empty()
    decide(settings, OutcomeEntry(site.case_id(), "confirmed", "seen", day(-2)))
    assert site.view("outcomes")["outcome"].to_list() == ["benign", "confirmed"]


def test_a_published_file_that_cannot_be_read_is_left_to_the_next_night(site, settings):
    entry = OutcomeEntry(site.case_id(), "benign", "guests", day(-2))
    site.file.write_bytes(b"torn")
    (remark,) = decide(settings, entry)
    assert remark.startswith(f"recorded; {site.file} cannot be read: run `anomaly nightly")
    assert len(journal(site, "outcomes")) == 1


def warnings(tmp_path, outcomes: list[str], seconds_apart: int) -> list[str]:
    """What is said after those decisions, without the advice."""
    store = Store(tmp_path / f"{len(outcomes)}-{seconds_apart}" / "anomaly.duckdb")
    now = dt.datetime(2026, 5, 20, 9, tzinfo=dt.UTC)
    for place, outcome in enumerate(reversed(outcomes)):
        recorded = (now - dt.timedelta(seconds=place * seconds_apart)).isoformat()
        store.append_line("outcomes.jsonl", {"how": "decide", "outcome": outcome, "recorded": recorded})
    return [line.partition(";")[0] for line in record_outcome.routine_warnings(store, now)]


def test_deciding_in_haste_or_always_alike_is_remarked(site, settings, tmp_path, monkeypatch):
    hasty = ["warning: 10 decisions were recorded within a minute"]
    assert warnings(tmp_path / "1", ["confirmed", "benign"] * 5, 5) == hasty
    assert warnings(tmp_path / "2", ["confirmed", "benign"] * 4 + ["benign"], 5) == []
    assert warnings(tmp_path / "3", ["confirmed", "benign"] * 6, 60) == []
    alike = ["warning: 19 of the last 20 decisions are confirmed"]
    assert warnings(tmp_path / "4", ["benign"] + ["confirmed"] * 19, 90) == alike
    assert warnings(tmp_path / "5", ["benign"] * 2 + ["confirmed"] * 18, 120) == []
    monkeypatch.setattr(record_outcome, "HASTY_DECISIONS", 1)
    (warning,) = decide(settings, OutcomeEntry(site.case_id(), "benign", "guests", day(-2)))
    assert warning.startswith("warning: 1 decisions were recorded within a minute")


# import


def test_a_file_of_outcomes_is_recorded_row_by_row(site, settings):
    case = site.case_id()
    file = site.put(
        "field.csv",
        "case,day,outcome,reason,by,minutes\n"
        f"{case},{day(-2)},no_access,nobody met,team 2,5\n"
        f"{case},{day(-2)},benign,family visiting,,\n"
        f"{case},{day(-2)},fine,x,,\n"
        f"c000000-0000000000,{day(-2)},benign,x,,\n"
        f"{case},soon,benign,x,,\n"
        f"{case},{day(-2)},benign,,,\n",
    )
    result = import_outcomes(settings, file)
    assert (result.recorded, result.already, result.remarks) == (2, 0, [])
    assert [line.partition(" is ")[0] for line in result.refused] == [
        "row 3: outcome 'fine'",
        "row 4: c000000-0000000000: no such case; `anomaly worklist` and v1.cases list them",
        "row 5: day",
        "row 6: reason",
    ]
    assert [line["outcome"] for line in journal(site, "outcomes")] == ["no_access", "benign"]
    assert {line["how"] for line in journal(site, "outcomes")} == {"import"}
    assert site.view("cases")["decision"].to_list() == ["benign"]
    again = import_outcomes(settings, file)
    assert (again.recorded, again.already) == (0, 2) and len(journal(site, "outcomes")) == 2
    last = site.audit_lines()[-1]
    assert (last["step"], last["recorded"], last["already"], last["refused"]) == ("import", 0, 2, 4)


def test_a_file_in_gb18030_with_case_id_and_no_minutes_is_read(site, settings):
    text = f"case_id,day,outcome,reason,by\n{site.case_id()},{day(-2)},benign,亲戚来访,王伟\n"
    file = site.put("field.csv", text.encode("gb18030"))
    assert import_outcomes(settings, file).refused == []
    assert site.view("outcomes").select("reason", "by").rows() == [("亲戚来访", "王伟")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("case,day,reason\n", "has no column outcome; give case, day, outcome, reason"),
        (b"\xff\xff\xff", "is not text; export it as CSV in UTF-8"),
        (None, "cannot be read"),
        (f"case,day,outcome,reason\nc,d,benign,{'x' * 140_000}\n", "field.csv: line 2 cannot be read as CSV"),
    ],
    ids=["no outcomes", "no text", "no file", "an endless cell"],
)
def test_a_file_that_holds_no_outcomes_is_refused(site, settings, content, message):
    file = site.root / "field.csv" if content is None else site.put("field.csv", content)
    with pytest.raises(NotRecorded, match=message):
        import_outcomes(settings, file)


def test_a_journal_is_looked_through_once_for_a_whole_file(site, settings, monkeypatch):
    case, lines = site.case_id(), []
    monkeypatch.setattr(Store, "append_lines", lambda store, name, values: lines.append(list(values)))
    rows = "".join(f"{case},{day(-2)},benign,visit {number},,\n" for number in range(30))
    import_outcomes(settings, site.put("field.csv", f"case,day,outcome,reason,by,minutes\n{rows}"))
    assert [len(one) for one in lines] == [30]


# assign, reveal


def test_an_assignment_is_recorded_and_once_where_it_is_the_same(site, settings):
    case = site.case_id()
    for to in ("team 2", "team 2", "team 3", "team 2"):
        assert assign(settings, case, to, by=None) == []
    assert [line["to"] for line in journal(site, "assignments")] == ["team 2", "team 3", "team 2"]
    assert site.view("worklist")["assigned"].to_list() == ["team 2"]


def test_an_assignment_to_nobody_or_of_no_case_is_refused(site, settings):
    with pytest.raises(NotRecorded, match="--to is empty"):
        assign(settings, site.case_id(), " ", by=None)
    with pytest.raises(NotFound, match="no such case"):
        assign(settings, "nobody", "team 2", by=None)


def test_nothing_is_revealed_where_ids_are_not_coded_and_that_is_not_logged(site, settings):
    steps = len(site.audit_lines())
    with pytest.raises((NotFound, NotRecorded), match="nothing to reveal"):
        reveal(settings, site.case_id(), "visit", "A")
    with pytest.raises(NotRecorded, match="--by is empty"):
        reveal(settings, site.case_id(), "visit", " ")
    assert len(site.audit_lines()) == steps
