"""The detector of one signal by itself: what it must put first, and what it must not."""

import pytest

from anomaly.detectors.alone import Alone
from tests.support.planted_surges import CHANGED, lasting, margin, planted_site, scores_tonight


@pytest.mark.parametrize(
    ("signal", "plan", "shock"),
    [
        ("water", lasting(water=4.0), 1.0),
        ("power", lasting(power=3.0), 1.0),
        ("entries", lasting(entries=3.0), 1.0),
        ("water", lasting(water=1.5), 1.0),
        ("water", lasting(water=4.0), 1.6),
    ],
    ids=["a leak", "a charger", "a busy door", "half as much again", "a leak in a shock of the whole city"],
)
def test_what_is_found(signal, plan, shock):
    assert margin("alone", signal, plan, shock) > 1.5


@pytest.mark.parametrize(
    ("signal", "plan"),
    [
        ("water", ()),
        ("water", lasting(power=3.0)),
        ("water", lasting(1, water=4.0)),
        ("water", (("water", 0.0, 31, 10),)),
        ("power", lasting(power=0.3)),
    ],
    ids=["nothing", "another signal", "one day", "three weeks away and back", "a third"],
)
def test_what_is_not_found(signal, plan):
    assert margin("alone", signal, plan) < 0


@pytest.mark.parametrize("signal", ["entries", "water", "power"])
def test_a_shock_of_the_whole_city_raises_nobody(signal):
    calm, shock = (scores_tonight("alone", planted_site((), shock))[signal] for shock in (1.0, 1.6))
    assert shock == pytest.approx(calm, abs=0.35)


def test_each_signal_has_a_score_of_its_own():
    scores = {one.signal: one.score[CHANGED, -1] for one in Alone()(planted_site(lasting(water=4.0)))}
    assert list(scores) == ["entries", "power", "water"]
    assert max(scores, key=lambda signal: scores[signal]) == "water"
