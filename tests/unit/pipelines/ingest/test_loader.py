"""The load takes only what is new and gives the same readings as loading everything at once."""

import gzip
import json
import os

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.ingest import incremental, loader
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.state import RETENTION_FLOOR_FILE, Store
from tests.support.loading import TODAY, load_at_once, load_site, partition_names
from tests.support.site import FIRST, LAST, SIGNALS, Site, daily, day, make_site, rows, until

TEN = day(9)


def readings(site: Site) -> list:
    return site.view("readings").rows()


def merged(site: Site, signal: str) -> dict:
    return json.loads((site.file.parent / "manifest.json").read_text())["merged"][signal]


@pytest.fixture
def entries() -> pl.DataFrame:
    return until(rows("entries", daily()["entries"]), TEN)


def only(root, frame: pl.DataFrame | None = None, section: str = SIGNALS["entries"]) -> Site:
    """A site with door counts alone."""
    site = Site(root)
    root.mkdir(parents=True, exist_ok=True)
    site.configure({"entries": section})
    if frame is not None:
        site.put("entries.csv", frame)
    return site


def test_files_that_come_day_by_day_give_what_all_at_once_give(tmp_path, entries):
    once, daily_files = only(tmp_path / "once", entries), only(tmp_path / "daily")
    once.nightly()
    daily_files.put("entries-6.csv", until(entries, day(5)))
    daily_files.nightly()
    for number in range(6, 10):  # entries-7 … entries-10: the last sorts before the first as text
        daily_files.put(f"entries-{number + 1}.csv", entries.filter(pl.col("day") == str(day(number))))
        daily_files.nightly()
        assert merged(daily_files, "entries") == {"loaded": 24, "duplicate": 0, "restated": 0}
    assert readings(daily_files) == readings(once) and len(readings(once)) == 240


def test_a_file_that_grows_gives_what_the_whole_file_gives(tmp_path, entries):
    once, grown = only(tmp_path / "once", entries), only(tmp_path / "grown")
    once.nightly()
    for number in (4, 9):
        grown.put("entries.csv", until(entries, day(number)))
        grown.nightly()
    assert merged(grown, "entries") == {
        "loaded": 240,
        "duplicate": 0,
        "restated": 0,
    }  # the same file again restates nothing
    assert readings(grown) == readings(once)


def test_a_file_that_did_not_change_is_not_read_again(tmp_path, entries):
    site = only(tmp_path, until(entries, day(4)))
    site.nightly()
    site.put("entries-2.csv", entries.filter(pl.col("day") > str(day(4))))
    site.nightly()
    assert merged(site, "entries")["loaded"] == 24 * 5


def test_a_file_of_pruned_days_with_one_empty_cell_does_not_stop_its_source(tmp_path, entries):
    """All its other rows are older than what is kept: it is not a file whose columns are not understood."""
    site = only(tmp_path / "site", entries)
    load_site(site)
    Store(site.file).write_json(RETENTION_FLOOR_FILE, {"readings": str(day(5))})
    lines = until(entries, day(3)).write_csv().splitlines()
    lines[1] = lines[1].rsplit(",", 1)[0] + ","
    site.put("entries-old.csv", "\n".join(lines).encode())
    inputs = loader.load(load_settings(site.settings), Store(site.file), TODAY)
    assert list(inputs.rejects["reason"]) == ["no value"] and not inputs.degraded


def test_a_file_touched_but_not_changed_is_not_read_again(tmp_path, entries):
    site = only(tmp_path, entries)
    site.nightly()
    (tmp_path / "entries.csv").touch()
    assert "nothing to do" in site.nightly().stderr


def test_a_late_row_lands_on_its_own_day(tmp_path, entries):
    late = (pl.col("id") == "0003") & (pl.col("day") == str(day(4)))
    once, site = only(tmp_path / "once", entries), only(tmp_path / "site", entries.filter(~late))
    once.nightly()
    site.nightly()
    gap = site.view("readings").filter((pl.col("household") == "0003") & (pl.col("day") == day(4)))
    assert gap["quality"].to_list() == ["missing"] and gap["value"].to_list() == [None]
    site.put("entries-late.csv", entries.filter(late))
    site.nightly()
    assert readings(site) == readings(once)


