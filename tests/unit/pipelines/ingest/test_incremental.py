"""What comes day by day, late, restated or broken off comes to the same as all at once, and touches no more than it must."""

import datetime as dt
import re

import duckdb
import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.ingest import incremental
from pipelines.ingest import loader as loading
from pipelines.ingest.inputs import stored_inputs
from pipelines.ingest.loader import load
from pipelines.storage.daily_readings import MAX_LOOSE_PARTITIONS, DailyReadings
from pipelines.storage.state import Store
from tests.support.paths import ROOT
from tests.support.site import HOMES, LAST, SIGNALS, Site, daily, day, make_site, rows, until

TODAY = dt.date(2099, 1, 1)


def loaded(site: Site, said: list | None = None) -> pl.DataFrame:
    """The readings after a load, in words."""
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    return load(settings, store, TODAY, (said if said is not None else []).append).readings


def parts(site: Site, kind: str) -> dict[str, list[str]]:
    return {
        name: sorted(path.name for path in (site.root / "out/state" / kind / name).glob("*.parquet"))
        for name in SIGNALS
    }


def at_once(root, site: Site) -> pl.DataFrame:
    """The readings of a new site with the same files."""
    other = make_site(root)
    for path in site.root.glob("*.csv"):
        other.put(path.name, path.read_bytes())
    return loaded(other)


@pytest.fixture
def by_day(tmp_path) -> Site:
    """A site whose last three days came one by one; a meter stood still behind a busy door, and caught up on the last day."""
    site = make_site(tmp_path / "by_day", last=day(-4))
    stuck = daily()["power"].copy()
    stuck[3, -4:-1], stuck[3, -1] = 0, 60_000
    power = rows("power", stuck)
    site.put("power.csv", until(power, day(-4)))
    loaded(site)
    for number in (-3, -2, -1):
        for name in SIGNALS:
            frame = power if name == "power" else rows(name, daily()[name])
            site.put(f"{name}-{number + 4}.csv", frame.filter(pl.col("day") == str(day(number))))
        loaded(site)
    return site


def test_day_by_day_is_what_all_at_once_is(tmp_path, by_day):
    readings = loaded(by_day)
    assert readings.equals(at_once(tmp_path / "once", by_day))
    marked = (
        readings.filter((pl.col("household") == "0003") & pl.col("note").is_in(["zero", "catch_up"]))
        .select("signal", "day", "note")
        .rows()
    )
    assert marked == [
        *(("power", day(n), "zero") for n in (-4, -3)),
        ("power", LAST, "catch_up"),
    ]  # the day between had few passages


def test_a_day_adds_parts_and_rewrites_none(by_day):
    before = parts(by_day, "days"), parts(by_day, "rows")
    for name in SIGNALS:
        next_day = daily(days=76)[name]
        by_day.put(
            f"{name}-9.csv", rows(name, next_day).filter(pl.col("day") == str(LAST + dt.timedelta(days=1)))
        )
    loaded(by_day)
    for kind, then in zip(("days", "rows"), before, strict=True):
        now = parts(by_day, kind)
        for name in SIGNALS:
            assert now[name][: len(then[name])] == then[name] and len(now[name]) > len(then[name])
    assert set(
        DailyReadings(Store(by_day.file), "water").read(first=LAST + dt.timedelta(days=1))["day"].unique()
    ) == {LAST + dt.timedelta(days=1)}


def test_a_late_row_touches_its_home_only(tmp_path):
    late = (pl.col("id") == "0003") & (pl.col("day") == str(day(20)))
    water = rows("water", daily()["water"])
    site = make_site(tmp_path / "site")
    site.put("water.csv", water.filter(~late))
    loaded(site)
    before = parts(site, "days")
    site.put("water-late.csv", water.filter(late))
    readings = loaded(site)
    assert readings.equals(at_once(tmp_path / "once", site))
    (added,) = set(parts(site, "days")["water"]) - set(before["water"])
    cells = pl.read_parquet(site.root / "out/state/days/water" / added)
    # the reading of day 20 makes that day and the next one; no other cell is written again
    assert cells["home"].n_unique() == 1 and sorted(cells["day"]) == [day(20), day(21)]
    assert parts(site, "days")["power"] == before["power"]
    # said twice it counts once, also where nobody asks whose it is
    days = DailyReadings(Store(site.file), "water")
    assert (
        days.read(columns=("quality",)).height
        == days.read().select("home", "day").n_unique()
        == days.height - 2
    )


