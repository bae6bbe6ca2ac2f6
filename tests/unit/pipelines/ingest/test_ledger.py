import dataclasses
import datetime as dt
import os

import polars as pl
import pytest

from anomaly.readings import SignalRule
from pipelines.config.sections import Source
from pipelines.errors import SourceError, StateDamaged
from pipelines.ingest.ledger import LEDGER_FILE, FileLedger, read_entries, reading_mark
from pipelines.storage.home_numbers import HomeNumbers
from pipelines.storage.rejects import replace_rejects
from pipelines.storage.state import Store

SOURCE = Source("water", "w*.csv", {"household": "home"})
RULE = SignalRule("water", "register", "m3")


@pytest.fixture
def store(tmp_path) -> Store:
    """A store that has loaded something before."""
    made = Store(tmp_path / "out" / "anomaly.duckdb")
    made.prepare()
    HomeNumbers(made).replace_ids(pl.DataFrame({"household": ["a"]}))
    replace_rejects(made, "water", {})
    return made


def changed(ledger: FileLedger, root, read_as: str = "mark", today: dt.date = dt.date.min) -> list[str]:
    return [file.entry["file"] for file in ledger.find_changed(SOURCE, root, read_as, today)]


def load_all(store: Store, root, **more) -> FileLedger:
    """The ledger after every file was loaded, each without a new row."""
    ledger = FileLedger(store)
    for entry, _ in ledger.find_changed(SOURCE, root, "mark"):
        ledger.record(entry | {"rows": 1, "rejects": 0, "part": 0} | more)
    ledger.write()
    return ledger


def test_a_file_is_changed_once_its_content_or_its_reading_is(store, tmp_path):
    (tmp_path / "w1.csv").write_text("1")
    (tmp_path / "w2.csv").write_text("2")
    assert changed(FileLedger(store), tmp_path) == ["w1.csv", "w2.csv"]
    load_all(store, tmp_path)
    assert changed(FileLedger(store), tmp_path) == []
    (tmp_path / "w2.csv").write_text("3")
    assert changed(FileLedger(store), tmp_path) == ["w2.csv"]
    assert changed(FileLedger(store), tmp_path, read_as="another") == ["w1.csv", "w2.csv"]


def test_a_file_of_another_time_and_the_same_content_is_not_changed(store, tmp_path):
    (tmp_path / "w1.csv").write_text("1")
    load_all(store, tmp_path)
    os.utime(tmp_path / "w1.csv", ns=(5, 5))
    ledger = FileLedger(store)
    assert changed(ledger, tmp_path) == []
    entry = ledger.get("water", "w1.csv")
    assert (
        entry["modified_ns"] == 5 and entry["rows"] == 1
    )  # brought up to date, and what is known of it stays


def test_a_file_with_rows_of_later_days_is_read_again_when_a_day_has_passed(store, tmp_path):
    (tmp_path / "w1.csv").write_text("1")
    load_all(store, tmp_path, read_on="2026-03-01")
    assert changed(FileLedger(store), tmp_path, today=dt.date(2026, 3, 1)) == []
    assert changed(FileLedger(store), tmp_path, today=dt.date(2026, 3, 2)) == ["w1.csv"]


def test_a_file_whose_rows_were_lost_counts_as_never_loaded(store, tmp_path):
    (tmp_path / "w1.csv").write_text("1")
    load_all(store, tmp_path, part=7)
    assert FileLedger(store).entries == {}


@pytest.mark.parametrize("lost", ["rejects.parquet", "homes.parquet"])
def test_without_rejects_or_homes_nothing_counts_as_loaded(store, tmp_path, lost):
    (tmp_path / "w1.csv").write_text("1")
    load_all(store, tmp_path)
    store.path(lost).unlink()
    assert FileLedger(store).entries == {}


@pytest.mark.parametrize("content", [{}, [1], [{"source": "water"}]])
def test_a_ledger_of_another_shape_is_told(store, content):
    store.write_json(LEDGER_FILE, content)
    with pytest.raises(StateDamaged, match="files.json: is damaged"):
        read_entries(store)


def test_no_file_is_told(store, tmp_path):
    with pytest.raises(SourceError, match="matches no file"):
        FileLedger(store).find_changed(SOURCE, tmp_path, "mark")


def test_the_mark_changes_with_what_says_how_cells_are_read():
    mark = reading_mark(SOURCE, RULE)
    assert len(mark) == 16 and mark == reading_mark(dataclasses.replace(SOURCE, files="x", max_bytes=1), RULE)
    assert mark == reading_mark(SOURCE, dataclasses.replace(RULE, max_per_day=5.0))
    assert mark != reading_mark(dataclasses.replace(SOURCE, separator=";"), RULE)
    assert mark != reading_mark(SOURCE, dataclasses.replace(RULE, unit="litre"))
    assert mark != reading_mark(SOURCE)


def test_content_keeps_the_time_at_which_it_was_first_read(tmp_path):
    ledger = FileLedger(Store(tmp_path / "out" / "anomaly.duckdb"))
    source = Source("entries", "*.csv", {})
    today = dt.date(2026, 6, 4)

    def first_read(day, mark="m"):
        now = dt.datetime(2026, 6, day, 2)
        found = ledger.find_changed(source, tmp_path, mark, dt.date(2026, 6, day), now)
        for entry, _ in found:
            ledger.record(entry)
        return {entry["file"]: entry["first_read"][8:10] for entry, _ in found}

    (tmp_path / "a.csv").write_text("one")
    assert first_read(4) == {"a.csv": "04"}
    assert first_read(5) == {}
    assert first_read(6, "other settings") == {"a.csv": "04"}
    (tmp_path / "b.csv").write_text("one")  # the same content by another name
    assert first_read(7, "other settings") == {"b.csv": "04"}
    (tmp_path / "a.csv").write_text("one, and more")
    assert first_read(8, "other settings") == {"a.csv": "08"}
    # rows of later days were refused: once the day has come it is new
    ledger.get("entries", "a.csv")["read_on"] = str(today + dt.timedelta(days=4))
    assert first_read(9, "other settings") == {"a.csv": "09"}
