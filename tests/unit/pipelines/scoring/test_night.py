"""The one way through the night: everybody in the sample, or a part of the homes that speaks for the
others."""

import datetime as dt

import polars as pl
import pytest

from anomaly import detectors, evidence, expected, sensor_faults
from pipelines.cases.snapshots import read_snapshot
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import load_settings
from pipelines.ingest.inputs import stored_inputs
from pipelines.jobs import nightly as flow
from pipelines.scoring import blocks
from pipelines.scoring.night import expect_homes, judge_nights
from pipelines.scoring.rarity import evidence_for_night, opening_rarity, rarity_table
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.state import Store
from tests.support.site import FIRST, SURGED, Site
from tests.support.town import town

DAYS = 90
LAST = FIRST + dt.timedelta(days=DAYS - 1)
TABLES = ("evidence", "cases", "worklist", "not_judged", "households", "readings")
OVER = {6: 26, 12: 11}
"""Homes whose every signal was three times the usual for a fortnight: how many days ago that ended.

Neither is in a sample of 130."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Site:
    site = town(tmp_path_factory.mktemp("plain") / "town")
    site.nightly()
    return site


def test_a_small_site_is_judged_as_the_plain_functions_of_the_library_do(plain):
    """Everybody is in the sample: no peers, no blocks, no tails are needed to say the same.

    Homes with a failed sensor are scored again without it (test_details.py).
    """
    settings, store = load_settings(plain.settings), Store(plain.file)
    inputs = stored_inputs(settings, store)
    calendar = calendar_in_force(settings, FIRST, LAST)
    seen = expected.expect(expected.make_grid(inputs.readings, calendar, inputs.dwelling_districts))
    scores = [one for detector in detectors.chosen_detectors() for one in detector(seen)]
    rated = evidence.rate_scores(
        scores, [DAYS - 1], opening_rarity(settings), settings.detectors.second_opinions
    )
    kinds = {name: rule.kind for name, rule in settings.rules.items()}
    failed = sensor_faults.find_sensor_faults(inputs.readings, inputs.register, kinds, [LAST])
    healthy = ~pl.col("household").is_in(failed["household"].implode())
    found = evidence_for_night(settings, seen, rated, DAYS - 1).filter(healthy)
    written = store.read(f"nights/{LAST}/evidence.parquet")
    assert written.filter(healthy).rows() == found.rows() and found.height > 5
    assert written.join(failed, on=["household", "signal"]).is_empty()
    rarities = store.read(f"nights/{LAST}/rarities.parquet")
    plain_rarities = rarity_table(settings, seen.grid.households, rated, DAYS - 1)
    assert rarities.filter(healthy).rows() == plain_rarities.filter(healthy).rows()
    judged = expected.judgeable_signals(seen, DAYS - 1)
    counts = store.read_json(f"nights/{LAST}/done.json", {})
    assert counts["judged"] == judged.any(axis=0).sum()
    not_judged = store.read(f"nights/{LAST}/not_judged.parquet")
    assert counts["not_judged"] == not_judged.height and not_judged["reason"].n_unique() >= 5
    found_faults = set(not_judged.select("household", "signal", "reason").rows())
    assert set(failed.drop("night").rows()) <= found_faults and failed.height > 5


def test_a_part_of_the_homes_says_nearly_the_same(tmp_path, plain, monkeypatch):
    monkeypatch.setattr(blocks, "home_blocks", lambda homes: home_blocks(homes, 70))
    site = town(tmp_path / "town", sample=130)
    site.nightly()
    whole, sampled = plain.published(TABLES), site.published(TABLES)
    for name in ("not_judged", "households", "readings"):
        assert sampled[name] == whole[name]
    assert plain.view("runs")["judged"].to_list() == site.view("runs")["judged"].to_list()
    assert SURGED in site.view("worklist")["household"].to_list()
    both = plain.view("expected").join(
        site.view("expected"), on=["household", "signal", "day"], suffix="_sampled"
    )
    assert both.filter(pl.col("day") == both["day"].max()).height > 700
    assert (both["expected"] / both["expected_sampled"]).log().abs().quantile(0.95) < 0.15


def test_silent_homes_of_the_register_are_not_judged_whoever_is_in_the_sample(tmp_path):
    """One home of the register, a dwelling or a shop, gives nothing at all."""
    wanted = {"0260": "no whole day yet", "0261": "class shop: only dwellings are judged"}
    for sample in (None, 130):
        site = town(tmp_path / f"town{sample}", sample, days=60)
        homes = (site.root / "homes.csv").read_text()
        site.put("homes.csv", f"{homes}0261,A,26,shop\n")
        site.nightly()
        silent = site.view("not_judged").filter(pl.col("household").is_in(list(wanted)))
        assert silent.select("household", "signal", "reason").rows() == [
            (home, signal, reason)
            for home, reason in wanted.items()
            for signal in ("entries", "power", "water")
        ]


def test_control_doors_are_drawn_from_all_judged_homes_without_a_case(tmp_path, plain):
    """A home of which one signal is not judged is among them, whoever is in the sample."""
    sampled = town(tmp_path / "town", sample=130)
    sampled.nightly()
    drawn = [site.view("control")["household"].to_list() for site in (plain, sampled)]
    assert drawn[0] == drawn[1] and len(drawn[0]) >= 1


def test_of_homes_that_stand_out_only_those_with_a_case_are_kept_on_all_days_for_pages(tmp_path, monkeypatch):
    """What was expected of the others is frozen with the night all the same."""
    returned = []

    def note(*given):
        returned.append(judge_nights(*given))
        return returned[-1]

    monkeypatch.setattr(flow, "judge_nights", note)
    site = town(tmp_path / "town", sample=130, over={6: 0})
    site.change("[households]", "[evidence]\nkept_share = 0.002\n\n[households]")
    site.nightly()
    grid = returned[0].expected.grid
    assert grid.days == DAYS and "0006" in grid.households
    assert set(site.view("cases")["household"]) <= set(grid.households)
    without_case = set(site.view("evidence")["household"]) - set(grid.households)
    frozen = series(site, LAST).filter(
        pl.col("household").is_in(list(without_case)) & (pl.col("quality") == "read")
    )
    assert without_case and set(frozen["household"]) == without_case
    assert frozen["expected"].count() == frozen.height and frozen["day"].n_unique() == 28


def test_a_home_can_be_asked_for_by_itself_with_what_its_night_expected(tmp_path, plain):
    sampled = town(tmp_path / "town", sample=130)
    sampled.nightly()
    for site in (plain, sampled):
        settings, store = load_settings(site.settings), Store(site.file)
        inputs = stored_inputs(settings, store)
        seen = expect_homes(settings, inputs, ["0006", "0009", SURGED, "nobody"], LAST)
        assert set(seen.grid.households) == {"0006", SURGED} and seen.grid.days == DAYS  # 0009 is a shop
        row = seen.grid.households.index(SURGED)
        written = store.read(f"nights/{LAST}/expected.parquet").filter(
            pl.col("household") == SURGED, pl.col("signal") == "water", pl.col("day") == LAST
        )
        water = seen.grid.signals.index("water")
        assert written["expected"].to_list() == [round(float(seen.expected[water, row, -1]), 2)]


# cases that are over, or quiet, on the last night

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
        )
    return site


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Site:
    """A town of which everybody is in the sample."""
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


@pytest.mark.parametrize("plan", PLANS)
def test_homes_outside_the_sample_are_shown_on_every_night_of_a_case_and_after(tmp_path, plan, quiet):
    """The days before and after are on pages and in the file, though the last night saw nothing."""
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