def test_parts_are_put_together_by_month(tmp_path, monkeypatch):
    site = make_site(tmp_path / "site", last=day(50))
    values = {name: rows(name, daily()[name]) for name in SIGNALS}
    loaded(site)
    for number in range(51, 66):
        for name in SIGNALS:
            site.put(f"{name}-{number}.csv", values[name].filter(pl.col("day") == str(day(number))))
        readings = loaded(site)
    assert readings.equals(at_once(tmp_path / "once", site))
    names = parts(site, "days")["water"]
    assert len(names) <= 3 + MAX_LOOSE_PARTITIONS and any("_2026-03-01_2026-03-31" in name for name in names)
    settings = load_settings(site.settings)
    kept = stored_inputs(settings, Store(settings.store)).stored
    assert (
        kept.span() == (day(0), day(65)) and kept.cells(day(65))["home"].n_unique() == HOMES
    )  # a month put together ends where its days do


@pytest.mark.parametrize("broken_off", ["cells", "carry", "rejects", "compare"])
def test_a_load_that_was_broken_off_goes_on(tmp_path, monkeypatch, broken_off):
    """Stopped after the rows, the cells, the carry or before the comparison of the second of two batches."""
    site = make_site(tmp_path / "site", last=day(-3))
    for name in SIGNALS:
        site.put(f"{name}-2.csv", rows(name, daily()[name]).filter(pl.col("day") > str(day(-3))))
    places = {
        "cells": (DailyReadings, "add"),
        "carry": (incremental.StoredSignal, "write_state"),
        "rejects": (loading, "replace_rejects"),
        "compare": (loading, "update_contradictions"),
    }
    holder, name = places[broken_off]
    whole, times = getattr(holder, name), 0

    def stops(*args):
        nonlocal times
        times += 1
        if times == 2 or broken_off == "compare":
            raise KeyboardInterrupt
        return whole(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "BATCH_ROWS", 1)
        patch.setattr(holder, name, stops)
        with pytest.raises(KeyboardInterrupt):
            loaded(site)
    said = []
    assert loaded(site, said).equals(at_once(tmp_path / "once", site))
    assert any(event.text.startswith("the last load was broken off: going on after") for event in said)
    assert not any("broken off" in event.text for event in said[1:])


def test_batches_are_what_one_load_is(tmp_path, monkeypatch):
    site = make_site(tmp_path / "site", last=day(10))
    for number in range(11, 15):
        for name in SIGNALS:
            site.put(
                f"{name}-{number}.csv", rows(name, daily()[name]).filter(pl.col("day") == str(day(number)))
            )
    once = at_once(tmp_path / "once", site)
    monkeypatch.setattr(loading, "BATCH_ROWS", 1)
    monkeypatch.setattr(incremental, "REBUILD_HOMES", 5)
    monkeypatch.setattr(
        incremental,
        "home_blocks",
        lambda homes, size=5: (range(a, min(a + 5, homes)) for a in range(0, homes, 5)),
    )
    assert loaded(site).equals(once)
    restated = rows("water", daily(seed=2)["water"])
    site.put("water.csv", until(restated, day(10)))
    assert loaded(site).equals(at_once(tmp_path / "again", site))


def test_older_readings_are_joined_as_the_page_of_the_file_says(by_day, monkeypatch):
    text = (ROOT / "pipelines/publish/README.md").read_text(encoding="utf-8")
    (query,) = [block for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if "state/days" in block]
    by_day.nightly()
    monkeypatch.chdir(by_day.root)
    with duckdb.connect() as con:
        asked = con.execute(query).fetchall()
    published = (
        by_day.view("readings")
        .filter(pl.col("signal") == "water")
        .select("household", "day", "value", "quality")
        .rows()
    )
    assert sorted(asked) == sorted(published) and len(asked) == 24 * 75