@pytest.mark.parametrize("first_file", ["entries-9.csv", "entries-10.csv"])
def test_the_later_file_name_wins_whichever_comes_first(tmp_path, entries, first_file):
    """Numbers in names count by size: entries-10 is later than entries-9, also where it came before it."""
    site = only(tmp_path)
    told = {"entries-9.csv": "3", "entries-10.csv": "4"}
    others = entries.filter(pl.col("id") != "0003")
    for name in sorted(told, key=lambda name: name != first_file):
        restated = entries.filter(pl.col("id") == "0003").with_columns(entries=pl.lit(told[name]))
        site.put(name, pl.concat([others, restated]))
        site.nightly()
    assert site.view("readings").filter(pl.col("household") == "0003")["value"].unique().to_list() == [4]
    assert merged(site, "entries") == {"loaded": 240, "duplicate": 230, "restated": 10}


def test_duplicate_and_restated_rows_of_one_file_are_counted_and_the_last_wins(tmp_path):
    site = only(
        tmp_path,
        pl.DataFrame(
            {
                "id": ["0001"] * 4,
                "day": ["2026-03-01", "2026-03-02", "2026-03-02", "2026-03-01"],
                "entries": ["5", "7", "7", "6"],
            }
        ),
    )
    site.nightly()
    # 1 March said twice and otherwise: 6 wins. 2 March said twice alike.
    assert [(r[2], r[3]) for r in readings(site)] == [(day(0), 6), (day(1), 7)]
    assert merged(site, "entries") == {"loaded": 4, "duplicate": 1, "restated": 1}


def test_a_restated_file_replaces_its_own_rows(tmp_path, entries):
    site = only(tmp_path, entries)
    site.nightly()
    site.put("entries.csv", entries.with_columns(entries=pl.lit("9")))
    site.nightly()
    assert site.view("readings")["value"].unique().to_list() == [9]


def test_formats_mix_in_one_glob(tmp_path, entries):
    """CSV, CSV with a mark, GB18030, CSV.gz, Parquet and XLSX, one day each: read as one file holds them."""
    once = only(tmp_path / "once", until(entries, day(5)))
    once.nightly()
    site = only(tmp_path / "mixed", section=SIGNALS["entries"].replace("entries*.csv", "access/*"))
    days = [entries.filter(pl.col("day") == str(day(n))) for n in range(6)]
    chinese = days[2].with_columns(备注=pl.lit("电梯停用"))  # a column nobody maps is passed over
    site.put("access/1.csv", days[0])
    site.put("access/2.csv", b"\xef\xbb\xbf" + days[1].write_csv().encode())
    site.put("access/3.csv", chinese.write_csv().encode("gb18030"))
    site.put("access/4.csv.gz", gzip.compress(days[3].write_csv().encode()))
    days[4].with_columns(pl.col("day").str.to_date(), pl.col("entries").cast(pl.Int32)).write_parquet(
        tmp_path / "mixed/access/5.parquet"
    )
    days[5].write_excel(tmp_path / "mixed/access/6.xlsx")
    site.nightly()
    assert readings(site) == readings(once) and len(readings(site)) == 24 * 6
    assert site.view("households")["household"].head(2).to_list() == [
        "0000",
        "0001",
    ]  # ids stay text in every format


def test_other_forms_are_read_as_the_settings_say(tmp_path):
    """Semicolons, decimal commas, day-first dates, and days that hold fewer than their 48 half-hours."""
    section = (
        'files = "use.csv"\nkind = "usage"\nunit = "kWh"\n'
        'separator = ";"\ndecimal = ","\ntime_format = "%d/%m/%Y"\n'
        'periods = "n"\nperiods_per_day = 48\ncolumns = { household = "id", time = "at", value = "kwh" }\n'
    )
    site = only(tmp_path)
    site.configure({"power": section})
    site.put(
        "use.csv",
        "id;at;kwh;n\n0001;01/03/2026;1,5;48\n0001;02/03/2026;2,25;47\n0001;03/03/2026;1.234,5;48\n0001;04/03/2026;3;48\n",
    )
    site.nightly()
    # 2 March is partial, 3 March beyond what a home can use in a day: neither is judged
    assert [(r[2], r[3], r[4], r[5]) for r in readings(site)] == [
        (day(0), 1500, "Wh", "read"),
        (day(1), 2250, "Wh", "partial"),
        (day(2), 1_234_500, "Wh", "doubtful"),
        (day(3), 3000, "Wh", "read"),
    ]


