"""The safeguards around the loop: the audit log, pseudonyms, what the public sees, retention."""

import json
import re
import stat

import polars as pl
import pytest

from tests.integration.test_decisions import (
    before,
    case_of,
    decide,
    log,
    site,
)  # the two fixtures among them are asked for by name
from tests.support.site import LAST, SURGED, Site, daily, day, make_site, rows

__all__ = ["before", "site"]
KEY = "0123456789abcdef0123456789abcdef0123\n"


# the audit log


def test_every_step_leaves_a_line_and_the_chain_is_whole(site):
    decide(site, "benign")
    site.run("assign", case_of(site), "--to", "team 2")
    site.run("outcomes import", str(site.put("f.csv", "case,day,outcome,reason\n")))
    site.run("audit fairness")
    site.run("audit record")
    site.nightly()
    assert [line["step"] for line in log(site)] == [
        "run",
        "decide",
        "assign",
        "import",
        "fairness",
        "record",
        "run",
    ]
    assert (
        log(site)[0]["night"] == str(day(-2))
        and len(log(site)[0]["settings_sha256"]) == 64
        and log(site)[1]["outcome"] == "benign"
    )
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
    assert site.run("audit verify").exit_code == 0 and [line["step"] for line in log(site)] == [
        "run",
        "decide",
    ]


# pseudonyms


def keyed(site: Site) -> Site:
    site.put("private/key", KEY).chmod(0o600)
    site.change(
        "[signals.power]", '[pseudonyms]\nkey = "private/key"\nmap = "private/map.csv"\n\n[signals.power]'
    )
    return site


def test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged(tmp_path):
    site = keyed(make_site(tmp_path, ["power"]))
    site.put("households.csv", "id,place\n" + "".join(f"{h:04},N\n" for h in range(24)))
    site.change(
        "[pseudonyms]",
        '[households]\nfiles = "households.csv"\ncolumns = { household = "id", district = "place" }\n\n[pseudonyms]',
    )
    site.nightly()
    homes = site.view("households")["household"].to_list()
    assert len(homes) == 24 and all(re.fullmatch("h[0-9a-f]{20}", home) for home in homes)
    files = [
        path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.suffix in (".html", ".csv", ".json", ".jsonl")
    ]
    assert files and not [
        path for path in files if re.search(rf"\b{SURGED}\b", path.read_text(encoding="utf-8"))
    ]
    stored = [pl.read_parquet(path) for path in (tmp_path / "out").rglob("*.parquet")]
    assert not [
        1 for frame in stored if "household" in frame.columns and SURGED in frame["household"].to_list()
    ]
    assert stat.S_IMODE((tmp_path / "private" / "map.csv").stat().st_mode) == 0o600
    case = case_of(site)
    refused = site.run("reveal", case, "--reason", " ", "--by", "A")
    assert refused.exit_code == 2 and [line["step"] for line in log(site)] == ["run"]
    told = site.run("reveal", case, "--reason", "visit on Friday", "--by", "A")
    assert told.stdout == f"{SURGED}\n"
    assert {name: log(site)[-1][name] for name in ("step", "case", "reason", "by")} == {
        "step": "reveal",
        "case": case,
        "reason": "visit on Friday",
        "by": "A",
    }
    assert SURGED not in (tmp_path / "out" / "audit.jsonl").read_text(encoding="utf-8")


def test_a_key_that_is_weak_open_or_new_is_refused(tmp_path, before):
    site = keyed(make_site(tmp_path, ["power"]))
    (tmp_path / "private" / "key").chmod(0o640)
    assert re.search("look  pseudonyms: .*can be read by others", site.run("doctor").stdout)
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
    told = {
        name: page.with_name(name).read_text(encoding="utf-8") for name in ("index.html", "index.zh.html")
    }
    for words in (
        "Trying the night",
        "Draft impact assessment",
        "Of 1 answered doors 1 were wrong",
        "Everything",
        "objections@example.org",
    )[:3]:
        assert words in told["index.html"]
    assert "影响评估草稿" in told["index.zh.html"] and "Trying the night" in told["index.zh.html"]
    assert (site.root / "out" / "reports" / "fairness" / "index.zh.html").exists()
    assert not [path for path in site.root.rglob("*audit*") if path.is_file() and path.name != "audit.jsonl"]


# retention


