import weakref
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly import evidence, tail_model
from anomaly.detectors import Scores
from anomaly.evidence import (
    EvidenceRules,
    RatedScores,
    days_since_onset,
    evidence_frame,
    observed_ratio,
    opening_rarity,
    rate_scores,
    signature_of,
)
from anomaly.expected import expect
from anomaly.tail_model import TailModel, fit_tail, max_of_nights_before
from tests.support import naive
from tests.support.grids import day, grid_of

nan = np.nan
GUARD, PAST = tail_model.GUARD_NIGHTS, tail_model.PAST_NIGHTS


def past(*scores):
    """The tail a night has whose past is just these scores, one list a home."""
    homes = np.pad(np.array(scores, dtype=float), ((0, 0), (0, GUARD)), constant_values=99.0)
    return fit_tail(homes, homes.shape[1])


# the past


def test_an_episode_is_a_crossing_after_quiet_nights():
    quiet = [0.0] * 14
    seen = past([0, 3, 5, 3, *quiet, 3, 0, 3, nan], [4, *quiet, 2, *[nan] * 6])
    # of 3: two crossings of the first home (the third comes too soon), one of the second; of 5: one
    assert seen.count_episodes(np.array([0.0, 2.0, 3.0, 4.0, 5.0, 5.1])).tolist() == [2, 4, 3, 2, 1, 0]
    assert seen.home_nights == 22 + 16 - 1


def test_only_240_nights_that_end_a_fortnight_before_have_a_say():
    score = np.zeros((1, 400))
    score[0, [300 - GUARD - PAST - 1, 300 - GUARD]] = 9.0
    assert fit_tail(score, 300).count_episodes(np.array([5.0]))[0] == 0
    score[0, [300 - GUARD - PAST, 300 - GUARD - 1]] = 9.0
    assert (
        fit_tail(score, 300).count_episodes(np.array([5.0]))[0] == 1
    )  # the second; the first ran on from the night before it
    assert fit_tail(score, 300).home_nights == PAST


values = st.one_of(st.just(nan), st.integers(0, 5).map(float))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(values, min_size=45, max_size=45), min_size=1, max_size=4), st.integers(0, 20))
def test_fortnight_before_and_episodes_and_their_twins(scores, nights):
    np.testing.assert_array_equal(
        max_of_nights_before(np.array(scores), nights),
        [naive.max_of_nights_before(home, nights) for home in scores],
    )
    levels = np.arange(7.0)
    counted = past(*scores).count_episodes(levels)
    assert counted.tolist() == [sum(naive.episodes(home, 14, level) for home in scores) for level in levels]


# rarity


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30), st.floats(0.01, 2), st.floats(-3, 3))
def test_rarity_grows_with_the_score(scores, slope, at_200):
    line = TailModel(0.0, np.empty(0), np.empty(0), at_200, slope)
    rarity = line.rarity(np.sort(scores))
    assert (np.diff(rarity) >= 0).all() and (rarity >= 1).all()


def test_rarity_is_a_straight_line_without_a_cap():
    line = TailModel(0.0, np.empty(0), np.empty(0), at_200=1.0, slope=0.5)
    told = line.rarity(np.array([1.0, 1.0 + 0.5 * np.log(10), 1.0 + 0.5 * np.log(1e9), -20.0, nan]))
    assert told == pytest.approx([200, 2000, 2e11, 1, nan], nan_ok=True)