@pytest.mark.parametrize(("stamp", "days"), [("start", [2, 3, 4]), ("end", [1, 2, 3])])
def test_a_stamp_names_the_start_or_the_end_of_its_period(tmp_path, stamp, days):
    """Twelve hours a row, stamped at noon and midnight: by the end, midnight belongs to the day before."""
    site = only(tmp_path)
    site.configure(
        {
            "power": f'files = "p.csv"\nkind = "usage"\nunit = "Wh"\nstamp = "{stamp}"\n'
            'columns = { household = "id", time = "at", value = "wh" }\n'
        }
    )
    first = [(d, h) for d in (1, 2, 3, 4) for h in ("00:00", "12:00")][1 if stamp == "end" else 0 :]
    site.put("p.csv", "id,at,wh\n" + "".join(f"0001,2026-03-0{d} {h},{100 * d + 1}\n" for d, h in first))
    site.nightly()
    whole = site.view("readings").filter(pl.col("quality") == "read")
    start = {2: 402, 3: 602, 4: 802}  # both rows of the day
    end = {1: 302, 2: 502, 3: 702}  # noon of the day and midnight of the next
    assert {row["day"].day: row["value"] for row in whole.rows(named=True) if row["day"].day in days} == (
        start if stamp == "start" else end
    )


def test_stamped_readings_at_any_cadence_meet_at_local_midnight(tmp_path):
    """A register read at 23:00 and 01:00 is known at midnight by the line between; days are Shanghai's."""
    site = only(tmp_path)
    section = (
        'files = "w.csv"\nkind = "register"\nunit = "litre"\n'
        'columns = { household = "id", time = "at", value = "litres" }\n'
    )
    site.configure({"water": section})
    cells = [
        "2026-03-01T23:00,1000",
        "2026-03-02T01:00,1020",
        "2026-03-02T23:00,1200",
        "2026-03-03T01:00,1240",
        "2026-03-03T23:00,1300",
        "2026-03-04T01:00,1310",
    ]
    site.put("w.csv", "id,at,litres\n" + "".join(f"0001,{cell}\n" for cell in cells))
    site.nightly()
    # midnights: 1010, 1220, 1305 → 2 March 210, 3 March 85
    found = site.view("readings").filter(pl.col("quality") == "interpolated")
    assert found.select("day", "value").rows() == [(day(1), 210), (day(2), 85)]


def test_changed_settings_read_the_files_again(tmp_path):
    site = make_site(tmp_path, ["power"], last=TEN)
    site.nightly()
    in_kwh = site.view("readings")["value"].to_list()
    site.change('unit = "kWh"', 'unit = "MWh"\nmax_per_day = 1000')
    site.nightly()
    assert site.view("readings")["value"].to_list() == [1000 * v for v in in_kwh]


def test_under_changed_dates_the_old_days_are_gone(tmp_path):
    """Rows read day-first that were meant month-first must not stay beside the right ones."""
    section = (
        'files = "e.csv"\nkind = "count"\ntime_format = "%d/%m/%Y"\n'
        'columns = { household = "id", time = "day", value = "n" }\n'
    )
    site = only(tmp_path, section=section)
    site.put("e.csv", "id,day,n\n0001,03/01/2026,4\n0001,03/02/2026,5\n")
    site.nightly()
    site.change("%d/%m/%Y", "%m/%d/%Y")
    site.nightly()
    assert site.view("readings").select("day", "value").rows() == [(FIRST, 4), (day(1), 5)]


def test_the_register_is_read_again_when_it_changes_and_history_before_moving_in_is_left_out(
    tmp_path, entries
):
    site = only(tmp_path, entries)
    site.configure(
        {"entries": SIGNALS["entries"]},
        more='[households]\nfiles = "homes.csv"\n'
        'columns = { household = "id", district = "area", moved_in = "since" }\n',
    )
    site.put("homes.csv", "id,area,since\n" + "".join(f"{h:04},N,\n" for h in range(24)))
    site.nightly()
    site.put(
        "homes.csv",
        "id,area,since\n" + "".join(f"{h:04},S,{'2026-03-06' if h == 3 else ''}\n" for h in range(23)),
    )
    result = site.nightly(code=3)  # the 24th is no longer in the register: its rows are refused
    assert "10 of 240 rows refused (4.2%), mostly: household not in the register" in result.stderr
    assert site.view("households").select("district").unique().rows() == [("S",)]
    found = site.view("readings")
    assert found.filter(pl.col("household") == "0003")["day"].min() == day(5)
    assert "0023" not in found["household"].to_list()