def holding(site: Site, before: str) -> list[str]:
    """Places that hold a reading, a night or a page from before that day."""
    found = []
    for path in site.root.glob("out/**/*.parquet"):
        frame = pl.read_parquet(path)
        found += [
            str(path)
            for name in ("time", "day", "night")
            if name in frame.columns and (frame[name].cast(pl.String) < before).any()
        ]
    for view in ("readings", "expected", "worklist", "evidence", "cases", "control", "not_judged"):
        frame = site.view(view)
        found += [
            f"v1.{view}"
            for name in ("day", "night", "last_seen")
            if name in frame.columns and (frame[name].cast(pl.String) < before).any()
        ]
    return found + [str(path) for path in site.root.glob("out/**/????-??-??") if path.name < before]


def keep(site: Site, **days: int) -> None:
    told = "".join(f"{name} = {n}\n" for name, n in days.items())
    site.change("[signals.entries]", f"[retention]\n{told}\n[signals.entries]")


def test_pruned_readings_are_gone_from_parquet_duckdb_and_drafts_and_stay_gone(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    site.nightly("--night", str(day(-20)))
    decide(site, "benign")
    outcomes, runs = site.view("outcomes"), site.view("runs").height
    draft = site.put("out/state/.readings.parquet.draft", site.file.read_bytes())
    keep(site, readings_days=40, nights_days=10)
    cut = str(day(-41))
    assert holding(site, cut)
    everything = {path: path.read_bytes() for path in (site.root / "out").rglob("*") if path.is_file()}
    dry = site.run("prune", "--dry-run")
    assert dry.exit_code == 0 and re.search(
        rf"^readings: [1-9]\d+ from before {cut}, in \d+ places$", dry.stdout, re.MULTILINE
    )
    assert {
        path: path.read_bytes() for path in (site.root / "out").rglob("*") if path.is_file()
    } == everything
    assert site.run("prune").exit_code == 0
    assert holding(site, cut) == [] and not draft.exists()
    assert not (site.root / "out" / "state" / "nights" / str(day(-20))).exists()
    assert site.view("outcomes").equals(outcomes) and site.view("runs").height == runs
    record = [
        json.loads(line)
        for line in (site.root / "out" / "state" / "deletions.jsonl").read_text().splitlines()
    ]
    assert {line["class"] for line in record} == {"readings", "nights", "drafts"} and log(site)[-1][
        "step"
    ] == "prune"
    # the exports still hold the old rows, and a run line still names the old night
    site.change('name = "Tiny"', 'name = "Small"')
    site.put("power-2.csv", rows("power", daily()["power"]))
    site.nightly()
    assert holding(site, cut) == [] and site.view("outcomes").equals(outcomes)
    assert site.view("readings")["day"].min() == day(-41)


def test_where_everything_is_old_the_published_file_goes_and_the_records_stay(site, monkeypatch):
    decide(site, "benign")
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST.replace(year=2036))
    assert site.run("prune").exit_code == 0 and not site.file.exists()
    assert [line["step"] for line in log(site)] == ["run", "decide", "prune"]
    assert json.loads((site.root / "out" / "state" / "outcomes.jsonl").read_text())["outcome"] == "benign"


def test_where_nothing_is_old_nothing_is_touched(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    before = site.file.read_bytes()
    assert "readings: 0 from before" in site.run("prune").stdout
    assert site.file.read_bytes() == before and [line["step"] for line in log(site)] == ["run"]


def test_finer_readings_are_pruned_to_their_daily_grain_and_the_days_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    site = make_site(tmp_path, ["power"])
    used = daily()["power"][:20, :40]
    stamps = [f"{day(d)} {hour:02}:00:00" for d in range(-40, 0) for hour in range(24)]
    hourly = [
        (f"{h:04}", stamp, f"{used[h, i // 24] / 24_000:.3f}")
        for h in range(20)
        for i, stamp in enumerate(stamps)
    ]
    site.put("power.csv", pl.DataFrame(hourly, schema=["id", "day", "used"], orient="row"))
    site.nightly()
    readings = site.view("readings")
    assert f"raw: {20 * (40 - 8) * 23} from before {day(-8)}, in 1 place" in site.run("prune").stdout
    (kept,) = [pl.read_parquet(path) for path in (tmp_path / "out" / "state" / "rows").rglob("*.parquet")]
    assert kept.filter(pl.col("time") < day(-8)).height == 20 * 32 and kept.filter(~pl.col("dated"))[
        "time"
    ].min().date() == day(-8)
    assert site.view("readings").equals(readings)
    site.change('name = "Tiny"', 'name = "Small"')
    site.nightly()
    assert site.view("readings").equals(readings)
