"""The compiled kernels against their slow twins, on short series that are searched for counterexamples."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anomaly.expected import ExpectedRules, kernels, resolution
from tests.support import naive

nan = np.nan
any_series = settings(max_examples=60, deadline=None)  # no deadline: the first call of a kernel compiles it
series = st.lists(st.one_of(st.just(nan), st.integers(0, 9).map(float)), min_size=1, max_size=80)
guards = st.integers(0, 9)
lags = st.sampled_from([0, 0, 0, 3, 8])


def params(length, days=None, ordinal=0, **changes):
    """Parameters for the last `days` days of a series of that length which begins on a Monday."""
    weekday = (np.arange(length) % 7).astype(np.int8)
    made = kernels.kernel_params(ExpectedRules(), weekday, ordinal, days or length)
    return made._replace(**changes)


def assert_same(kernel, twin):
    np.testing.assert_allclose(kernel, twin, rtol=1e-12, atol=1e-12)


def drawn_lags(data, length):
    return np.array(data.draw(st.lists(lags, min_size=length, max_size=length)), dtype=np.int16)


# --- finding medians ----------------------------------------------------------------------------------------


@any_series
@given(
    values=arrays(np.float64, st.integers(1, 90), elements=st.floats(-3, 9, allow_nan=False, width=32)),
    guess=st.floats(-5, 12),
    width=st.sampled_from([0.0, 1e-17, 0.02, 1.0, np.nan]),
)
def test_a_median_is_found_by_counting_wherever_it_is_looked_for(values, guess, width):
    assert_same(kernels._median_by_counting(values, guess - width, guess + width), np.median(values))


def test_equal_values_are_sorted_after_all():
    assert kernels._median_by_counting(np.array([5.0] * 60 + [1.0] * 10 + [9.0] * 10), 4.9, 5.1) == 5.0


@any_series
@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.just(7)), elements=st.integers(0, 9)))
def test_the_smaller_half_of_each_column_is_sorted(rows):
    half = len(rows) // 2 + 1
    expected = np.sort(rows, axis=0)[:half]
    kernels._partial_sort_columns(rows, len(rows))
    np.testing.assert_array_equal(rows[:half], expected)


# --- coarse registers ---------------------------------------------------------------------------------------


@any_series
@given(
    series,
    st.sampled_from([1, 6, 1000]),
    st.integers(1, 9),
    st.sampled_from([0.02, 0.25, 1.0]),
    st.integers(1, 8),
    st.data(),
)
def test_steps_and_means_of_coarse_registers(value, unit, guard, share, n, data):
    value, lag = np.array(value) * unit, drawn_lags(data, len(value))
    step = resolution(value[None, None], lag[None, None])[0, 0]
    assert_same(step, naive.resolution(value, lag))
    made, span = value[None].copy(), np.ones((1, len(value)), dtype=np.int8)
    rules = params(len(value), short_guard_days=guard, coarse_share=share, coarse_days=n)
    kernels.average_coarse_days(made, lag[None], step[None], span, rules)
    expected_series, expected_span = naive.average_coarse_days(value, lag, step, guard, share, n)
    assert_same(made[0], expected_series)
    assert span[0].tolist() == expected_span


# --- vacant days --------------------------------------------------------------------------------------------


@any_series
@given(
    st.integers(1, 70),
    st.sampled_from([1.0, 37.0]),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.integers(1, 30),
    st.integers(3, 6),
    st.integers(0, 6),
    st.data(),
)
def test_vacant_days(length, unit, share, days, least, ordinal, data):
    number = st.one_of(st.just(nan), st.integers(0, 9).map(float))
    home = st.lists(st.lists(number, min_size=length, max_size=length), min_size=1, max_size=3)
    signals = np.array(data.draw(home)) * unit
    lag = np.stack([drawn_lags(data, length) for _ in signals])
    rules = params(length, ordinal=ordinal, vacant_share=share, vacancy_days=days, short_least_days=least)
    vacant = kernels.vacant_days(signals[:, None], lag[:, None], rules)[0]
    assert vacant.tolist() == naive.vacant_days(signals, lag, share, days, least, ordinal)


# --- the usual level and its spread -------------------------------------------------------------------------


@any_series
@given(series, st.integers(0, 6), st.integers(0, 6), st.integers(1, 12), st.integers(0, 99))
def test_usual_and_spread(y, first, ordinal, days, before):
    weekday = ((np.arange(len(y)) + first) % 7).astype(np.int8)
    baselines = np.array([[5, 6, 7], [2, 3, 1]])
    last = len(y) - min(before, len(y) - 1)
    rules = params(len(y), last, ordinal, weekday=weekday, baselines=baselines, baseline_days=days)
    usual, spread, count = kernels.usual_and_spread(np.array([y]), rules)
    usable = ~np.isnan(y)
    twin = naive.usual_and_spread(y, usable, weekday.tolist(), ordinal, baselines.tolist(), days)
    assert_same(np.stack([usual[0], spread[0], count[0]], axis=1), twin[-last:])


@any_series
@given(
    st.lists(st.one_of(st.just(nan), st.integers(0, 9).map(float)), min_size=1, max_size=10),
    st.integers(0, 6),
    guards,
    st.sampled_from([0.0, 0.4, nan]),
    st.booleans(),
    st.data(),
)
def test_mixed_spreads_and_levels_lived_at_before(lived, ordinal, guard, others, past_level, data):
    lengths = data.draw(st.lists(st.integers(1, 50), min_size=len(lived), max_size=len(lived)))
    y = np.repeat(lived, lengths)
    days = data.draw(st.integers(1, len(y)))
    count = np.array(data.draw(st.lists(st.integers(0, 60), min_size=days, max_size=days)), dtype=np.int16)
    usual, spread = np.where(count, count % 7, nan).astype(float), np.where(count, 0.05 * (count % 9), nan)
    peers_spread = np.full(days, others)
    rules = ExpectedRules(guard_days=max(guard, 1), past_level=past_level)
    asked = kernels.kernel_params(rules, np.zeros(len(y), dtype=np.int8), ordinal, days)
    twin = naive.mix_spread_and_past(y, usual, spread, count, peers_spread, rules, ordinal)
    kernels.mix_spread_and_past(y[None], usual[None], spread[None], count[None], peers_spread, asked)
    assert_same(np.stack([usual, spread], axis=1), twin)


def test_the_floor_is_a_share_of_the_peers_level():
    usual, offset = np.log([[21.0, 60.0, nan, 21.0]]), np.full((1, 4), 20.0)
    kernels.raise_to_floor(usual, offset, np.array([219.0, 219.0, 219.0, nan]), params(4, floor_share=0.2))
    # a fifth of 219 over the offset of 20; already above it; nothing expected; too few peers
    assert np.exp(usual[0]) == pytest.approx([63.8, 63.8, nan, 21.0], nan_ok=True)


def test_logarithms_become_units():
    one = np.ones((1, 1))
    expected, low, high, surprise = kernels.to_units(
        np.log(100.0) * one, 0.3 * one, np.log(150.0) * one, 20.0 * one, 100.0 * one
    )
    # half a step of 100 on 100 (80 and the offset) widens the spread: √(.3² + 1²/12) = .4163
    assert [expected[0, 0], low[0, 0], high[0, 0]] == pytest.approx([80.0, 30.4, 178.3], abs=0.1)
    assert surprise[0, 0] == pytest.approx(np.log(1.5) / 0.4163, rel=1e-3)
    assert np.isnan(kernels.to_units(nan * one, one, one, one, one)).all()


# --- what all homes did on a day ----------------------------------------------------------------------------


@any_series
@given(series, guards, st.integers(1, 8), st.integers(1, 5))
def test_trailing_level(x, guard, days, least):
    usable = ~np.isnan(x)
    assert_same(
        kernels.trailing_level(np.array([x]), usable[None], guard, days, least)[0],
        naive.trailing_level(x, usable, guard, days, least),
    )


departures = st.tuples(st.one_of(st.just(nan), st.integers(-3, 3).map(float)), st.integers(0, 2))


@any_series
@given(st.lists(departures, max_size=14), st.integers(1, 5))
def test_shared_shock(homes, peers_min):
    departure, group = [d for d, _ in homes], [g for _, g in homes]
    column = np.array(departure, dtype=float).reshape(-1, 1)
    shock = kernels.shared_shock(column, np.array(group, dtype=np.int32), peers_min)
    assert_same(shock[:, 0], naive.shared_shock(departure, group, peers_min))


@any_series
@given(st.lists(departures, max_size=14), st.integers(1, 5))
def test_the_shock_of_a_group_is_that_of_a_home_without_a_reading_of_its_own(homes, peers_min):
    departure = np.array([d for d, _ in homes] + [nan] * 3).reshape(-1, 1)
    group = np.array([g for _, g in homes] + [0, 1, 2], dtype=np.int32)
    shock = kernels.shared_shock(departure, group, peers_min)[-3:]
    assert_same(kernels.group_shock(departure, group, 3, peers_min), shock)


@any_series
@given(st.lists(series, min_size=1, max_size=6), st.integers(0, 4))
def test_median_by_day(homes, least):
    value = np.array([one[:5] + [nan] * (5 - len(one)) for one in homes])
    known = [[v for v in day if not math.isnan(v)] for day in value.T]
    assert_same(
        kernels.median_by_day(value, least),
        [statistics.median(day) if day and len(day) >= least else nan for day in known],
    )
