"""The last days of homes that had no part in what the peers say: one kernel against the arrays of the
model."""

import datetime as dt

import numpy as np
import pytest

from anomaly import detectors
from anomaly.expected import ExpectedRules, expect, expect_recent, expect_recent_fused
from anomaly.expected.grid import Grid, resolution
from anomaly.peer_stats import PeerStats

DAYS, HOMES, LAST = 420, 60, 14
FIRST = dt.date(2025, 1, 1)


def grid(seed: int, homes: int = HOMES) -> Grid:
    """Homes with everything: absences, gaps, late values, coarse and idle registers, young homes, levels
    lived at before."""
    rng = np.random.default_rng(seed)
    level = np.array([6.0, 9000.0, 250.0])[:, None, None] * rng.lognormal(0, 0.4, (1, homes, 1))
    season = 1 + 0.2 * np.sin(np.arange(DAYS) / 30 + np.arange(3)[:, None, None])
    value = level * season * rng.lognormal(0, 0.3, (3, homes, DAYS))
    away = rng.integers(0, DAYS, (homes, 4))
    for h in range(homes):
        for start in away[h]:
            value[:, h, start : start + rng.integers(3, 40)] *= 0.05
        if h % 7 == 0:
            value[:, h, 150:230] *= 2.5
    value = np.rint(value)
    value[2, ::5] = np.cumsum(value[2, ::5], axis=1) // 1000 * 1000
    value[2, ::5, 1:] = np.diff(value[2, ::5], axis=1)
    value[1, 3::8] *= 0
    value[rng.random(value.shape) < 0.03] = np.nan
    for h in range(0, homes, 6):
        value[:, h, : rng.integers(100, DAYS - 5)] = np.nan
    value[0, 1::9] = np.nan
    lag = np.where(rng.random(value.shape) < 0.03, rng.integers(1, 12, value.shape), 0).astype(np.int16)
    names = tuple(f"{seed}-{h:03}" for h in range(homes))
    weekday = ((np.arange(DAYS) + FIRST.weekday()) % 7).astype(np.int8)
    group = (np.arange(homes) % 3).astype(np.int32)
    return Grid(
        names,
        ("entries", "power", "water"),
        ("count", "Wh", "litre"),
        FIRST,
        value,
        lag,
        weekday,
        group,
        resolution(value, lag),
    )


@pytest.fixture(scope="module")
def peers() -> PeerStats:
    said = PeerStats(groups=3)
    seen = expect(grid(1), peers=said)
    for detector in detectors.chosen_detectors():
        detector(seen, said)
    return said


@pytest.mark.parametrize(
    "rules",
    [
        ExpectedRules(),
        ExpectedRules(past_level=False, coarse_share=0.02),
        ExpectedRules(baseline_days=40, vacancy_days=90, short_guard_days=5),
    ],
)
def test_the_kernel_gives_what_the_model_gives_with_the_same_peers(rules):
    said = PeerStats(groups=3)
    expect(grid(1), rules, said)
    others = grid(2)
    whole = expect(others, rules, said)
    late, vacant = expect_recent_fused(others, rules, said, LAST)
    assert (vacant == whole.vacant).all() and vacant.any()
    for name in ("expected", "low", "high", "surprise", "history_days", "span_days"):
        np.testing.assert_allclose(
            getattr(late, name), getattr(whole, name)[:, :, -LAST:], rtol=1e-9, atol=1e-9, err_msg=name
        )
    assert late.grid.day(LAST - 1) == others.day(others.days - 1)
    assert (~np.isnan(late.surprise)).mean() > 0.8


def test_peers_asked_again_say_what_they_said(peers):
    """A home among others changes nothing of what the peers have said, whatever it did itself."""
    others = grid(2)
    seen = expect(others, peers=peers)
    strange = grid(2)
    strange.value[:, 5:] *= 3
    assert np.array_equal(expect(strange, peers=peers).expected[:, :5], seen.expected[:, :5], equal_nan=True)
    # without peers these homes are one another's
    assert not np.array_equal(expect(strange).expected[:, :5], expect(others).expected[:, :5], equal_nan=True)


@pytest.mark.parametrize("model", ["usual", pytest.param("stl", marks=pytest.mark.long)])
def test_the_last_months_are_what_they_are_among_all_days(model):
    """Asked for alone they rest on the same past; what lies before them is looked back on and not told."""
    rules = ExpectedRules(model=model)
    homes = 12 if model == "stl" else HOMES
    whole, (last, vacant) = expect(grid(1, homes), rules), expect_recent(grid(1, homes), rules, None, 100)
    assert (
        last.grid.days == 100
        and last.grid.day(99) == whole.grid.day(whole.grid.days - 1)
        and np.array_equal(vacant, whole.vacant)
    )
    for name in ("expected", "low", "high", "surprise", "log_ratio", "history_days", "span_days"):
        np.testing.assert_array_equal(getattr(last, name), getattr(whole, name)[:, :, -100:], err_msg=name)
    np.testing.assert_array_equal(last.grid.value, whole.grid.value[:, :, -100:])


def test_peers_are_not_asked_about_days_they_said_nothing_of():
    said = PeerStats(groups=3)
    expect_recent(grid(1), ExpectedRules(), said, 100)
    late, _ = expect_recent_fused(grid(2), ExpectedRules(), said, 100)
    np.testing.assert_allclose(
        late.expected, expect_recent_fused(grid(2), ExpectedRules(), heard_on_all_days(), 100)[0].expected
    )
    with pytest.raises(
        LookupError, match="nothing is known of expected entries level among the peers before day"
    ):
        expect_recent_fused(grid(2), ExpectedRules(), said, 101)


def heard_on_all_days() -> PeerStats:
    said = PeerStats(groups=3)
    expect(grid(1), peers=said)
    return said
