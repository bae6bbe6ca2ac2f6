"""Planted surges and the score card."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.evaluate import Plan, evaluate, plant, score_card, wilson

START = date(2026, 1, 1)
NIGHTS = (date(2026, 3, 1), date(2026, 4, 29))  # 60 nights after 59 days
READINGS = {"household": pl.String, "signal": pl.String, "day": pl.Date, "value": pl.Int64, "unit": pl.String, "quality": pl.String}


def _series(household: str, signal: str, unit: str, values: list, start: date = START) -> pl.DataFrame:
    rows = [(household, signal, start + timedelta(days=n), v, unit, "missing" if v is None else "read") for n, v in enumerate(values)]
    return pl.DataFrame(rows, schema=READINGS, orient="row")


def _site(homes: int = 10, days: int = 119) -> pl.DataFrame:
    frames = []
    for home in range(homes):
        frames += [_series(f"{home:04d}", "entries", "count", [4] * days), _series(f"{home:04d}", "water", "litre", [201] * days)]
    return pl.concat(frames)


def _inside(planted: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    return planted.join(truth, on="household").filter(pl.col("day").is_between("first", "last"))


def test_all_signals_of_a_home_rise_by_their_own_exponent():
    planted, truth = plant(_site(), NIGHTS, 1, Plan(sizes=(3.0,), share=0.5))
    assert truth.height == 5
    means = _inside(planted, truth).group_by("signal").agg(pl.col("value").mean()).sort("signal")
    assert means["value"].to_list() == pytest.approx([12.0, 201 * 3**0.7], abs=0.1)  # 12 entries, 433.7 litre


def test_the_only_signal_of_a_home_rises_by_the_size_itself():
    site = pl.concat([_series("0001", "power", "Wh", [5003] * 119), _series("0001", "water", "litre", [None] * 119)])
    planted, truth = plant(site, NIGHTS, 1, Plan(sizes=(2.0,), share=1.0))
    assert _inside(planted, truth).filter(pl.col("signal") == "power")["value"].unique().to_list() == [10006]
    assert planted.filter(pl.col("signal") == "water")["value"].null_count() == 119


def test_a_signal_nobody_foresaw_rises_by_the_size():
    site = pl.concat([_series("0001", "gas", "cent", [301] * 119), _series("0001", "water", "litre", [203] * 119)])
    planted, truth = plant(site, NIGHTS, 1, Plan(sizes=(2.0,), share=1.0))
    assert _inside(planted, truth).filter(pl.col("signal") == "gas")["value"].unique().to_list() == [602]


def test_a_coarse_register_stays_coarse_and_keeps_its_sum():
    site = _series("0001", "water", "litre", [0, 0, 1000] * 40)
    planted, truth = plant(site, NIGHTS, 1, Plan(sizes=(1.5,), share=1.0, days=(30, 30)))
    values = _inside(planted, truth)["value"]
    # 30 days hold 10 steps of 1 m3: 15 of them after planting, in whole steps, and none on a day without.
    assert values.sum() == 15_000
    assert set(values) == {0, 1000, 2000}


def test_nothing_changes_outside_the_surges_and_no_gap_is_filled():
    site = _site().with_columns(pl.when(pl.col("day").dt.day() == 7).then(None).otherwise("value").alias("value"))
    planted, truth = plant(site, NIGHTS, 3, Plan(share=0.5))
    both = site.join(planted, on=["household", "signal", "day"], suffix="_planted").join(truth, on="household", how="left")
    inside = pl.col("day").is_between("first", "last").fill_null(False)
    assert both.filter(~inside & ~pl.col("value").eq_missing(pl.col("value_planted"))).height == 0
    assert both.filter(pl.col("value").is_null() != pl.col("value_planted").is_null()).height == 0
    assert both.filter(inside & (pl.col("value_planted") <= pl.col("value"))).height == 0
    assert planted.columns == site.columns


def test_surges_lie_within_the_nights_one_a_home_and_sizes_take_turns():
    _, truth = plant(_site(40), NIGHTS, 5, Plan(sizes=(2.0, 3.0), share=0.5))
    assert truth["household"].is_unique().all()
    assert truth["size"].value_counts()["count"].to_list() == [10, 10]
    assert truth["first"].min() >= NIGHTS[0]
    assert truth["last"].max() <= NIGHTS[1]
    assert truth.select(((pl.col("last") - pl.col("first")).dt.total_days() + 1).is_between(10, 40).all()).item()


def test_homes_without_a_past_are_not_chosen():
    young = _series("young", "entries", "count", [4] * 70, START + timedelta(days=49))  # 10 days before the first night
    _, truth = plant(pl.concat([_site(3), young]), NIGHTS, 1, Plan(share=1.0))
    assert truth["household"].to_list() == ["0000", "0001", "0002"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), shuffle=st.integers(0, 1000))
def test_planting_is_a_function_of_rows_and_seed_whatever_their_order(seed, shuffle):
    site = _site(6)
    once, truth = plant(site, NIGHTS, seed, Plan(share=0.5))
    again, truth_again = plant(site.sample(fraction=1.0, shuffle=True, seed=shuffle), NIGHTS, seed, Plan(share=0.5))
    assert once.equals(again)
    assert truth.equals(truth_again)


TRUTH = pl.DataFrame(
    [("A", 2.0, date(2026, 3, 1), date(2026, 3, 20)), ("B", 2.0, date(2026, 3, 1), date(2026, 3, 20)), ("C", 3.0, date(2026, 3, 5), date(2026, 3, 14))],
    schema={"household": pl.String, "size": pl.Float64, "first": pl.Date, "last": pl.Date},
    orient="row",
)


def _cases(*rows: tuple) -> pl.DataFrame:
    names = {"household": pl.String, "signature": pl.String, "onset": pl.Date, "opened": pl.Date, "last_seen": pl.Date}
    return pl.DataFrame(rows, schema=names, orient="row")


def test_score_card_by_hand():
    cases = _cases(
        ("A", "people", date(2026, 3, 1), date(2026, 3, 9), date(2026, 3, 22)),  # found after 8 days
        ("A", "water", date(2026, 3, 2), date(2026, 3, 12), date(2026, 3, 22)),  # the same surge once more: counts once
        ("B", "people", date(2026, 2, 1), date(2026, 2, 8), date(2026, 2, 20)),  # over before the surge began: wrong
        ("C", "power", date(2026, 3, 5), date(2026, 3, 21), date(2026, 3, 22)),  # 7 days after its end: still found
        ("D", "people", date(2026, 3, 1), date(2026, 3, 9), date(2026, 3, 22)),  # nothing was planted there: wrong
    )
    card = score_card(cases, TRUTH, home_nights=6000)
    assert card["size"].to_list() == [2.0, 3.0]
    assert card["planted"].to_list() == [2, 1]
    assert card["found"].to_list() == [1, 1]
    assert card["share"].to_list() == [0.5, 1.0]
    assert card["median_delay"].to_list() == [8.0, 16.0]
    assert card["wrong_cases"].to_list() == [2, 2]
    assert card["wrong_doors"].to_list() == [10.0, 10.0]  # 2 in 6,000 home-nights = 10 in 30,000


def test_a_case_that_ran_before_the_surge_is_neither_found_nor_wrong():
    cases = _cases(("C", "people", date(2026, 2, 20), date(2026, 2, 28), date(2026, 3, 10)))
    card = score_card(cases, TRUTH, 3000)
    assert (card["found"].sum(), card["wrong_cases"][0]) == (0, 0)
    assert card["median_delay"].null_count() == 2


def test_score_card_of_a_city_without_targets():
    card = score_card(_cases(("D", "people", *[date(2026, 3, 1)] * 3)), TRUTH.clear(), 30_000)
    assert card.select("size", "planted", "found", "share", "wrong_doors").row(0) == (None, 0, 0, None, 1.0)
    with pytest.raises(ValueError, match="home-nights"):
        score_card(_cases(), TRUTH, 0)


def test_wilson_against_known_values():
    # 10 of 20: .299 to .701; 0 of 10: 0 to .278 (Agresti & Coull 1998).
    assert wilson(10, 20) == pytest.approx((0.5, 0.299, 0.701), abs=1e-3)
    assert wilson(0, 10) == pytest.approx((0.0, 0.0, 0.278), abs=1e-3)
    assert wilson(10, 10)[2] == pytest.approx(1.0)


def test_evaluate_scores_a_judge_that_sees_doubled_doors():
    def judge(readings: pl.DataFrame) -> pl.DataFrame:
        high = readings.filter((pl.col("signal") == "entries") & (pl.col("value") >= 8))
        opened = (pl.col("day").min() + pl.duration(days=4)).alias("opened")
        return high.group_by("household").agg(opened, pl.col("day").max().alias("last_seen"))

    card = evaluate(_site(20), judge, NIGHTS, seed=2, plan=Plan(sizes=(1.5, 2.0, 3.0), share=0.6))
    assert card["planted"].to_list() == [4, 4, 4]
    assert card["share"].to_list() == [0.0, 1.0, 1.0]
    assert card["median_delay"].to_list() == [None, 4.0, 4.0]
    assert card["wrong_doors"].to_list() == [0.0] * 3
