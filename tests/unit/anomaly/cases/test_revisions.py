"""What judging a night again changes about its cases."""

import polars as pl

from anomaly.cases import compare_cases

SCHEMA = {
    "case_id": pl.String,
    "household": pl.String,
    "signature": pl.String,
    "rarity": pl.Float64,
    "rank": pl.Int32,
}


def cases_of_night(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


BEFORE = cases_of_night(
    ("a1", "0001", "water", 100.0, 1),
    ("b1", "0002", "power", 50.0, 2),
    ("c1", "0003", "people", 70.0, None),
    ("d1", "0004", "water", 40.0, 3),
)
AFTER = cases_of_night(
    ("a1", "0001", "water", 100.05, 1),  # a rarity that hardly moves is no change
    ("b1", "0002", "water", 50.0, 2),
    ("c1", "0003", "people", 90.0, 3),
    ("d0", "0004", "water", 40.0, 3),  # it opens on another night now
)


def test_new_gone_and_changed_cases_are_told_apart_by_home_and_kind():
    assert compare_cases(BEFORE, AFTER).rows() == [
        ("0002", "power", "gone", "b1", None, 50.0, None, 2, None),
        ("0002", "water", "new", None, "b1", None, 50.0, None, 2),
        ("0003", "people", "changed", "c1", "c1", 70.0, 90.0, None, 3),
        ("0004", "water", "changed", "d1", "d0", 40.0, 40.0, 3, 3),
    ]


def test_the_same_cases_are_no_change_and_all_are_new_or_gone_beside_none():
    nothing = cases_of_night()
    assert compare_cases(BEFORE, BEFORE).is_empty() and compare_cases(nothing, nothing).is_empty()
    assert set(compare_cases(nothing, AFTER)["change"]) == {"new"}
    assert set(compare_cases(BEFORE, nothing)["change"]) == {"gone"}


def test_of_two_cases_of_one_home_and_kind_the_last_opened_is_compared():
    twice = cases_of_night(("a1", "0001", "water", 100.0, 1), ("a2", "0001", "water", 50.0, 2))
    once = cases_of_night(("a2", "0001", "water", 50.0, 2))
    assert compare_cases(twice, once).is_empty()
