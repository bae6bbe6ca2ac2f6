"""A case by itself: its id, its status, and how evidence makes it grow."""

import re

from hypothesis import given
from hypothesis import strategies as st

from anomaly.cases import CaseRules, make_case_id
from anomaly.cases.case import find_case, observed_levels, open_case
from tests.support.case_nights import (
    answer,
    build,
    evidence_row,
    night,
    nights_listed,
)


@given(st.text(), st.text(), st.dates())
def test_an_id_is_safe_in_a_file_name_and_a_shell(household, signature, opened):
    assert re.fullmatch(r"c\d{6}-[0-9a-f]{10}", make_case_id(household, signature, opened))


def test_an_id_depends_on_home_kind_and_opening_night_only():
    case_id = make_case_id("0001", "water", night(0))
    assert case_id == "c260301-23203fe6a5"
    others = {
        make_case_id("001", "water", night(0)),
        make_case_id("0001", "power", night(0)),
        make_case_id("0001", "water", night(1)),
    }
    assert len(others | {case_id}) == 4
    assert open_case(evidence_row("0001", rarity=1e9, onset=0, chance=0.9), night(0)).case_id == case_id


def test_new_ongoing_fading_closed():
    seen = {2: [evidence_row()], 3: [evidence_row()], 4: [evidence_row()]}
    statuses = [build(seen, last).cases["status"].to_list() for last in range(2, 19)]
    # seen on nights 2–4, fourteen quiet days end it on night 18
    assert statuses == [["new"], ["ongoing"], ["ongoing"], *[["fading"]] * 13, ["closed"]]
    whole = build(seen, 18)
    assert [whole.new_cases[night(t)] for t in range(5)] == [0, 0, 1, 0, 0]
    assert [whole.open_cases[night(t)] for t in (1, 2, 17, 18)] == [0, 1, 1, 0]
    assert whole.cases.select("onset", "opened", "last_seen", "listed").rows() == [
        (night(0), night(2), night(4), night(2))
    ]


def test_a_case_keeps_its_largest_rarity_and_its_latest_ratios():
    result = build(
        {
            0: [evidence_row(rarity=7e3, water=2.0)],
            1: [evidence_row(rarity=9e3, water=3.0, chance=0.1)],
            2: [evidence_row(rarity=8e3, water=2.5, chance=0.3)],
        }
    )
    assert result.cases.select("rarity", "chance_wrong").rows() == [(9e3, 0.1)]
    assert result.cases["ratios"].to_list() == [[{"key": "water", "value": 2.5}]]


def test_the_onset_may_move_for_a_week():
    result = build({4: [evidence_row(onset=3)], 11: [evidence_row(onset=1)], 12: [evidence_row(onset=2)]})
    assert result.cases["onset"].to_list() == [night(1)]


def test_the_onset_is_never_later_than_the_opening():
    result = build({0: [evidence_row(onset=0)], 7: [evidence_row(onset=3)]})
    assert result.cases["onset"].to_list() == [night(0)]


def test_one_case_a_rise():
    # The same kind again, and another signal whose rise began within a fortnight; not one that began later.
    same = {
        0: [evidence_row("a", "water", rarity=9e3), evidence_row("a", "power")],
        1: [evidence_row("a", "water"), evidence_row("a", "power", onset=14)],
    }
    assert build(same).cases["signature"].to_list() == ["water"]
    apart = {t: [evidence_row("a", "water")] for t in range(31)} | {
        31: [evidence_row("a", "water"), evidence_row("a", "power", onset=15)]
    }
    assert sorted(build(apart).cases["signature"]) == ["power", "water"]


def test_people_take_in_every_signal():
    result = build(
        {
            0: [evidence_row("a", "water", rarity=1e9), evidence_row("a", "people", rarity=7e3)],
            1: [evidence_row("a", "power", onset=40)],
        }
    )
    assert result.cases.select("case_id", "signature").rows() == [
        (make_case_id("a", "people", night(0)), "people")
    ]
    assert result.new_cases[night(0)] == 1


def test_water_becomes_people_when_the_others_join():
    result = build(
        {
            3: [evidence_row("a", "water", onset=2, water=3.0)],
            4: [evidence_row("a", "people", rarity=6.5e3, onset=1, chance=0.4, entries=2.0, water=2.0)],
        }
    )
    columns = ("case_id", "signature", "onset", "opened", "rarity", "chance_wrong")
    water_id = make_case_id("a", "water", night(3))
    assert result.cases.select(columns).rows() == [(water_id, "people", night(1), night(3), 7e3, 0.4)]
    assert result.worklist["signature"].to_list() == ["water", "people"]
    assert result.worklist["desk"].to_list() == ["water", "occupancy"]
    # joined later than join_days, it is a case of its own
    later = build({0: [evidence_row("a", "water")], 5: [evidence_row("a", "people", onset=5)]}, join_days=4)
    assert sorted(later.cases["signature"]) == ["people", "water"]


def test_levels_are_compared_not_ratios():
    """The usual has caught up: twice the new usual is twice the accepted level."""

    def row(usual):
        return evidence_row(water=2.0) | {"usual": [{"key": "water", "value": usual}]}

    nights = {0: [row(100.0)], 1: [row(100.0)]}
    same = build(nights | {30: [row(110.0)]}, answers=[answer("benign", 1)])
    doubled = build(nights | {30: [row(200.0)]}, answers=[answer("benign", 1)])
    assert (nights_listed(same), nights_listed(doubled)) == ([0], [0, 30])


def pairs(**values):
    return [{"key": name, "value": value} for name, value in values.items()]


def test_a_level_is_the_ratio_times_the_usual_or_the_ratio_alone():
    levels = observed_levels(pairs(water=2.0, power=3.0), pairs(water=100.0))
    assert levels == {"water": 200.0, "power": 3.0}
    assert observed_levels(pairs(water=2.0), None) == {"water": 2.0}


def test_evidence_finds_the_case_of_its_kind_before_one_that_began_with_it():
    water, power = (open_case(evidence_row(signature=kind), night(0)) for kind in ("water", "power"))
    assert find_case(evidence_row(signature="power"), [water, power], CaseRules()) is power
    assert find_case(evidence_row(signature="door"), [water, power], CaseRules()) is water
    assert find_case(evidence_row(signature="door", onset=20), [water, power], CaseRules()) is None


def test_a_later_answer_counts_and_an_earlier_one_changes_nothing():
    case = open_case(evidence_row(water=2.0), night(0))
    case.apply_answer(answer("benign", 5))
    case.apply_answer(answer("confirmed", 3))
    assert case.decision == "benign" and case.answered_levels == {"water": 2.0}
    assert not case.has_expired_answer(night(185), CaseRules())
    assert case.has_expired_answer(night(186), CaseRules())
