import pytest

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.ledger import FileLedger
from pipelines.ingest.register import load_register
from pipelines.storage.rejects import read_rejects
from pipelines.storage.state import Store
from pipelines.storage.stored_register import read_stored_register

SOURCE = Source(
    "households",
    "homes*.csv",
    {"household": "id", "district": "area", "moved_in": "since"},
    optional=frozenset({"moved_in"}),
)


@pytest.fixture
def ledger(tmp_path) -> FileLedger:
    store = Store(tmp_path / "out" / "anomaly.duckdb")
    store.prepare()
    return FileLedger(store)


def load(ledger: FileLedger, tmp_path) -> list[tuple]:
    """Load the register; household, district and first day of each home."""
    load_register(SOURCE, tmp_path, ledger, lambda frame: frame)
    return read_stored_register(ledger.store).select("household", "district", "moved_in").rows()


def test_files_are_read_together_and_bad_rows_are_refused(ledger, tmp_path):
    (tmp_path / "homes-1.csv").write_text("id,area,since\n0001,N,2026-03-01\n0002,S,some day\n")
    (tmp_path / "homes-2.csv").write_text("id,area\n0003,N\n,S\n")
    homes = [(h, d, m and str(m)) for h, d, m in load(ledger, tmp_path)]
    assert homes == [("0001", "N", "2026-03-01"), ("0003", "N", None)]
    assert read_rejects(ledger.store).rows() == [
        ("households", "homes-1.csv", 2, "moved_in is no date (YYYY-MM-DD)"),
        ("households", "homes-2.csv", 2, "no household"),
    ]
    counts = {name: (e["rows"], e["rejects"]) for (_, name), e in ledger.entries.items()}
    assert counts == {"homes-1.csv": (1, 1), "homes-2.csv": (1, 1)}


def test_when_one_file_changes_all_are_read_again(ledger, tmp_path):
    (tmp_path / "homes-1.csv").write_text("id,area\n0001,N\n")
    (tmp_path / "homes-2.csv").write_text("id,area\n0002,N\n")
    load(ledger, tmp_path)
    (tmp_path / "homes-2.csv").write_text("id,area\n0001,S\n0003,S\n")
    assert load(ledger, tmp_path) == [("0001", None, None), ("0003", "S", None)]  # 0001 has two places


def test_rejects_of_a_file_that_did_not_change_are_those_of_the_register_as_it_is_now(ledger, tmp_path):
    (tmp_path / "homes-1.csv").write_text("id,area\n0001,N\n0002,N\n")
    load(ledger, tmp_path)
    assert read_rejects(ledger.store).is_empty()
    (tmp_path / "homes-2.csv").write_text("id,area\n0001,S\n")
    load(ledger, tmp_path)
    why = "the same id with different places"
    assert read_rejects(ledger.store).rows() == [
        ("households", "homes-1.csv", 1, why),
        ("households", "homes-2.csv", 1, why),
    ]
    counts = {name: (e["rows"], e["rejects"]) for (_, name), e in ledger.entries.items()}
    assert counts == {"homes-1.csv": (1, 1), "homes-2.csv": (0, 1)}


def test_a_file_that_was_deleted_takes_its_homes_and_rejects_with_it(ledger, tmp_path):
    (tmp_path / "homes-1.csv").write_text("id,area\n0001,N\n")
    (tmp_path / "homes-2.csv").write_text("id,area\n0001,S\n0002,S\n")
    assert load(ledger, tmp_path) == [("0001", None, None), ("0002", "S", None)]
    (tmp_path / "homes-2.csv").unlink()
    assert load(ledger, tmp_path) == [("0001", "N", None)]
    assert read_rejects(ledger.store).is_empty() and ledger.files("households") == ["homes-1.csv"]


def test_what_did_not_change_is_not_read_again(ledger, tmp_path):
    (tmp_path / "homes.csv").write_text("id,area\n0001,N\n")
    load(ledger, tmp_path)
    ledger.store.path("register.parquet").touch()
    before = ledger.store.path("register.parquet").stat().st_mtime_ns
    load(ledger, tmp_path)
    assert ledger.store.path("register.parquet").stat().st_mtime_ns == before
    ledger.store.path("register.parquet").unlink()
    assert load(ledger, tmp_path) == [("0001", "N", None)]


def test_ids_are_encoded_as_they_are_read(ledger, tmp_path):
    (tmp_path / "homes.csv").write_text("id,area\n0001,N\n")
    load_register(
        SOURCE, tmp_path, ledger, lambda frame: frame.with_columns(household="h" + frame["household"])
    )
    assert read_stored_register(ledger.store)["household"].to_list() == ["h0001"]


def test_a_register_that_cannot_be_read_leaves_the_one_before(ledger, tmp_path):
    (tmp_path / "homes.csv").write_text("id,area\n0001,N\n")
    load(ledger, tmp_path)
    (tmp_path / "homes.csv").write_text("id,place\n0001,N\n")
    with pytest.raises(SourceError, match="has no column 'area'"):
        load(ledger, tmp_path)
    assert read_stored_register(ledger.store)["household"].to_list() == ["0001"]
