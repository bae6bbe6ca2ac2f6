import dataclasses
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomaly.detectors import ALL, REGISTER, DetectorRules, chosen_detectors, forest, windows
from anomaly.detectors.windows import (
    best_window,
    compress_tail,
    consensus,
    scale_by_night_spread,
    scale_by_past,
    standardise_by_peers,
    window_sums,
)
from anomaly.expected import expect, make_grid
from tests.support import naive
from tests.support.grids import calendar, city, day, readings

nan = np.nan
HOMES, DAYS, NIGHT = 40, 300, 299
SURGE, AWAY, LOUD = 7, 11, 23
every_detector = pytest.mark.parametrize(
    "detector", [kind() for kind in REGISTER.values()], ids=list(REGISTER)
)


def site(homes=HOMES, days=DAYS, seed=5):
    """Ordinary homes with gaps, some days of which became known late."""
    rng = np.random.default_rng(seed)
    made = {
        key: [None if gap else int(v) for v, gap in zip(values, rng.random(days) < 0.03, strict=True)]
        for key, values in city(homes, days, seed).items()
    }
    late = {
        (h, s, int(t)): int(rng.integers(1, 9))
        for h, s in made
        for t in np.flatnonzero(rng.random(days) < 0.02)
    }
    return readings(made, late)


@cache
def ordinary():
    rows = site()
    return rows, expect(make_grid(rows, calendar(DAYS), homes_of(rows)))


def homes_of(rows):
    return dict.fromkeys(rows["household"].unique(maintain_order=True))


def told(scores):
    """Scores as plain values that can be compared."""
    return [(one.detector, one.signal, one.score.tobytes(), one.window.tobytes()) for one in scores]


@cache
def scored(name):
    return REGISTER[name]()(ordinary()[1])


# every detector


@every_detector
def test_a_detector_is_a_frozen_dataclass_that_is_called(detector):
    assert dataclasses.is_dataclass(detector) and detector.__dataclass_params__.frozen
    assert REGISTER[detector.name] is type(detector)
    scores = scored(detector.name)
    assert {one.detector for one in scores} == {detector.name}
    assert {one.signal for one in scores} <= {ALL, "entries", "water", "power"} and scores
    assert len({one.signal for one in scores}) == len(scores)
    for one in scores:
        assert one.score.shape == one.window.shape == (HOMES, DAYS)
        assert np.isfinite(one.score[~np.isnan(one.score)]).all() and (~np.isnan(one.score)).any()
        assert (one.window >= 1).all()


@every_detector
def test_the_input_is_left_alone_and_twice_gives_the_same(detector):
    expected = ordinary()[1]
    before = [
        array.tobytes()
        for array in (
            expected.surprise,
            expected.expected,
            expected.grid.value,
            expected.grid.lag,
            expected.span_days,
        )
    ]
    assert told(detector(expected)) == told(scored(detector.name))
    assert [
        array.tobytes()
        for array in (
            expected.surprise,
            expected.expected,
            expected.grid.value,
            expected.grid.lag,
            expected.span_days,
        )
    ] == before


@every_detector
def test_the_order_of_rows_and_the_names_of_homes_do_not_matter(detector):
    rows, _ = ordinary()
    shuffled = expect(
        make_grid(rows.sample(fraction=1, shuffle=True, seed=3), calendar(DAYS), homes_of(rows))
    )
    assert told(detector(shuffled)) == told(scored(detector.name))
    names = np.random.default_rng(4).permutation(HOMES)
    renamed = rows.with_columns(
        pl.col("household").replace_strict({f"{h:04d}": f"{names[h]:04d}" for h in range(HOMES)})
    )
    for one, other in zip(
        scored(detector.name),
        detector(expect(make_grid(renamed, calendar(DAYS), homes_of(rows)))),
        strict=True,
    ):
        np.testing.assert_array_equal(other.score[names], one.score)


@every_detector
@pytest.mark.parametrize(
    ("homes", "days", "signals"), [(0, 0, 0), (0, 40, 0), (5, 0, 0), (5, 40, 0), (0, 40, 3), (5, 0, 3)]
)
def test_silent_on_an_empty_grid(detector, homes, days, signals):
    rows = readings({("x", signal): [5] * 40 for signal in ("entries", "water", "power")[:signals]})
    expected = expect(make_grid(rows, calendar(days), dict.fromkeys(f"{h}" for h in range(homes))))
    for one in detector(expected):
        assert one.score.shape == (homes, days)
        assert np.isnan(one.score).all()


