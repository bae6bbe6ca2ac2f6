import re
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.cases import Answer, CaseRules, Told, WorklistRules, case_code, fold
from anomaly.evidence import REASONS

NEEDED = 6_000.0


def night(index):
    return date(2026, 3, 1) + timedelta(days=index)


def seen(household="a", signature="water", rarity=7_000.0, onset=0, chance=0.2, opens=True, **ratios):
    """One reason to look at a home; onset: index of its first day."""
    return {
        "household": household,
        "detector": "together" if signature == "people" else "alone",
        "signal": "all" if signature == "people" else signature,
        "signature": signature,
        "window_days": 7,
        "ratio": 2.0,
        "score": 2.0,
        "rarity": rarity,
        "opens": opens,
        "chance_wrong": chance,
        "onset": night(onset),
        "ratios": [{"key": name, "value": value} for name, value in ratios.items()],
    }


def judged(nights, last=None):
    """{night index: rows} as the evidence and rarities of every night from 0 to the last."""
    told = {
        night(t): pl.DataFrame(nights.get(t, []), schema=REASONS, orient="row")
        for t in range((max(nights) if last is None else last) + 1)
    }
    return {t: (frame, frame.group_by("household").agg(pl.col("rarity").max())) for t, frame in told.items()}


def folded(nights, last=None, answers=(), doors=20, **rules):
    return fold(
        judged(nights, last), NEEDED, Told(answers), CaseRules(**rules), WorklistRules(doors_per_night=doors)
    )


def said(outcome, since, signature="water", opened=0, household="a"):
    """An answer to a case, known from night `since` on."""
    return Answer(
        case_code(household, signature, night(opened)),
        household,
        signature,
        outcome,
        night(since),
        night(since),
    )


def listed(result, index):
    """Households on the list of a night, in its order."""
    return result.worklist.filter(pl.col("night") == night(index)).sort("rank")["household"].to_list()


# the life of a case


def test_new_ongoing_fading_closed():
    rise = {2: [seen()], 3: [seen()], 4: [seen()]}
    told = [folded(rise, last).cases["status"].to_list() for last in range(2, 19)]
    # seen on nights 2–4, fourteen quiet days end it on night 18
    assert told == [["new"], ["ongoing"], ["ongoing"], *[["fading"]] * 13, ["closed"]]
    whole = folded(rise, 18)
    assert [whole.opened[night(t)] for t in range(5)] == [0, 0, 1, 0, 0]
    assert [whole.open[night(t)] for t in (1, 2, 17, 18)] == [0, 1, 1, 0]
    assert whole.cases.select("onset", "opened", "last_seen", "listed").rows() == [
        (night(0), night(2), night(4), night(2))
    ]


@pytest.mark.parametrize(("again", "cases"), [(13, 1), (14, 1), (15, 2), (60, 2)])
def test_what_comes_back_after_the_quiet_days_is_a_new_case(again, cases):
    assert folded({0: [seen()], again: [seen(onset=again)]}).cases.height == cases


def test_nights_that_were_not_judged_count_as_quiet():
    told = judged({0: [seen()], 60: [seen(onset=58)]})
    result = fold({t: told[t] for t in (night(0), night(60))}, NEEDED)
    assert sorted(result.cases.select("opened", "status").rows()) == [
        (night(0), "closed"),
        (night(60), "new"),
    ]


def test_evidence_short_of_a_case_keeps_one_alive_but_opens_none():
    weak = seen(rarity=NEEDED - 1)
    assert folded({0: [weak]}).cases.is_empty()
    assert folded({0: [seen()], 10: [weak]}, 20).cases["status"].to_list() == ["fading"]
    assert folded({0: [seen(rarity=NEEDED)]}).cases.height == 1


def test_a_second_opinion_opens_no_case_and_keeps_none():
    assert folded({0: [seen(rarity=1e6, opens=False)]}).cases.is_empty()
    result = folded({0: [seen()], 10: [seen(rarity=1e6, opens=False)]}, 14)
    assert result.cases.select("status", "rarity").rows() == [("closed", 7_000.0)]


def test_a_case_keeps_its_largest_rarity_and_its_latest_ratios():
    result = folded(
        {
            0: [seen(rarity=7e3, water=2.0)],
            1: [seen(rarity=9e3, water=3.0, chance=0.1)],
            2: [seen(rarity=8e3, water=2.5, chance=0.3)],
        }
    )
    assert result.cases.select("rarity", "chance_wrong").rows() == [(9e3, 0.1)]
    assert result.cases["ratios"].to_list() == [[{"key": "water", "value": 2.5}]]


def test_the_onset_may_move_for_a_week():
    result = folded({4: [seen(onset=3)], 11: [seen(onset=1)], 12: [seen(onset=2)]})
    assert result.cases["onset"].to_list() == [night(1)]


def test_the_onset_is_never_later_than_the_opening():
    result = folded({0: [seen(onset=0)], 7: [seen(onset=3)]})
    assert result.cases["onset"].to_list() == [night(0)]


# what belongs together


def test_one_case_a_rise():
    # the same kind again; another signal whose rise began within a fortnight; not one that began a month later
    same = {
        0: [seen("a", "water", rarity=9e3), seen("a", "power")],
        1: [seen("a", "water"), seen("a", "power", onset=14)],
    }
    assert folded(same).cases["signature"].to_list() == ["water"]
    apart = {t: [seen("a", "water")] for t in range(31)} | {
        31: [seen("a", "water"), seen("a", "power", onset=15)]
    }
    assert sorted(folded(apart).cases["signature"]) == ["power", "water"]


