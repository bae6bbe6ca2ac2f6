import datetime as dt

import polars as pl

from pipelines.storage.raw_rows import RAW_ROW_SCHEMA, RawRows, file_sort_keys


def rows(*cells: tuple[int, int, int, str]) -> pl.DataFrame:
    """Raw rows of (home, day of March, value, file)."""
    return pl.DataFrame(
        [
            (home, dt.datetime(2026, 3, day), True, value, None, None, row, file)
            for row, (home, day, value, file) in enumerate(cells, 1)
        ],
        schema=RAW_ROW_SCHEMA,
        orient="row",
    )


def read(raw: RawRows, homes=None) -> list[tuple]:
    return [(r["home"], r["time"].day, r["value"]) for r in raw.read(homes).rows(named=True)]


def test_rows_that_were_added_are_read_by_home(store):
    raw = RawRows(store, "water")
    one = raw.add(rows((1, 5, 10, "a.csv"), (0, 4, 20, "a.csv")))
    assert (one.first, one.last) == (dt.date(2026, 3, 4), dt.date(2026, 3, 5))
    assert read(raw) == [(0, 4, 20), (1, 5, 10)]
    assert read(raw, range(1, 2)) == [(1, 5, 10)]
    assert read(raw, pl.Series([0], dtype=pl.UInt32)) == [(0, 4, 20)]
    assert read(RawRows(store, "power")) == []


def test_of_two_rows_with_one_key_that_of_the_later_file_counts_then_the_one_that_came_later(store):
    raw = RawRows(store, "water")
    raw.add(rows((0, 1, 10, "w-10.csv"), (1, 1, 11, "w-2.csv")))
    raw.add(rows((0, 1, 20, "w-2.csv"), (1, 1, 21, "w-2.csv")))
    assert read(raw) == [(0, 1, 10), (1, 1, 21)]


def test_what_a_file_gave_is_removed(store):
    raw = RawRows(store, "water")
    raw.add(rows((0, 1, 10, "a.csv"), (1, 1, 11, "b.csv")))
    raw.add(rows((0, 2, 20, "a.csv")))
    raw.remove_files(["a.csv"])
    assert read(raw) == [(1, 1, 11)] and [one.number for one in raw.partitions()] == [1]


def test_homes_of_later_partitions_are_told(store):
    raw = RawRows(store, "water")
    raw.add(rows((0, 1, 10, "a.csv")))
    raw.add(rows((1, 1, 10, "b.csv"), (2, 1, 10, "b.csv"), (2, 2, 10, "b.csv")))
    assert sorted(raw.homes_added_after(1)) == [1, 2]
    assert raw.homes_added_after(2).to_list() == []


def test_files_sort_by_the_size_of_the_numbers_in_their_names():
    names = ["w-10.csv", "w-9.csv", "w-10.csv"]
    for files in (pl.Series(names), pl.Series(names, dtype=pl.Enum(["w-10.csv", "w-9.csv"]))):
        keys = file_sort_keys(files)
        assert keys[0] == keys[2] and keys.arg_sort()[0] == 1


def test_parts_of_a_base_unit_are_kept_and_whole_values_are_written_as_integers(store):
    raw = RawRows(store, "water")
    whole = raw.add(rows((0, 1, 10, "a.csv")))
    parts = raw.add(rows((0, 2, 0.4, "b.csv")))
    kinds = [pl.read_parquet_schema(one.path)["value"] for one in (whole, parts)]
    assert kinds == [pl.Int64, pl.Float64] and read(raw) == [(0, 1, 10.0), (0, 2, 0.4)]