@every_detector
def test_nothing_known_never_becomes_a_score(detector):
    rows, _ = ordinary()
    gone = ((pl.col("household") == "0003") & (pl.col("day") > day(250))) | (pl.col("household") == "0004")
    unknown = rows.with_columns(value=pl.when(~gone).then("value"))
    for one in detector(expect(make_grid(unknown, calendar(DAYS), homes_of(rows)))):
        assert np.isnan(one.score[4]).all()
        assert np.isnan(one.score[3, 250 + 14 :]).all()
        assert not np.isnan(one.score[5, 290])


@every_detector
def test_a_night_scores_what_it_would_have_scored_alone(detector):
    rows, _ = ordinary()
    for night in (120, 251):
        then = expect(
            make_grid(rows.filter(pl.col("known_on") <= day(night)), calendar(night + 1), homes_of(rows))
        )
        for one, alone in zip(scored(detector.name), detector(then), strict=True):
            np.testing.assert_array_equal(alone.score, one.score[:, : night + 1])


def test_an_unknown_detector_is_refused_with_the_known_names():
    assert [d.name for d in chosen_detectors()] == list(REGISTER)
    assert [d.name for d in chosen_detectors(DetectorRules(("alone",)))] == ["alone"]
    with pytest.raises(KeyError, match="no detector is called oracle; there are together, alone"):
        chosen_detectors(DetectorRules(("oracle",)))


# planted truth


def planted(shock=1.0):
    """A home that triples for a fortnight, one back from three weeks away, one with nothing but a leak."""
    made = city(HOMES, DAYS, seed=8)
    for (home, signal), values in made.items():
        if shock != 1.0:
            values[-10:] = np.round(values[-10:] * shock)
        if home == f"{SURGE:04d}":
            values[-14:] = np.round(values[-14:] * {"entries": 3.0, "water": 2.2, "power": 2.0}[signal])
        if home == f"{AWAY:04d}":
            values[-31:-10] = 0
        if home == f"{LOUD:04d}" and signal == "water":
            values[-14:] *= 4
    return expect(make_grid(readings(made), calendar(DAYS), dict.fromkeys(home for home, _ in made)))


@cache
def tonight(shock=1.0):
    """{signal: (H,) score} of the last night, by together and alone."""
    expected = planted(shock)
    return {
        one.signal: one.score[:, NIGHT]
        for name in ("together", "alone")
        for one in REGISTER[name]()(expected)
    }


def others(score, *named):
    return np.delete(score, named)


@pytest.mark.parametrize("shock", [1.0, 1.6])
def test_a_home_that_triples_comes_first_also_in_a_city_wide_shock(shock):
    scores = tonight(shock)
    assert scores[ALL][SURGE] > 2 * others(scores[ALL], SURGE).max()
    for signal in ("entries", "power"):
        assert scores[signal][SURGE] > 1.5 * others(scores[signal], SURGE).max()
    assert set(np.argsort(-scores["water"])[:2]) == {SURGE, LOUD}


def test_a_city_wide_shock_raises_nobody():
    for signal in (ALL, "entries", "water", "power"):
        assert others(tonight(1.6)[signal], SURGE, LOUD) == pytest.approx(
            others(tonight()[signal], SURGE, LOUD), abs=0.35
        )


def test_coming_home_is_nothing_to_see():
    for score in tonight().values():
        assert score[AWAY] < np.quantile(others(score, SURGE, LOUD), 0.98)
        assert score[AWAY] < 0.4 * score[SURGE]


def test_one_loud_signal_is_a_rise_alone_but_not_together():
    scores = tonight()
    assert (
        scores["water"].argmax() == LOUD
        or scores["water"][LOUD] > 1.5 * others(scores["water"], SURGE, LOUD).max()
    )
    assert scores[ALL][LOUD] < 0.5 * scores[ALL][SURGE]


