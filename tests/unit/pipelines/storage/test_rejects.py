import polars as pl

from pipelines.storage.rejects import commonest_reason, read_rejects, replace_rejects


def refused(*rows: tuple[int, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"row": pl.Int64, "reason": pl.String}, orient="row")


def test_a_files_rejects_take_the_place_of_its_earlier_ones(store):
    assert read_rejects(store).is_empty()
    replace_rejects(
        store, "water", {"b.csv": refused((9, "no time"), (2, "no value")), "a.csv": refused((1, "x"))}
    )
    replace_rejects(store, "power", {"b.csv": refused((3, "no value"))})
    replace_rejects(store, "water", {"b.csv": refused((4, "no time"))})
    assert read_rejects(store).rows() == [
        ("power", "b.csv", 3, "no value"),
        ("water", "a.csv", 1, "x"),
        ("water", "b.csv", 4, "no time"),
    ]
    replace_rejects(store, "water", {"b.csv": refused()})
    assert read_rejects(store)["file"].to_list() == ["b.csv", "a.csv"]


def test_the_commonest_reason():
    assert commonest_reason(refused((1, "no time"), (2, "no value"), (3, "no value"))) == "no value"
