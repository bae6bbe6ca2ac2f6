"""The frames of v1 from a store that was judged by hand."""

import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest

from anomaly import tables
from pipelines.cases.build import build_cases
from pipelines.publish import frames
from pipelines.publish.frames import (
    evidence_with_reasons,
    outcome_frames,
    published_frames,
    recent_readings,
)
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import DaySpan
from pipelines.storage.stored_register import REGISTER_SCHEMA
from tests.support.judged_store import (
    EXPECTED_SCHEMA,
    NIGHTS,
    answer_line,
    evidence_row,
    settings_for,
    write_night,
)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "anomaly.duckdb")


def register_of(*homes: tuple[str, str | None]) -> pl.DataFrame:
    """Return a register of (home, district)."""
    rows = [(home, None, district, None, None, None, False) for home, district in homes]
    return pl.DataFrame(rows, schema=REGISTER_SCHEMA, orient="row")


def inputs_of(register: pl.DataFrame) -> SimpleNamespace:
    return SimpleNamespace(register=register, rejects=tables.empty(tables.Rejects))


def run_line(night: dt.date, **changed) -> dict:
    line = {
        "run": f"r-{night}",
        "night": str(night),
        "started_utc": f"{night}T01:00:00",
        "finished_utc": f"{night}T01:01:00",
        "version": "0.1.0",
        "settings_sha256": "9f2c",
        "judged": 2,
        "not_judged": 0,
        "cases_open": 1,
        "cases_new": 1,
        "expected_wrong_doors": 0.2,
        "notes": "",
        "revised": 0,
        "stopped": [],
    }
    return line | changed


def expected_days(household: str, *days: dt.date) -> pl.DataFrame:
    rows = [(household, "water", day, 400, 200.0, 160.0, 240.0, 3.0) for day in days]
    return pl.DataFrame(rows, schema=EXPECTED_SCHEMA, orient="row")


def test_a_frame_for_every_table_but_the_readings_in_its_columns_and_order(store):
    """The register comes in another order than the tables."""
    register = register_of(("0002", None), ("0001", "North"))
    write_night(store, NIGHTS[0], evidence_row("0002"), evidence_row("0001"))
    settings = settings_for()
    lines = [run_line(NIGHTS[0])]
    found = published_frames(
        settings, store, inputs_of(register), build_cases(settings, store), new_runs=lines
    )
    assert found.keys() == tables.PUBLISHED.keys() - {"readings"}
    for name, frame in found.items():
        assert frame.columns == tables.PUBLISHED[name].column_names(), name
    assert found["households"].rows() == [("0001", None, "North"), ("0002", None, None)]
    assert found["evidence"]["household"].to_list() == ["0001", "0002"]
    assert found["runs"]["run"].to_list() == [f"r-{NIGHTS[0]}"]


def test_runs_of_older_versions_and_what_is_no_longer_listed(store):
    write_night(store, NIGHTS[0])
    old = {name: value for name, value in run_line(NIGHTS[0]).items() if name not in ("revised", "stopped")}
    store.append_line("runs.jsonl", old)
    store.append_line(
        "runs.jsonl", run_line(NIGHTS[1], notes="water: late", stopped=["people not listed"], revised=2)
    )
    settings = settings_for()
    runs = published_frames(settings, store, inputs_of(register_of()), build_cases(settings, store))["runs"]
    assert runs.select("night", "notes", "revised", "finished_utc").rows() == [
        (NIGHTS[0], "", 0, dt.datetime(2026, 3, 1, 1, 1)),
        (NIGHTS[1], "water: late; people not listed", 2, dt.datetime(2026, 3, 2, 1, 1)),
    ]


def test_expectations_are_of_all_homes_on_the_latest_night_and_of_homes_with_a_case_before(store):
    """Home 0001 has a case, 0002 has none; the first night's file also holds the day before."""
    before = NIGHTS[0] - dt.timedelta(1)
    for night in NIGHTS[:2]:
        write_night(store, night, evidence_row("0001"))
        both = [expected_days(home, night - dt.timedelta(1), night) for home in ("0001", "0002")]
        store.write(f"nights/{night}/expected.parquet", pl.concat(both))
    latest = pl.concat([expected_days("0001", NIGHTS[1]), expected_days("0002", before, NIGHTS[1])])
    store.write(f"nights/{NIGHTS[1]}/history.parquet", latest)
    settings = settings_for()
    found = published_frames(
        settings, store, inputs_of(register_of()), build_cases(settings, store), [run_line(NIGHTS[1])]
    )
    expected = found["expected"]
    assert expected.select("night", "household", "day", "unit").rows() == [
        (NIGHTS[0], "0001", NIGHTS[0], "litre"),
        (NIGHTS[1], "0001", NIGHTS[1], "litre"),
        (NIGHTS[1], "0002", before, "litre"),
        (NIGHTS[1], "0002", NIGHTS[1], "litre"),
    ]


