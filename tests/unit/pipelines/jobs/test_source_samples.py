"""Samples of the sources say what the night will say: whether a source stops, and how far its days reach."""

import datetime as dt

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.ingest.loader import load
from pipelines.jobs.source_samples import (
    SourceSample,
    commonest_doubt,
    files_gone,
    health_on,
    newest_night,
    refused_line,
    sample_sources,
    unmatched_ids,
    usual_values,
)
from pipelines.storage.state import Store
from tests.support.broken_exports import site_with
from tests.support.site import LAST, Site, daily, make_site, rows, until

NOW = dt.datetime(2026, 6, 1, 9)
VALUES = daily()


def samples_of(site: Site) -> dict:
    return {sample.name: sample for sample in sample_sources(load_settings(site.settings), NOW)}


@pytest.mark.parametrize("number", range(40))
def test_whatever_stops_the_night_is_found_before_it(tmp_path, number):
    site, done = site_with(tmp_path / "site", number)
    found = samples_of(site)
    settings, store = load_settings(site.settings), Store(site.file)
    store.prepare()
    failed = load(settings, store, NOW.date()).failed
    assert {name for name, sample in found.items() if sample.error} == set(failed), done


def test_a_sound_site(tmp_path):
    site = make_site(tmp_path)
    found = samples_of(site)
    assert list(found) == ["entries", "power", "water"]
    assert newest_night(list(found.values())) == LAST
    assert unmatched_ids(list(found.values()), 0.01) == []
    water = found["water"]
    assert water.summary == "1 file, 1800 rows in the newest (water.csv)" and len(water.homes) == 24
    assert health_on(water, LAST, None).status == "ok" and refused_line(water, 0.01) == ""
    assert commonest_doubt(water) == "missing"  # the first day has no reading before it
    values = usual_values(found["power"])
    assert len(values) == 5 and all(1_000 < value < 60_000 for value in values)


def test_rows_that_would_be_refused_are_counted(tmp_path):
    site = make_site(tmp_path, ("power",))
    site.put("power-2.csv", "id,day,used\n" + "0001,2026-05-14,x\n" * 9 + "0002,2026-05-14,3\n")
    assert refused_line(samples_of(site)["power"], 0.001) == (
        "9 of 1810 rows would be refused (0.5%), mostly: value not a number"
    )
    assert refused_line(samples_of(site)["power"], 0.01) == ""


def test_ids_are_compared_between_sources_and_with_the_register(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    site.put("water.csv", rows("water", VALUES["water"]).with_columns(id="W" + pl.col("id")))
    (line,) = unmatched_ids(list(samples_of(site).values()), 0.01)
    assert line == "power and water share 0 of 24 ids ('0000', '0001'; 'W0000', 'W0001')"
    site.put("households.csv", "id\n" + "".join(f"{home:04}\n" for home in range(24)))
    register = '[households]\nfiles = "households.csv"\ncolumns = { household = "id" }\n'
    site.change("[signals.power]", f"{register}\n[signals.power]")
    (line,) = unmatched_ids(list(samples_of(site).values()), 0.01)
    assert line.startswith("24 of 24 homes of water are not in the register ('W0000', 'W0001'; in the reg")


def test_ids_that_the_register_gives_for_a_signal_match(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    site.put("water.csv", rows("water", VALUES["water"]).with_columns(id="W" + pl.col("id")))
    site.put("households.csv", "id,meter\n" + "".join(f"{home:04},W{home:04}\n" for home in range(24)))
    register = '[households]\nfiles = "households.csv"\ncolumns = { household = "id" }\n'
    site.change("[signals.power]", register + 'ids = { water = "meter" }\n\n[signals.power]')
    found = list(samples_of(site).values())
    assert unmatched_ids(found, 0.01) == [] and newest_night(found) == LAST


def test_a_night_is_the_latest_of_any_signal(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    site.put("water.csv", until(rows("water", VALUES["water"]), LAST - dt.timedelta(days=3)))
    found = samples_of(site)
    assert newest_night(list(found.values())) == LAST
    assert health_on(found["water"], LAST, None).age_days == 3


def test_a_cap_below_every_ordinary_day_would_stop_the_source(tmp_path):
    site = make_site(tmp_path, ("power",))
    site.change('unit = "kWh"', 'unit = "kWh"\nmax_per_day = 0.5')
    found = samples_of(site)["power"]
    assert "max_per_day" in str(found.error) and newest_night([found]) is None


def test_the_commonest_reason_for_days_that_cannot_be_judged():
    days = pl.DataFrame({"quality": ["read", "doubtful", "doubtful", "missing"]})
    assert commonest_doubt(SourceSample("power", days=days)) == "doubtful"
    assert commonest_doubt(SourceSample("power", days=days.head(1))) == ""


def test_files_that_were_loaded_and_are_gone_are_named(tmp_path):
    site = make_site(tmp_path, ("power",))
    site.put("power-2.csv", "id,day,used\n0001,2026-05-14,3\n")
    settings, store = load_settings(site.settings), Store(site.file)
    store.prepare()
    load(settings, store, NOW.date())
    assert files_gone(settings, store) == []
    (tmp_path / "power-2.csv").unlink()
    assert files_gone(settings, store) == ["power: power-2.csv"]
    (tmp_path / "power.csv").unlink()
    assert files_gone(settings, store) == ["power: power-2.csv", "power: power.csv"]
