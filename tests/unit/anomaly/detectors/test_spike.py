"""The detector of short rises: what it must put first, and what it must not."""

import pytest

from anomaly.detectors import ALL
from anomaly.detectors.spike import Spike
from tests.support.planted_surges import lasting, margin, planted_site

PARTY = lasting(3, entries=6.0, water=4.0, power=3.0)


@pytest.mark.parametrize(
    ("signal", "plan"),
    [(ALL, PARTY), ("entries", PARTY), ("power", PARTY), ("water", lasting(3, water=10.0))],
    ids=["three days of all signals", "its entries", "its power", "three days of one signal"],
)
def test_what_is_found(signal, plan):
    assert margin("spike", signal, plan) > 1


@pytest.mark.parametrize(
    ("signal", "plan"),
    [
        (ALL, ()),
        (ALL, lasting(3, entries=6.0)),
        ("power", lasting(3, water=10.0)),
        ("entries", lasting(1, entries=6.0)),
        (ALL, tuple((signal, 0.0, 31, 10) for signal in ("entries", "water", "power"))),
    ],
    ids=["nothing", "one signal is not all", "another signal", "one day", "three weeks away and back"],
)
def test_what_is_not_found(signal, plan):
    assert margin("spike", signal, plan) < 0


def test_three_days_are_too_short_for_the_long_windows():
    assert margin("alone", "entries", PARTY) < 0.5 < margin("spike", "entries", PARTY)


def test_it_asks_for_a_small_share_of_the_allowance():
    shares = {one.signal: one.share for one in Spike()(planted_site(()))}
    assert shares == {"entries": 0.1, "power": 0.1, "water": 0.1, ALL: 0.3}