def test_three_days_far_above_are_a_spike_and_too_short_for_the_long_windows():
    made = city(HOMES, DAYS, seed=8)
    for (home, signal), values in made.items():
        if home == f"{SURGE:04d}":
            values[-3:] = np.round(values[-3:] * {"entries": 6.0, "water": 4.0, "power": 3.0}[signal])
        if home == f"{LOUD:04d}" and signal == "water":
            values[-3:] *= 10
    expected = expect(make_grid(readings(made), calendar(DAYS), homes_of(readings(made))))
    score = {one.signal: one.score[:, NIGHT] for one in REGISTER["spike"]()(expected)}
    spike = score[ALL]
    assert spike[SURGE] > 1.5 * others(spike, SURGE).max()
    assert spike[LOUD] < 0.5 * spike[SURGE]  # one loud signal is a spike alone …
    assert score["water"][LOUD] > 1.5 * others(score["water"], SURGE, LOUD).max()  # … and there it is one


# windows


def test_a_heavy_tail_is_made_light_and_keeps_its_order():
    # from 1.1 on, 1.8 for each time that 1 + score doubles: 3.2 is one doubling of 2.1, 7.4 two
    told = compress_tail(np.array([-2.0, 0.0, 1.1, 3.2, 7.4, nan]))
    assert told == pytest.approx([-2.0, 0.0, 1.1, 2.9, 4.7, nan], nan_ok=True)
    assert compress_tail(np.array([2.2])) == pytest.approx([2.2], abs=0.02)


def test_consensus_is_the_sum_less_half_the_range():
    sums = np.array(
        [[3.0, 6.0, nan, nan, 0.0, 4.0], [3.0, 0.0, 2.0, nan, -2.0, nan], [3.0, 0.0, nan, nan, 2.0, 2.0]]
    )[:, None, :]
    # (9 − 0)/√3, (6 − 3)/√3, one signal, none, (0 − 2)/√3, (6 − 1)/√2
    assert consensus(sums)[0] == pytest.approx([5.196, 1.732, nan, nan, -1.155, 3.536], abs=1e-3, nan_ok=True)


def test_a_window_sum_counts_what_its_night_knew():
    z = np.array([[1.0, 2.0, nan, 4.0, nan, nan, nan]])
    lag = np.array([[0, 1, 0, 0, 0, 0, 0]], dtype=np.int16)
    block = np.ones(z.shape, dtype=np.int8)
    # half of three days are two: 1; 1 | 1+2 | 2+4 | 4 alone …
    assert window_sums(z, lag, block, 3)[0] == pytest.approx(
        [nan, nan, 3 / 2**0.5, 6 / 2**0.5, nan, nan, nan], nan_ok=True
    )
    # values that span seven days each count for seven times less
    assert window_sums(z, lag, 7 * block, 3)[0, 3] == pytest.approx(6 / 14**0.5)


known = st.one_of(st.just(nan), st.integers(-5, 5).map(float))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(known, st.integers(0, 5), st.sampled_from([1, 7])), min_size=1, max_size=40),
    st.integers(1, 14),
)
def test_window_sums_and_their_twin(days, length):
    z, lag, block = (list(column) for column in zip(*days, strict=True))
    fast = window_sums(
        np.array([z]), np.array([lag], dtype=np.int16), np.array([block], dtype=np.int8), length
    )
    np.testing.assert_allclose(fast[0], naive.window_sums(z, lag, block, length), rtol=1e-12)


def test_a_night_on_which_everybody_is_odd_calms_down():
    z = np.concatenate([np.linspace(-1, 1, 21), np.linspace(-4, 4, 21)]).reshape(2, 21).T
    lag = np.zeros(z.shape, dtype=np.int16)
    calm = scale_by_night_spread(z, lag, 2.5, 15)
    np.testing.assert_array_equal(calm[:, 0], z[:, 0])  # spread q84 − q50 = .68 of 1: nothing to calm
    assert calm[:, 1] == pytest.approx(np.clip(z[:, 1] / 2.72, -2.5, 2.5))  # .68 of 4
    np.testing.assert_array_equal(
        scale_by_night_spread(z[:14], lag[:14], 2.5, 15), np.clip(z[:14], -2.5, 2.5)
    )  # too few peers
    lag[-7:, 1] = 1  # 14 homes known that night
    np.testing.assert_array_equal(scale_by_night_spread(z, lag, 2.5, 15)[:, 1], np.clip(z[:, 1], -2.5, 2.5))


