"""The synthetic city: the same seed the same city, levels and spreads as measured on real homes, and a truth
that is true.

Calibration figures are those of 1,189 London homes (power) and 78 Alicante homes (water). A tolerance is
about three times the sampling error of the median over 300 simulated homes, widened where the measuring hand
had to choose a definition (what a residual is taken from, when a home counts as absent).
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from anomaly.simulate import City, simulate, standard_city
from anomaly.simulate.city import draw_days
from anomaly.simulate.daily_use import draw_daily_use
from anomaly.simulate.events import LEAK, NUISANCES, OCCUPANCY, Event, combine_effects, draw_events
from anomaly.simulate.homes import draw_homes
from tests.support.paths import SAMPLES

SAMPLE = SAMPLES / "city"
QUIET = {
    "nuisance_scale": 0.0,
    "leaver_share": 0.0,
    "host_share": 0.0,
    "fault_scale": 0.0,
    "outage_rate": 0.0,
    "water_gap_rate": 0.0,
    "power_gap_rate": 0.0,
}
WHOLE = {"coarse_share": 0.0, "fewer_signals_share": 0.0, "non_dwelling_share": 0.0, "young_share": 0.0}


@pytest.fixture(scope="module")
def mixed() -> dict[str, pl.DataFrame]:
    return simulate(replace(standard_city("mixed", 300, 427), running_surges=3, running_leaks=1), 7)


@pytest.fixture(scope="module")
def ordinary() -> dict[str, np.ndarray]:
    """True daily use of an ordinary city, homes × days, with its weekdays and residents."""
    city = replace(standard_city("nuisances", 300, 365), **WHOLE)
    return _true_use(city, 3)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, np.ndarray]:
    """The same where nothing ever happens: no absence, no guest."""
    return _true_use(replace(standard_city("nuisances", 300, 365), **WHOLE, **QUIET), 3)


def _true_use(city: City, seed: int) -> dict[str, np.ndarray]:
    weather, register, happenings, effects, living = np.random.default_rng(seed).spawn(5)
    days, homes = draw_days(city, weather), draw_homes(city, register)
    change = combine_effects(draw_events(city, homes, days, happenings), city.homes, city.days, effects)
    return draw_daily_use(city, homes, days, change, living) | {
        "weekday": days.weekday,
        "residents": homes.residents,
    }


def _residual(log_use: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """What remains of log use after a four-week median and the mean of each weekday."""
    out = log_use.copy()
    for begin in range(0, out.shape[1], 28):
        out[:, begin : begin + 28] -= np.median(out[:, begin : begin + 28], axis=1, keepdims=True)
    for day in range(7):
        out[:, weekday == day] -= out[:, weekday == day].mean(axis=1, keepdims=True)
    return out


def _log(use: dict, name: str) -> np.ndarray:
    return np.log(use[name] + {"entries": 0.7, "water": 20, "power": 50}[name])


def _per_home(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.median([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]))


# Calibration


@pytest.mark.parametrize(
    ("name", "scale", "mu", "sd"),
    [("power", 1000, 2.12, 0.65), ("water", 1, 5.40, 0.62)],
)
def test_levels_are_lognormal_as_measured(ordinary, name, scale, mu, sd):
    level = np.log(ordinary[name].mean(axis=1) / scale)
    assert level.mean() == pytest.approx(mu, abs=0.12)  # three standard errors of a mean of 300 with sd .65
    assert level.std() == pytest.approx(sd, abs=0.08)


@pytest.mark.parametrize(("name", "mad", "sd"), [("power", 0.17, 0.24), ("water", 0.31, 0.67)])
def test_residual_spread(ordinary, name, mad, sd):
    residual = _residual(_log(ordinary, name), ordinary["weekday"])
    assert np.median(1.4826 * np.median(np.abs(residual), axis=1)) == pytest.approx(mad, rel=0.15)
    # The plain sd hangs on how zero days enter the log: half a step either way.
    assert np.median(residual.std(axis=1)) == pytest.approx(sd, rel=0.30)


@pytest.mark.parametrize(("name", "lag_1"), [("power", 0.32), ("water", 0.36)])
def test_residuals_remember_a_day_but_not_a_week(ordinary, name, lag_1):
    residual = _residual(_log(ordinary, name), ordinary["weekday"])
    spread = 1.4826 * np.median(np.abs(residual), axis=1, keepdims=True)
    residual = np.clip(
        residual, -3 * spread, 3 * spread
    )  # absences are a state of their own and not to dominate
    assert _per_home(residual[:, 1:], residual[:, :-1]) == pytest.approx(lag_1, abs=0.08)
    assert _per_home(residual[:, 7:], residual[:, :-7]) == pytest.approx(-0.03, abs=0.08)


@pytest.mark.parametrize(("name", "ratio"), [("power", 1.6), ("water", 1.9)])
def test_largest_month_over_smallest(ordinary, name, ratio):
    months = np.stack([ordinary[name][:, k : k + 30].mean(axis=1) for k in range(0, 360, 30)])
    assert np.median(months.max(axis=0) / np.maximum(months.min(axis=0), 1)) == pytest.approx(ratio, abs=0.3)


@pytest.mark.parametrize("name", ["power", "water"])
def test_weekdays_explain_about_a_twenty_fifth(ordinary, name):
    raw = _log(ordinary, name)
    level = (
        raw
        - np.repeat([np.median(raw[:, k : k + 28], axis=1) for k in range(0, 365, 28)], 28, axis=0).T[:, :365]
    )
    explained = 1 - _residual(raw, ordinary["weekday"]).var(axis=1) / level.var(axis=1)
    assert np.median(explained) == pytest.approx(0.04, abs=0.02)


def test_zero_days_and_high_days(ordinary):
    assert np.median((ordinary["water"] == 0).mean(axis=1)) == pytest.approx(0.02, abs=0.02)
    assert (ordinary["power"] == 0).sum() == 0
    for name, share in (("power", 0.012), ("water", 0.013)):
        residual = _residual(_log(ordinary, name), ordinary["weekday"])
        spread = 1.4826 * np.median(np.abs(residual), axis=1, keepdims=True)
        assert (residual > 3.5 * spread).mean() == pytest.approx(share, abs=0.006)


def test_a_plain_rule_would_name_as_many_homes_as_in_real_cities(ordinary):
    """Three-day mean over 1.5× the median of the 28 days before: 5.3 % of home-days in power, 12.6 % in
    water."""
    for name, share in (("power", 0.053), ("water", 0.126)):
        use = ordinary[name]
        before = np.median(np.lib.stride_tricks.sliding_window_view(use[:, :-3], 28, axis=1), axis=2)
        three = np.lib.stride_tricks.sliding_window_view(use[:, 28:], 3, axis=1).mean(axis=2)
        assert (three > 1.5 * before).mean() == pytest.approx(share, rel=0.35)


def test_signals_of_a_home_move_together(undisturbed):
    residual = {
        name: _residual(_log(undisturbed, name), undisturbed["weekday"])
        for name in ("entries", "water", "power")
    }
    for a, b in (("entries", "water"), ("entries", "power"), ("water", "power")):
        assert 0.2 <= _per_home(residual[a], residual[b]) <= 0.42, (a, b)


def test_doors_of_single_persons(undisturbed):
    openings = (undisturbed["entries"] + undisturbed["exits"])[undisturbed["residents"] == 1].mean(axis=1)
    low, middle, high = np.percentile(openings, [10, 50, 90])
    assert 2.0 <= low <= middle <= high <= 7.5
    entries, weekday = undisturbed["entries"], undisturbed["weekday"]
    plain = (
        entries - np.stack([entries[:, weekday == day].mean(axis=1) for day in range(7)], axis=1)[:, weekday]
    )
    assert np.median(plain.var(axis=1) / entries.mean(axis=1)) == pytest.approx(1.0, abs=0.2)
    assert np.abs(undisturbed["entries"].sum(axis=1) - undisturbed["exits"].sum(axis=1)).max() <= 1


def test_water_follows_the_residents(undisturbed):
    medians = [
        np.median(undisturbed["water"][undisturbed["residents"] == n].mean(axis=1)) for n in range(1, 6)
    ]
    # Five groups of some 40 to 80 homes with a spread of .45 within: ±25 % each.
    assert medians == pytest.approx([85, 188, 220, 282, 413], rel=0.25)


def test_missing_days_of_registers():
    frames = simulate(replace(standard_city("nuisances", 300, 365), **WHOLE), 5)
    for name, share, off in (("water", 0.07, 0.02), ("power", 0.0015, 0.002)):
        days = frames[name].select("household_id", "day").unique()
        both = days.join(
            days.with_columns(pl.col("day") + pl.duration(days=1)), on=["household_id", "day"]
        )  # use needs both ends
        assert 1 - both.height / (300 * 364) == pytest.approx(share, abs=off)


# What the events do


def test_an_event_multiplies_and_adds_where_and_when_it_says():
    leak, surge = Event(1, LEAK, 2, 4, 300.0), Event(0, OCCUPANCY, 5, 9, 3.0, ramp=1)
    change = combine_effects([leak, surge], 2, 10, np.random.default_rng(0))
    assert (change.addition["water"][1] > 0).tolist() == [False] * 2 + [True] * 3 + [False] * 5
    assert change.addition["water"][1, 3] == pytest.approx(300, rel=0.2)
    assert change.log_factor["entries"][1].tolist() == [0.0] * 10
    doors, water = change.log_factor["entries"][0], change.log_factor["water"][0]
    assert doors[:5].tolist() == [0.0] * 5
    assert doors[5] == pytest.approx(doors[6] / 2)  # a ramp of one day: half on the first
    assert doors[9] == pytest.approx(np.log(3), rel=0.35)
    assert water[9] == pytest.approx(0.7 * np.log(3), rel=0.35)


def test_surges_raise_all_signals_by_about_their_size():
    city = replace(
        standard_city("mixed", 300, 300),
        **WHOLE,
        **QUIET,
        surge_rate=20.0,
        leak_rate=0.0,
        surge_sizes=(3.0, 3.0),
        ramp_days=(0, 0),
    )
    frames = simulate(city, 11)
    surges = frames["truth"].filter(pl.col("kind") == "occupancy").rename({"household_id": "household"})
    doors = (
        frames["entries"]
        .select(household="household_id", day="day", value="entries")
        .join(surges, on="household")
    )
    inside = pl.col("day").is_between("first", "last")
    near = pl.col("day").is_between(
        pl.col("first") - pl.duration(days=28), pl.col("first") - pl.duration(days=1)
    )
    ratios = doors.group_by("household", "first").agg(
        (pl.col("value").filter(inside).mean() / pl.col("value").filter(near).mean()).alias("r")
    )
    assert surges.height == 60
    assert ratios["r"].drop_nans().median() == pytest.approx(3.0, rel=0.1)


def test_nobody_leaves_a_home_empty_during_a_surge(mixed):
    truth = mixed["truth"]
    away = truth.filter(pl.col("kind").is_in([kind.name for kind in NUISANCES if kind.away] + ["leaver"]))
    both = truth.filter(pl.col("kind") == "occupancy").join(away, on="household_id", suffix="_away")
    assert (
        both.filter(
            (pl.col("first_away") <= pl.col("last")) & (pl.col("last_away") >= pl.col("first"))
        ).height
        == 0
    )


def test_spring_festival_empties_a_quarter_of_the_city(mixed):
    dwellings = mixed["households"].filter(pl.col("class") == "dwelling")
    whole = mixed["entries"].filter(pl.col("household_id").is_in(dwellings["household_id"].implode()))
    still = whole.group_by("day").agg((pl.col("entries") == 0).mean().alias("share")).sort("day")
    shares = dict(still.iter_rows())
    feast, other = date(2026, 2, 16), date(2026, 3, 25)  # new year's eve; a Wednesday in spring
    assert shares[feast] > shares[other] + 0.10
    assert not any(
        kind in ("leaver", "host")
        for kind in simulate(replace(standard_city("mixed", 60, 427), calendar="GB"), 1)["truth"]["kind"]
    )


# The exports


def test_same_seed_same_city_other_seed_another(mixed):
    again = simulate(replace(standard_city("mixed", 300, 427), running_surges=3, running_leaks=1), 7)
    assert all(mixed[name].equals(again[name]) for name in mixed)
    assert not simulate(standard_city("mixed", 60, 90), 1)["water"].equals(
        simulate(standard_city("mixed", 60, 90), 2)["water"]
    )


def test_frames_have_the_stated_shape(mixed):
    assert mixed["households"].columns == ["household_id", "building", "district", "class", "moved_in"]
    assert mixed["households"]["household_id"].is_unique().all()
    assert mixed["entries"].schema == {
        "household_id": pl.String,
        "day": pl.Date,
        "entries": pl.Int64,
        "exits": pl.Int64,
        "arrived": pl.Date,
    }
    for name, digits in (("water", 3), ("power", 2)):
        assert mixed[name].schema == {
            "household_id": pl.String,
            "day": pl.Date,
            "reading": pl.String,
            "arrived": pl.Date,
        }
        assert mixed[name]["reading"].str.contains(rf"^\d+(\.\d{{{digits}}})?$").all()
    for name in ("entries", "water", "power"):
        frame = mixed[name]
        assert frame["day"].min() == date(2025, 7, 1)
        assert frame["day"].max() == date(2026, 8, 31)
        assert frame.filter(pl.col("arrived") < pl.col("day")).is_empty()
        assert frame["arrived"].max() <= date(2026, 8, 31)
        assert set(frame["household_id"]) <= set(mixed["households"]["household_id"])


def test_the_last_row_of_a_restated_day_is_the_right_one():
    city = replace(standard_city("nuisances", 60, 200), **WHOLE, **QUIET | {"fault_scale": 20.0})
    water = simulate(replace(city, fault_scale=20.0), 4)["water"]
    twice = water.filter(pl.len().over("household_id", "day") > 1)
    assert twice.height > 20
    values = (
        twice.with_columns(pl.col("reading").cast(pl.Float64))
        .group_by("household_id", "day")
        .agg(pl.col("reading"))
    )
    assert (values["reading"].list.last() >= values["reading"].list.first()).all()  # the wrong one lay below
    assert (values["reading"].list.n_unique() == 1).any()  # some are only repeated
    assert water.filter(pl.col("arrived") > pl.col("day")).height > 60


def test_coarse_homes_show_whole_units_and_outages_hit_whole_buildings():
    frames = simulate(standard_city("coarse", 100, 120), 2)
    whole = (
        frames["water"]
        .group_by("household_id")
        .agg((~pl.col("reading").str.contains(".", literal=True)).mean().alias("share"))
    )
    assert set(whole["share"]) == {0.0, 1.0}
    assert whole["share"].mean() == pytest.approx(0.8, abs=0.13)  # three standard errors of 100 draws
    outages = simulate(replace(standard_city("nuisances", 96, 365), outage_rate=4.0), 2)["truth"].filter(
        pl.col("kind") == "outage"
    )
    assert set(outages.group_by("first").len()["len"]) <= {48, 96}


def test_registers_are_exact_where_nothing_is_at_fault():
    city = replace(standard_city("nuisances", 20, 60), **WHOLE, **QUIET)
    water = simulate(city, 9)["water"].with_columns(
        litre=(pl.col("reading").cast(pl.Float64) * 1000).round().cast(pl.Int64)
    )
    use = (
        water.sort("household_id", "day")
        .with_columns(use=pl.col("litre").diff().over("household_id"))["use"]
        .drop_nulls()
    )
    assert len(use) == 20 * 59
    assert use.min() >= 0
    assert 60 < use.median() < 600


def test_running_targets_run_on_the_last_day_in_homes_with_a_past(mixed):
    truth = mixed["truth"].filter("target")
    end = date(2026, 8, 31)
    late = truth.filter(
        (pl.col("last") == end)
        & (pl.col("first").is_between(end - timedelta(days=15), end - timedelta(days=9)))
    )
    assert late.filter(pl.col("kind") == "occupancy").height >= 3
    assert late.filter(pl.col("kind") == "leak").height >= 1
    assert truth.filter(pl.col("last") < date(2026, 8, 1)).height >= 10


def test_presets_differ_in_what_they_are_named_for():
    assert simulate(standard_city("nuisances", 200, 200), 1)["truth"].filter("target").is_empty()
    counts = [
        simulate(standard_city(name, 500, 300), 1)["truth"].filter("target").height
        for name in ("few", "mixed")
    ]
    assert counts == [
        2 + 1,
        20 + 5,
    ]  # .5 and .2, 4 and 1 per 1,000 homes and 30 days, over 5,000 home-months, rounded
    young = (
        simulate(standard_city("young", 200, 300), 1)["entries"]
        .group_by("household_id")
        .agg(pl.col("day").min())
    )
    assert (young["day"] > date(2025, 8, 1)).mean() == pytest.approx(0.6, abs=0.11)
    with pytest.raises(ValueError, match="mixed"):
        standard_city("huge")


@pytest.mark.parametrize(("homes", "days"), [(1, 30), (3, 5), (50, 21), (5, 400)])
def test_tiny_cities_hold_together(homes, days):
    frames = simulate(replace(standard_city("mixed", homes, days), running_surges=1, running_leaks=1), 1)
    assert frames["households"].height == homes
    assert (
        frames["truth"]
        .filter((pl.col("last") < pl.col("first")) | (pl.col("first") < date(2025, 7, 1)))
        .is_empty()
    )
