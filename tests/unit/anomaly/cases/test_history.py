"""Cases and lists as a pure function of the judged nights."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.cases import Feedback, build_case_history
from tests.support.case_nights import (
    MIN_RARITY,
    answer,
    build,
    evidence_row,
    households_listed,
    judged_nights,
    night,
    rise,
)


@pytest.mark.parametrize(("again", "cases"), [(13, 1), (14, 1), (15, 2), (60, 2)])
def test_what_comes_back_after_the_quiet_days_is_a_new_case(again, cases):
    assert build({0: [evidence_row()], again: [evidence_row(onset=again)]}).cases.height == cases


def test_nights_that_were_not_judged_count_as_quiet():
    nights = judged_nights({0: [evidence_row()], 60: [evidence_row(onset=58)]})
    result = build_case_history({t: nights[t] for t in (night(0), night(60))}, MIN_RARITY)
    assert sorted(result.cases.select("opened", "status").rows()) == [
        (night(0), "closed"),
        (night(60), "new"),
    ]


def test_evidence_short_of_a_case_keeps_one_alive_but_opens_none():
    weak = evidence_row(rarity=MIN_RARITY - 1)
    assert build({0: [weak]}).cases.is_empty()
    assert build({0: [evidence_row()], 10: [weak]}, 20).cases["status"].to_list() == ["fading"]
    assert build({0: [evidence_row(rarity=MIN_RARITY)]}).cases.height == 1


def test_a_second_opinion_opens_no_case_and_keeps_none():
    assert build({0: [evidence_row(rarity=1e6, opens=False)]}).cases.is_empty()
    result = build({0: [evidence_row()], 10: [evidence_row(rarity=1e6, opens=False)]}, 14)
    assert result.cases.select("status", "rarity").rows() == [("closed", 7_000.0)]


def test_homes_never_share_a_case():
    result = build({0: [evidence_row("a"), evidence_row("b")]})
    assert result.cases["household"].sort().to_list() == ["a", "b"]


def test_the_doors_expected_to_be_wrong_are_those_first_listed():
    homes = [
        evidence_row("a", chance=0.1, rarity=9e3),
        evidence_row("b", chance=0.25, rarity=8e3),
        evidence_row("c", chance=0.5),
    ]
    result = build({0: homes, 1: homes, 2: homes}, doors=2)
    assert result.expected_wrong == {night(0): 0.35, night(1): 0.5, night(2): 0.0}


def test_what_a_night_saw_is_given_as_it_was():
    result = build_case_history(
        judged_nights(rise(0, 5)),
        MIN_RARITY,
        Feedback([answer("benign", 3)]),
        snapshot_nights=[night(2), night(4)],
    )
    assert [(t, frame["status"][0], frame["decision"][0]) for t, frame in result.snapshots.items()] == [
        (night(2), "ongoing", None),
        (night(4), "ongoing", "benign"),
    ]


rows = st.builds(
    evidence_row,
    st.sampled_from("abc"),
    st.sampled_from(["people", "water", "power"]),
    st.sampled_from([1e3, 7e3, 9e3]),
    st.integers(0, 30),
)
histories = st.dictionaries(
    st.integers(0, 40),
    st.lists(rows, max_size=4, unique_by=lambda r: (r["household"], r["signal"])),
    min_size=1,
)


@settings(max_examples=40, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_nights_and_rows_is_irrelevant(history, random):
    nights = judged_nights(history)
    mixed = {}
    for t in random.sample(list(nights), len(nights)):
        evidence = nights[t].evidence.sample(fraction=1, shuffle=True, seed=random.randrange(99))
        mixed[t] = nights[t]._replace(evidence=evidence)
    one, other = build_case_history(nights, MIN_RARITY), build_case_history(mixed, MIN_RARITY)
    assert one.cases.equals(other.cases) and one.worklist.equals(other.worklist)
    assert one.new_cases == other.new_cases and one.open_cases == other.open_cases
    assert one.expected_wrong == other.expected_wrong
    assert one.cases["case_id"].is_unique().all()


@settings(max_examples=40, deadline=None)
@given(histories, st.integers(0, 40))
def test_earlier_lists_do_not_know_later_nights(history, last):
    whole, then = build(history, 40), build({t: rows for t, rows in history.items() if t <= last}, last)
    assert whole.worklist.filter(pl.col("night") <= night(last)).equals(then.worklist)


def test_judging_an_earlier_night_again_gives_the_later_ones_anew():
    late = {t: [evidence_row()] for t in range(5, 10)}
    early = late | {2: [evidence_row()]}
    assert build(late).cases["opened"].to_list() == [night(5)]
    assert build(early).cases["opened"].to_list() == [night(2)]
    assert households_listed(build(early), 3) == ["a"]


def test_no_nights_no_cases():
    result = build_case_history({}, MIN_RARITY)
    assert result.cases.is_empty() and result.worklist.is_empty() and result.new_cases == {}
