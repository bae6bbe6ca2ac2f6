"""Retention: what is too old goes everywhere, and the records stay."""

import datetime as dt
import json
import re
from pathlib import Path

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.jobs import retention
from pipelines.jobs.retention import ExpiredData, prune
from pipelines.reporting import night_report
from pipelines.storage.state import Store
from tests.support.site import FIRST, LAST, Site, daily, day, make_site, rows


@pytest.fixture
def site(site_with_case) -> Site:
    return site_with_case


def test_what_expires_is_described_in_a_line(tmp_path):
    one = ExpiredData("readings", dt.date(2026, 5, 1), 7, (tmp_path,))
    assert one.describe() == "readings: 7 from before 2026-05-01, in 1 place"
    none = ExpiredData("drafts", dt.date(2026, 5, 1), 0, ())
    assert none.describe() == "drafts: 0 from before 2026-05-01, in 0 places"


def test_a_floor_is_written_before_anything_is_deleted_and_a_broken_prune_goes_on(site, monkeypatch):
    monkeypatch.setattr(retention, "local_today", lambda settings: LAST)
    keep(site, readings_days=40)
    settings = load_settings(site.settings)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "_delete_before", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prune(settings, dry_run=False)
    state = site.root / "out" / "state"
    assert json.loads((state / "kept_from.json").read_text())["readings"] == str(day(-41))
    begun = json.loads((state / "pruning.json").read_text())
    assert [line["class"] for line in begun] == ["readings", "reports"]
    prune(settings, dry_run=False)
    deleted = Store(site.file).read_lines("deletions.jsonl")
    assert not (state / "pruning.json").exists()
    assert [line | {"at": ""} for line in deleted] == [line | {"at": ""} for line in begun]
    assert holding(site, str(day(-41))) == []


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
    site.decide("benign")
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
    record = Store(site.file).read_lines("deletions.jsonl")
    assert {line["class"] for line in record} == {"readings", "nights", "reports", "drafts"}
    assert site.audit_lines()[-1]["step"] == "prune"
    # the exports still hold the old rows, and a run line still names the old night
    site.change('name = "Tiny"', 'name = "Small"')
    site.put("power-2.csv", rows("power", daily()["power"]))
    site.nightly()
    assert holding(site, cut) == [] and site.view("outcomes").equals(outcomes)
    assert site.view("readings")["day"].min() == day(-41)


def test_pages_go_with_the_readings_that_they_draw(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    store, night = Store(site.file), day(-2)
    assert night_report.first_day_drawn(store, night) == FIRST
    keep(site, readings_days=40)
    settings = load_settings(site.settings)

    def expired_pages() -> tuple[Path, ...]:
        return prune(settings, dry_run=True).expired[3].places

    assert expired_pages() == (settings.reports / str(night),)
    drawn = store.path(f"nights/{night}/report.json")
    store.write_json(f"nights/{night}/report.json", {"draws_from": str(day(-41))})
    assert expired_pages() == ()
    drawn.unlink()  # pages of an older version may draw any of their last 120 days
    assert expired_pages() == (settings.reports / str(night),)
    prune(settings, dry_run=False)
    assert not (settings.reports / str(night)).exists()
    site.nightly("--night", str(night))
    assert list((settings.reports / str(night) / "cases").glob("*.png"))
    # half of the days that readings are kept: these pages can be read for the other half
    assert night_report.first_day_drawn(store, night) == night - dt.timedelta(days=19)
    assert expired_pages() == ()


def test_where_nothing_is_old_nothing_is_touched(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    before = site.file.read_bytes()
    assert "readings: 0 from before" in site.run("prune").stdout
    assert site.file.read_bytes() == before and [line["step"] for line in site.audit_lines()] == ["run"]


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
