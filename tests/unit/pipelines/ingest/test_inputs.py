import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest

from anomaly.readings import SignalRule
from pipelines.errors import SourceError
from pipelines.ingest.incremental import ReadingChanges, StoredSignal
from pipelines.ingest.inputs import stored_inputs
from pipelines.ingest.ledger import LEDGER_FILE
from pipelines.storage.home_numbers import HomeNumbers
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA
from pipelines.storage.rejects import replace_rejects
from pipelines.storage.state import Store
from pipelines.storage.stored_register import write_register

RULE = SignalRule("power", "usage", "Wh")
DAY = dt.date(2026, 3, 1)
REFUSED = pl.DataFrame({"row": [7, 8], "reason": ["no time", "no time"]})


@pytest.fixture
def store(tmp_path) -> Store:
    """Homes 0001 and 0002 with a reading on two days, from one file."""
    made = Store(tmp_path / "anomaly.duckdb")
    made.prepare()
    ids = ["0001", "0002"]
    rows = pl.DataFrame(
        [
            {
                "household": home,
                "time": dt.datetime(2026, 3, day),
                "dated": True,
                "value": 100 * day,
                "row": day,
            }
            for home in ids
            for day in (1, 2)
        ]
    )
    rows = HomeNumbers(made).replace_ids(rows)
    nulls = {"exits": pl.lit(None), "periods": pl.lit(None), "file": pl.lit("p.csv", pl.Enum(["p.csv"]))}
    rows = rows.with_columns(**nulls).select(RAW_ROW_SCHEMA.keys())
    partition = StoredSignal(made, RULE).ingest(rows, ReadingChanges()).partition
    entry = {"source": "power", "file": "p.csv", "bytes": 1, "modified_ns": 1, "sha256": "", "rows": 4}
    made.write_json(LEDGER_FILE, [entry | {"rejects": 2, "part": partition}])
    replace_rejects(made, "power", {"p.csv": REFUSED})
    return made


def settings(households: object = None, rejects_share: float = 0.5) -> SimpleNamespace:
    return SimpleNamespace(
        rules={"power": RULE},
        sources={"power": None},
        households=households,
        limits=SimpleNamespace(rejects_share=rejects_share),
    )


def register(*homes: tuple) -> pl.DataFrame:
    names = ("household", "building", "district", "class", "moved_in", "ambiguous")
    rows = [dict(zip(names, home, strict=True)) | {"moved_out": None} for home in homes]
    return pl.DataFrame(rows, infer_schema_length=None)


def test_without_a_register_every_home_seen_is_a_household(store):
    inputs = stored_inputs(settings(), store)
    assert inputs.register["household"].to_list() == ["0001", "0002"]
    assert inputs.dwelling_districts == {"0001": None, "0002": None}
    assert inputs.readings.select("household", "day", "value").rows() == [
        (home, DAY + dt.timedelta(days=day), 100 * (day + 1)) for home in ("0001", "0002") for day in (0, 1)
    ]
    assert inputs.readings_of(["0002"], first=dt.date(2026, 3, 2))["value"].to_list() == [200]
    assert inputs.degraded == [] and "part" not in inputs.files[0]


def test_rows_of_homes_that_the_register_does_not_have_are_refused(store):
    write_register(
        store, register(("0001", "B1", "N", None, None, False), ("0009", None, "N", None, None, False))
    )
    inputs = stored_inputs(settings(households=True), store)
    assert inputs.readings["household"].unique().to_list() == ["0001"]
    assert inputs.register["household"].to_list() == ["0001", "0009"]
    strangers = inputs.rejects.filter(pl.col("reason") == "household not in the register")
    assert strangers.select("source", "file", "row").rows() == [("power", "p.csv", 1), ("power", "p.csv", 2)]


def test_only_dwellings_of_a_known_place_are_judged_and_from_the_day_somebody_moved_in(store):
    write_register(
        store,
        register(
            ("0001", None, "N", "dwelling", dt.date(2026, 3, 2), False),
            ("0002", None, None, None, None, True),
            ("0003", None, "N", "shop", None, False),
        ),
    )
    inputs = stored_inputs(settings(households=True), store)
    assert inputs.dwellings.rows() == [("0001", "N")]
    assert inputs.readings.select("household", "value").rows() == [
        ("0001", 200),
        ("0002", 100),
        ("0002", 200),
    ]


def test_what_is_wrong_with_an_input_is_told_in_a_line(store):
    entries = store.read_json(LEDGER_FILE, [])
    empty = entries[0] | {"file": "p-2.csv", "rows": 0, "rejects": 0, "part": 0}
    store.write_json(LEDGER_FILE, [*entries, empty])
    gone = SourceError("water", "/in/w.csv", "has no 'x'", "it has 'y'", "has not all", "look")
    inputs = stored_inputs(settings(rejects_share=0.01), store, {"water": gone})
    assert inputs.degraded == [
        "water stopped: [water] /in/w.csv has no 'x': it has 'y'",
        "power: p-2.csv holds a header and no row; check that the export has run",
        "power: 2 of 6 rows refused (33.3%), mostly: no time; see v1.rejects",
    ]
    assert inputs.notes == ["water stopped: [water] w.csv has not all: look", *inputs.degraded[1:]]
    assert inputs.failed == {"water": gone}


def test_folders_outside_the_site_are_not_told(store):
    (entry,) = store.read_json(LEDGER_FILE, [])
    store.write_json(LEDGER_FILE, [entry | {"file": "/srv/exports/p.csv"}])
    replace_rejects(store, "power", {"p.csv": REFUSED, "/srv/exports/p.csv": REFUSED[:1]})
    inputs = stored_inputs(settings(), store)
    assert inputs.files[0]["file"] == "p.csv" and set(inputs.rejects["file"]) == {"p.csv"}
