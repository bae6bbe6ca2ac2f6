"""The account: tiny cases with the answer under them."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.intervals import wilson_interval
from anomaly.outcomes import (
    ANSWER_SCHEMA,
    AccountRules,
    OutcomeCorrection,
    account_table,
    correction_for_night,
    decided_doors,
    draw_control_doors,
    fairness_table,
    groups_wrong_too_often,
    misses_table,
    shift_chance,
)

NIGHT = date(2026, 3, 31)
FEW = AccountRules(least_outcomes=4)


def answer(number, outcome="benign", **changed):
    row = {
        "case_id": f"c{number}",
        "household": f"h{number}",
        "listed": date(2026, 3, 1),
        "signature": "water",
        "district": "North",
        "class": "dwelling",
        "day": date(2026, 3, 5),
        "since": date(2026, 3, 6),
        "outcome": outcome,
        "chance_before": 0.2,
        "chance_wrong": 0.2,
    }
    return row | changed


def answers(*rows):
    return pl.DataFrame(list(rows), schema=ANSWER_SCHEMA, orient="row")


def many(wrong, right, first=0, **changed):
    outcomes = ["benign"] * wrong + ["confirmed"] * right
    return [answer(first + i, outcome, **changed) for i, outcome in enumerate(outcomes)]


def test_a_door_is_decided_by_its_latest_answer_and_an_objection_leaves_it_open():
    given = answers(
        answer(1, "confirmed"),
        answer(1, "benign", day=date(2026, 3, 9)),
        answer(1, "no_access", day=date(2026, 3, 10)),
        answer(2, "benign"),
        answer(2, "contested", day=date(2026, 3, 6)),
        answer(3, "not_visited"),
        answer(4, "benign"),
        answer(4, "confirmed"),
    )
    assert decided_doors(given).select("case_id", "wrong").rows() == [("c4", False), ("c1", True)]  # by day


def test_the_account_by_hand():
    """Three of four answered doors are wrong where 0.8 had been promised; the fifth is listed and open."""
    given = answers(*many(3, 1), answer(9, "no_access", district="South", signature="power"))
    columns = ["case_id", "listed", "signature", "district"]
    listed = pl.DataFrame([("c9", date(2026, 3, 1), "power", "South")], schema=columns, orient="row")
    table = account_table(listed, given, OutcomeCorrection())
    rows = {(row["grouped_by"], row["name"]): row for row in table.iter_rows(named=True)}
    assert set(rows) == {
        ("all", "all"),
        ("signature", "water"),
        ("signature", "power"),
        ("district", "North"),
        ("district", "South"),
        ("month", "2026-03"),
    }
    whole, power = rows["all", "all"], rows["signature", "power"]
    assert (whole["listed"], whole["answered"], whole["confirmed"], whole["wrong"]) == (5, 4, 1, 3)
    assert (whole["promised"], whole["wrong_share"]) == (0.8, 0.75)
    assert (whole["low"], whole["high"]) == pytest.approx(wilson_interval(3, 4)[1:])
    assert whole["chance_after"] == pytest.approx(0.2)
    assert (power["answered"], power["wrong_share"]) == (0, None)


def test_small_districts_are_not_told_about_and_control_doors_are_no_doors():
    given = answers(*many(1, 1), answer(7, "benign", signature="control", listed=None))
    nothing_listed = answers().select("case_id", "listed", "signature", "district")
    table = account_table(nothing_listed, given, OutcomeCorrection(), small_districts=["North"])
    assert table.filter(pl.col("grouped_by") == "district").is_empty()
    assert table.filter(pl.col("grouped_by") == "all")["answered"][0] == 2


def test_enough_outcomes_correct_the_chance_by_kind_and_too_few_do_not():
    now = correction_for_night(answers(*many(3, 1), *many(1, 0, 20, signature="power")), NIGHT, FEW)
    assert set(now.shifts) == {"water"} and now.correct("power", 0.2) == 0.2
    # half a door of either kind is added: 3.5 of 5, so the four chances of .2 become .7
    assert now.correct("water", 0.2) == pytest.approx(0.7, abs=1e-4)
    assert now.correct("water", 0.1) < now.correct("water", 0.2) < now.correct("water", 1.0) < 1.0


@given(st.lists(st.floats(0.02, 0.98), min_size=4, max_size=30), st.data())
def test_corrected_chances_add_up_to_what_was_found(chances, data):
    wrong = data.draw(st.integers(0, len(chances)))
    rows = [answer(i, "benign" if i < wrong else "confirmed", chance_before=p) for i, p in enumerate(chances)]
    now = correction_for_night(answers(*rows), NIGHT, FEW)
    found = (wrong + 0.5) / (len(chances) + 1) * len(chances)
    assert sum(now.correct("water", p) for p in chances) == pytest.approx(found, abs=0.05)


def test_a_night_knows_only_what_was_known_by_then_and_not_what_is_long_ago():
    given = answers(*many(3, 1))
    assert correction_for_night(given, date(2026, 3, 5), FEW) == OutcomeCorrection()
    assert correction_for_night(given, date(2026, 3, 6), FEW).shifts
    assert not correction_for_night(given, date(2027, 3, 6), FEW).shifts


def test_a_kind_whose_doors_are_wrong_too_often_stops_itself():
    worse = correction_for_night(answers(*many(33, 0)), NIGHT)
    assert worse.stopped_kinds == {"water": (33, 33)}
    assert worse.is_stopped("water", None) and not worse.is_stopped("power", "North")
    # 85 % wrong, but the lower end of the interval lies below .8
    assert correction_for_night(answers(*many(28, 5)), NIGHT).stopped_kinds == {}


def test_a_place_stops_only_where_it_is_wrong_far_more_often_beyond_chance():
    def too_often(*rows):
        return groups_wrong_too_often(decided_doors(answers(*rows)), "district", FEW)

    usual, worse, same = many(4, 16, 100, district="South"), many(18, 2), many(6, 14)
    assert too_often(*usual, *worse) == {"North": (18, 20)}
    assert too_often(*usual, *same) == {}
    assert too_often(*usual, *many(3, 0)) == {}  # three answers are no ground
    assert correction_for_night(answers(*usual, *worse), NIGHT, FEW).is_stopped("people", "North")


def test_fairness_by_hand():
    homes = pl.DataFrame(
        [(f"h{i}", "North" if i < 20 else "South", "dwelling") for i in range(30)],
        schema=["household", "district", "class"],
        orient="row",
    )
    listed = pl.DataFrame(
        {"household": ["h0", "h1", "h0"], "case_id": ["c0", "c1", "c5"], "listed": [NIGHT] * 3}
    )
    table = fairness_table(homes, listed, answers(answer(0, "benign"), answer(1, "confirmed")), FEW)
    north = table.filter(pl.col("name") == "North").row(0, named=True)
    assert [north[name] for name in ("homes", "listed", "visited", "confirmed", "wrong")] == [20, 2, 2, 1, 1]
    assert (north["listed_share"], north["wrong_share"]) == pytest.approx((0.1, 0.5))
    assert north["wrong_low"] == pytest.approx(wilson_interval(1, 2)[1])
    assert table["name"].to_list() == ["dwelling", "North"]  # South has 10 homes


def test_the_sample_is_random_small_and_the_same_for_the_same_night():
    homes = [f"{i:04}" for i in range(400)]
    nights = [NIGHT + timedelta(days=d) for d in range(300)]
    three = draw_control_doors(homes, NIGHT, 3)
    assert len(three) == 3 and three == draw_control_doors(reversed(homes), NIGHT, 3)
    assert sorted(draw_control_doors(homes[:2], NIGHT, 3)) == homes[:2]
    drawn = [draw_control_doors(homes, night, 1)[0] for night in nights]
    assert len(set(drawn)) > 180  # of 300 draws among 400 homes about 211 are different
    assert sum(home < "0200" for home in drawn) == pytest.approx(150, abs=35)


def test_misses_by_hand():
    checked = many(8, 2, signature="control", listed=None)
    row = misses_table(12, answers(*checked, answer(50, "benign")), 200).row(0, named=True)
    assert [row[name] for name in ("drawn", "answered", "found", "share", "missed")] == [12, 10, 2, 0.2, 40.0]
    assert (row["missed_low"], row["missed_high"]) == pytest.approx(
        [200 * end for end in wilson_interval(2, 10)[1:]]
    )
    assert misses_table(0, answers(), 200).row(0, named=True)["share"] is None


def test_a_shift_of_nothing_is_nothing():
    assert shift_chance(0.3, 0.0) == pytest.approx(0.3)
    assert 0 < shift_chance(0.0, 5.0) < 1 and 0 < shift_chance(1.0, -5.0) < 1