def test_evidence_in_words_only_of_kinds_that_the_purpose_names(store):
    ratios = [{"key": "water", "value": 2.0}, {"key": "power", "value": 3.0}]
    write_night(
        store,
        NIGHTS[0],
        evidence_row("0001", "people", ratios=ratios),
        evidence_row("0001", "water"),
        evidence_row("0002", "power", ratio=1.5),
    )
    found = evidence_with_reasons(settings_for(("people", "power")), store, NIGHTS[:1], "en")
    together, power = found.sort("household")["because"]
    assert together.startswith("Water 2.0× and power 3.0× ") and together.endswith("for 7 days.")
    assert power.startswith("Power 1.5× ")
    only = evidence_with_reasons(settings_for(), store, NIGHTS[:1], "en", homes=["0002"])
    assert only["household"].to_list() == ["0002"]


def test_an_answer_changes_cases_lists_and_the_account(store):
    register = register_of(*((f"{home:04}", "North") for home in range(20)), ("0099", "Small"))
    store.write("register.parquet", register)
    settings = settings_for(households=object())
    for night in NIGHTS[:2]:
        write_night(store, night, evidence_row("0001"), evidence_row("0099"), judged=21)
    history = build_cases(settings, store)
    case_id = dict(history.cases.select("household", "case_id").iter_rows())["0001"]
    store.append_line(
        "outcomes.jsonl", answer_line(case_id, "benign", NIGHTS[1], district="North", listed=str(NIGHTS[0]))
    )
    store.append_line(
        "assignments.jsonl", {"case_id": case_id, "day": str(NIGHTS[0]), "to": "team 2", "by": None}
    )
    found = outcome_frames(settings, store, build_cases(settings, store))
    decisions = dict(found["cases"].select("household", "decision").iter_rows())
    assert decisions == {"0001": "benign", "0099": None}
    assert found["worklist"].select("night", "household", "district", "assigned").rows() == [
        (NIGHTS[0], "0001", "North", "team 2"),
        (NIGHTS[0], "0099", "Small", None),
        (NIGHTS[1], "0099", "Small", None),
    ]
    account = found["account"]
    assert account.filter(pl.col("grouped_by") == "all").select("listed", "answered", "wrong").rows() == [
        (2, 1, 1)
    ]
    districts = account.filter(pl.col("grouped_by") == "district")["name"].to_list()
    assert districts == ["North"]  # a district of one home is not told about
    assert found["misses"]["unlisted"].to_list() == [20]  # of 21 judged homes one was on the last list


class Readings:
    """As many readings as a test says, on every day of March."""

    def __init__(self, count: int) -> None:
        self.count, self.rules = count, settings_for().rules
        self.first: dt.date | None = None

    def count_cells(self) -> int:
        return self.count

    def find_span(self) -> DaySpan:
        return DaySpan(dt.date(2026, 3, 1), dt.date(2026, 3, 31))

    def cells(self, first: dt.date | None) -> pl.DataFrame:
        self.first = first
        return pl.DataFrame()

    def home_numbers(self) -> pl.DataFrame:
        return pl.DataFrame()


@pytest.mark.parametrize(
    ("asked", "count", "first"),
    [
        (None, frames.MAX_READINGS, None),
        (None, frames.MAX_READINGS + 1, dt.date(2026, 3, 18)),
        (7, 10, dt.date(2026, 3, 25)),
        (40, frames.MAX_READINGS + 1, dt.date(2026, 2, 20)),
    ],
)
def test_how_many_days_of_readings_are_published(asked, count, first):
    stored = Readings(count)
    settings = SimpleNamespace(publish=SimpleNamespace(readings_days=asked))
    found = recent_readings(settings, stored)
    assert stored.first == first
    assert found.signals.rows() == [(0, "power", "Wh"), (1, "water", "litre")]
