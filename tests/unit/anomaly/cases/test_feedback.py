"""What an answer does to a case: accepted, paused, closed, forgotten, back again."""

import polars as pl
import pytest

from anomaly.cases import CaseRules, Told, WorklistRules, case_code, fold
from anomaly.outcomes import Standing
from tests.unit.anomaly.cases.test_fold import NEEDED, folded, judged, listed, night, said, seen


def rise(first, last, household="a", water=2.0, onset=None, **more):
    """{night: a rise of water seen on every night from first to last}"""
    return {
        t: [seen(household, onset=first if onset is None else onset, water=water, **more)]
        for t in range(first, last + 1)
    }


def nights_listed(result, household="a"):
    return [
        (row["night"] - night(0)).days
        for row in result.worklist.filter(pl.col("household") == household).iter_rows(named=True)
    ]


@pytest.mark.parametrize("outcome", ["no_access", "not_visited"])
def test_a_closed_door_is_no_answer(outcome):
    assert nights_listed(folded(rise(0, 5), answers=[said(outcome, 2)])) == [0, 1, 2, 3, 4, 5]


def test_a_closed_door_takes_no_decision_back():
    assert nights_listed(folded(rise(0, 5), answers=[said("contested", 2), said("no_access", 3)])) == [0, 1]


@pytest.mark.parametrize("outcome", ["confirmed", "benign", "contested"])
def test_a_decision_takes_the_door_off_the_list_from_the_night_that_knows_it(outcome):
    result = folded(rise(0, 5), answers=[said(outcome, 2)])
    assert nights_listed(result) == [0, 1] and result.cases["decision"].to_list() == [outcome]


def test_the_latest_decision_counts_whatever_the_order_of_recording():
    late, early = said("benign", 4), said("contested", 2)
    assert folded(rise(0, 5), answers=[late, early]).cases["decision"].to_list() == ["benign"]


def test_a_decision_after_the_last_night_changes_no_list_but_the_case():
    result = folded(rise(0, 2), answers=[said("benign", 3)])
    assert nights_listed(result) == [0, 1, 2] and result.cases["decision"].to_list() == ["benign"]


def test_the_same_benign_rise_never_comes_back_as_a_new_case():
    """It is quiet for a month in between, and rarer and a little higher than before."""
    again = rise(0, 3) | rise(40, 50, water=2.8, onset=38, rarity=1e9)
    undecided, benign = folded(again), folded(again, answers=[said("benign", 2)])
    assert undecided.cases.height == 2
    assert benign.cases.height == 1 and nights_listed(benign) == [0, 1] and benign.opened[night(40)] == 0


def test_a_benign_level_is_accepted_until_it_expires():
    nights = rise(0, 3) | rise(40, 41, onset=40)
    assert [
        folded(nights, answers=[said("benign", 2)], answer_days=days).cases.height for days in (39, 37)
    ] == [1, 2]


def test_a_level_far_beyond_the_accepted_one_brings_the_same_case_back():
    result = folded(rise(0, 3) | rise(40, 41, water=3.0, onset=39), answers=[said("benign", 2)])
    (case,) = result.cases.rows(named=True)
    assert (case["case_id"], case["reopened"], case["decision"], case["onset"]) == (
        case_code("a", "water", night(0)),
        night(40),
        None,
        night(39),
    )
    assert nights_listed(result) == [0, 1, 40, 41]
    assert result.worklist.filter("first_listed")["night"].to_list() == [night(0), night(40)]


def test_a_rise_that_only_lasts_grows_rarer_and_is_no_news():
    nights = {t: [seen(rarity=7e3 * 3**t, water=2.0)] for t in range(10)}
    assert nights_listed(folded(nights, answers=[said("confirmed", 2)])) == [0, 1]


def test_a_rise_that_grows_after_the_visit_is_news():
    nights = rise(0, 4) | {t: [seen(water=3.1, rarity=9e3)] for t in (5, 6)}
    assert nights_listed(folded(nights, answers=[said("confirmed", 2)])) == [0, 1, 5, 6]


def test_a_relapse_reopens_the_confirmed_case():
    relapsed = folded(rise(0, 3) | rise(40, 42), answers=[said("confirmed", 2)])
    assert relapsed.cases.select("reopened", "status").rows() == [(night(40), "ongoing")] and nights_listed(
        relapsed
    ) == [0, 1, 40, 41, 42]
    # evidence short of a case is no relapse; after the answer has run out it is a new case
    faint = folded(rise(0, 3) | rise(40, 42, rarity=NEEDED - 1), answers=[said("confirmed", 2)])
    assert faint.cases["status"].to_list() == ["closed"]
    assert folded(rise(0, 3) | rise(40, 42), answers=[said("confirmed", 2)], answer_days=30).cases.height == 2


