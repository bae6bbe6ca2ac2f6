"""A large site judged by a sample: the same night where the sample is everybody, and nearly the same where it is a part."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest

from anomaly import sensor_faults
from pipelines.cases.snapshots import read_snapshot
from pipelines.config.settings import load_settings
from pipelines.ingest.inputs import stored_inputs
from pipelines.jobs import nightly as flow
from pipelines.scoring import large, sample
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import StoredReadings
from tests.support.site import FIRST, SIGNALS, SURGED, VALUE, Site, daily, rows

HOMES = 260
NIGHT = ("evidence", "cases", "worklist", "not_judged", "households", "readings")


OVER = {6: 26, 12: 11}
"""Homes whose every signal was three times the usual for a fortnight: how many days ago that ended. Neither is in a sample of 130."""


def town(
    root,
    sample: int | None = None,
    days: int = 90,
    over: Mapping[int, int] = MappingProxyType({}),
    giving: tuple[int, ...] = (),
) -> Site:
    """A register of districts, buildings, shops and a silent home; young homes, a failed sensor, a building without gateway but for the doors of `giving`."""
    root.mkdir()
    site = Site(root)
    site.configure(
        {name: SIGNALS[name] for name in SIGNALS},
        more='[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "d", building = "b", class = "use" }\n',
    )
    if sample is not None:
        site.change("[households]", f"[engine]\nsample_homes = {sample}\n\n[households]")
    site.put(
        "homes.csv",
        "id,d,b,use\n"
        + "".join(
            f"{h:04},{'ABC'[h % 3]},{h // 10},{'shop' if h == 9 else 'dwelling'}\n" for h in range(HOMES + 1)
        ),
    )
    for name, values in daily(HOMES, days).items():
        for home, ago in over.items():
            values[home, days - ago - 14 : days - ago] *= 3
        home, nothing = pl.col("id").cast(pl.Int64), pl.lit(False)
        frame, value = rows(name, values), VALUE[name]
        stuck = (home == 30) & _last(6, days) if name == "entries" else nothing
        lost = (home == 15) | ((home % 20 == 3) & ~_last(12, days))
        lost |= (
            (home == 14) & _last(10, days)
            if name == "power"
            else (home // 10 == 4) & ~home.is_in(giving) & _last(4, days)
            if name == "entries"
            else nothing
        )
        site.put(
            f"{name}.csv",
            frame.with_columns(pl.when(stuck).then(pl.lit("0")).otherwise(value).alias(value)).filter(~lost),
        )
    return site


def _last(number: int, days: int) -> pl.Expr:
    return pl.col("day") >= str(FIRST + dt.timedelta(days=days - number))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Site:
    site = town(tmp_path_factory.mktemp("plain") / "town")
    site.nightly()
    return site


def test_a_sample_of_everybody_gives_the_night_of_a_small_site(tmp_path, plain, monkeypatch):
    monkeypatch.setattr(flow, "is_large", lambda *args: True)
    monkeypatch.setattr(
        large, "home_blocks", lambda homes: (range(a, min(a + 70, homes)) for a in range(0, homes, 70))
    )
    site = town(tmp_path / "town")
    site.nightly()
    whole, sampled = plain.published(NIGHT), site.published(NIGHT)
    assert sampled == whole and len(whole["cases"]) >= 1 and len({row[3] for row in whole["not_judged"]}) >= 5
    assert (
        plain.view("runs").select("judged", "not_judged", "cases_open").rows()
        == site.view("runs").select("judged", "not_judged", "cases_open").rows()
    )


def test_a_part_of_the_homes_says_nearly_the_same(tmp_path, plain, monkeypatch):
    monkeypatch.setattr(
        large, "home_blocks", lambda homes: (range(a, min(a + 70, homes)) for a in range(0, homes, 70))
    )
    site = town(tmp_path / "town", sample=130)
    said = site.nightly()
    assert "asking" not in said.stdout
    whole, sampled = plain.published(NIGHT), site.published(NIGHT)
    for name in ("not_judged", "households", "readings"):
        assert sampled[name] == whole[name]
    assert plain.view("runs")["judged"].to_list() == site.view("runs")["judged"].to_list()
    assert SURGED in site.view("worklist")["household"].to_list()
    both = plain.view("expected").join(
        site.view("expected"), on=["household", "signal", "day"], suffix="_sampled"
    )
    assert both.filter(pl.col("day") == both["day"].max()).height > 700
    assert (both["expected"] / both["expected_sampled"]).log().abs().quantile(0.95) < 0.15


def test_of_homes_that_stand_out_only_those_with_a_case_are_laid_out_for_pages(tmp_path, monkeypatch):
    """What was expected of the others is frozen with the night all the same."""
    laid_out, judge = [], flow.judge_large

    def noted(*given):
        laid_out.append(judge(*given))
        return laid_out[-1]

    monkeypatch.setattr(flow, "judge_large", noted)
    site = town(tmp_path / "town", sample=130, over={6: 0})
    site.change("[households]", "[evidence]\nkept_share = 0.002\n\n[households]")
    site.nightly()
    grid, told = laid_out[0].expected.grid, set(site.view("evidence")["household"])
    few = told - set(grid.households)
    assert (
        few
        and "0006" in grid.households
        and set(site.view("cases")["household"]) <= set(grid.households)
        and grid.days == 90
    )
    kept = series(site, LAST).filter(pl.col("household").is_in(list(few)) & (pl.col("quality") == "read"))
    assert (
        set(kept["household"]) == few
        and kept["expected"].count() == kept.height
        and kept["day"].n_unique() == 28
    )


@pytest.mark.parametrize("giving", [(), (44,)])
def test_a_failed_sensor_shows_in_what_the_blocks_had_in_hand(tmp_path, giving, monkeypatch):
    read, arrays = [], StoredReadings.arrays

    def noted(kept, homes, first, days):
        read.append((days, kept.names.gather(homes).to_list()))
        return arrays(kept, homes, first, days)

    monkeypatch.setattr(StoredReadings, "arrays", noted)
    site = town(tmp_path / "town", sample=130, giving=giving)
    site.nightly()
    failed = site.view("not_judged").filter(pl.col("reason") == sensor_faults.GATEWAY_SILENT)
    assert failed.select("household", "signal").rows() == [
        (f"{home:04}", "entries") for home in range(40, 50) if home not in (43, *giving)
    ]  # 43 is too young
    # a door that goes on in a silent building is nothing odd by itself: that home alone is read once more
    assert [homes for days, homes in read if days == sensor_faults.LOOK_BACK_DAYS] == [
        [f"{home:04}"] for home in giving
    ]


def test_the_sample_is_drawn_over_all_districts_and_the_same_every_time(plain):
    settings = load_settings(plain.settings)
    inputs = stored_inputs(settings, Store(settings.store))
    settings = dataclasses.replace(settings, engine=dataclasses.replace(settings.engine, sample_homes=100))
    site = sample.index_homes(settings, inputs)
    assert (np.bincount(site.group[site.sample])[1:] >= 33).all() and len(site.sample) <= 110
    assert (sample.index_homes(settings, inputs).sample == site.sample).all() and "0009" not in site.names[
        site.sample
    ]


# cases that are over, or quiet, on the last night

LAST = FIRST + dt.timedelta(days=89)
NIGHTS = [LAST - dt.timedelta(days=ago) for ago in (26, 11, 0)]
TWO_RUNS, ONE_RUN = [NIGHTS[:2], NIGHTS[2:]], [NIGHTS]
PLANS = [TWO_RUNS, pytest.param(ONE_RUN, marks=pytest.mark.long)]
"""The nights in two runs, the last by itself, or in one."""


def judged(root, plan: list[list[dt.date]], sample: int | None = None) -> Site:
    """A town with homes of OVER, its nights judged in those runs, each with its report."""
    site = town(root, sample, over=OVER)
    for nights in plan:
        flow.run_nights(
            load_settings(site.settings),
            lambda latest, nights=nights: nights,
            lambda night: True,
            lambda text: None,
        )
    return site


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Site:
    """Of a small site."""
    site = judged(tmp_path_factory.mktemp("quiet") / "town", TWO_RUNS)
    cases = (
        site.view("cases")
        .filter(pl.col("household").is_in([f"{home:04}" for home in OVER]))
        .sort("household")
    )
    assert cases.select("household", "status").rows() == [("0006", "closed"), ("0012", "fading")]
    on_last = site.view("evidence").filter(pl.col("night") == LAST)["household"]
    assert "0006" not in on_last and "0012" not in on_last
    return site


def of_cases(site: Site) -> pl.DataFrame:
    """What was expected of the homes with a case."""
    return (
        site.view("expected")
        .join(site.view("cases").select("household").unique(), on="household", how="semi")
        .sort("night", "household", "signal", "day")
    )


def series(site: Site, night: dt.date) -> pl.DataFrame:
    return read_snapshot(Store(site.file), night, "series").sort("household", "signal", "day")


@pytest.mark.long
@pytest.mark.parametrize("plan", PLANS)
def test_with_everybody_in_the_sample_cases_that_are_over_are_told_as_at_a_small_site(
    tmp_path, plan, quiet, monkeypatch
):
    monkeypatch.setattr(flow, "is_large", lambda *args: True)
    site = judged(tmp_path / "town", plan)
    assert of_cases(site).rows() == of_cases(quiet).rows()
    for night in NIGHTS:
        assert series(site, night).rows() == series(quiet, night).rows()


@pytest.mark.parametrize("plan", PLANS)
def test_homes_beyond_the_sample_are_told_on_every_night_of_a_case_and_after(tmp_path, plan, quiet):
    """The days before and after are there as at a small site, on pages and in the file, though the last night saw nothing."""
    site = judged(tmp_path / "town", plan, sample=130)
    keys = ["night", "household", "signal", "day"]
    assert {"0006", "0012"} <= set(of_cases(site)["household"])
    assert of_cases(site).select(keys).rows() == of_cases(quiet).select(keys).rows()
    both = of_cases(quiet).join(of_cases(site), on=keys, suffix="_sampled")
    assert (both["expected"] / both["expected_sampled"]).log().abs().quantile(0.95) < 0.15
    for night in NIGHTS:
        small, large_ = (
            series(one, night)
            .join(quiet.view("cases"), on="household", how="semi")
            .select("household", "signal", "day", pl.col("expected").is_null())
            for one in (quiet, site)
        )
        assert large_.rows() == small.rows()
    pages = [
        {path.name for path in (one.root / "out" / "reports" / str(NIGHTS[0]) / "cases").iterdir()}
        for one in (quiet, site)
    ]
    assert pages[0] == pages[1] and len(pages[0]) >= 2
