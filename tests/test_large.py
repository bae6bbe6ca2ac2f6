"""A large site judged by a sample: the same night where the sample is everybody, and nearly the same where it is a part."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest

from pipelines import large
from pipelines import nightly as flow
from pipelines.load import stored_inputs
from pipelines.settings import load_settings
from pipelines.store import Store
from tests.site import FIRST, SIGNALS, SURGED, VALUE, Site, daily, rows

HOMES = 260
NIGHT = ("evidence", "cases", "worklist", "not_judged", "households", "readings")


def town(root, sample: int | None = None, days: int = 90) -> Site:
    """A register of districts, buildings, shops and a silent home; young homes, a failed sensor, a building without gateway."""
    root.mkdir()
    site = Site(root)
    site.configure({name: SIGNALS[name] for name in SIGNALS}, more='[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "d", building = "b", class = "use" }\n')
    if sample is not None:
        site.change("[households]", f"[engine]\nsample_homes = {sample}\n\n[households]")
    site.put("homes.csv", "id,d,b,use\n" + "".join(f"{h:04},{'ABC'[h % 3]},{h // 10},{'shop' if h == 9 else 'dwelling'}\n" for h in range(HOMES + 1)))
    for name, values in daily(HOMES, days).items():
        home, nothing = pl.col("id").cast(pl.Int64), pl.lit(False)
        frame, value = rows(name, values), VALUE[name]
        stuck = (home == 30) & _last(6, days) if name == "entries" else nothing
        lost = (home == 15) | ((home % 20 == 3) & ~_last(12, days))
        lost |= (home == 14) & _last(10, days) if name == "power" else (home // 10 == 4) & _last(4, days) if name == "entries" else nothing
        site.put(f"{name}.csv", frame.with_columns(pl.when(stuck).then(pl.lit("0")).otherwise(value).alias(value)).filter(~lost))
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
    monkeypatch.setattr(large, "blocks", lambda homes: (range(a, min(a + 70, homes)) for a in range(0, homes, 70)))
    site = town(tmp_path / "town")
    site.nightly()
    whole, sampled = plain.published(NIGHT), site.published(NIGHT)
    assert sampled == whole and len(whole["cases"]) >= 1 and len({row[3] for row in whole["not_judged"]}) >= 5
    assert plain.view("runs").select("judged", "not_judged", "cases_open").rows() == site.view("runs").select("judged", "not_judged", "cases_open").rows()


def test_a_part_of_the_homes_says_nearly_the_same(tmp_path, plain, monkeypatch):
    monkeypatch.setattr(large, "blocks", lambda homes: (range(a, min(a + 70, homes)) for a in range(0, homes, 70)))
    site = town(tmp_path / "town", sample=130)
    said = site.nightly()
    assert "asking" not in said.stdout
    whole, sampled = plain.published(NIGHT), site.published(NIGHT)
    for name in ("not_judged", "households", "readings"):
        assert sampled[name] == whole[name]
    assert plain.view("runs")["judged"].to_list() == site.view("runs")["judged"].to_list()
    assert SURGED in site.view("worklist")["household"].to_list()
    both = plain.view("expected").join(site.view("expected"), on=["household", "signal", "day"], suffix="_sampled")
    assert both.filter(pl.col("day") == both["day"].max()).height > 700
    assert (both["expected"] / both["expected_sampled"]).log().abs().quantile(0.95) < 0.15


def test_the_sample_is_drawn_over_all_districts_and_the_same_every_time(plain):
    settings = load_settings(plain.settings)
    inputs = stored_inputs(settings, Store(settings.store))
    settings = dataclasses.replace(settings, engine=dataclasses.replace(settings.engine, sample_homes=100))
    site = large.site_of(settings, inputs)
    assert (np.bincount(site.group[site.sample])[1:] >= 33).all() and len(site.sample) <= 110
    assert (large.site_of(settings, inputs).sample == site.sample).all() and "0009" not in site.names[site.sample]
