"""One night: judged by what a home has, published by draft, check and swap, repeated only after a change."""

import datetime as dt
import json
import os
import signal as signals
import subprocess
import sys
import threading
import time

import duckdb
import filelock
import numpy as np
import polars as pl
import pytest

from anomaly import tables
from pipelines.jobs import nightly as flow
from pipelines.publish import duckdb_file
from tests.support.paths import ROOT
from tests.support.site import (
    FIRST,
    HOMES,
    LAST,
    SIGNALS,
    SURGE_DAYS,
    SURGED,
    Site,
    daily,
    day,
    make_site,
    rows,
    until,
)


@pytest.fixture(scope="session")
def judged(tmp_path_factory) -> Site:
    """A site whose last night was judged; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("judged"))
    site.nightly()
    return site


def folder_bytes(site: Site) -> dict[str, bytes]:
    """Every file but the log, which tells of every run."""
    return {
        str(path): path.read_bytes()
        for path in sorted(site.root.rglob("*"))
        if path.is_file() and path.name != "log.jsonl"
    }


def start(site: Site, *command: str, tty: bool = False) -> subprocess.Popen:
    code = "from pipelines.cli.commands import program; program()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *command, "--settings", str(site.settings)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_the_home_that_surged_is_the_case_and_no_other(judged):
    (case,) = judged.view("cases").rows(named=True)
    assert (case["household"], case["signature"], case["status"], case["opened"]) == (
        SURGED,
        "people",
        "new",
        LAST,
    )
    assert abs((case["onset"] - (LAST - dt.timedelta(days=SURGE_DAYS - 1))).days) <= 5
    assert set(case["ratios"]) == {"entries", "water", "power"} and all(
        2.0 < ratio < 4.5 for ratio in case["ratios"].values()
    )
    (door,) = judged.view("worklist").rows(named=True)
    assert (door["rank"], door["household"], door["case_id"], door["night"]) == (
        1,
        SURGED,
        case["case_id"],
        LAST,
    )
    assert judged.view("not_judged").is_empty() and judged.view("rejects").is_empty()
    (run,) = judged.view("runs").rows(named=True)
    assert (run["judged"], run["cases_new"], run["cases_open"], run["notes"]) == (HOMES, 1, 1, "")
    assert run["expected_wrong_doors"] == pytest.approx(door["chance_wrong"], abs=1e-4)


def test_every_view_has_the_columns_of_its_table_and_the_report_is_there(judged):
    with duckdb.connect(str(judged.file), read_only=True) as con:
        for name, table in tables.PUBLISHED.items():
            columns = [row[0] for row in con.execute(f"DESCRIBE v1.{name}").fetchall()]
            assert columns == table.column_names(), name
        assert con.execute("SELECT count(*) FROM meta.calendar").fetchone()[0] >= (LAST - FIRST).days
    case_id = judged.view("cases")["case_id"][0]
    night = judged.root / "out" / "reports" / str(LAST)
    for page in (night / "index.html", night / "cases" / f"{case_id}.html", night.parent / "index.html"):
        assert "Trying the night" in page.read_text(encoding="utf-8"), (
            page
        )  # the purpose stands on every page
    assert (night / "cases.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_all_state_lies_beside_the_file_and_one_file_is_a_database(judged):
    names = [path.name for path in judged.file.parent.rglob("*") if path.is_file()]
    assert [name for name in names if name.endswith(".duckdb")] == ["anomaly.duckdb"]
    assert not [name for name in names if name.endswith((".draft", ".wal"))]
    state = [
        path
        for path in judged.file.parent.rglob("*")
        if path.is_file() and "reports" not in path.parts and path.name != "run.lock"
    ]
    assert not [str(path) for path in state if path.stat().st_mode & 0o027]


def test_nothing_to_do_says_so_and_touches_nothing(tmp_path):
    site = make_site(tmp_path)
    site.nightly()
    before = folder_bytes(site)
    result = site.nightly()
    assert f"night {LAST}: nothing to do, same inputs, settings and version as before" in result.stderr
    assert folder_bytes(site) == before
    assert site.view("runs").height == 1


@pytest.mark.parametrize("change", ["input", "settings", "calendar", "file", "report"])
def test_whatever_changed_there_is_something_to_do(tmp_path, change):
    site = make_site(tmp_path, ["power"])
    site.nightly()
    if change == "input":
        site.put("power-2.csv", "id,day,used\n0001,2026-05-14,3.5\n")
    elif change == "settings":
        site.change("Tiny", "Small")
    elif change == "calendar":
        site.put(
            "calendars/CN/2026.toml", '[[holidays]]\nday = 2026-05-06\nen = "Local day"\nzh = "本地假日"\n'
        )
    elif change == "file":
        site.file.unlink()
    else:
        (site.root / "out" / "reports" / str(LAST) / "index.html").unlink()
    assert "nothing to do" not in site.nightly().stderr
    assert site.file.exists() and (site.root / "out" / "reports" / str(LAST) / "index.html").exists()


def test_a_further_run_on_the_same_night_gives_the_same_rows(tmp_path, judged):
    """Removing the folder starts anew, and comes to the same."""
    site = make_site(tmp_path)
    site.nightly()
    first = site.published()
    site.file.unlink()
    site.nightly()
    assert site.published() == first == judged.published()


def test_homes_with_one_two_or_three_signals_young_and_old_are_judged_or_named(tmp_path):
    """Homes with fewer signals, or too few days.

    0001 has entries only, 0002 entries and water, 0003 is 20 days old, 0004 fell silent 10 days ago, 0005 has
    5 days.
    """
    site = make_site(tmp_path)
    lost = {
        "entries": (pl.col("id") == "0003") & (pl.col("day") <= str(day(-21))),
        "water": pl.col("id").is_in(["0001", "0003"]),
        "power": pl.col("id").is_in(["0001", "0002", "0003"]),
    }
    for name, values in daily().items():
        silent = (pl.col("id") == "0004") & (pl.col("day") > str(day(-11)))
        new = (pl.col("id") == "0005") & (pl.col("day") <= str(day(-6)))
        site.put(f"{name}.csv", rows(name, values).filter(~lost[name] & ~silent & ~new))
    site.nightly()
    named = {
        (row["household"], row["signal"]): row["reason"] for row in site.view("not_judged").rows(named=True)
    }
    assert {home for home, _ in named} == {"0004", "0005"}
    assert {signal for _, signal in named} == {"entries", "water", "power"}
    assert "0 whole days in the last 7" in named["0004", "entries"]
    assert "10 are needed" in named["0005", "power"]
    (run,) = site.view("runs").rows(named=True)
    assert run["judged"] == HOMES - 2 and run["not_judged"] == 6
    seen = site.view("expected").filter(pl.col("day") == LAST)
    signals_of = {
        home: sorted(seen.filter(pl.col("household") == home)["signal"])
        for home in ("0001", "0002", "0003", "0006")
    }
    # the home of 20 days is on the short rung of the ladder: 10 days older than 7 are enough
    assert signals_of == {
        "0001": ["entries"],
        "0002": ["entries", "water"],
        "0003": ["entries"],
        "0006": ["entries", "power", "water"],
    }


def test_homes_with_400_days_and_different_first_days_are_all_judged(tmp_path):
    site = Site(tmp_path)
    site.configure({"power": SIGNALS["power"]})
    first = LAST - dt.timedelta(days=399)
    frame = rows("power", daily(days=400)["power"], first)
    starts = {f"{h:04}": str(first + dt.timedelta(days=15 * h)) for h in range(HOMES)}
    site.put("power.csv", frame.filter(pl.col("day") >= pl.col("id").replace_strict(starts)))
    site.nightly()
    assert site.view("runs")["judged"].to_list() == [HOMES] and site.view("not_judged").is_empty()
    assert site.view("readings").group_by("household").len().sort("household")["len"].to_list() == [
        400 - 15 * h for h in range(HOMES)
    ]


def test_every_home_is_judged_or_named_for_every_signal_it_has(tmp_path):
    """On the night after the first days nothing can be judged, and everything is named."""
    site = make_site(tmp_path, last=day(4))
    site.nightly()
    assert site.view("not_judged").height == 3 * HOMES and site.view("cases").is_empty()
    assert site.view("runs")["judged"].to_list() == [0]


def test_only_the_purposes_signatures_are_listed(tmp_path):
    site = make_site(tmp_path)
    site.change('["people", "water", "power", "door"]', '["water"]')
    site.nightly()
    assert set(site.view("cases")["signature"]) <= {"water"} and set(site.view("evidence")["signal"]) <= {
        "water"
    }
    assert site.view("readings")["signal"].n_unique() == 3


def test_a_purpose_made_narrower_takes_the_other_cases_off_every_list(tmp_path):
    site = make_site(tmp_path)
    site.nightly("--night", str(day(-2)))
    site.nightly()
    assert site.view("worklist").height == 2 and set(site.view("cases")["signature"]) == {"people"}
    site.change('["people", "water", "power", "door"]', '["water"]')
    site.nightly()
    assert set(site.view("cases")["signature"]) <= {"water"} and set(site.view("worklist")["signature"]) <= {
        "water"
    }
    assert set(site.view("evidence")["signal"]) <= {"water"}


def test_a_home_that_is_no_dwelling_is_named_and_never_a_case(tmp_path):
    site = make_site(tmp_path)
    site.change(
        "[store]",
        '[households]\nfiles = "homes.csv"\ncolumns = { household = "id", class = "use" }\n\n[store]',
    )
    site.put(
        "homes.csv",
        "id,use\n"
        + "".join(f"{h:04},{'shop' if f'{h:04}' == SURGED else 'dwelling'}\n" for h in range(HOMES)),
    )
    site.nightly()
    assert site.view("cases").is_empty()
    assert site.view("not_judged").select("household", "reason").unique().rows() == [
        (SURGED, "class shop: only dwellings are judged")
    ]


def test_the_default_night_is_the_last_whole_one(tmp_path):
    """On the last day only 5 of 24 homes have a row: the night before is judged."""
    site = make_site(tmp_path, ["power"])
    frame = rows("power", daily()["power"])
    site.put("power.csv", frame.filter((pl.col("day") < str(LAST)) | (pl.col("id") < "0005")))
    site.nightly()
    assert site.view("runs")["night"].to_list() == [day(-2)]


def test_a_home_of_the_register_that_never_gave_a_reading_is_named(tmp_path):
    site = make_site(tmp_path)
    site.change("[store]", '[households]\nfiles = "homes.csv"\ncolumns = { household = "id" }\n\n[store]')
    site.put("homes.csv", "id\n" + "".join(f"{h:04}\n" for h in range(HOMES + 1)))
    site.nightly()
    named = site.view("not_judged").select("household", "signal", "reason").rows()
    assert named == [(f"{HOMES:04}", signal, "no whole day yet") for signal in ("entries", "power", "water")]


@pytest.mark.parametrize("night", ["2027-01-01", "2020-01-01"])
def test_a_night_without_any_reading_is_refused(judged, night):
    before = judged.file.read_bytes()
    result = judged.nightly("--night", night, code=2)
    assert "reading (2026-03-01 … 2026-05-14); ask for a night between" in result.stderr
    assert judged.file.read_bytes() == before


READER = """import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
print(1, flush=True)
sys.stdin.read()
print(con.execute("select max(night) from v1.runs").fetchone()[0])
"""


def test_an_open_reader_never_blocks_the_night(tmp_path):
    site = make_site(tmp_path, last=day(-2))
    site.nightly()
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            READER,
            str(site.file),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader.stdout.readline()  # it is open now
    for name, values in daily().items():
        site.put(f"{name}.csv", rows(name, values))
    site.nightly()
    told, _ = reader.communicate("")
    assert told.strip() == str(day(-2))  # the reader keeps the file it opened
    assert site.view("runs")["night"].max() == LAST


def test_a_refused_publication_leaves_yesterdays_file(tmp_path, monkeypatch):
    site = make_site(tmp_path, last=day(-2))
    site.nightly()
    before = site.file.read_bytes()
    site.put("power.csv", rows("power", daily()["power"]))
    collected = flow.published_frames

    def broken(*args):
        frames = collected(*args)
        return frames | {
            "worklist": pl.concat([frames["worklist"]] * 2)
        }  # every door twice: the key is broken

    with monkeypatch.context() as patch:
        patch.setattr(flow, "published_frames", broken)
        result = site.nightly(code=4)
    assert (
        "worklist" in result.stderr
        and "yesterday's file stands" in result.stderr
        and result.stderr.count("\n") == 1
    )
    assert site.file.read_bytes() == before and not list(site.file.parent.glob(".*draft*"))
    site.nightly()  # and the next run makes it good
    assert site.view("runs")["night"].max() == LAST


def test_a_draft_that_does_not_read_back_is_refused(tmp_path, monkeypatch):
    site = make_site(tmp_path, ["power"])
    monkeypatch.setattr(duckdb_file, "_write_table", _loses_a_row(duckdb_file._write_table))
    site.nightly(code=4)
    assert not site.file.exists()


def _loses_a_row(write):
    return lambda con, name, frame, folder: write(con, name, frame.head(max(0, frame.height - 1)), folder)


def test_nothing_readable_leaves_yesterdays_file(tmp_path):
    site = make_site(tmp_path, ["power"])
    (tmp_path / "power.csv").write_bytes(b"")
    result = site.nightly(code=4)
    assert "power.csv is empty" in result.stderr and not site.file.exists()
    site = make_site(tmp_path, ["power"])
    site.nightly()
    before = site.published()
    (tmp_path / "power.csv").write_bytes(b"")
    assert "power stopped" in site.nightly(code=3).stderr  # what it gave earlier stays in use
    assert site.published() == before


def test_another_command_that_keeps_the_lock_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "RUN_LOCK_SECONDS", 0.1)
    site = make_site(tmp_path, ["power"])
    site.file.parent.mkdir()
    (site.file.parent / "run.holder").write_text("process 4711, anomaly decide, since yesterday\n")
    with filelock.FileLock(site.file.parent / "run.lock"):
        result = site.nightly("--json", code=11)
    assert "another run holds the lock (process 4711, anomaly decide, since yesterday)" in result.stderr
    assert "waiting for process 4711, anomaly decide, since yesterday" in result.stdout


def test_a_night_waits_for_a_command_that_ends(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.file.parent.mkdir()
    lock = filelock.FileLock(site.file.parent / "run.lock", thread_local=False)
    lock.acquire()
    threading.Timer(0.3, lock.release).start()
    site.nightly()


def test_a_bug_is_1_and_tells_where(tmp_path, monkeypatch):
    site = make_site(tmp_path, ["power"])
    monkeypatch.setattr(flow, "judge_nights", lambda *args: 1 / 0)
    result = site.run("nightly")
    assert result.exit_code == 1 and isinstance(result.exception, ZeroDivisionError)


def test_an_interrupted_night_is_130_and_the_next_one_goes_on(tmp_path):
    site = make_site(tmp_path)
    big = daily(homes=600)
    for name in SIGNALS:
        site.put(f"{name}.csv", rows(name, big[name]))
    run = start(site, "nightly")
    deadline = time.monotonic() + 30
    while not (site.file.parent / "run.holder").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)  # in the middle of the load
    run.send_signal(signals.SIGINT)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (130, ""), err
    assert "interrupted" in err and "Traceback" not in err
    assert not site.file.exists() and not (site.file.parent / "run.holder").exists()
    assert not list(site.root.rglob("*.draft"))
    site.nightly()


def test_json_lines_end_in_a_summary_and_stderr_is_silent(tmp_path):
    site = make_site(tmp_path)
    result = site.nightly("--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (
        all("message_type" in line for line in lines)
        and [line["message_type"] for line in lines].count("summary") == 1
    )
    last = lines[-1]
    assert (last["message_type"], last["night"], last["did"], last["judged"], last["cases_new"]) == (
        "summary",
        str(LAST),
        True,
        HOMES,
        1,
    )
    assert result.stderr == ""
    again = json.loads(site.nightly("--json").stdout.splitlines()[-1])
    assert (again["message_type"], again["did"]) == ("summary", False)


def test_stdout_is_for_data_and_without_a_terminal_there_is_no_progress(judged):
    result = judged.nightly()
    assert result.stdout == "" and "\r" not in result.stderr and "\x1b" not in result.stderr
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["night", "report", "file"]


def test_rows_in_another_order_give_the_same_night(tmp_path, judged):
    site = make_site(tmp_path)
    rng = np.random.default_rng(5)
    for name, values in daily().items():
        frame = rows(name, values)
        site.put(f"{name}.csv", frame[rng.permutation(frame.height)])
    site.nightly()
    assert site.published() == judged.published()


def test_a_night_reads_nothing_dated_after_it(tmp_path, judged):
    """The night of ten days ago comes out the same whether the ten days since are there or not."""
    night = day(-11)
    whole, cut = make_site(tmp_path / "whole"), make_site(tmp_path / "cut", last=night)
    whole.nightly("--night", str(night))
    cut.nightly()
    views = ("expected", "evidence", "cases", "worklist", "not_judged")
    assert whole.published(views) == cut.published(views)


def test_a_night_within_a_long_history_reads_nothing_dated_after_it(tmp_path):
    """A history of 300 nights sets the scale by the site's own past.

    After the night, within the same backfill, half of the homes go up fivefold.
    """
    first, night = LAST - dt.timedelta(days=339), LAST - dt.timedelta(days=40)
    values = daily(days=340)["power"]
    values[::2, -40:] *= 5
    values[int(SURGED), -54:-40] *= 3
    frame = rows("power", values, first)
    sites = {name: Site(tmp_path / name) for name in ("whole", "cut")}
    for name, site in sites.items():
        site.root.mkdir()
        site.configure({"power": SIGNALS["power"]}, signatures=["power"])
        site.put("power.csv", frame if name == "whole" else until(frame, night))
    sites["cut"].nightly()
    end = night + dt.timedelta(days=8)
    assert sites["whole"].run("backfill", "--from", str(night), "--to", str(end)).exit_code == 0
    told = {
        name: [
            site.view(view).filter(pl.col("night") == night).rows()
            for view in ("evidence", "worklist", "not_judged")
        ]
        for name, site in sites.items()
    }
    assert told["whole"] == told["cut"] and SURGED in [row[1] for row in told["cut"][0]]
    assert (
        sites["whole"].view("evidence").filter(pl.col("night") == end).height >= 4
    )  # what came after is seen, on its own nights


def test_the_manifest_says_what_made_the_night_and_how_long_each_step_took(site_with_case):
    site_with_case.nightly()
    manifest = json.loads((site_with_case.root / "out" / "manifest.json").read_text())
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


def run_line(started: str, night: str) -> dict:
    return {"started_utc": f"{started}T03:00:00", "night": night}


@pytest.mark.parametrize(
    ("runs", "overdue"),
    [
        ([], False),
        ([run_line("2026-08-12", "2026-05-14")], False),  # a study of old data waits for nothing
        ([run_line("2026-05-15", "2026-05-14")], True),
        ([run_line("2026-05-14", "2026-05-04"), run_line("2026-05-15", "2026-05-14")], True),
        ([run_line("2026-05-15", "2026-03-01"), run_line("2026-05-15", "2026-05-14")], True),  # a backfill
        ([run_line("2026-08-12", "2026-08-11")], True),
    ],
)
def test_three_months_without_any_data_degrade_a_live_site(runs, overdue):
    from pipelines.jobs.nightly import overdue_notes

    today, latest = dt.date(2026, 8, 13), dt.date(2026, 5, 14)
    notes = overdue_notes(runs, latest, today)
    assert bool(notes) == overdue
    if overdue:
        assert notes[0].startswith("no source has a whole day since 2026-05-14, 91 days ago (usually 1)")


def test_a_few_days_without_data_are_ordinary():
    from pipelines.jobs.nightly import overdue_notes

    runs, latest = [run_line("2026-05-15", "2026-05-14")], dt.date(2026, 5, 14)
    assert not overdue_notes(runs, latest, dt.date(2026, 5, 18))
    assert overdue_notes(runs, latest, dt.date(2026, 5, 19))
