"""Planted surges and the score card."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.evaluation import (
    Alarms,
    JudgedRound,
    RecentDays,
    SurgePlan,
    collect_alarms,
    detection_delays,
    plant_and_judge,
    plant_surges,
    raise_surprise,
    score_card,
    share_found_by_day,
    smallest_surges_shown,
    wilson_interval,
)

START = date(2026, 1, 1)
NIGHTS = (date(2026, 3, 1), date(2026, 4, 29))  # 60 nights after 59 days
READINGS = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "unit": pl.String,
    "quality": pl.String,
}


def _series(household: str, signal: str, unit: str, values: list, start: date = START) -> pl.DataFrame:
    rows = [
        (household, signal, start + timedelta(days=n), v, unit, "missing" if v is None else "read")
        for n, v in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=READINGS, orient="row")


def _site(homes: int = 10, days: int = 119) -> pl.DataFrame:
    frames = []
    for home in range(homes):
        frames += [
            _series(f"{home:04d}", "entries", "count", [4] * days),
            _series(f"{home:04d}", "water", "litre", [201] * days),
        ]
    return pl.concat(frames)


def _inside(planted: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    return planted.join(truth, on="household").filter(pl.col("day").is_between("first", "last"))


def test_all_signals_of_a_home_rise_by_their_own_exponent():
    planted, truth = plant_surges(_site(), *NIGHTS, 1, SurgePlan(sizes=(3.0,), shapes=("step",), share=0.5))
    assert truth.height == 5
    means = _inside(planted, truth).group_by("signal").agg(pl.col("value").mean()).sort("signal")
    assert means["value"].to_list() == pytest.approx([12.0, 201 * 3**0.7], abs=0.1)  # 12 entries, 433.7 litre


def test_the_only_signal_of_a_home_rises_by_the_size_itself():
    site = pl.concat(
        [_series("0001", "power", "Wh", [5003] * 119), _series("0001", "water", "litre", [None] * 119)]
    )
    planted, truth = plant_surges(site, *NIGHTS, 1, SurgePlan(sizes=(2.0,), shapes=("step",), share=1.0))
    assert _inside(planted, truth).filter(pl.col("signal") == "power")["value"].unique().to_list() == [10006]
    assert planted.filter(pl.col("signal") == "water")["value"].null_count() == 119


def test_a_signal_nobody_foresaw_rises_by_the_size():
    site = pl.concat(
        [_series("0001", "gas", "cent", [301] * 119), _series("0001", "water", "litre", [203] * 119)]
    )
    planted, truth = plant_surges(site, *NIGHTS, 1, SurgePlan(sizes=(2.0,), shapes=("step",), share=1.0))
    assert _inside(planted, truth).filter(pl.col("signal") == "gas")["value"].unique().to_list() == [602]


def test_a_coarse_register_stays_coarse_and_keeps_its_sum():
    site = _series("0001", "water", "litre", [0, 0, 1000] * 40)
    planted, truth = plant_surges(
        site, *NIGHTS, 1, SurgePlan(sizes=(1.5,), shapes=("step",), share=1.0, length_days=(30, 30))
    )
    values = _inside(planted, truth)["value"]
    # 30 days hold 10 steps of 1 m3: 15 of them after planting, in whole steps, and none on a day without.
    assert values.sum() == 15_000
    assert set(values) == {0, 1000, 2000}


def test_nothing_changes_outside_the_surges_and_no_gap_is_filled():
    site = _site().with_columns(
        pl.when(pl.col("day").dt.day() == 7).then(None).otherwise("value").alias("value")
    )
    planted, truth = plant_surges(site, *NIGHTS, 3, SurgePlan(share=0.5))
    both = site.join(planted, on=["household", "signal", "day"], suffix="_planted").join(
        truth, on="household", how="left"
    )
    inside = pl.col("day").is_between("first", "last").fill_null(False)
    assert both.filter(~inside & ~pl.col("value").eq_missing(pl.col("value_planted"))).height == 0
    assert both.filter(pl.col("value").is_null() != pl.col("value_planted").is_null()).height == 0
    assert both.filter(inside & (pl.col("value_planted") < pl.col("value"))).height == 0
    assert planted.columns == site.columns


def test_surges_lie_within_the_nights_one_a_home_and_sizes_take_turns():
    _, truth = plant_surges(
        _site(40), *NIGHTS, 5, SurgePlan(sizes=(2.0, 3.0), shapes=("step", "ramp"), share=0.5)
    )
    assert truth["household"].is_unique().all()
    assert truth["size"].value_counts()["count"].to_list() == [10, 10]
    assert truth["first"].min() >= NIGHTS[0]
    assert truth["last"].max() <= NIGHTS[1]
    assert truth.select(
        ((pl.col("last") - pl.col("first")).dt.total_days() + 1).is_between(10, 40).all()
    ).item()


def test_homes_without_a_past_are_not_chosen():
    young = _series(
        "young", "entries", "count", [4] * 70, START + timedelta(days=49)
    )  # 10 days before the first night
    _, truth = plant_surges(pl.concat([_site(3), young]), *NIGHTS, 1, SurgePlan(share=1.0))
    assert truth["household"].to_list() == ["0000", "0001", "0002"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), shuffle=st.integers(0, 1000))
def test_planting_is_a_function_of_rows_and_seed_whatever_their_order(seed, shuffle):
    site = _site(6)
    once, truth = plant_surges(site, *NIGHTS, seed, SurgePlan(share=0.5))
    again, truth_again = plant_surges(
        site.sample(fraction=1.0, shuffle=True, seed=shuffle), *NIGHTS, seed, SurgePlan(share=0.5)
    )
    assert once.equals(again)
    assert truth.equals(truth_again)


def test_a_ramp_grows_and_a_spike_is_short():
    site = (
        _site(40)
        .filter(pl.col("signal") == "entries")
        .with_columns(value=pl.lit(1000, pl.Int64), unit=pl.lit("count"))
    )
    planted, truth = plant_surges(
        site.with_columns(value=pl.lit(1001, pl.Int64)),
        *NIGHTS,
        2,
        SurgePlan(sizes=(3.0,), shapes=("ramp", "spike"), share=1.0),
    )
    assert truth["shape"].value_counts(sort=True)["count"].to_list() == [20, 20]
    spikes = truth.filter(pl.col("shape") == "spike")
    assert spikes.select(
        ((pl.col("last") - pl.col("first")).dt.total_days() + 1).unique()
    ).to_series().to_list() == [3]
    ramp = truth.filter(pl.col("shape") == "ramp").row(0, named=True)
    days = ramp["ramp"]
    values = planted.filter(
        (pl.col("household") == ramp["household"]) & pl.col("day").is_between(ramp["first"], ramp["last"])
    )["value"].to_list()
    # 1 + 2 · day / ramp times 1,001, at full size from the last day of the ramp on
    assert 2 <= days <= 7
    assert values[:days] == pytest.approx([1001 * (1 + 2 * (d + 1) / days) for d in range(days)], abs=1)
    assert set(values[days:]) == {3003}


FIRST = date(2026, 3, 1)


def _truth(*rows: tuple) -> pl.DataFrame:
    names = {
        "household": pl.String,
        "size": pl.Float64,
        "shape": pl.String,
        "ramp": pl.Int64,
        "first": pl.Date,
        "last": pl.Date,
    }
    return pl.DataFrame(rows, schema=names, orient="row")


def _nights(length: int = 30, **at: float) -> list[float]:
    """Rarity 1 on the 14 nights before and on `length` nights; n5=9.0 puts 9 on the night five days after the
    first."""
    out = [1.0] * (14 + length)
    for name, value in at.items():
        out[14 + int(name[1:].replace("m", "-"))] = value
    return out


SURGE = (2.0, "step", 1, FIRST + timedelta(days=5), FIRST + timedelta(days=10))


def test_found_by_hand():
    homes = {
        "A": _nights(n8=50.0, n9=80.0),  # found on day 3 at 40 and on day 4 at 60
        "B": _nights(n17=50.0),  # 7 days after its last day: still found, after 12 days
        "C": _nights(n18=50.0),  # a day later: not found
        "D": _nights(n3=50.0, n7=50.0),  # an alarm before it keeps the fortnight after from being quiet
        "E": _nights(nm3=50.0, n8=50.0),  # and so does one before the first night
        "F": _nights(nm10=50.0, n8=50.0),  # eighteen nights are quiet enough
    }
    one = JudgedRound(
        list(homes), FIRST, np.array(list(homes.values())), _truth(*[(name, *SURGE) for name in homes])
    )
    assert detection_delays([one], 40.0)["delay"].to_list() == [3, 12, None, None, None, 3]
    assert detection_delays([one], 60.0)["delay"].to_list() == [4, None, None, None, None, None]


def test_a_night_that_is_not_judged_is_neither_an_alarm_nor_a_home_night():
    rarity = np.full((2, 34), np.nan)
    rarity[0, 20] = 9.0
    one = JudgedRound(["A", "B"], FIRST, rarity, _truth())
    assert collect_alarms([one]).rarity.tolist() == [9.0] and collect_alarms([one]).count(5.0) == 1
    assert (
        collect_alarms([JudgedRound(["A"], FIRST, rarity[:1], _truth(("A", *SURGE)))]).threshold(5.0)
        == np.inf
    )  # every home is planted


def test_alarms_and_their_threshold_by_hand():
    # 3 unplanted homes of 10 nights in 2 copies: alarms at 5, 7 and 9, one of each home; the planted home D
    # does not count.
    rarity = np.array(
        [_nights(10, n2=5.0), _nights(10, n3=7.0, n4=7.0), _nights(10, n5=9.0, n8=9.0), _nights(10, n1=99.0)]
    )
    one = JudgedRound(["A", "B", "C", "D"], FIRST, rarity, _truth(("D", 2.0, "step", 1, FIRST, FIRST)))
    ordinary = collect_alarms([one, one])
    assert [int(ordinary.count(level)) for level in (4.0, 6.0, 8.0, 10.0)] == [6, 4, 2, 0]
    # 60 home-nights: an alarm is 500 per 1,000 homes and 30 days
    assert [ordinary.threshold(capacity) for capacity in (3000, 2000, 1000)] == [5.0, 7.0, 9.0]
    assert ordinary.threshold(999) == np.nextafter(9.0, np.inf)
    rate, low, high = ordinary.rate(8.0)
    # one alarm in 30 home-nights of the site, however many copies; exact Poisson limits of 1 are .025 and
    # 5.57
    assert (
        rate == 1000.0
        and low / 1000 == pytest.approx(0.025, abs=0.02)
        and high / 1000 == pytest.approx(5.57, abs=0.05)
    )
    assert ordinary.rate(10.0)[:2] == (0.0, 0.0) and ordinary.rate(10.0)[2] / 1000 == pytest.approx(
        3.69, abs=0.05
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, float("nan")]), min_size=24, max_size=24),
        min_size=1,
        max_size=5,
    ),
    st.floats(0, 4000),
)
def test_no_threshold_lets_more_alarms_through_than_its_capacity(rows, capacity):
    one = JudgedRound([str(n) for n in range(len(rows))], FIRST, np.array(rows), _truth())
    ordinary = collect_alarms([one])
    level = ordinary.threshold(capacity)
    begun = sum(
        row[t] >= level and not any(row[u] >= level for u in range(t - 14, t))
        for row in rows
        for t in range(14, 24)
    )  # the same count, slowly
    judged = sum(not np.isnan(row[t]) for row in rows for t in range(14, 24))
    assert begun == ordinary.count(level) if judged else level == np.inf
    assert begun * 30_000 <= capacity * max(judged, 1)


def test_score_card_by_hand():
    surges = pl.DataFrame(
        {"size": [3.0, 2.0, 2.0, 2.0, 2.0], "shape": ["step"] * 5, "delay": [4, None, 8, 2, None]},
        schema_overrides={"delay": pl.Int64},
    )
    card = score_card(surges)
    assert card.select("size", "planted", "found", "share", "median_delay").rows() == [
        (2.0, 4, 2, 0.5, 5.0),
        (3.0, 1, 1, 1.0, 4.0),
    ]
    assert card.select("low", "high").row(0) == pytest.approx((0.150, 0.850), abs=1e-3)  # Wilson, 2 of 4
    assert score_card(surges.clear()).height == 0
    days = share_found_by_day(surges, 5).filter(pl.col("size") == 2.0)
    assert days["share"].to_list() == [0.0, 0.0, 0.25, 0.25, 0.25, 0.25] and days["day"].to_list() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_wilson_against_known_values():
    # 10 of 20: .299 to .701; 0 of 10: 0 to .278 (Agresti & Coull 1998).
    assert wilson_interval(10, 20) == pytest.approx((0.5, 0.299, 0.701), abs=1e-3)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.0, 0.278), abs=1e-3)
    assert wilson_interval(10, 10)[2] == pytest.approx(1.0)


def test_evaluate_scores_a_judge_that_sees_doubled_doors():
    def judge(readings: pl.DataFrame) -> tuple[list[str], np.ndarray]:
        wide = (
            readings.filter(pl.col("signal") == "entries")
            .pivot(on="day", index="household", values="value")
            .sort("household")
        )
        return wide["household"].to_list(), wide.drop("household").to_numpy()[:, 59 - 14 :] / 4.0

    plan = SurgePlan(sizes=(1.5, 2.0, 3.0), shapes=("step",), share=0.6)
    rounds = list(plant_and_judge(_site(20), judge, *NIGHTS, range(2, 4), plan))
    card = score_card(detection_delays(rounds, 2.0))
    assert card["planted"].to_list() == [8, 8, 8]
    assert card["share"].to_list() == [0.0, 1.0, 1.0]
    assert card["median_delay"].to_list() == [None, 0.0, 0.0]
    assert collect_alarms(rounds).rate(2.0)[0] == 0.0


def test_a_lifted_course_by_hand():
    # value 79 litre with offset 21 beside 29 expected: log 2; surprise 3.47 at a spread of .2. Doubled:
    # log(179 / 50) / .2
    spread, log_ratio = 0.2, np.log(100 / 50)
    whole = RecentDays(*(np.full((1, 1, 2), x) for x in (log_ratio / spread, log_ratio, 29.0, 21.0, 1.0)))
    assert raise_surprise(whole, np.array([[2.0]]))[0, 0].tolist() == pytest.approx(
        [np.log(179 / 50) / spread] * 2
    )
    # over two days a value holds half of the rise on the first: 118.5 + 21
    blocks = RecentDays(
        whole.surprise, whole.log_ratio, whole.expected, whole.offset, np.full((1, 1, 2), 2.0)
    )
    assert raise_surprise(blocks, np.array([[2.0]]))[0, 0].tolist() == pytest.approx(
        [np.log(139.5 / 50) / spread, np.log(179 / 50) / spread]
    )


def test_a_lifted_course_keeps_gaps_and_is_left_alone_at_one():
    z = np.array([[[1.0, np.nan, 0.0, -2.0]]])
    course = RecentDays(z, z * 0.3, np.full(z.shape, 8000.0), np.full(z.shape, 300.0), np.ones(z.shape))
    assert raise_surprise(course, np.array([[1.0]]))[0, 0].tolist() == pytest.approx(
        z[0, 0].tolist(), nan_ok=True
    )
    up = raise_surprise(course, np.array([[3.0]]))[0, 0]
    assert (
        np.isnan(up).tolist() == [False, True, False, False]
        and (up[[0, 2, 3]] > z[0, 0, [0, 2, 3]] + 2).all()
    )
    nothing = RecentDays(
        *(np.full((1, 1, 2), np.nan) for _ in range(3)), np.ones((1, 1, 2)), np.ones((1, 1, 2))
    )
    assert np.isnan(raise_surprise(nothing, np.array([[3.0]]))).all()


def test_the_smallest_surge_is_one_that_half_of_a_group_shows():
    def group(name: str, *sizes: float | None) -> pl.DataFrame:
        return pl.DataFrame(
            {"group": "district", "name": name, "size": sizes},
            schema={"group": pl.String, "name": pl.String, "size": pl.Float64},
        )

    least = pl.concat([
        group("half", *[2.0] * 8, *[3.0] * 4, *[None] * 4),
        group("less", *[2.0] * 7, *[3.0] * 4, *[None] * 5),
        group("none", *[2.0] * 7, *[None] * 9),
        group("few", *[2.0] * 14),
    ])  # fmt: skip
    assert smallest_surges_shown(least, (2.0, 3.0)).rows() == [
        ("district", "half", 16, 2.0),
        ("district", "less", 16, 3.0),
        ("district", "none", 16, None),
    ]
    assert smallest_surges_shown(least.clear(), (2.0, 3.0)).height == 0


def test_alarms_of_no_home_have_no_rate():
    assert np.isnan(Alarms(np.array([]), np.array([]), 1).rate(5.0)).all()
