"""Rows that come day by day, late or restated make the readings that all rows at once make."""

import datetime as dt
import re

import duckdb
import polars as pl
import pytest

from anomaly.readings import SignalRule
from pipelines.config.settings import load_settings
from pipelines.ingest import incremental
from pipelines.ingest.incremental import ReadingChanges, StoredSignal
from pipelines.ingest.inputs import stored_inputs
from pipelines.ingest.late_arrivals import NOTES_FILE
from pipelines.storage.daily_readings import MAX_LOOSE_PARTITIONS, DailyReadings
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA
from pipelines.storage.state import Store
from tests.support.loading import load_at_once, load_site, partition_names
from tests.support.paths import ROOT
from tests.support.site import HOMES, LAST, SIGNALS, Site, daily, day, make_site, rows, until

# one signal, by rows


RULE = SignalRule("water", "register", "litre")


@pytest.fixture
def signal(tmp_path) -> StoredSignal:
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    return StoredSignal(store, RULE)


def levels(*given: tuple[int, int, int], file: str = "w.csv") -> pl.DataFrame:
    """Raw rows of (home, day of March, level at the end of that day)."""
    return pl.DataFrame(
        [
            (home, dt.datetime(2026, 3, on), True, level, None, None, row, file)
            for row, (home, on, level) in enumerate(given, 1)
        ],
        schema=RAW_ROW_SCHEMA | {"file": pl.Enum([file])},
        orient="row",
    )


def use(signal: StoredSignal) -> list[tuple]:
    """(home, day of March, litres) of every stored reading."""
    cells = signal.readings.read().select("home", pl.col("day").dt.day(), "value")
    return sorted(cells.rows())


def test_rows_in_order_go_on_from_the_last_ones(signal):
    changes = ReadingChanges()
    assert signal.ingest(levels((0, 1, 100), (0, 2, 130), (1, 1, 50)), changes) == (1, 0, 0)
    assert signal.ingest(levels((0, 3, 150), (1, 2, 55), file="w-2.csv"), changes) == (2, 0, 0)
    assert [row for row in use(signal) if row[2] is not None] == [(0, 2, 30), (0, 3, 20), (1, 2, 5)]
    assert sorted(signal.homes()) == [0, 1] and signal.is_whole()


def test_rows_that_lose_are_counted_and_written_no_second_time(signal):
    signal.ingest(levels((0, 1, 100), (0, 2, 130)), ReadingChanges())
    again = levels((0, 1, 100), (0, 2, 120), file="w-2.csv")
    assert signal.ingest(again, ReadingChanges()) == (2, 1, 1)
    assert (0, 2, 20) in use(signal)
    assert signal.ingest(again, ReadingChanges()) == (None, 0, 0)  # the same file again is no restatement


def test_a_late_row_changes_the_readings_of_its_home(signal):
    signal.ingest(levels((0, 1, 100), (0, 3, 160), (1, 1, 50), (1, 2, 60)), ReadingChanges())
    assert (0, 2, None) in use(signal)
    changes = ReadingChanges()
    signal.ingest(levels((0, 2, 140), file="w-2.csv"), changes)
    assert [row for row in use(signal) if row[0] == 0 and row[2] is not None] == [(0, 2, 40), (0, 3, 20)]
    assert changes.since is None and pl.concat(changes.homes).to_list() == [0]


def test_rebuilt_readings_are_those_that_were_ingested(signal):
    signal.ingest(levels((0, 1, 100), (0, 2, 130), (1, 1, 50), (1, 2, 55)), ReadingChanges())
    before = use(signal)
    signal.readings.clear()
    signal.rebuild(2)
    assert use(signal) == before
    signal.ingest(levels((0, 3, 150), file="w-2.csv"), ReadingChanges())
    assert (0, 3, 20) in use(signal)  # the state was made anew as well


