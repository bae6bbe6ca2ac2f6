"""The register: who lives where, and by which ids the signals know them."""

from datetime import date

import polars as pl

from anomaly.readings import parse_household_register, parse_signal_ids

COLUMNS = ("household", "building", "district", "class", "moved_in", "moved_out", "broken", "id:water")


def raw(*rows: dict) -> pl.DataFrame:
    schema = dict.fromkeys(COLUMNS, pl.String)
    cells = pl.DataFrame([dict.fromkeys(COLUMNS) | row for row in rows], schema=schema)
    return cells.with_row_index("row", 1).with_columns(pl.col("row").cast(pl.Int64), file=pl.lit("r.csv"))


def reasons(refused: pl.DataFrame) -> dict:
    return dict(refused.select("row", "reason").iter_rows())


def test_moving_in_and_out():
    register, refused = parse_household_register(
        raw(
            {"household": "a", "moved_in": "2026-01-01", "moved_out": "2026-03-01"},
            {"household": "b", "moved_out": "soon"},
            {"household": "c", "moved_in": "2026-03-01", "moved_out": "2026-03-01"},
        )
    )
    assert register.select("household", "moved_in", "moved_out").rows() == [
        ("a", date(2026, 1, 1), date(2026, 3, 1))
    ]
    assert reasons(refused) == {
        2: "moved_out is no date (YYYY-MM-DD)",
        3: "moved_out is not after moved_in",
    }


def ids_of(*rows):
    ids, refused = parse_signal_ids(raw(*rows), {"water": "id:water"})
    return sorted(ids.select("id", "household").rows()), reasons(refused)


def test_a_home_may_have_two_ids_in_two_rows():
    assert ids_of({"household": "a", "id:water": "W1"}, {"household": "a", "id:water": "W2"}, {"household": "b"}) == (
        [("W1", "a"), ("W2", "a")],
        {},
    )  # fmt: skip


def test_an_id_passes_to_a_new_home():
    before = {"household": "a", "id:water": "W1", "moved_out": "2026-03-01"}
    after = {"household": "b", "id:water": "W1", "moved_in": "2026-03-01"}
    assert ids_of(before, after) == ([("W1", "a"), ("W1", "b")], {})


def test_an_id_of_two_homes_at_one_time_is_nobodys():
    reason = "another home has the same id of water at the same time"
    one, other = {"household": "a", "id:water": "W1"}, {"household": "b", "id:water": "W1"}
    sound = {"household": "c", "id:water": "W2"}
    assert ids_of(one, other, sound) == ([("W2", "c")], {1: reason, 2: reason})
    # a day is enough
    one, other = one | {"moved_out": "2026-03-02"}, other | {"moved_in": "2026-03-01"}
    assert ids_of(one, other, sound) == ([("W2", "c")], {1: reason, 2: reason})