def test_an_answer_to_a_relapse_counts_again():
    result = folded(rise(0, 3) | rise(40, 45), answers=[said("confirmed", 2), said("benign", 42)])
    assert nights_listed(result) == [0, 1, 40, 41] and result.cases["decision"].to_list() == ["benign"]


def test_an_objection_pauses_whatever_comes_and_never_expires():
    result = folded(rise(0, 3) | rise(300, 310, water=9.0, rarity=1e12), answers=[said("contested", 2)])
    assert nights_listed(result) == [0, 1] and result.cases.height == 1
    decided = folded(
        rise(0, 3) | rise(300, 310, water=9.0), answers=[said("contested", 2), said("benign", 5)]
    )
    assert nights_listed(decided) == [0, 1, *range(300, 311)]


def test_another_kind_of_rise_in_the_home_is_a_case_of_its_own():
    nights = rise(0, 3) | {t: [seen(signature="power", onset=30, power=2.0)] for t in (31, 32)}
    assert sorted(folded(nights, answers=[said("benign", 2)]).cases["signature"]) == ["power", "water"]


def test_within_a_benign_households_level_one_signal_alone_is_nothing_new():
    nights = {t: [seen(signature="people", water=3.0, entries=3.0)] for t in range(4)} | rise(
        30, 32, water=2.9
    )
    assert folded(nights, answers=[said("benign", 2, "people")]).cases.height == 1
    leak = {t: [seen(signature="people", water=3.0, entries=3.0)] for t in range(4)} | rise(30, 32, water=9.0)
    assert sorted(folded(leak, answers=[said("benign", 2, "people")]).cases["signature"]) == [
        "people",
        "water",
    ]


def test_levels_are_compared_not_ratios():
    """The usual has caught up: twice the new usual is twice the accepted level."""

    def row(usual):
        return seen(water=2.0) | {"usual": [{"key": "water", "value": usual}]}

    nights = {0: [row(100.0)], 1: [row(100.0)]}
    same = folded(nights | {30: [row(110.0)]}, answers=[said("benign", 1)])
    doubled = folded(nights | {30: [row(200.0)]}, answers=[said("benign", 1)])
    assert (nights_listed(same), nights_listed(doubled)) == ([0], [0, 30])


def test_an_answer_finds_its_case_though_judging_earlier_nights_gave_it_another_code():
    assert nights_listed(folded(rise(0, 6), answers=[said("benign", 4, opened=3)])) == [0, 1, 2, 3]


def test_answers_leave_other_homes_alone():
    both = {t: [seen("a"), seen("b")] for t in range(4)}
    result = folded(both, answers=[said("benign", 2)])
    assert [sorted(listed(result, t)) for t in range(4)] == [["a", "b"], ["a", "b"], ["b"], ["b"]]


# the list and the people who walk it


def with_districts(nights, districts, **rules):
    return fold(judged(nights), NEEDED, Told(districts=districts), CaseRules(), WorklistRules(**rules))


def test_no_desk_and_no_district_gets_more_new_doors_than_it_can_visit():
    homes = [seen(h, rarity=9e3 - i) for i, h in enumerate("abc")] + [seen("d", "power", rarity=7e3)]
    by_desk = with_districts({0: homes, 1: homes}, {}, desk_capacity={"water": 1})
    assert [listed(by_desk, t) for t in (0, 1)] == [["a", "d"], ["a", "b", "d"]]
    by_area = with_districts({0: homes}, {"a": "North", "b": "North", "c": "South"}, area_capacity=1)
    assert listed(by_area, 0) == ["a", "c", "d"]  # where no district is known there is none to be full


class Stop(Standing):
    def corrected(self, signature, chance):
        return 0.5


def test_a_kind_or_place_that_has_stopped_lists_nothing_and_chances_are_shown_before_and_after():
    homes = {0: [seen("a"), seen("b", "power"), seen("c", "power")]}
    told = Told((), {"c": "North"}, lambda t: Stop(stopped={"water": (31, 33)}, places={"North": (40, 50)}))
    result = fold(judged(homes), NEEDED, told)
    assert result.worklist.select("household", "chance_before", "chance_wrong").rows() == [("b", 0.2, 0.5)]
    assert result.wrong == {night(0): 0.5} and result.open == {night(0): 3}


def test_what_a_night_saw_is_given_as_it_was():
    result = fold(judged(rise(0, 5)), NEEDED, Told([said("benign", 3)]), watched=[night(2), night(4)])
    assert [(t, frame["status"][0], frame["decision"][0]) for t, frame in result.then.items()] == [
        (night(2), "ongoing", None),
        (night(4), "ongoing", "benign"),
    ]
