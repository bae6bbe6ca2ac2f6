import polars as pl

from pipelines.storage.home_numbers import HomeNumbers, hash_order, home_blocks


def test_homes_keep_their_numbers_and_new_ones_get_the_next(store):
    numbers = HomeNumbers(store)
    first = numbers.replace_ids(pl.DataFrame({"household": ["b", "a", "b"], "value": [1, 2, 3]}))
    assert set(first.columns) == {"home", "value"}
    assert first["home"].dtype == pl.UInt32 and first["home"][0] == first["home"][2] != first["home"][1]
    before = dict(zip(numbers.households, range(2), strict=True))
    again = HomeNumbers(store)  # as another run finds it
    rows = again.replace_ids(pl.DataFrame({"household": ["c", "a", "b"]}))
    assert rows["home"].to_list() == [2, before["a"], before["b"]]
    assert len(again) == 3 and again.frame().rows()[2] == (2, "c")


def test_new_homes_are_numbered_in_hash_order_not_in_the_order_of_a_file(store):
    ids = [f"{n:04}" for n in range(50)]
    numbers = HomeNumbers(store)
    numbers.replace_ids(pl.DataFrame({"household": ids[::-1]}))
    order = hash_order(numbers.households)
    assert (order[:-1] <= order[1:]).all() and numbers.households.to_list() != sorted(ids)


def test_the_hash_order_of_an_id_never_changes():
    assert hash_order(["123456789"]).tolist() == [0xCBF43926]  # the published check value of CRC-32


def test_rows_keep_their_order(store):
    rows = pl.DataFrame({"household": ["b", "a", "c", "a"], "row": [1, 2, 3, 4]})
    assert HomeNumbers(store).replace_ids(rows)["row"].to_list() == [1, 2, 3, 4]


def test_blocks_cover_every_home_once():
    assert list(home_blocks(7, 3)) == [range(3), range(3, 6), range(6, 7)]
    assert list(home_blocks(6, 3)) == [range(3), range(3, 6)]
    assert list(home_blocks(0, 3)) == []
