import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomaly.detectors import windows
from anomaly.detectors.windows import (
    best_window,
    compress_tail,
    consensus,
    scale_by_night_spread,
    scale_by_past,
    standardise_by_peers,
    window_sums,
)
from tests.support import naive

nan = np.nan


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
    span_days = np.ones(z.shape, dtype=np.int8)
    # half of three days are two: 1; 1 | 1+2 | 2+4 | 4 alone …
    assert window_sums(z, lag, span_days, 3)[0] == pytest.approx(
        [nan, nan, 3 / 2**0.5, 6 / 2**0.5, nan, nan, nan], nan_ok=True
    )
    # values that span seven days each count for seven times less
    assert window_sums(z, lag, 7 * span_days, 3)[0, 3] == pytest.approx(6 / 14**0.5)


known = st.one_of(st.just(nan), st.integers(-5, 5).map(float))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(known, st.integers(0, 5), st.sampled_from([1, 7])), min_size=1, max_size=40),
    st.integers(1, 14),
)
def test_window_sums_and_their_twin(days, length):
    z, lag, span_days = (list(column) for column in zip(*days, strict=True))
    fast = window_sums(
        np.array([z]), np.array([lag], dtype=np.int16), np.array([span_days], dtype=np.int8), length
    )
    np.testing.assert_allclose(fast[0], naive.window_sums(z, lag, span_days, length), rtol=1e-12)


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


@settings(deadline=None)
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