def ordinary(homes=400, nights=PAST + GUARD, slope=0.25, seed=0):
    """Scores near nothing with five-night episodes that begin once in 50 household-nights, heights
    exponential."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(-0.5, 0.1, (homes, nights))
    for h, t in zip(*np.nonzero(rng.random(score.shape) < 1 / 50), strict=True):
        score[h, t : t + 5] = np.maximum(score[h, t : t + 5], rng.exponential(slope))
    return score


def test_the_fit_finds_a_known_tail():
    seen = fit_tail(ordinary(), PAST + GUARD)
    # one episode above s in 50 · exp(s / .25) household-nights
    s = 0.25 * np.log(np.array([400.0, 1600.0, 6400.0]) / 50)
    assert seen.rarity(s) == pytest.approx([400, 1600, 6400], rel=0.35)
    assert seen.slope == pytest.approx(0.25, rel=0.1)


def test_few_surges_do_not_bend_the_tail():
    score = ordinary()
    surged = score.copy()
    rng = np.random.default_rng(1)
    for h in rng.choice(400, 3, replace=False):  # 30 of 96,000 household-nights: .03 %
        at = rng.integers(0, PAST - 10)
        surged[h, at : at + 10] = 6.0
    s = np.array([0.7, 1.0, 1.3, 2.0])
    clean, bent = fit_tail(score, PAST + GUARD), fit_tail(surged, PAST + GUARD)
    assert bent.rarity(s) == pytest.approx(clean.rarity(s), rel=0.2)
    assert bent.count_episodes(np.array([5.0]))[0] == 3


def test_a_largest_score_that_many_share_is_where_what_is_rarer_lies():
    score = np.random.default_rng(0).uniform(0, 0.1, (400, PAST + GUARD))
    score[:, 5::40] = 0.5  # one in 40 household-nights
    score[::2, 100] = 2.0  # one in 480, and nothing is rarer
    seen = fit_tail(score, PAST + GUARD)
    assert seen.rarity(np.array([0.5]))[0] < 200 <= seen.rarity(np.array([2.0]))[0]


def test_what_is_reached_less_often_than_the_line_has_it_is_rarer():
    # exponential up to one in about 2,700, and no score beyond 1
    seen = fit_tail(np.minimum(ordinary(), 1.0), PAST + GUARD)
    line = TailModel(0.0, np.empty(0), np.empty(0), seen.at_200, seen.slope)
    assert seen.bends and seen.score_at(6400) < line.score_at(6400)
    assert seen.rarity(np.array([1.0]))[0] > 1.2 * line.rarity(np.array([1.0]))[0]
    # surges, which are reached more often, bend nothing
    assert not fit_tail(np.where(ordinary() > 0.9, 6.0, ordinary()), PAST + GUARD).bends


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5),
    st.lists(st.floats(-3, 9), min_size=2, max_size=20),
)
def test_the_score_of_a_rarity_and_the_rarity_of_a_score_are_one_line(steps, scores):
    bends = tuple((np.log(1600 * 2**n), 1.1 + 0.3 * np.log(8) + sum(steps[:n])) for n in range(len(steps)))
    bent = TailModel(0.0, np.empty(0), np.empty(0), bends=bends)
    assert (np.diff(bent.log_rarity(np.sort(scores))) >= 0).all()
    for rarity in (300.0, 1600.0, 2500.0, 1e6):
        assert bent.rarity(np.array([bent.score_at(rarity)]))[0] == pytest.approx(rarity)


def test_without_a_past_the_standard_line_holds():
    for score in (np.full((5, 400), nan), np.zeros((0, 400)), np.zeros((5, 3))):
        seen = fit_tail(score, score.shape[1] - 1)
        assert (seen.at_200, seen.slope) == (tail_model.PRIOR_AT_200, tail_model.PRIOR_SLOPE)
        assert seen.chance_ordinary(np.array([5.0]), 6000.0) == pytest.approx([1.0])


def test_without_an_excess_only_what_lies_far_out_is_not_thought_ordinary():
    calm = fit_tail(ordinary(), PAST + GUARD)
    asked = calm.at_200 + calm.slope * np.log(6_000.0 * np.array([1.0, 100.0, 10_000.0]) / 200.0)
    # a twentieth as many surges as ordinary cases: 1 / (1 + .05 · .3 · place^−.7), the line itself given up
    # to a tenth
    np.testing.assert_allclose(calm.chance_ordinary(asked, 6_000.0), [0.985, 0.73, 0.10], atol=0.03)


def test_chance_falls_where_the_past_shows_an_excess():
    score = ordinary()
    rng = np.random.default_rng(1)
    for h in range(60):
        at = rng.integers(0, PAST - 10)
        score[h, at : at + 10] = rng.uniform(2.5, 5)
    calm, excess = fit_tail(ordinary(), PAST + GUARD), fit_tail(score, PAST + GUARD)
    rare = (6_000.0, 12_000.0, 60_000.0, np.nan)
    told, otherwise = (
        past.chance_ordinary(np.array([past.score_at(r) for r in rare]), 6000.0) for past in (excess, calm)
    )
    assert (told[:3] < otherwise[:3] - 0.1).all()
    assert (np.diff(told[:3]) <= 0).all() and np.isnan(told[3])
    assert (told[:3] >= 0.01).all() and (told[:3] <= 1).all()


def test_the_allowance_is_shared_by_the_kinds_of_case():
    assert opening_rarity(EvidenceRules(chance_cases=5.0), 1) == 6_000
    assert opening_rarity(EvidenceRules(chance_cases=5.0), 4) == 24_000
    assert opening_rarity(EvidenceRules(chance_cases=10.0), 0) == 3_000


def scores(detector, signal, score):
    return Scores(detector, signal, score, np.full(score.shape, 7, dtype=np.int16))


def test_a_second_way_to_the_same_case_halves_its_rarity():
    score = ordinary(homes=50)
    night = score.shape[1] - 1
    score[0, night] = 2.0
    one = [scores("together", "all", score), scores("alone", "water", score)]
    alone = rate_scores(one, [night], 6000.0)
    both = rate_scores([*one, scores("twin", "all", score)], [night], 6000.0)
    assert [r.opens for r in both] == [True, True, True]
    assert both[0].rarity[night][0] == pytest.approx(alone[0].rarity[night][0] / 2)
    assert both[1].rarity[night][0] == alone[1].rarity[night][0]
    second = rate_scores([*one, scores("twin", "all", score)], [night], 6000.0, second_opinion=("twin",))
    assert second[0].rarity[night][0] == alone[0].rarity[night][0]
    assert [r.opens for r in second] == [True, True, False]


def test_a_score_that_asks_for_a_tenth_of_the_allowance_gets_a_tenth_of_it():
    score = ordinary(homes=50)
    night = score.shape[1] - 1
    score[0, night] = 2.0
    short = Scores("spike", "all", score, np.full(score.shape, 3, dtype=np.int16), share=0.1)
    alone = rate_scores([scores("together", "all", score)], [night], 6000.0)[0].rarity[night][0]
    both = rate_scores([scores("together", "all", score), short], [night], 6000.0)
    assert [one.rarity[night][0] for one in both] == pytest.approx([alone / 1.1, alone / 11])
    # asked by itself it has all of it
    assert rate_scores([short], [night], 6000.0)[0].rarity[night][0] == alone


def test_a_night_is_rated_the_same_alone_or_among_others_and_knows_nothing_later():
    score = ordinary(homes=50, nights=120)
    score[3, 60] = nan
    among = rate_scores([scores("alone", "water", score)], [50, 60, 119], 6000.0)[0]
    alone = rate_scores([scores("alone", "water", score[:, :61])], [60], 6000.0)[0]
    np.testing.assert_array_equal(among.rarity[60], alone.rarity[60])
    np.testing.assert_array_equal(among.chance[60], alone.chance[60])
    assert np.isnan(among.rarity[60][3]) and np.isnan(among.chance[60][3])


def test_of_many_nights_that_are_rated_one_past_is_held_at_a_time(monkeypatch):
    """Each weighs twice the scores of its 240 nights: a year of them would not fit."""
    made, held = [], []

    def noted(*asked):
        held.append(sum(score() is not None for score in made))
        past = fit_tail(*asked)
        made.append(weakref.ref(past.scores))
        return past

    monkeypatch.setattr(evidence, "fit_tail", noted)
    rate_scores(
        [scores("alone", signal, ordinary(homes=50, nights=300)) for signal in ("power", "water")],
        range(200, 300),
        6000.0,
    )
    assert len(held) == 200 and max(held) == 0


# onset, ratio, signature


@pytest.mark.parametrize(
    ("surprise", "back"),
    [
        ([0, 0, 0, 2, 2, 2], 2),
        ([0, 0, 0, 0, 0, 2], 0),
        ([0, 0, 2, 2, 0, 2], 3),  # one ordinary day within the rise
        ([2, 2, 0, 0, 0, 0, 0, 0, 0, 2], 0),  # a week of ordinary days ends the rise before
        ([0, nan, 2, nan, 2], 2),  # an unknown day neither ends nor starts one
        ([9, 0, 0, 0, 0, 0, 0, 2], 0),  # one huge day counts no more than 3
        ([nan, nan], 0),
        ([2] * 90, 59),  # at most 60 days
    ],
)
def test_onset(surprise, back):
    assert days_since_onset(np.array(surprise, dtype=float)) == back


def test_ratio_is_of_the_sums_of_days_known_to_both():
    assert observed_ratio(np.array([4.0, nan, 8.0]), np.array([2.0, 5.0, 2.0])) == 3.0
    assert observed_ratio(np.array([4.0, 1.0]), np.array([2.0, nan])) == 2.0
    assert np.isnan(observed_ratio(np.array([nan]), np.array([1.0])))
    assert np.isfinite(observed_ratio(np.array([4.0]), np.array([0.0])))


def test_the_kind_of_case_of_a_signal():
    assert [signature_of(s) for s in ("all", "entries", "water", "power", "gas")] == [
        "people",
        "door",
        "water",
        "power",
        "gas",
    ]


@pytest.mark.parametrize(
    ("ratios", "kind"),
    [
        ({"entries": 3.0, "water": 2.0}, "people"),
        ({"entries": 3.0, "water": 1.05}, "door"),  # the weakest stands still
        ({"entries": 1.0, "water": 4.0, "power": 4.0}, "water"),
        ({"entries": 8.0, "water": 1.8, "power": 2.0}, "door"),  # .59 is under three tenths of 2.08
        ({"entries": 8.0, "water": 1.9, "power": 2.0}, "people"),  # .64 is not
        ({"power": 2.0}, "power"),
        ({"gas": 2.0, "water": 0.0}, "gas"),
        ({}, "people"),
    ],
)
def test_the_kind_of_case_of_several_signals(ratios, kind):
    assert evidence.signature_of_ratios(ratios) == kind


# the evidence of a night


def site():
    """One home, flat but for the last six days at twice and 2.5 times; the last water day is not known that
    night."""
    series = {
        ("a", "entries"): [11] + [10] * 60 + [20] * 6,
        ("a", "water"): [101] + [100] * 60 + [250] * 5 + [9999],
    }
    series |= {("b", "entries"): [11] + [10] * 66}
    return expect(grid_of(series, late={("a", "water", 66): 2}))


def rated(signal, rarity, window=7, opens=True):
    score = np.full((2, 67), 1.5)
    scores = Scores("probe", signal, score, np.full((2, 67), window, dtype=np.int16))
    return RatedScores(scores, {66: np.array(rarity)}, {66: np.array([0.2, 0.9])}, opens)


def test_the_evidence_of_a_night():
    found = evidence_frame(site(), [rated("water", [700.0, nan]), rated("all", [5000.0, 20.0])], 66, 600.0)
    assert found.schema == evidence.EVIDENCE_SCHEMA
    together, water = found.sort("signal").rows(named=True)
    ratios = [{"key": "entries", "value": 2.0}, {"key": "water", "value": 2.5}]
    assert together == {
        "household": "a", "detector": "probe", "signal": "all", "signature": "people", "window_days": 7,
        # seven days: 6 of 20 and one of 10 over 70; 5 of 250 and one of 100 over the 600 of the six known
        # days
        "ratio": pytest.approx((130 / 70 * 1350 / 600) ** 0.5), "score": 1.5, "rarity": 5000.0, "opens": True, "chance_wrong": 0.2,
        "onset": day(61), "ratios": ratios,
            "usual": [{"key": "entries", "value": 10.0}, {"key": "water", "value": 100.0}],
    }  # fmt: skip
    # both rise, so it is people, whichever signal speaks
    assert (water["signature"], water["ratio"], water["rarity"]) == (
        "people",
        pytest.approx(1350 / 600),
        700.0,
    )
    assert water["onset"] == day(61) == date(2025, 3, 3)


def test_what_is_not_rare_enough_is_no_evidence():
    assert evidence_frame(site(), [rated("all", [599.0, nan])], 66, 600.0).is_empty()
    assert evidence_frame(site(), [], 66, 600.0).schema == evidence.EVIDENCE_SCHEMA
    assert evidence_frame(site(), [rated("all", [700.0, nan], opens=False)], 66, 600.0)[
        "opens"
    ].to_list() == [False]