def test_rows_without_their_readings_are_repaired(signal, monkeypatch):
    """Broken off after the rows of the second file were written."""
    signal.ingest(levels((0, 1, 100), (1, 1, 50)), ReadingChanges())
    with monkeypatch.context() as patch:
        patch.setattr(DailyReadings, "add", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            signal.ingest(levels((0, 2, 130), file="w-2.csv"), ReadingChanges())
    assert (0, 2, 30) not in use(signal)
    changes = ReadingChanges()
    signal.repair(changes)
    assert (0, 2, 30) in use(signal) and pl.concat(changes.homes).to_list() == [0]
    changes = ReadingChanges()
    signal.repair(changes)
    assert not changes


def test_a_repair_that_is_broken_off_between_two_blocks_of_homes_begins_anew(signal, monkeypatch):
    """Homes are repaired one by one; killed after the first of two."""
    monkeypatch.setattr(incremental, "REBUILD_HOMES", 1)
    signal.ingest(levels((0, 1, 100), (1, 1, 50)), ReadingChanges())
    add = DailyReadings.add
    for before_the_kill, step in (
        (0, lambda: signal.ingest(levels((0, 2, 130), (1, 2, 55), file="w-2.csv"), ReadingChanges())),
        (1, lambda: signal.repair(ReadingChanges())),
    ):
        calls = [*[add] * before_the_kill, lambda *given: 1 / 0]
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(DailyReadings, "add", lambda *given, calls=calls: calls.pop(0)(*given))
            step()
    assert (0, 2, 30) in use(signal) and (1, 2, 5) not in use(signal)
    signal.repair(ReadingChanges())
    assert {(0, 2, 30), (1, 2, 5)} <= set(use(signal))


@pytest.mark.parametrize("broken_off", ["_note_late_arrivals", "write_state"])
def test_late_readings_are_noted_once_wherever_a_load_is_broken_off(signal, monkeypatch, broken_off):
    """The night of 4 March is judged, a row of the 3rd comes; killed before the notes, or after all else."""
    signal.ingest(levels((0, 1, 100), (0, 2, 130), (1, 4, 50)), ReadingChanges())
    signal.store.write_json("nights/2026-03-04/done.json", {})
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(StoredSignal, broken_off, lambda *given: 1 / 0)
        signal.ingest(levels((0, 3, 140), file="w-2.csv"), ReadingChanges())
    signal.repair(ReadingChanges())
    assert [note["days"] for note in signal.store.read_lines(NOTES_FILE)] == [{"2026-03-03": 1}]
    assert (0, 3, 10) in use(signal)


def test_a_signal_is_whole_with_rows_and_state(signal):
    assert not signal.is_whole()
    signal.ingest(levels((0, 1, 100)), ReadingChanges())
    assert signal.is_whole()
    for path in signal.store.path("carry/water").glob("*.rows.parquet"):
        path.unlink()
    assert not signal.is_whole()


def test_homes_that_begin_long_before_the_others_are_counted_by_name():
    """Of 100 homes two begin on 1 March, the others on the 20th."""
    starts = [dt.date(2026, 3, 1) if home < 2 else dt.date(2026, 3, 20) for home in range(100)]
    cells = pl.DataFrame({"home": range(100), "day": starts})
    changes = ReadingChanges()
    assert not changes
    changes.add_new_days(cells.cast({"home": pl.UInt32}))
    assert changes and changes.since == dt.date(2026, 3, 20)
    assert sorted(pl.concat(changes.homes)) == [0, 1]
    changes.add_new_days(pl.DataFrame({"home": [5], "day": [dt.date(2026, 3, 10)]}))
    assert changes.since == dt.date(2026, 3, 10)


# a site, by files


@pytest.fixture
def by_day(tmp_path) -> Site:
    """A site whose last three days came one by one.

    A meter stood still behind a busy door, and caught up on the last day.
    """
    site = make_site(tmp_path / "by_day", last=day(-4))
    stuck = daily()["power"].copy()
    stuck[3, -4:-1], stuck[3, -1] = 0, 60_000
    power = rows("power", stuck)
    site.put("power.csv", until(power, day(-4)))
    load_site(site)
    for number in (-3, -2, -1):
        for name in SIGNALS:
            frame = power if name == "power" else rows(name, daily()[name])
            site.put(f"{name}-{number + 4}.csv", frame.filter(pl.col("day") == str(day(number))))
        load_site(site)
    return site


def test_day_by_day_is_what_all_at_once_is(tmp_path, by_day):
    readings = load_site(by_day)
    assert readings.equals(load_at_once(tmp_path / "once", by_day))
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
    before = partition_names(by_day, "days"), partition_names(by_day, "rows")
    for name in SIGNALS:
        next_day = daily(days=76)[name]
        by_day.put(
            f"{name}-9.csv", rows(name, next_day).filter(pl.col("day") == str(LAST + dt.timedelta(days=1)))
        )
    load_site(by_day)
    for kind, then in zip(("days", "rows"), before, strict=True):
        now = partition_names(by_day, kind)
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
    load_site(site)
    before = partition_names(site, "days")
    site.put("water-late.csv", water.filter(late))
    readings = load_site(site)
    assert readings.equals(load_at_once(tmp_path / "once", site))
    (added,) = set(partition_names(site, "days")["water"]) - set(before["water"])
    cells = pl.read_parquet(site.root / "out/state/days/water" / added)
    # the reading of day 20 makes that day and the next one; no other cell is written again
    assert cells["home"].n_unique() == 1 and sorted(cells["day"]) == [day(20), day(21)]
    assert partition_names(site, "days")["power"] == before["power"]
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
    load_site(site)
    for number in range(51, 66):
        for name in SIGNALS:
            site.put(f"{name}-{number}.csv", values[name].filter(pl.col("day") == str(day(number))))
        readings = load_site(site)
    assert readings.equals(load_at_once(tmp_path / "once", site))
    names = partition_names(site, "days")["water"]
    assert len(names) <= 3 + MAX_LOOSE_PARTITIONS and any("_2026-03-01_2026-03-31" in name for name in names)
    settings = load_settings(site.settings)
    kept = stored_inputs(settings, Store(settings.store)).stored
    assert (
        kept.span() == (day(0), day(65)) and kept.cells(day(65))["home"].n_unique() == HOMES
    )  # a month put together ends where its days do


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
