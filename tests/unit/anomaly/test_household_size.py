"""How many more people a rise is like: the relations of use to people, and what is made of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.household_size import PRIOR_PEOPLE, RELATIONS, WATER_BY_RESIDENTS, extra_people
from anomaly.simulate import standard_city
from anomaly.simulate.homes import draw_homes

UNITS = {"entries": "count", "water": "litre", "power": "Wh"}
USUAL = {"entries": 1.94 * 2, "water": 188.0, "power": 8400 * (2 / 2.7) ** 0.5}  # as two people use
nan = math.nan


def use_of(people):
    return {signal: float(RELATIONS[unit].use(np.array([people]))[0]) for signal, unit in UNITS.items()}


def grown(before, after, signals=tuple(UNITS)):
    """Return ratios and usual of a home whose people went from one number to another."""
    a, b = use_of(before), use_of(after)
    return {s: b[s] / a[s] for s in signals}, {s: a[s] for s in signals}


def test_water_goes_through_the_measured_homes_and_on_by_their_mean_step():
    water = RELATIONS["litre"].use
    assert water(np.array([1.0, 2, 3, 4, 5])).tolist() == [85, 188, 220, 282, 413]
    assert water(np.array([2.5, 6, 7])).tolist() == [204, 495, 577]


def test_a_person_more_is_more_of_everything():
    people = np.linspace(1, 300, 500)
    assert all((np.diff(relation.use(people)) > 0).all() for relation in RELATIONS.values())
    # one to one; four times the people are twice the power
    assert RELATIONS["count"].use(np.array([2.0, 4.0])).tolist() == pytest.approx([3.87, 7.75], abs=0.01)
    assert np.diff(np.log(RELATIONS["Wh"].use(np.array([1.0, 4.0])))) == pytest.approx(math.log(2))


@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 4), (2, 8), (3, 6), (4, 5)])
def test_signals_that_hold_every_relation_give_the_people_back(before, after):
    ratios, usual = grown(before, after)
    middle, low, high = extra_people(ratios, UNITS, usual)
    assert middle == pytest.approx(after - before, rel=0.35, abs=0.3)
    assert low < after - before < high


def test_four_more_people_in_a_home_of_two():
    # Entries ×3, water 495/188, power √3; homes on the whole are larger than two, so a little over four.
    ratios = {"entries": 3.0, "water": 495 / 188, "power": 3**0.5}
    assert extra_people(ratios, UNITS, USUAL) == (4.4, 2.7, 7.4)


def test_no_rise_is_like_nobody():
    middle, low, high = extra_people(dict.fromkeys(UNITS, 1.0), UNITS, USUAL)
    assert low == 0 and middle < 0.5 and high < 1.5


def test_the_more_signals_agree_the_narrower():
    widths = []
    for signals in (("power",), ("power", "water"), ("power", "water", "entries")):
        ratios, usual = grown(2, 5, signals)
        _, low, high = extra_people(ratios, UNITS, usual)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.3 * widths[0]


def test_signals_out_of_step_widen_the_interval():
    agree, usual = grown(2, 5)
    _, low, high = extra_people(agree, UNITS, usual)
    _, lower, higher = extra_people(agree | {"water": 1.0}, UNITS, usual)
    assert (higher - lower) / (higher + lower) > 1.1 * (high - low) / (high + low)


def test_the_water_of_a_city_gives_the_size_taken_for_a_home():
    shares = np.array([0.12, 0.25, 0.27, 0.22, 0.14])  # that make a mean log of 5.40
    assert shares @ np.log(WATER_BY_RESIDENTS) == pytest.approx(5.40, abs=0.05)
    assert np.exp(shares @ np.log(np.arange(1, 6))) == pytest.approx(PRIOR_PEOPLE, abs=0.05)


def test_nine_in_ten_simulated_surges_lie_within():
    rng = np.random.default_rng(3)
    homes = draw_homes(standard_city("mixed"), rng)
    inside = []
    for home in np.flatnonzero(homes.dwelling_class == "dwelling")[:250]:
        size = np.exp(rng.uniform(np.log(2), np.log(5)))
        ratios = {s: size ** rng.normal(e, 0.1 * e) for s, e in zip(UNITS, (1.0, 0.7, 0.5), strict=True)}
        _, low, high = extra_people(ratios, UNITS, {s: homes.usual_use[s][home] for s in UNITS})
        inside.append(low <= homes.residents[home] * (size - 1) <= high)
    assert 0.82 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize(
    ("ratios", "units", "usual"),
    [
        ({}, UNITS, USUAL),
        ({"gas": 3.0}, {"gas": "cent"}, {"gas": 300.0}),
        ({"water": 3.0}, {}, USUAL),
        ({"water": 3.0}, UNITS, {}),
        ({"water": nan}, UNITS, USUAL),
        ({"water": 3.0}, UNITS, {"water": nan}),
        ({"water": 3.0}, UNITS, {"water": 0.0}),
        ({"water": 0.0}, UNITS, USUAL),
        ({"water": None}, UNITS, USUAL),
    ],
)
def test_nothing_known_is_no_number(ratios, units, usual):
    assert extra_people(ratios, units, usual) is None


def test_what_says_nothing_changes_nothing():
    alone = extra_people({"water": 2.0}, UNITS, USUAL)
    assert extra_people({"water": 2.0, "power": nan, "gas": 9.0}, UNITS | {"gas": "cent"}, USUAL) == alone

    others = {"gas": "litre", "heat": "Wh"}  # the units of water and electricity, which they are not
    loud = {"water": 2.0, "gas": 5.0, "heat": 5.0}
    assert extra_people(loud, UNITS | others, USUAL | {"gas": 300.0, "heat": 9000.0}) == alone


ratio = st.floats(0.2, 20)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(UNITS)), ratio, min_size=1), st.floats(0.2, 6), st.randoms())
def test_in_order_never_below_nobody_and_the_order_of_signals_changes_nothing(ratios, scale, random):
    usual = {s: scale * u for s, u in USUAL.items()}
    middle, low, high = extra_people(ratios, UNITS, usual)
    assert 0 <= low <= middle <= high and np.isfinite(high)
    mixed = list(ratios.items())
    random.shuffle(mixed)
    assert extra_people(dict(mixed), UNITS, usual) == (middle, low, high)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(UNITS)), ratio, st.floats(1.0, 3.0))
def test_one_signal_that_rises_more_is_like_more(signal, small, times):
    less, more = (extra_people({signal: r}, UNITS, USUAL) for r in (small, small * times))
    assert all(a <= b + 0.1 for a, b in zip(less, more, strict=True))
