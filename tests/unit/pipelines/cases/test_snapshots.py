"""What a night writes down of its cases, and how it is read again."""

import datetime as dt
from types import SimpleNamespace

import polars as pl
import pytest

from anomaly.outcomes import AccountRules
from pipelines.cases import snapshots
from pipelines.cases.build import build_cases
from pipelines.cases.snapshots import (
    SERIES_COLUMNS,
    find_case,
    last_night_with_case,
    read_snapshot,
    readings_with_expected,
)
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA, RawRows
from pipelines.storage.state import Store
from tests.support.judged_store import (
    EXPECTED_SCHEMA,
    NIGHTS,
    answer_line,
    evidence_row,
    settings_for,
    write_night,
)
from tests.support.site import SURGED, daily, day

NIGHT = NIGHTS[4]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "anomaly.duckdb")


def write_cases(store: Store, night: dt.date, *rows: tuple[str, str, dt.date]) -> None:
    schema = {"case_id": pl.String, "household": pl.String, "opened": pl.Date}
    store.write(f"nights/{night}/cases.parquet", pl.DataFrame(rows, schema=schema, orient="row"))
    store.write_json(f"nights/{night}/done.json", {})


def test_a_case_is_found_by_its_code_and_by_its_home(store):
    write_cases(store, NIGHTS[0], ("c1", "0001", NIGHTS[0]), ("c2", "0001", NIGHTS[1]))
    write_cases(store, NIGHTS[1], ("c3", "0003", NIGHTS[1]))
    assert find_case(store, "c1", NIGHTS[0])["case_id"] == "c1"
    assert find_case(store, "0001", NIGHTS[0])["case_id"] == "c2"  # the latest of the home
    assert find_case(store, "c1", NIGHTS[1]) is None
    assert last_night_with_case(store, "0001") == NIGHTS[0]
    assert last_night_with_case(store, "c9") is None


def test_a_night_without_a_snapshot_gives_an_empty_frame(store):
    assert read_snapshot(store, NIGHTS[0], "series").is_empty()
    assert find_case(store, "c1", NIGHTS[0]) is None


def test_a_listed_case_has_the_chance_that_its_list_promised(store):
    """All of thirty doors were wrong: the chance on the list is corrected, and that is the case's."""
    write_night(store, NIGHTS[0], evidence_row("0001"))
    for number in range(30):
        store.append_line("outcomes.jsonl", answer_line(f"c{number}", "benign", NIGHTS[0], household="0009"))
    settings = settings_for(account=AccountRules(stop_share=1.0))  # corrected, and listed all the same
    history = build_cases(settings, store, snapshot_nights=[NIGHTS[0]])
    (row,) = snapshots._cases_with_their_doors(history, NIGHTS[0]).to_dicts()
    assert (row["rank"], row["desk"], row["chance_before"]) == (1, "water", 0.2)
    assert row["chance_wrong"] == history.worklist["chance_wrong"][0] > 0.9
    assert row["rarity_night"] == 1e5 and row["because_en"].startswith("Water 2.0×")


def expected_of(homes: list[str]) -> SimpleNamespace:
    """What was expected of those homes."""
    return SimpleNamespace(grid=SimpleNamespace(households=homes, index=lambda night: 0))


def test_readings_beside_what_was_expected_as_the_night_knew_them(monkeypatch):
    """What only a later reading confirmed is unknown; homes missing in the arrays come from the file."""

    def expected_day(household: str, expected: float) -> dict:
        return dict.fromkeys(EXPECTED_SCHEMA, None) | {
            "household": household,
            "signal": "water",
            "day": NIGHT,
            "expected": expected,
        }

    def reading(household: str, value: int, known_on: dt.date) -> tuple:
        return household, "water", NIGHT, value, "litre", "read", None, known_on

    columns = ("household", "signal", "day", "value", "unit", "quality", "note", "known_on")
    readings = [reading("0002", 30, NIGHT), reading("0001", 20, NIGHT + dt.timedelta(1))]
    asked = []

    def readings_of(homes, first, last):
        asked.append((sorted(homes), first, last))
        return pl.DataFrame(readings, schema=columns, orient="row")

    in_arrays = pl.DataFrame([expected_day("0001", 11.0)], schema=EXPECTED_SCHEMA)
    in_file = pl.DataFrame([expected_day("0001", 99.0), expected_day("0002", 12.0)], schema=EXPECTED_SCHEMA)
    monkeypatch.setattr(snapshots, "expected_frame", lambda expected, night, rows, days: in_arrays)
    inputs = SimpleNamespace(readings_of=readings_of)
    found = readings_with_expected(inputs, expected_of(["0001"]), {"0001", "0002"}, NIGHT, in_file, days=3)
    assert tuple(found.columns) == SERIES_COLUMNS
    assert found.select("household", "value", "expected", "quality").rows() == [
        ("0001", None, 11.0, "doubtful"),
        ("0002", 30, 12.0, "read"),
    ]
    assert asked == [(["0001", "0002"], NIGHT - dt.timedelta(2), NIGHT)]


def test_the_minimum_flow_is_of_water_meters_read_by_the_hour(store):
    """Home 1 lets three litres an hour run all night; home 0 is not asked for, and power has no flow."""
    hours = [dt.datetime(2026, 3, 4, 20) + dt.timedelta(hours=n) for n in range(12)]
    rows = [
        (home, time, False, litres * n, None, None, n, "water.csv")
        for home, litres in ((0, 5), (1, 3))
        for n, time in enumerate(hours)
    ]
    frame = pl.DataFrame(rows, schema=RAW_ROW_SCHEMA, orient="row")
    for signal in ("water", "power"):
        RawRows(store, signal).add(frame)
    homes = pl.DataFrame(
        {"home": [0, 1], "household": ["0000", "0001"]}, schema_overrides={"home": pl.UInt32}
    )
    inputs = SimpleNamespace(stored=SimpleNamespace(home_numbers=lambda: homes))
    found = snapshots._minimum_flows(settings_for(), store, inputs, ["0001"], NIGHT)
    assert found.rows() == [("0001", "water", NIGHT, 3)]


def dwellings(*homes: str) -> SimpleNamespace:
    return SimpleNamespace(dwellings=pl.DataFrame({"household": homes, "district": ["North"] * len(homes)}))


def test_control_doors_are_judged_homes_without_a_case():
    settings = settings_for(control=SimpleNamespace(doors_per_night=9))
    inputs = dwellings("0001", "0002", "0003")
    judged = SimpleNamespace(judged_households=lambda night: ["0001", "0003"])
    drawn = snapshots._draw_control_doors(settings, inputs, judged, NIGHT, {"0001"})
    assert drawn.select("night", "household", "district").rows() == [(NIGHT, "0003", "North")]
    assert drawn["case_id"][0].startswith("k260305-")


def test_a_judged_night_has_written_the_last_weeks_of_its_case(judged_site):
    store, night = Store(judged_site.file), day(-2)
    series = read_snapshot(store, night, "series").filter(
        (pl.col("household") == SURGED) & (pl.col("signal") == "entries")
    )
    assert series["day"].to_list() == [night - dt.timedelta(days=back) for back in range(27, -1, -1)]
    assert series["value"].to_list() == daily()["entries"][int(SURGED), -29:-1].tolist()
    surged = series.filter(pl.col("day") > night - dt.timedelta(days=7))
    assert (surged["value"] / surged["expected"]).mean() == pytest.approx(3, abs=0.8)
