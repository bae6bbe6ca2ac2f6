"""The detector of people: what it must put first, and what it must not."""

import numpy as np
import pytest

from anomaly.detectors import ALL
from anomaly.detectors.together import Together
from anomaly.expected import expect
from tests.support.grids import grid_of
from tests.support.planted_surges import CHANGED, lasting, margin, planted_site, scores_tonight

HALF_MORE = lasting(entries=1.5, water=1.5, power=1.5)
TRIPLES = lasting(entries=3.0, water=2.2, power=2.0)
EMPTY_THEN_BACK = tuple((signal, 0.0, 31, 10) for signal in ("entries", "water", "power"))


@pytest.mark.parametrize(
    ("plan", "shock"),
    [(HALF_MORE, 1.0), (TRIPLES, 1.0), (TRIPLES, 1.6)],
    ids=["half as much again", "three times the entries", "that, in a shock of the whole city"],
)
def test_what_is_found(plan, shock):
    assert margin("together", ALL, plan, shock) > 2


@pytest.mark.parametrize(
    "plan",
    [(), EMPTY_THEN_BACK, lasting(entries=0.3, water=0.3, power=0.3), lasting(3, water=10.0)],
    ids=["nothing", "three weeks away and back", "a third", "three days of one signal"],
)
def test_what_is_not_found(plan):
    assert margin("together", ALL, plan) < 0


@pytest.mark.parametrize("plan", [lasting(water=4.0), lasting(entries=3.0), lasting(power=3.0)])
def test_one_loud_signal_scores_far_less_than_all_together(plan):
    def score(plan):
        return scores_tonight("together", planted_site(plan))[ALL][CHANGED]

    assert score(plan) < 0.4 * score(TRIPLES)


def test_a_shock_of_the_whole_city_raises_nobody():
    calm, shock = (scores_tonight("together", planted_site((), shock))[ALL] for shock in (1.0, 1.6))
    assert shock == pytest.approx(calm, abs=0.35)


def test_one_signal_alone_is_not_together():
    assert Together()(expect(grid_of({("a", "water"): [200] * 60}))) == []


def test_the_window_is_the_one_that_scored_highest():
    (scores,) = Together()(planted_site(lasting(5, entries=3.0, water=2.2, power=2.0)))
    assert scores.window[CHANGED, -1] == 5
    assert np.isin(scores.window, Together().windows).all()
