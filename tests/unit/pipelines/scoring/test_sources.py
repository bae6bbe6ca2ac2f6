"""Of each night it is written down how whole its sources are, by what is dated up to it."""

import datetime as dt

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.jobs.nightly import backfill
from pipelines.scoring.sources import degraded_notes, ordinary_notes, read_sources
from pipelines.storage.state import Store
from tests.support.site import LAST, Site, daily, make_site, rows, until

VALUES = daily()


def with_water_until(root, days_before_the_night: int) -> Site:
    site = make_site(root, ("power", "water"))
    last = LAST - dt.timedelta(days=days_before_the_night)
    site.put("water.csv", until(rows("water", VALUES["water"]), last))
    return site


def water(site: Site) -> dict:
    return (
        site.view("sources").filter(pl.col("source") == "water", pl.col("night") == LAST).row(0, named=True)
    )


def test_a_feed_that_stopped_16_days_ago_is_dead_on_every_page_and_in_the_notes(tmp_path):
    site = with_water_until(tmp_path, 16)
    site.put("households.csv", "id\n" + "".join(f"{home:04}\n" for home in range(24)))
    register = '[households]\nfiles = "households.csv"\ncolumns = { household = "id" }\n'
    site.change("[signals.power]", f"{register}\n[signals.power]")
    printed = (
        site.nightly(code=3).output + site.nightly(code=3).output
    )  # of the second there is nothing to do
    found = water(site)
    assert (found["status"], found["age_days"], found["share_judged"]) == ("dead", 16, 0.0)
    assert site.view("sources")["source"].to_list() == ["households", "power", "water"]
    note = f"water is dead: no usable day since {LAST - dt.timedelta(days=16)}, 16 days behind"
    assert note in found["note"] and note in site.view("runs")["notes"][0]
    assert printed.count(f"degraded: {note}") == 2
    pages = list((tmp_path / f"out/reports/{LAST}").rglob("*.html"))
    assert len(pages) >= 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.count(note) == 1 and "All data sources were read" not in text, page


def test_three_days_behind_is_ordinary_and_the_night_says_so(tmp_path):
    site = with_water_until(tmp_path, 3)
    said = f"water: newest usable day {LAST - dt.timedelta(days=3)}; the night judges it up to there"
    assert said in site.nightly().output
    assert water(site)["status"] == "ok" and water(site)["note"] == said
    assert said in (tmp_path / f"out/reports/{LAST}/index.html").read_text(encoding="utf-8")


def test_a_register_of_which_99_days_of_100_are_missing_is_thin_or_dead(tmp_path):
    site = make_site(tmp_path, ("power", "water"))
    frame = rows("water", VALUES["water"]).with_row_index("n")
    site.put("water.csv", frame.filter(pl.col("n") % 97 == 0).drop("n"))
    site.nightly(code=3)
    assert water(site)["status"] in ("thin", "dead")


def test_a_night_in_a_gap_of_all_sources_is_degraded(tmp_path):
    site = make_site(tmp_path, ("power",))
    gap = [str(LAST - dt.timedelta(days=age)) for age in range(1, 41)]
    frame = rows("power", VALUES["power"])
    site.put("power.csv", frame.filter(~pl.col("day").is_in(gap)))
    result = site.nightly("--night", str(LAST - dt.timedelta(days=10)), code=3)
    assert "power is dead" in result.output


def test_what_is_usual_is_learned_from_earlier_nights(tmp_path):
    site = with_water_until(tmp_path, 0)
    settings, store = load_settings(site.settings), Store(site.file)
    backfill(settings, LAST - dt.timedelta(days=6), LAST, reports=False)
    assert water(site)["usual_age_days"] == 0
    # a district's file that is missing on a night after nights that were whole
    few = rows("water", VALUES["water"]).filter((pl.col("day") < str(LAST)) | (pl.col("id") < "0008"))
    other = make_site(tmp_path / "other", ("power", "water"))
    other.put("water.csv", few)
    result = backfill(load_settings(other.settings), LAST - dt.timedelta(days=6), LAST, reports=False)
    assert result.exit_code == 3 and water(other)["status"] == "thin"
    assert degraded_notes(read_sources(store, [LAST])) == ordinary_notes(read_sources(store, [LAST])) == []


@pytest.mark.parametrize("text", ["", "id,day,reading\n"])
def test_a_source_without_a_row_is_named_once(tmp_path, text):
    site = make_site(tmp_path, ("power", "water"))
    site.put("water.csv", text)
    site.nightly(code=3)
    assert water(site)["status"] in ("dead", "unreadable")


def test_a_night_of_an_older_version_has_no_rows(tmp_path):
    assert read_sources(Store(tmp_path / "anomaly.duckdb"), [LAST]).is_empty()
