"""What an answer does to a case: accepted, paused, closed, forgotten, back again."""

from datetime import date

import pytest

from anomaly.cases import Feedback, make_case_id
from anomaly.outcomes import OutcomeCorrection
from tests.support.case_nights import (
    MIN_RARITY,
    answer,
    build,
    evidence_row,
    households_listed,
    night,
    nights_listed,
    rise,
)


@pytest.mark.parametrize("outcome", ["no_access", "not_visited"])
def test_a_closed_door_is_no_answer(outcome):
    assert nights_listed(build(rise(0, 5), answers=[answer(outcome, 2)])) == [0, 1, 2, 3, 4, 5]


def test_a_closed_door_takes_no_decision_back():
    answers = [answer("contested", 2), answer("no_access", 3)]
    assert nights_listed(build(rise(0, 5), answers=answers)) == [0, 1]


@pytest.mark.parametrize("outcome", ["confirmed", "benign", "contested"])
def test_a_decision_takes_the_door_off_the_list_from_the_night_that_knows_it(outcome):
    result = build(rise(0, 5), answers=[answer(outcome, 2)])
    assert nights_listed(result) == [0, 1] and result.cases["decision"].to_list() == [outcome]


def test_the_latest_decision_counts_whatever_the_order_of_recording():
    late, early = answer("benign", 4), answer("contested", 2)
    assert build(rise(0, 5), answers=[late, early]).cases["decision"].to_list() == ["benign"]


def test_a_decision_after_the_last_night_changes_no_list_but_the_case():
    result = build(rise(0, 2), answers=[answer("benign", 3)])
    assert nights_listed(result) == [0, 1, 2] and result.cases["decision"].to_list() == ["benign"]


def test_the_same_benign_rise_never_comes_back_as_a_new_case():
    """It is quiet for a month in between, and rarer and a little higher than before."""
    again = rise(0, 3) | rise(40, 50, water=2.8, onset=38, rarity=1e9)
    undecided, benign = build(again), build(again, answers=[answer("benign", 2)])
    assert undecided.cases.height == 2
    assert benign.cases.height == 1 and nights_listed(benign) == [0, 1] and benign.new_cases[night(40)] == 0


def test_a_benign_level_is_accepted_until_it_expires():
    nights = rise(0, 3) | rise(40, 41, onset=40)
    benign = [answer("benign", 2)]
    cases = [build(nights, answers=benign, answer_days=days).cases.height for days in (39, 37)]
    assert cases == [1, 2]


def test_a_level_far_beyond_the_accepted_one_brings_the_same_case_back():
    result = build(rise(0, 3) | rise(40, 41, water=3.0, onset=39), answers=[answer("benign", 2)])
    (case,) = result.cases.rows(named=True)
    assert case["case_id"] == make_case_id("a", "water", night(0))
    assert (case["reopened"], case["decision"], case["onset"]) == (night(40), None, night(39))
    assert nights_listed(result) == [0, 1, 40, 41]
    assert result.worklist.filter("first_listed")["night"].to_list() == [night(0), night(40)]


def test_a_rise_that_only_lasts_grows_rarer_and_is_no_news():
    nights = {t: [evidence_row(rarity=7e3 * 3**t, water=2.0)] for t in range(10)}
    assert nights_listed(build(nights, answers=[answer("confirmed", 2)])) == [0, 1]


def test_a_rise_that_grows_after_the_visit_is_news():
    nights = rise(0, 4) | {t: [evidence_row(water=3.1, rarity=9e3)] for t in (5, 6)}
    assert nights_listed(build(nights, answers=[answer("confirmed", 2)])) == [0, 1, 5, 6]


def test_a_relapse_reopens_the_confirmed_case():
    relapsed = build(rise(0, 3) | rise(40, 42), answers=[answer("confirmed", 2)])
    assert relapsed.cases.select("reopened", "status").rows() == [(night(40), "ongoing")] and nights_listed(
        relapsed
    ) == [0, 1, 40, 41, 42]
    # evidence short of a case is no relapse; after the answer has run out it is a new case
    faint = build(rise(0, 3) | rise(40, 42, rarity=MIN_RARITY - 1), answers=[answer("confirmed", 2)])
    assert faint.cases["status"].to_list() == ["closed"]
    assert (
        build(rise(0, 3) | rise(40, 42), answers=[answer("confirmed", 2)], answer_days=30).cases.height == 2
    )


def test_an_answer_to_a_relapse_counts_again():
    result = build(rise(0, 3) | rise(40, 45), answers=[answer("confirmed", 2), answer("benign", 42)])
    assert nights_listed(result) == [0, 1, 40, 41] and result.cases["decision"].to_list() == ["benign"]


def test_an_objection_pauses_whatever_comes_and_never_expires():
    result = build(rise(0, 3) | rise(300, 310, water=9.0, rarity=1e12), answers=[answer("contested", 2)])
    assert nights_listed(result) == [0, 1] and result.cases.height == 1
    decided = build(
        rise(0, 3) | rise(300, 310, water=9.0), answers=[answer("contested", 2), answer("benign", 5)]
    )
    assert nights_listed(decided) == [0, 1, *range(300, 311)]


def test_another_kind_of_rise_in_the_home_is_a_case_of_its_own():
    nights = rise(0, 3) | {t: [evidence_row(signature="power", onset=30, power=2.0)] for t in (31, 32)}
    assert sorted(build(nights, answers=[answer("benign", 2)]).cases["signature"]) == ["power", "water"]


def test_within_a_benign_households_level_one_signal_alone_is_nothing_new():
    nights = {t: [evidence_row(signature="people", water=3.0, entries=3.0)] for t in range(4)} | rise(
        30, 32, water=2.9
    )
    assert build(nights, answers=[answer("benign", 2, "people")]).cases.height == 1
    leak = {t: [evidence_row(signature="people", water=3.0, entries=3.0)] for t in range(4)} | rise(
        30, 32, water=9.0
    )
    assert sorted(build(leak, answers=[answer("benign", 2, "people")]).cases["signature"]) == [
        "people",
        "water",
    ]


def test_an_answer_finds_its_case_though_judging_earlier_nights_gave_it_another_id():
    assert nights_listed(build(rise(0, 6), answers=[answer("benign", 4, opened=3)])) == [0, 1, 2, 3]


def test_answers_leave_other_homes_alone():
    both = {t: [evidence_row("a"), evidence_row("b")] for t in range(4)}
    result = build(both, answers=[answer("benign", 2)])
    assert [sorted(households_listed(result, t)) for t in range(4)] == [["a", "b"], ["a", "b"], ["b"], ["b"]]


def test_decisions_come_in_the_order_in_which_nights_know_them():
    late, early, visit = answer("benign", 4), answer("contested", 2), answer("no_access", 1)
    assert Feedback([late, visit, early]).decisions() == [early, late]


def test_without_outcomes_nothing_is_corrected():
    assert Feedback().correction_for(date(2026, 3, 1)) == OutcomeCorrection()