def test_peers_set_the_middle_and_a_wide_night_is_narrowed():
    usual = np.repeat(np.linspace(0, 2, 21)[:, None], 40, axis=1)
    usual[:, 39] = np.linspace(1, 7, 21)
    scaled = standardise_by_peers(usual, 15)
    assert scaled[:, 38] == pytest.approx(np.linspace(-1, 1, 21))
    assert scaled[:, 39] == pytest.approx(np.linspace(-1, 1, 21))  # three times as wide as usual
    np.testing.assert_array_equal(standardise_by_peers(usual[:14], 15), usual[:14])


@pytest.mark.parametrize(("homes", "upper"), [(100, 0.9), (400, 0.95), (2000, 0.98)])
def test_the_upper_quantile_leaves_twenty_homes_above_it_between_the_tenth_and_the_fiftieth_part(
    homes, upper
):
    usual = np.repeat(
        np.linspace(0, 1, homes + 1)[:, None], 40, axis=1
    )  # the quantile q of such a column is q
    usual[:, 39] = np.where(
        usual[:, 38] < 0.97, usual[:, 38], usual[:, 38] * 3
    )  # guests in three homes of a hundred
    scaled = standardise_by_peers(usual, 15)[:, 39]
    wide = (0.98 * 3 - 0.5) / (0.98 - 0.5) if upper == 0.98 else 1.0
    assert scaled == pytest.approx((usual[:, 39] - 0.5) / wide, rel=0.02, abs=1e-6)


def test_a_score_is_measured_by_the_sites_own_past():
    flat = np.full((3000, 29), 6.0)
    scaled = scale_by_past(flat, 0)
    assert scaled[0, 0] == pytest.approx(6 / 3)  # no past yet
    # night 28 is an anchor and knows 14 nights of 3,000 homes: 42,000 of 45,000 parts its own
    assert scaled[0, 28] == pytest.approx(6 / (6 * 42 / 45 + 3 * 3 / 45))
    assert np.isnan(scale_by_past(np.full((3, 20), nan), 0)).all()


def test_the_best_window_is_the_largest_score_and_the_shorter_at_a_tie():
    score, window = best_window({14: np.array([[1.0, 2.0, nan, nan]]), 7: np.array([[1.0, 1.0, 3.0, nan]])})
    np.testing.assert_array_equal(score, [[1.0, 2.0, 3.0, nan]])
    assert window[0, :3].tolist() == [7, 14, 7]


@given(
    score=arrays(
        np.float64,
        st.tuples(st.integers(1, 12), st.integers(1, 30)),
        elements=st.floats(-4, 40, width=32) | st.just(np.nan),
    ),
    quantile=st.sampled_from([0.0, 0.5, 0.97, 1.0]),
)
def test_a_quantile_is_looked_for_among_the_few_scores_about_it(score, quantile):
    middle = score.shape[1] // 2
    own, known = windows._past_quantiles(
        np.ascontiguousarray(score.T),
        np.array([0, middle]),
        np.array([score.shape[1], score.shape[1]]),
        quantile,
    )
    for one, n, past in zip(own, known, (score, score[:, middle:]), strict=True):
        there = past[~np.isnan(past)]
        assert n == there.size
        np.testing.assert_allclose(
            one, np.quantile(there, quantile) if there.size else nan, rtol=1e-9, atol=1e-9
        )


def test_a_forest_in_plain_arrays_gives_the_scores_of_the_library():
    from pyod.models.iforest import IForest

    rng = np.random.default_rng(4)
    fitted, asked = rng.exponential(1.0, (900, 4)), rng.exponential(2.0, (300, 4))
    model = IForest(n_estimators=30, random_state=0).fit(fitted)
    trees = forest._grown(model.detector_, fitted)
    constant = (
        2 * (np.log(255) + np.euler_gamma) - 2 * 255 / 256
    )  # mean path among the 256 rows a tree is grown on
    np.testing.assert_allclose(
        2 ** (-trees.paths(asked) / constant) + model.detector_.offset_,
        model.decision_function(asked),
        rtol=1e-9,
    )
    assert trees.oddness(asked).max() > trees.oddness(fitted[:300]).mean()
