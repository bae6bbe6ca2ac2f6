"""What every registered detector promises (anomaly.detectors.scores.Detector); a new one is tested by
itself."""

import dataclasses
import pickle
from functools import cache

import numpy as np
import polars as pl
import pytest

from anomaly.detectors import ALL, REGISTER
from anomaly.expected import ExpectedRules, expect, expect_recent_fused, make_grid
from anomaly.peer_stats import PeerStats
from tests.support.grids import calendar, city, day, grid_of, readings

HOMES, DAYS = 40, 300
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


def as_values(scores):
    """Return scores as plain values that can be compared."""
    return [(one.detector, one.signal, one.score.tobytes(), one.window.tobytes()) for one in scores]


@cache
def scored(name):
    return REGISTER[name]()(ordinary()[1])


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
def test_a_score_asks_for_a_share_of_the_allowance(detector):
    assert all(0 < one.share <= 1 for one in scored(detector.name))


@every_detector
def test_it_can_be_sent_to_another_process(detector):
    assert pickle.loads(pickle.dumps(detector)) == detector


@every_detector
def test_the_input_is_left_alone_and_twice_gives_the_same(detector):
    expected = ordinary()[1]

    def contents() -> list[bytes]:
        grid = expected.grid
        arrays = (expected.surprise, expected.expected, expected.span_days, grid.value, grid.lag)
        return [array.tobytes() for array in arrays]

    before = contents()
    assert as_values(detector(expected)) == as_values(scored(detector.name))
    assert contents() == before


@every_detector
def test_the_order_of_rows_and_the_names_of_homes_do_not_matter(detector):
    rows, _ = ordinary()
    shuffled = expect(
        make_grid(rows.sample(fraction=1, shuffle=True, seed=3), calendar(DAYS), homes_of(rows))
    )
    assert as_values(detector(shuffled)) == as_values(scored(detector.name))
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


@every_detector
def test_one_signal_is_enough_to_be_asked(detector):
    for one in detector(expect(grid_of({("a", "water"): [200, 199] * 40}))):
        assert one.score.shape == (1, 80)


@every_detector
def test_homes_outside_a_sample_get_what_they_would_get_among_all_days(detector):
    """With the sample's statistics, the last night alone gets what it gets among all nights."""
    rules, peers = ExpectedRules(), PeerStats(groups=1)
    detector(expect(ordinary()[1].grid, rules, peers), peers)
    others = make_grid(site(seed=6), calendar(DAYS), homes_of(site(seed=6)))
    all_days = detector(expect(others, rules, peers), peers)
    last_days = detector(expect_recent_fused(others, rules, peers, 14).expected, peers)
    for one, last in zip(all_days, last_days, strict=True):
        assert (one.detector, one.signal, one.share) == (last.detector, last.signal, last.share)
        np.testing.assert_allclose(last.score[:, -1], one.score[:, -1], rtol=1e-9, atol=1e-9)
        assert (last.window[:, -1] == one.window[:, -1]).all()
