"""The isolation forest: what it must put first, what it must not, and what it rests on."""

import numpy as np
import pytest

from anomaly.detectors import ALL, forest
from anomaly.detectors.forest import Forest
from anomaly.detectors.windows import clipped_surprise, sums_by_signal
from anomaly.peer_stats import PeerStats
from tests.support.planted_surges import DAYS, HOMES, lasting, margin, planted_site


@pytest.mark.parametrize(
    "plan",
    [lasting(entries=3.0, water=2.2, power=2.0), lasting(water=4.0), lasting(power=3.0)],
    ids=["three times the entries", "a leak", "a charger"],
)
def test_what_is_found(plan):
    assert margin("forest", ALL, plan) > 1


@pytest.mark.parametrize(
    "plan",
    [(), lasting(entries=0.3, water=0.3, power=0.3)],
    ids=["nothing", "a third"],
)
def test_what_is_not_found(plan):
    assert margin("forest", ALL, plan) <= 0


def test_features_are_the_window_sums_of_each_signal_in_turn():
    expected = planted_site(lasting(water=4.0))
    features = Forest().features(expected)
    assert features.shape == (HOMES, DAYS, 6)  # entries, power, water: 7 and 14 days each
    surprise = clipped_surprise(expected, None, clip=2.0, peers_min=15)
    np.testing.assert_array_equal(features[:, :, 4], sums_by_signal(expected, surprise, 7)[2])
    np.testing.assert_array_equal(features[:, :, 1], sums_by_signal(expected, surprise, 14)[0])


def test_a_score_is_the_rarity_among_earlier_home_nights():
    class Known:
        def decision_function(self, rows):
            return rows[:, 0]

    fitted = forest._FittedForest(Known(), past=np.array([0.1, 0.2, 0.3, 0.3]), shortlist_total=0.0)
    # of four earlier ones none, two and four are at least as odd: 1, 3 and 5 of five
    told = fitted.oddness(np.array([[0.4], [0.3], [0.0]]))
    assert told == pytest.approx([np.log(5) / 3, np.log(5 / 3) / 3, 0.0])


def test_it_says_nothing_before_there_are_enough_earlier_nights():
    expected = planted_site(())
    (scores,) = Forest()(expected)
    first = np.flatnonzero((~np.isnan(scores.score)).any(axis=0))[0]
    # it is refitted every 56 days from the epoch, here for the first time with 500 home-nights before it
    assert 500 // HOMES < first < 2 * forest.REFIT_DAYS
    assert (expected.grid.ordinal + first) % forest.REFIT_DAYS == 0
    assert (scores.score[:, first:] >= 0).all()


def test_peers_are_asked_for_the_forest_they_have():
    peers, expected = PeerStats(), planted_site(())
    (own,) = Forest()(expected, peers)
    fitted = dict(peers.fitted)
    (again,) = Forest()(expected, peers)
    assert fitted and all(peers.fitted[name] is model for name, model in fitted.items())
    np.testing.assert_array_equal(again.score, own.score)