def test_the_manifest_names_every_input(tmp_path):
    import hashlib

    site = make_site(tmp_path)
    site.nightly()
    manifest = json.loads((site.file.parent / "manifest.json").read_text())
    inputs = {f["file"]: f for f in manifest["inputs"]}
    assert set(inputs) == {"entries.csv", "water.csv", "power.csv"}
    for name, told in inputs.items():
        assert told["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert (told["rows"], told["rejects"]) == (24 * (LAST - FIRST).days + 24, 0)
    assert manifest["calendar"] == "official" and manifest["version"] and manifest["settings_sha256"]


def test_an_export_whose_name_is_not_text_is_there_when_the_numbers_of_the_homes_are_lost(tmp_path, entries):
    site = only(tmp_path / "site", section=SIGNALS["entries"].replace("entries*.csv", "*.csv"))
    with open(os.path.join(os.fsencode(site.root), b"\xd6\xd0.csv"), "wb") as export:
        entries.write_csv(export)
    before = load_site(site)
    assert before.height
    Store(site.file).path("homes.parquet").unlink()
    assert load_site(site).equals(before)


# batches, and loads that were broken off


@pytest.mark.parametrize("broken_off", ["cells", "carry", "rejects", "compare"])
def test_a_load_that_was_broken_off_goes_on(tmp_path, monkeypatch, broken_off):
    """Stopped after the rows, the cells, the carry or before the comparison of the second of two batches."""
    site = make_site(tmp_path / "site", last=day(-3))
    for name in SIGNALS:
        site.put(f"{name}-2.csv", rows(name, daily()[name]).filter(pl.col("day") > str(day(-3))))
    places = {
        "cells": (DailyReadings, "add"),
        "carry": (incremental.StoredSignal, "write_state"),
        "rejects": (loader, "replace_rejects"),
        "compare": (loader, "update_contradictions"),
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
        patch.setattr(loader, "BATCH_ROWS", 1)
        patch.setattr(holder, name, stops)
        with pytest.raises(KeyboardInterrupt):
            load_site(site)
    said = []
    assert load_site(site, said.append).equals(load_at_once(tmp_path / "once", site))
    assert any(event.text.startswith("the last load was broken off: going on after") for event in said)
    assert not any("broken off" in event.text for event in said[1:])


def test_a_rebuild_that_was_broken_off_begins_anew(tmp_path, monkeypatch):
    """A partition is lost; the rebuild, five homes at once, is killed after the first five.

    Their partition bears the number of the lost one.
    """
    site = make_site(tmp_path / "site")
    load_site(site)
    (lost,) = site.root.glob("out/state/days/water/*.parquet")
    lost.unlink()
    monkeypatch.setattr(incremental, "home_blocks", lambda homes, size: home_blocks(homes, 5))
    add, written = DailyReadings.add, []

    def add_one(stored, cells):
        if written:
            raise KeyboardInterrupt
        add(stored, cells)
        written.append(cells["home"].n_unique())

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DailyReadings, "add", add_one)
        load_site(site)
    assert written == [5] and partition_names(site, "days")["water"][0][:6] == lost.name[:6]
    assert load_site(site).equals(load_at_once(tmp_path / "once", site))


def test_batches_are_what_one_load_is(tmp_path, monkeypatch):
    site = make_site(tmp_path / "site", last=day(10))
    for number in range(11, 15):
        for name in SIGNALS:
            site.put(
                f"{name}-{number}.csv", rows(name, daily()[name]).filter(pl.col("day") == str(day(number)))
            )
    once = load_at_once(tmp_path / "once", site)
    monkeypatch.setattr(loader, "BATCH_ROWS", 1)
    monkeypatch.setattr(incremental, "REBUILD_HOMES", 5)
    monkeypatch.setattr(incremental, "home_blocks", lambda homes, size: home_blocks(homes, 5))
    assert load_site(site).equals(once)
    restated = rows("water", daily(seed=2)["water"])
    site.put("water.csv", until(restated, day(10)))
    assert load_site(site).equals(load_at_once(tmp_path / "again", site))
