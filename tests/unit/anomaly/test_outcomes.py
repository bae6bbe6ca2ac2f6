"""The account: tiny cases with the answer under them."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.intervals import wilson
from anomaly.outcomes import (
    ANSWERS,
    AccountRules,
    Standing,
    account,
    draw,
    fairness,
    misses,
    settled,
    shifted,
    standing,
    unfair,
)

NIGHT = date(2026, 3, 31)
FEW = AccountRules(least_outcomes=4)


def answer(number, outcome="benign", **changed):
    row = {
        "case_id": f"c{number}", "household": f"h{number}", "listed": date(2026, 3, 1), "signature": "water", "district": "North", "class": "dwelling",
        "day": date(2026, 3, 5), "since": date(2026, 3, 6), "outcome": outcome, "chance_before": 0.2, "chance_wrong": 0.2,
    }  # fmt: skip
    return row | changed


def answers(*rows):
    return pl.DataFrame(list(rows), schema=ANSWERS, orient="row")


def many(wrong, right, first=0, **changed):
    return [
        answer(first + i, "benign" if i < wrong else "confirmed", **changed) for i in range(wrong + right)
    ]


def test_a_door_is_settled_by_its_latest_confirmed_or_benign_and_an_objection_leaves_it_open():
    said = answers(
        answer(1, "confirmed"), answer(1, "benign", day=date(2026, 3, 9)), answer(1, "no_access", day=date(2026, 3, 10)),
        answer(2, "benign"), answer(2, "contested", day=date(2026, 3, 6)), answer(3, "not_visited"),
        answer(4, "benign"), answer(4, "confirmed"),
    )  # fmt: skip
    assert settled(said).select("case_id", "wrong").rows() == [("c4", False), ("c1", True)]  # by day


def test_the_account_by_hand():
    """Three of four answered doors are wrong where 0.8 had been promised; the fifth is listed and open."""
    said = answers(*many(3, 1), answer(9, "no_access", district="South", signature="power"))
    listed = pl.DataFrame(
        [("c9", date(2026, 3, 1), "power", "South")],
        schema=["case_id", "listed", "signature", "district"],
        orient="row",
    )
    rows = {
        (row["grouped_by"], row["name"]): row
        for row in account(listed, said, Standing()).iter_rows(named=True)
    }
    assert set(rows) == {
        ("all", "all"),
        ("signature", "water"),
        ("signature", "power"),
        ("district", "North"),
        ("district", "South"),
        ("month", "2026-03"),
    }
    whole = rows["all", "all"]
    assert [
        whole[name] for name in ("listed", "answered", "confirmed", "wrong", "promised", "wrong_share")
    ] == [5, 4, 1, 3, 0.8, 0.75]
    assert (whole["low"], whole["high"]) == pytest.approx(wilson(3, 4)[1:]) and whole[
        "chance_after"
    ] == pytest.approx(0.2)
    assert (rows["signature", "power"]["answered"], rows["signature", "power"]["wrong_share"]) == (0, None)


def test_small_districts_are_not_told_about_and_control_doors_are_no_doors():
    said = answers(*many(1, 1), answer(7, "benign", signature="control", listed=None))
    table = account(
        answers().select("case_id", "listed", "signature", "district"), said, Standing(), small=["North"]
    )
    assert (
        table.filter(pl.col("grouped_by") == "district").is_empty()
        and table.filter(pl.col("grouped_by") == "all")["answered"][0] == 2
    )


def test_enough_outcomes_correct_the_chance_by_kind_and_too_few_do_not():
    now = standing(answers(*many(3, 1), *many(1, 0, 20, signature="power")), NIGHT, FEW)
    assert set(now.shifts) == {"water"} and now.corrected("power", 0.2) == 0.2
    # half a door of either kind is added: 3.5 of 5, so the four chances of .2 become .7
    assert now.corrected("water", 0.2) == pytest.approx(0.7, abs=1e-4)
    assert now.corrected("water", 0.1) < now.corrected("water", 0.2) < now.corrected("water", 1.0) < 1.0


@given(st.lists(st.floats(0.02, 0.98), min_size=4, max_size=30), st.data())
def test_corrected_chances_add_up_to_what_was_found(chances, data):
    wrong = data.draw(st.integers(0, len(chances)))
    rows = [answer(i, "benign" if i < wrong else "confirmed", chance_before=p) for i, p in enumerate(chances)]
    now = standing(answers(*rows), NIGHT, FEW)
    assert sum(now.corrected("water", p) for p in chances) == pytest.approx(
        (wrong + 0.5) / (len(chances) + 1) * len(chances), abs=0.05
    )


def test_a_night_knows_only_what_was_known_by_then_and_not_what_is_long_ago():
    said = answers(*many(3, 1))
    assert standing(said, date(2026, 3, 5), FEW) == Standing()
    assert standing(said, date(2026, 3, 6), FEW).shifts and not standing(said, date(2027, 3, 6), FEW).shifts


def test_a_kind_whose_doors_are_wrong_too_often_stops_itself():
    worse, bad = standing(answers(*many(33, 0)), NIGHT), standing(answers(*many(28, 5)), NIGHT)
    assert (
        worse.stopped == {"water": (33, 33)}
        and worse.stops("water", None)
        and not worse.stops("power", "North")
    )
    assert bad.stopped == {}  # 85 % wrong, but the lower end of the interval lies below .8


def test_a_place_stops_only_where_it_is_wrong_far_more_often_beyond_chance():
    usual, worse, same = many(4, 16, 100, district="South"), many(18, 2), many(6, 14)
    assert unfair(settled(answers(*usual, *worse)), "district", FEW) == {"North": (18, 20)}
    assert unfair(settled(answers(*usual, *same)), "district", FEW) == {}
    assert unfair(settled(answers(*usual, *many(3, 0))), "district", FEW) == {}  # three answers are no ground
    assert standing(answers(*usual, *worse), NIGHT, FEW).stops("people", "North")


def test_fairness_by_hand():
    homes = pl.DataFrame(
        [(f"h{i}", "North" if i < 20 else "South", "dwelling") for i in range(30)],
        schema=["household", "district", "class"],
        orient="row",
    )
    listed = pl.DataFrame(
        {"household": ["h0", "h1", "h0"], "case_id": ["c0", "c1", "c5"], "listed": [NIGHT] * 3}
    )
    table = fairness(homes, listed, answers(answer(0, "benign"), answer(1, "confirmed")), FEW)
    north = table.filter(pl.col("name") == "North").row(0, named=True)
    assert [north[name] for name in ("homes", "listed", "visited", "confirmed", "wrong")] == [20, 2, 2, 1, 1]
    assert (north["listed_share"], north["wrong_share"], north["wrong_low"]) == pytest.approx(
        (0.1, 0.5, wilson(1, 2)[1])
    )
    assert table["name"].to_list() == ["dwelling", "North"]  # South has 10 homes


def test_the_sample_is_random_small_and_the_same_for_the_same_night():
    homes = [f"{i:04}" for i in range(400)]
    nights = [NIGHT + timedelta(days=d) for d in range(300)]
    assert (
        draw(homes, NIGHT, 3) == draw(reversed(homes), NIGHT, 3)
        and len(draw(homes, NIGHT, 3)) == 3
        and draw(homes[:2], NIGHT, 3)
    )
    drawn = [draw(homes, night, 1)[0] for night in nights]
    assert len(set(drawn)) > 180  # of 300 draws among 400 homes about 211 are different
    assert sum(home < "0200" for home in drawn) == pytest.approx(150, abs=35)


def test_misses_by_hand():
    checked = [
        answer(i, "confirmed" if i < 2 else "benign", signature="control", listed=None) for i in range(10)
    ]
    row = misses(12, answers(*checked, answer(50, "benign")), 200).row(0, named=True)
    assert [row[name] for name in ("drawn", "answered", "found", "share", "missed")] == [12, 10, 2, 0.2, 40.0]
    assert (row["missed_low"], row["missed_high"]) == pytest.approx([200 * end for end in wilson(2, 10)[1:]])
    assert misses(0, answers(), 200).row(0, named=True)["share"] is None


def test_a_shift_of_nothing_is_nothing():
    assert (
        shifted(0.3, 0.0) == pytest.approx(0.3) and 0 < shifted(0.0, 5.0) < 1 and 0 < shifted(1.0, -5.0) < 1
    )
