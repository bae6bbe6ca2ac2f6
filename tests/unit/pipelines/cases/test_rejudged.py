"""Late and restated readings: which judged nights they touch, and what judging those again changes."""

import datetime as dt
import json

import polars as pl
import pytest

from pipelines.ingest import late_arrivals
from pipelines.storage.state import Store
from tests.support.site import LAST, SURGED, Site, daily, day, make_site, rows

NIGHTS = [day(n) for n in (-4, -3, -2, -1)]

# a site whose home 0007 has risen, judged on its last four nights


@pytest.fixture
def site(tmp_path) -> Site:
    site = make_site(tmp_path)
    assert site.run("backfill", "--from", str(NIGHTS[0]), "--to", str(NIGHTS[-1])).exit_code == 0
    return site


def restate_without_rise(site: Site, since: int = -14) -> None:
    """Restate what home 0007 used from day `since` on: no more than before."""
    values = {name: by[int(SURGED)] // 3 for name, by in daily().items() if name != "water"}
    for name, by in values.items():
        frame = rows(name, by[None, :]).with_columns(id=pl.lit(SURGED))
        site.put(f"{name}-restated.csv", frame.filter(pl.col("day") >= str(day(since))))


def of_nights(site: Site, view: str) -> list[tuple]:
    return site.view(view).filter(pl.col("night").is_in(NIGHTS)).rows()


def test_nights_stand_until_somebody_asks_and_status_says_which_are_touched(site):
    before = of_nights(site, "evidence"), site.view("worklist").rows()
    restate_without_rise(site)
    site.nightly("--night", str(NIGHTS[-1]))
    evidence = site.view("evidence")
    assert evidence.filter(pl.col("night") < NIGHTS[-1]).rows() == [
        row for row in before[0] if row[0] < NIGHTS[-1]
    ]
    status = site.run("status").stdout
    assert (
        f"touch 3 judged nights ({NIGHTS[0]} … {NIGHTS[2]}), at most 26 a night: `anomaly nightly --revise`"
        in status
    )  # of 14 days of two signals one is still to come
    summary = json.loads(site.run("status", "--json").stdout.splitlines()[-1])
    assert summary["touched"] == [str(night) for night in NIGHTS[:3]]


def test_nights_judged_again_are_marked_and_what_changed_is_told(site):
    then = {row[0]: row for row in site.view("worklist").select("night", "case_id", "rarity", "rank").rows()}
    assert set(then) == set(NIGHTS) and site.view("revisions").is_empty()
    restate_without_rise(site)
    result = site.nightly("--revise")
    runs = site.view("runs").sort("revised", "night")
    assert runs["night"].to_list() == NIGHTS * 2 and runs["revised"].to_list() == [0] * 4 + [1] * 4
    assert (
        site.view("cases").filter(pl.col("household") == SURGED).rows()
        == []
        == site.view("worklist").filter(pl.col("household") == SURGED).rows()
    )
    changes = site.view("revisions").filter(pl.col("household") == SURGED).sort("night")
    assert changes.select(
        "night", "revised", "change", "case_id_before", "case_id_after", "rank_before", "rank_after"
    ).rows() == [(night, 1, "gone", then[night][1], None, then[night][3], None) for night in NIGHTS]
    assert (
        f"4 nights judged again: cases 0 new, {changes.height} gone" in result.stderr
        and "4 doors listed before, 0 now" in result.stderr
    )
    assert (
        "touch" not in site.run("status").stdout
        and len(Store(site.file).read_lines(late_arrivals.NOTES_FILE)) == 1
    )
    page = (site.root / "out" / "reports" / str(LAST) / "index.html").read_text(encoding="utf-8")
    assert (
        "This night was reassessed once, on " in page
        and "No longer listed: 1; newly listed: 0; still listed, with a different rank, rarity or code: 0."
        f" No longer listed: {then[LAST][1]}."
        in page
    )


@pytest.mark.long
def test_judged_again_a_night_is_what_it_would_have_been_with_the_readings_in_time(site, tmp_path):
    restate_without_rise(site, since=-7)
    site.nightly("--revise")
    fresh = make_site(tmp_path / "fresh")
    restate_without_rise(fresh, since=-7)
    fresh.run("backfill", "--from", str(NIGHTS[0]), "--to", str(NIGHTS[-1]))
    assert site.published() == fresh.published()


@pytest.mark.long
def test_a_backfill_over_judged_nights_marks_them_too_and_numbers_go_on(site):
    for number in (1, 2):
        site.change("Tiny" if number == 1 else "Small", "Small" if number == 1 else "Tiny")
        assert site.run("backfill", "--from", str(NIGHTS[-1]), "--to", str(NIGHTS[-1])).exit_code == 0
        assert site.view("runs").filter(pl.col("night") == NIGHTS[-1])["revised"].to_list() == list(
            range(number + 1)
        )
    assert site.view("revisions").is_empty()  # the name of a site changes no case


def test_a_revision_that_was_broken_off_still_tells_what_changed(site, monkeypatch):
    restate_without_rise(site)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publish.duckdb_file.Publication.finish", lambda *args: 1 / 0)
        assert site.run("nightly", "--revise").exit_code == 1
    site.nightly("--revise")
    gone = site.view("revisions").filter((pl.col("household") == SURGED) & (pl.col("change") == "gone"))
    assert gone["night"].to_list() == NIGHTS and set(gone["revised"]) == {1}


def test_days_that_come_in_their_time_touch_no_night(tmp_path):
    values = daily()
    site = make_site(tmp_path, last=NIGHTS[0])
    for number, night in enumerate(NIGHTS):
        for name in values if number else ():
            site.put(f"{name}-{number}.csv", rows(name, values[name]).filter(pl.col("day") == str(night)))
        assert "touch" not in site.nightly().stderr
    assert site.view("runs")["night"].to_list() == NIGHTS and set(site.view("runs")["revised"]) == {0}


@pytest.mark.long
def test_pages_of_nights_judged_again_follow(site):
    page = site.root / "out" / "reports" / str(LAST) / "index.html"
    assert SURGED in page.read_text(encoding="utf-8")
    restate_without_rise(site)
    site.put(
        "power-next.csv",
        rows("power", daily(days=76)["power"]).filter(pl.col("day") == str(LAST + dt.timedelta(days=1))),
    )
    site.nightly("--revise", "--night", str(LAST + dt.timedelta(days=1)))
    assert SURGED not in page.read_text(encoding="utf-8") and site.view("runs").height == 4 + 4 + 1
