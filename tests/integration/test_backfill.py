"""Backfill: each night says what it would have said then; done again, in any order, nothing changes."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from tests.support.site import DAYS, FIRST, HOMES, LAST, SURGED, Site, daily, day, make_site, rows

NIGHTS = [day(n) for n in range(-6, 0)]
OF_NIGHT = ("evidence", "worklist", "not_judged")


def backfill(site: Site, first, last, *args: str):
    result = site.run("backfill", "--from", str(first), "--to", str(last), *args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def of_night(site: Site, night) -> dict[str, list]:
    return {name: site.view(name).filter(pl.col("night") == night).rows() for name in OF_NIGHT}


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory) -> Site:
    """The last week of a site, judged at once; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("backfilled"))
    backfill(site, NIGHTS[0], NIGHTS[-1])
    return site


def test_every_night_is_there_and_only_the_last_has_a_report(backfilled):
    assert backfilled.view("runs")["night"].to_list() == NIGHTS
    assert backfilled.view("evidence")["night"].n_unique() == len(NIGHTS)
    reports = backfilled.root / "out" / "reports"
    assert [path.name for path in reports.glob("2026-*")] == [str(LAST)]
    assert "9 May 2026" in (reports / "index.html").read_text()  # the page over all nights


def test_a_backfilled_night_is_what_the_nightly_run_said_then(tmp_path, backfilled):
    """Night by night on inputs that end there: the same evidence, doors and unjudged homes; the same cases in
    the end."""
    values = daily()
    site = make_site(tmp_path, last=NIGHTS[0])
    for number, night in enumerate(NIGHTS):
        if number:  # the day's export arrives
            for name in values:
                frame = rows(name, values[name])
                site.put(f"{name}-{number}.csv", frame.filter(pl.col("day") == str(night)))
        site.nightly()
        assert of_night(site, night) == of_night(backfilled, night), night
    everything = site.published()
    assert everything == backfilled.published()
    assert len(everything["cases"]) >= 1 and len(everything["worklist"]) >= 3


def test_one_night_alone_on_cut_inputs_is_the_same_as_in_the_range(tmp_path, backfilled):
    site = make_site(tmp_path, last=NIGHTS[3])
    site.nightly()
    assert of_night(site, NIGHTS[3])["evidence"] == of_night(backfilled, NIGHTS[3])["evidence"]


def test_the_range_again_has_nothing_to_do(backfilled):
    before = backfilled.file.read_bytes()
    assert "nothing to do" in backfill(backfilled, NIGHTS[0], NIGHTS[-1]).stderr
    assert "nothing to do" in backfill(backfilled, NIGHTS[2], NIGHTS[-1]).stderr
    assert backfilled.file.read_bytes() == before


def test_nights_backwards_and_twice_come_to_the_same(tmp_path, backfilled):
    """Cases are a pure function of the judged nights: judging an earlier one later re-derives the later
    ones."""
    site = make_site(tmp_path)
    backfill(site, NIGHTS[4], NIGHTS[-1])
    backfill(site, NIGHTS[2], NIGHTS[4])
    site.nightly("--night", str(NIGHTS[1]))
    site.nightly("--night", str(NIGHTS[0]))
    assert site.published() == backfilled.published()
    site.change("Tiny", "Small")  # so that there is something to do
    backfill(site, NIGHTS[0], NIGHTS[-1])
    assert site.published() == backfilled.published()


def test_a_listed_case_stays_on_every_nights_list(backfilled):
    doors = backfilled.view("worklist").sort("night")
    (case,) = backfilled.view("cases").filter(pl.col("household") == "0007").rows(named=True)
    mine = doors.filter(pl.col("case_id") == case["case_id"])
    assert mine["night"].to_list() == [night for night in NIGHTS if night >= case["opened"]]
    runs = {run["night"]: run for run in backfilled.view("runs").rows(named=True)}
    assert runs[case["opened"]]["cases_new"] >= 1 and runs[LAST]["cases_open"] >= 1


def test_expected_doors_wrong_are_the_chances_of_the_doors_listed_first(backfilled):
    doors = (
        backfilled.view("worklist").sort("night", "rank").unique("case_id", keep="first", maintain_order=True)
    )
    sums = dict.fromkeys(NIGHTS, 0.0) | dict(
        doors.group_by("night").agg(pl.col("chance_wrong").sum()).iter_rows()
    )
    runs = backfilled.view("runs")
    assert dict(runs.select("night", "expected_wrong_doors").iter_rows()) == pytest.approx(sums, abs=1e-3)


def test_reports_of_every_night_when_asked(tmp_path):
    site = make_site(tmp_path, ["power"])
    backfill(site, NIGHTS[-3], NIGHTS[-1], "--reports")
    assert sorted(path.name for path in (tmp_path / "out" / "reports").glob("2026-*")) == [
        str(n) for n in NIGHTS[-3:]
    ]