def test_people_take_in_every_signal():
    result = folded(
        {
            0: [seen("a", "water", rarity=1e9), seen("a", "people", rarity=7e3)],
            1: [seen("a", "power", onset=40)],
        }
    )
    assert result.cases.select("case_id", "signature").rows() == [
        (case_code("a", "people", night(0)), "people")
    ]
    assert result.opened[night(0)] == 1


def test_water_becomes_people_when_the_others_join():
    result = folded(
        {
            3: [seen("a", "water", onset=2, water=3.0)],
            4: [seen("a", "people", rarity=6.5e3, onset=1, chance=0.4, entries=2.0, water=2.0)],
        }
    )
    assert result.cases.select(
        "case_id", "signature", "onset", "opened", "rarity", "chance_wrong"
    ).rows() == [(case_code("a", "water", night(3)), "people", night(1), night(3), 7e3, 0.4)]
    assert result.worklist["signature"].to_list() == ["water", "people"]
    assert result.worklist["desk"].to_list() == ["water", "occupancy"]
    # joined later than join_days, it is a case of its own
    later = folded({0: [seen("a", "water")], 5: [seen("a", "people", onset=5)]}, join_days=4)
    assert sorted(later.cases["signature"]) == ["people", "water"]


def test_homes_never_share_a_case():
    assert folded({0: [seen("a"), seen("b")]}).cases["household"].sort().to_list() == ["a", "b"]


# the list


def test_the_cap_is_on_new_doors_and_the_rest_wait():
    homes = [seen(h, rarity=7e3 + i) for i, h in enumerate("abcde")]
    result = folded({0: homes, 1: homes, 2: homes}, doors=2)
    # rarest first; listed ones stay
    assert [listed(result, t) for t in range(3)] == [
        ["e", "d"],
        ["e", "d", "c", "b"],
        ["e", "d", "c", "b", "a"],
    ]
    assert result.worklist.filter(pl.col("night") == night(2))["rank"].to_list() == [1, 2, 3, 4, 5]
    assert result.opened[night(0)] == 5


def test_the_cap_is_no_quota():
    assert folded({0: [seen(rarity=NEEDED - 1)]}, doors=20).worklist.is_empty()
    assert folded({0: [seen()]}, doors=0).worklist.is_empty()


def test_a_listed_case_stays_with_that_nights_rarity_until_it_is_closed():
    result = folded({0: [seen(rarity=7e3)], 1: [seen(rarity=9e3)]}, 20)
    assert result.worklist["night"].to_list() == [night(t) for t in range(15)]  # closed on night 15
    assert result.worklist["rarity"].to_list() == [7e3, 9e3] + [1.0] * 13


def test_a_decided_case_leaves_the_list_on_that_day():
    rise = {t: [seen("a"), seen("b")] for t in range(4)}
    result = folded(rise, answers=[said("confirmed", 2)])
    assert [sorted(listed(result, t)) for t in range(4)] == [["a", "b"], ["a", "b"], ["b"], ["b"]]
    assert result.cases["status"].to_list() == ["ongoing", "ongoing"]


def test_the_doors_expected_to_be_wrong_are_those_first_listed():
    homes = [seen("a", chance=0.1, rarity=9e3), seen("b", chance=0.25, rarity=8e3), seen("c", chance=0.5)]
    result = folded({0: homes, 1: homes, 2: homes}, doors=2)
    assert result.wrong == {night(0): 0.35, night(1): 0.5, night(2): 0.0}


# a pure function of the judged nights


rows = st.builds(
    seen,
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
    told = judged(history)
    nights = random.sample(list(told), len(told))
    mixed = {
        t: (told[t][0].sample(fraction=1, shuffle=True, seed=random.randrange(99)), told[t][1])
        for t in nights
    }
    one, other = fold(told, NEEDED), fold(mixed, NEEDED)
    assert one.cases.equals(other.cases) and one.worklist.equals(other.worklist)
    assert (one.opened, one.open, one.wrong) == (other.opened, other.open, other.wrong)
    assert one.cases["case_id"].is_unique().all()


@settings(max_examples=40, deadline=None)
@given(histories, st.integers(0, 40))
def test_earlier_lists_do_not_know_later_nights(history, last):
    whole, then = folded(history, 40), folded({t: rows for t, rows in history.items() if t <= last}, last)
    assert whole.worklist.filter(pl.col("night") <= night(last)).equals(then.worklist)


def test_judging_an_earlier_night_again_gives_the_later_ones_anew():
    late = {t: [seen()] for t in range(5, 10)}
    early = late | {2: [seen()]}
    assert folded(late).cases["opened"].to_list() == [night(5)]
    assert folded(early).cases["opened"].to_list() == [night(2)]
    assert listed(folded(early), 3) == ["a"]


def test_no_nights_no_cases():
    result = fold({}, NEEDED)
    assert result.cases.is_empty() and result.worklist.is_empty() and result.opened == {}


# the code


@given(st.text(), st.text(), st.dates())
def test_a_code_is_safe_in_a_file_name_and_a_shell(household, signature, opened):
    assert re.fullmatch(r"c\d{6}-[0-9a-f]{10}", case_code(household, signature, opened))


def test_a_code_depends_on_home_kind_and_opening_night_only():
    code = case_code("0001", "water", night(0))
    assert code == "c260301-23203fe6a5"
    assert (
        len(
            {
                code,
                case_code("001", "water", night(0)),
                case_code("0001", "power", night(0)),
                case_code("0001", "water", night(1)),
            }
        )
        == 4
    )
    assert folded({0: [seen("0001", rarity=1e9, onset=0, chance=0.9)]}).cases["case_id"].to_list() == [code]
