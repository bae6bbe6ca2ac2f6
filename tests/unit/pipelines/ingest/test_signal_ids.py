"""Departments that number homes differently meet in the register."""

import datetime as dt

import polars as pl
import pytest

from anomaly.readings import ROW_SCHEMA, SignalRule
from pipelines.ingest.signal_ids import (
    SIGNAL_ID_SCHEMA,
    encode_signal_ids,
    ids_mark,
    read_signal_ids,
    to_households,
    write_signal_ids,
)
from pipelines.storage.state import Store
from tests.support.site import Site

WATER = SignalRule("water", "usage", "litre")
MARCH = dt.date(2026, 3, 1)


def ids(*rows):
    return pl.DataFrame([("water", *row) for row in rows], schema=SIGNAL_ID_SCHEMA, orient="row")


def rows_of(*rows):
    return pl.DataFrame(
        [(home, time, False, 1, None, None, n) for n, (home, time) in enumerate(rows)],
        schema=ROW_SCHEMA,
        orient="row",
    )


NOON = dt.datetime(2026, 2, 28, 12)


def test_an_id_is_its_homes_and_that_of_nobody_is_no_homes():
    told = to_households(rows_of(("W1", NOON), ("a", NOON)), ids(("W1", "a", None, None)), WATER)
    assert told.columns == list(ROW_SCHEMA)
    assert told["household"].to_list() == ["a", "water:a"]  # an id of water that reads like a home's is none


def test_an_id_that_passes_on_goes_by_the_day():
    passed = ids(("W1", "a", None, MARCH), ("W1", "b", MARCH, None))
    times = [("W1", NOON), ("W1", dt.datetime(2026, 3, 1)), ("W1", dt.datetime(2026, 3, 1, 1))]
    assert to_households(rows_of(*times), passed, WATER)["household"].to_list() == ["a", "b", "b"]
    ends = SignalRule("water", "usage", "litre", stamp="end")  # midnight closes the day before
    assert to_households(rows_of(*times), passed, ends)["household"].to_list() == ["a", "a", "b"]
    # while nobody lives there it is that of the last home, which has moved out
    gap = ids(("W1", "a", None, dt.date(2026, 2, 1)), ("W1", "b", dt.date(2026, 6, 1), None))
    assert to_households(rows_of(*times), gap, WATER)["household"].unique().to_list() == ["a"]


def test_two_meters_of_a_home_are_told_apart():
    told = to_households(
        rows_of(("W1", NOON), ("W2", NOON)), ids(("W1", "a", None, None), ("W2", "a", None, None)), WATER
    )
    assert told["household"].to_list() == ["a", "a"] and told["meter"].n_unique() == 2


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path / "out" / "anomaly.duckdb")
    store.prepare()
    assert read_signal_ids(store, "water").is_empty()
    write_signal_ids(store, ids(("W2", "b", MARCH, None), ("W1", "a", None, None)))
    assert read_signal_ids(store, "water")["id"].to_list() == ["W1", "W2"]
    assert read_signal_ids(store, "power").is_empty()
    assert ids_mark(read_signal_ids(store, "water")) != ids_mark(read_signal_ids(store, "power"))


def test_ids_are_coded_as_the_households_are():
    cells = pl.DataFrame({"household": ["x"], "id:water": ["W1"]})
    coded = encode_signal_ids(cells, lambda frame: frame.with_columns(pl.col("household") + "!"))
    assert coded.rows() == [("x", "W1!")]


@pytest.fixture
def site(tmp_path):
    """Water by ids of its own, doors by the register's."""
    made = Site(tmp_path)
    tmp_path.mkdir(exist_ok=True)
    made.configure(
        {
            "entries": 'files = "entries.csv"\nkind = "count"\ncolumns = { household = "h", time = "t", value = "v" }\n',
            "water": 'files = "water.csv"\nkind = "usage"\nunit = "litre"\ncolumns = { household = "表号", time = "t", value = "v" }\n',
        },
        more='[households]\nfiles = "homes.csv"\ncolumns = { household = "户", moved_out = "until" }\nids = { water = "水表号" }\n',
    )
    days = [f"2026-03-{day:02}" for day in range(1, 5)]
    made.put("entries.csv", "h,t,v\n" + "".join(f"{h},{day},5\n" for h in ("a", "b", "c") for day in days))
    made.put(
        "water.csv",
        "表号,t,v\n" + "".join(f"{w},{day},{100 + int(w)}\n" for w in ("1", "2", "3") for day in days),
    )
    made.put("homes.csv", "户,水表号,until\na,1,\nb,2,2026-03-03\nc,3,\n")
    return made


def water(site):
    found = site.view("readings").filter(pl.col("signal") == "water")
    return sorted(found.group_by("household").agg(pl.len(), pl.col("value").max()).rows())


def test_a_night_of_departments_that_number_homes_differently(site):
    site.nightly()
    assert water(site) == [("a", 4, 101), ("b", 2, 102), ("c", 4, 103)]
    # the register changes: the readings follow it
    site.put("homes.csv", "户,水表号,until\na,3,\nb,2,\nc,1,\n")
    site.nightly()
    assert water(site) == [("a", 4, 103), ("b", 4, 102), ("c", 4, 101)]


def test_an_unmatched_source_says_how_many_and_shows_two_on_the_terminal_alone(site):
    site.put("homes.csv", "户,水表号,until\na,X1,\nb,X2,\nc,3,\n")
    told = site.nightly(code=3).stderr
    assert "water: 2 of 3 ids are not in the register, such as '1' and '2'; complete the column" in told
    notes = site.view("runs")["notes"][-1]
    assert "water: 2 of 3 ids are not in the register; complete" in notes and "such as" not in notes