def test_a_range_the_wrong_way_round_is_refused(backfilled):
    result = backfilled.run("backfill", "--from", str(LAST), "--to", str(NIGHTS[0]))
    assert result.exit_code == 2 and "give the earlier night first" in result.stderr


def test_a_range_that_begins_before_the_readings_is_refused(backfilled):
    result = backfilled.run("backfill", "--from", "2026-02-01", "--to", str(LAST))
    assert result.exit_code == 2 and "2026-02-01 lies before the first reading" in result.stderr


def test_backfill_speaks_json(tmp_path):
    site = make_site(tmp_path, ["power"])
    lines = [
        json.loads(line) for line in backfill(site, NIGHTS[-2], NIGHTS[-1], "--json").stdout.splitlines()
    ]
    assert lines[-1]["message_type"] == "summary" and lines[-1]["night"] == str(LAST)
    assert f"judging {NIGHTS[-2]}" in [line.get("text") for line in lines]


# registers read at any time: what a midnight said is known only once a reading after it has come

WATER = 'files = "water*.csv"\nkind = "register"\nunit = "litre"\ncolumns = { household = "id", time = "at", value = "litres" }\n'


def stamped() -> pl.DataFrame:
    """Readings about every two hours, with gaps, an exchange of the meter, litres back and glitches, many
    near the end."""
    rng = np.random.default_rng(11)
    frames = []
    for home in range(HOMES):
        minutes = np.arange(5, DAYS * 1440, 120) + rng.integers(0, 60, DAYS * 12)
        rate = (
            250
            / 1440
            * rng.lognormal(0, 0.3)
            * np.where((home == int(SURGED)) & (minutes > (DAYS - 14) * 1440), 3.0, 1.0)
        )
        litres = np.rint(
            40_000 + np.cumsum(rate * np.diff(minutes, prepend=0) * rng.lognormal(0, 0.5, minutes.size))
        ).astype(int)
        litres[rng.integers(0, minutes.size, 3)] -= 1
        start = minutes.size - int(rng.integers(10, 80))
        if home % 5 == 1:
            litres[start : start + 4] += 248_000  # a glitch of some hours
        if home % 5 == 2:
            litres[start:] -= litres[start] - 3  # another meter
        kept = np.ones(minutes.size, dtype=bool)
        if home % 5 == 3:
            kept[start - 30 : start] = False  # silent for two days and a half, then caught up
        at = [
            f"{dt.datetime(FIRST.year, FIRST.month, FIRST.day) + dt.timedelta(minutes=int(m)):%Y-%m-%d %H:%M}"
            for m in minutes[kept]
        ]
        frames.append(
            pl.DataFrame({"id": [f"{home:04}"] * len(at), "at": at, "litres": litres[kept].astype(str)})
        )
    return pl.concat(frames)


def metered(root, frame: pl.DataFrame) -> Site:
    root.mkdir()
    site = Site(root)
    site.configure({"water": WATER}, signatures=["water"])
    site.put("water.csv", frame)
    return site


def test_a_backfilled_night_of_stamped_registers_knows_no_later_reading(tmp_path):
    """Cut three hours after the night's last midnight (`boundary_hours`), the inputs say of that night what
    they say whole."""
    frame = stamped()
    whole = metered(tmp_path / "whole", frame)
    backfill(whole, NIGHTS[0], NIGHTS[-2])
    everything = whole.view("evidence")
    assert everything["night"].n_unique() >= 3 and SURGED in everything["household"].to_list()
    for night in (NIGHTS[1], NIGHTS[-2]):
        end = dt.datetime(night.year, night.month, night.day) + dt.timedelta(days=1, hours=3)
        cut = metered(tmp_path / str(night), frame.filter(pl.col("at") <= f"{end:%Y-%m-%d %H:%M}"))
        cut.nightly("--night", str(night))
        for view in ("evidence", "not_judged"):
            assert of_night(cut, night)[view] == of_night(whole, night)[view], (night, view)


def test_stamped_readings_that_come_day_by_day_give_what_all_at_once_give(tmp_path):
    frame = stamped().filter(pl.col("at") < str(day(7)))
    once, by_day = (
        metered(tmp_path / "once", frame),
        metered(tmp_path / "days", frame.filter(pl.col("at") < str(day(3)))),
    )
    once.nightly()
    by_day.nightly()
    for number in range(3, 7):
        by_day.put(
            f"water-{number}.csv",
            frame.filter((pl.col("at") >= str(day(number))) & (pl.col("at") < str(day(number + 1)))),
        )
        by_day.nightly()
    assert by_day.published(["readings", "rejects"]) == once.published(["readings", "rejects"])
