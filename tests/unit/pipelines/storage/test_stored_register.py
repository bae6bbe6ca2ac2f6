import polars as pl

from pipelines.storage.stored_register import (
    REGISTER_SCHEMA,
    has_register,
    read_stored_register,
    write_register,
)


def test_a_register_that_was_written_is_read(store):
    assert not has_register(store) and read_stored_register(store).schema == REGISTER_SCHEMA
    home = {
        "household": "0001",
        "building": None,
        "district": "N",
        "class": "shop",
        "moved_in": None,
        "moved_out": None,
        "ambiguous": False,
    }
    write_register(store, pl.DataFrame([home | {"row": 5}]))
    assert has_register(store) and read_stored_register(store).to_dicts() == [home]
    assert read_stored_register(store).schema == REGISTER_SCHEMA
