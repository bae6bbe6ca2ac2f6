"""Cases and lists from nights judged by hand."""

import datetime as dt

import polars as pl
import pytest

from pipelines.cases.build import (
    build_cases,
    first_listings,
    homes_with_recent_case,
    read_control_doors,
    with_reasons,
)
from pipelines.storage.state import Store
from tests.support.judged_store import NIGHTS, answer_line, evidence_row, settings_for, write_night


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "anomaly.duckdb")


def test_a_decision_takes_a_case_off_the_lists_and_a_closed_door_does_not(store):
    settings = settings_for(signatures=("water",))
    for night in NIGHTS:
        write_night(store, night, evidence_row("0001"), evidence_row("0002", "power"))
    undecided = build_cases(settings, store)
    assert undecided.cases["household"].to_list() == ["0001"]  # power is not in the purpose
    assert undecided.worklist["night"].to_list() == NIGHTS
    (case_id,) = undecided.cases["case_id"]
    for night, outcome in ((NIGHTS[1], "no_access"), (NIGHTS[3], "contested"), (NIGHTS[4], "confirmed")):
        store.append_line("outcomes.jsonl", answer_line(case_id, outcome, night))
    assert build_cases(settings, store).worklist["night"].to_list() == NIGHTS[:3]
    assert build_cases(settings, store).cases["decision"].to_list() == ["confirmed"]
    assert build_cases(settings, store, until=NIGHTS[3]).cases["decision"].to_list() == ["contested"]


def test_a_night_is_given_as_it_saw_its_cases(store):
    write_night(store, NIGHTS[0], evidence_row("0001", rarity=1e5))
    write_night(store, NIGHTS[1], evidence_row("0001", rarity=2e5))
    history = build_cases(settings_for(), store, snapshot_nights=[NIGHTS[0]])
    assert history.cases["rarity"].to_list() == [2e5]
    assert history.snapshots.keys() == {NIGHTS[0]}
    assert history.snapshots[NIGHTS[0]].select("rarity", "status").rows() == [(1e5, "new")]


def test_only_cases_of_people_are_said_to_be_like_more_people(store):
    """Twice the water of two and a half people is like more than two and fewer than four further people."""
    usual = [{"key": "water", "value": 205.0}]
    write_night(
        store, NIGHTS[0], evidence_row("0001", "people", usual=usual), evidence_row("0002", usual=usual)
    )
    by_kind = {row["signature"]: row for row in build_cases(settings_for(), store).cases.to_dicts()}
    assert by_kind["water"]["extra_people"] is None
    people = by_kind["people"]
    assert people["extra_people_low"] < people["extra_people"] < people["extra_people_high"]
    assert 2 < people["extra_people"] < 4


def test_a_reason_in_each_language_is_over_the_whole_episode():
    frame = pl.DataFrame(
        {
            "ratios": [[{"key": "water", "value": 2.1}]],
            "signature": ["water"],
            "onset": [NIGHTS[0]],
            "last_seen": [NIGHTS[4]],
        }
    )
    (row,) = with_reasons(frame).to_dicts()
    assert "2.1×" in row["because_en"] and "5 days" in row["because_en"]
    assert "2.1" in row["because_zh"] and "5" in row["because_zh"]


def test_a_recent_case_was_seen_within_the_120_days_and_the_14_after_which_it_is_closed():
    night = dt.date(2026, 6, 30)
    frame = pl.DataFrame(
        {
            "household": ["old", "recent", "open"],
            "last_seen": [night - dt.timedelta(134), night - dt.timedelta(133), night],
        }
    )
    assert homes_with_recent_case(settings_for(), frame, night).to_list() == ["recent", "open"]


def test_a_door_that_was_listed_again_has_two_first_listings():
    doors = pl.DataFrame(
        {
            "night": NIGHTS[:3],
            "household": ["0001"] * 3,
            "case_id": ["c1"] * 3,
            "signature": ["water"] * 3,
            "district": [None, None, None],
            "first_listed": [True, False, True],
        },
        schema_overrides={"district": pl.String},
    )
    assert first_listings(doors).rows() == [
        ("0001", "c1", "water", None, NIGHTS[0]),
        ("0001", "c1", "water", None, NIGHTS[2]),
    ]


def test_control_doors_of_all_nights(store):
    assert read_control_doors(store).is_empty()
    for night in NIGHTS[:2]:
        write_night(store, night)
    drawn = [(NIGHTS[1], "k1", "0007", None)]
    schema = read_control_doors(store).schema
    store.write(f"nights/{NIGHTS[1]}/control.parquet", pl.DataFrame(drawn, schema=schema, orient="row"))
    assert read_control_doors(store).rows() == drawn
