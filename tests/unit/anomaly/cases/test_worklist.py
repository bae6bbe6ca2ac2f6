"""The list of a night: who is on it, in which order, and what its caps cut."""

import math

import polars as pl
import pytest

from anomaly.cases import CaseRules, Feedback, WorklistRules, build_case_history
from anomaly.outcomes import OutcomeCorrection, WrongCount
from tests.support.case_nights import (
    MIN_RARITY,
    answer,
    build,
    evidence_row,
    households_listed,
    judged_nights,
    night,
)


def test_the_cap_is_on_new_doors_and_the_rest_wait():
    homes = [evidence_row(h, rarity=7e3 + i) for i, h in enumerate("abcde")]
    result = build({0: homes, 1: homes, 2: homes}, doors=2)
    # rarest first; listed ones stay
    assert [households_listed(result, t) for t in range(3)] == [
        ["e", "d"],
        ["e", "d", "c", "b"],
        ["e", "d", "c", "b", "a"],
    ]
    assert result.worklist.filter(pl.col("night") == night(2))["rank"].to_list() == [1, 2, 3, 4, 5]
    assert result.new_cases[night(0)] == 5


def test_the_cap_is_no_quota():
    assert build({0: [evidence_row(rarity=MIN_RARITY - 1)]}, doors=20).worklist.is_empty()
    assert build({0: [evidence_row()]}, doors=0).worklist.is_empty()


def test_a_listed_case_stays_with_that_nights_rarity_until_it_is_closed():
    result = build({0: [evidence_row(rarity=7e3)], 1: [evidence_row(rarity=9e3)]}, 20)
    assert result.worklist["night"].to_list() == [night(t) for t in range(15)]  # closed on night 15
    assert result.worklist["rarity"].to_list() == [7e3, 9e3] + [1.0] * 13


def test_a_decided_case_leaves_the_list_on_that_day():
    both = {t: [evidence_row("a"), evidence_row("b")] for t in range(4)}
    result = build(both, answers=[answer("confirmed", 2)])
    assert [sorted(households_listed(result, t)) for t in range(4)] == [["a", "b"], ["a", "b"], ["b"], ["b"]]
    assert result.cases["status"].to_list() == ["ongoing", "ongoing"]


def with_districts(nights, districts, **rules):
    return build_case_history(
        judged_nights(nights), MIN_RARITY, Feedback(districts=districts), CaseRules(), WorklistRules(**rules)
    )


def test_no_desk_and_no_district_gets_more_new_doors_than_it_can_visit():
    homes = [evidence_row(h, rarity=9e3 - i) for i, h in enumerate("abc")]
    homes.append(evidence_row("d", "power", rarity=7e3))
    by_desk = with_districts({0: homes, 1: homes}, {}, desk_capacity={"water": 1})
    assert [households_listed(by_desk, t) for t in (0, 1)] == [["a", "d"], ["a", "b", "d"]]
    by_area = with_districts({0: homes}, {"a": "North", "b": "North", "c": "South"}, area_capacity=1)
    # "d" has no district, so there is none to be full
    assert households_listed(by_area, 0) == ["a", "c", "d"]


def test_a_kind_or_place_that_has_stopped_lists_nothing_and_chances_are_shown_before_and_after():
    homes = {0: [evidence_row("a"), evidence_row("b", "power"), evidence_row("c", "power")]}
    log_odds_of_two_tenths = math.log(0.2 / 0.8)
    correction = OutcomeCorrection(
        shifts={"power": -log_odds_of_two_tenths},  # makes .2 even odds
        stopped_kinds={"water": WrongCount(31, 33)},
        stopped_districts={"North": WrongCount(40, 50)},
    )
    feedback = Feedback(districts={"c": "North"}, correction_for=lambda night: correction)
    result = build_case_history(judged_nights(homes), MIN_RARITY, feedback)
    (door,) = result.worklist.rows(named=True)
    assert (door["household"], door["chance_before"]) == ("b", 0.2)
    assert door["chance_wrong"] == pytest.approx(0.5)
    assert result.expected_wrong == {night(0): 0.5} and result.open_cases == {night(0): 3}
