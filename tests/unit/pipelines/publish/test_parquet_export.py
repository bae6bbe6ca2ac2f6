"""The views as Parquet: the same rows and types for every reader, whole exports only, and few of them."""

import datetime as dt
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest

from anomaly import tables
from pipelines.publish import parquet_export
from pipelines.publish.duckdb_file import OFFLINE, publish, replace_tables
from pipelines.storage.atomic_write import draft_path
from tests.support.published_rows import META, ROWS, frames
from tests.support.site import LAST, Site, daily, day, make_site, rows

# type in DuckDB → physical and converted type in the file: none that a reader may lack, unsigned or nested
TYPES = {
    "VARCHAR": ("BYTE_ARRAY", "UTF8"),
    "DATE": ("INT32", "DATE"),
    "BIGINT": ("INT64", "INT_64"),
    "INTEGER": ("INT32", "INT_32"),
    "DOUBLE": ("DOUBLE", None),
    "BOOLEAN": ("BOOLEAN", None),
    "TIMESTAMP": ("INT64", "TIMESTAMP_MICROS"),
}


def settings_of(path: Path, parquet: bool = True) -> SimpleNamespace:
    """Return what an export asks of the settings."""
    return SimpleNamespace(store=path, publish=SimpleNamespace(parquet=parquet))


def export_in(folder: Path) -> SimpleNamespace:
    publish(folder / "anomaly.duckdb", frames(), META)
    assert parquet_export.sync_parquet_export(settings_of(folder / "anomaly.duckdb")) == []
    return settings_of(folder / "anomaly.duckdb")


@pytest.fixture(scope="module")
def shared_export(tmp_path_factory) -> SimpleNamespace:
    """An export that is only read."""
    return export_in(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def export(tmp_path) -> SimpleNamespace:
    return export_in(tmp_path)


def folder(export: SimpleNamespace) -> Path:
    return export.store.parent / "parquet"


def ask(sql: str, path: str = ":memory:") -> list[tuple]:
    with duckdb.connect(path, config=OFFLINE, read_only=path != ":memory:") as con:
        return con.execute(sql).fetchall()


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_polars_and_duckdb_read_the_rows_and_types_of_the_view(shared_export, name):
    path = folder(shared_export) / "v1" / f"{name}.parquet"
    ratios = "to_json(ratios)::VARCHAR" if name == "cases" else "ratios"
    columns = ", ".join(
        ratios if column == "ratios" else f'"{column}"' for column in tables.PUBLISHED[name].column_names()
    )
    view = sorted(ask(f"SELECT {columns} FROM v1.{name}", str(shared_export.store)), key=repr)
    assert sorted(ask(f"FROM read_parquet('{path}')"), key=repr) == view and len(view) == len(ROWS[name])
    assert sorted(pl.read_parquet(path).rows(), key=repr) == view
    types = dict(
        ask(f"SELECT column_name, column_type FROM (DESCRIBE v1.{name})", str(shared_export.store))
    ) | ({"ratios": "VARCHAR"} if name == "cases" else {})
    assert dict(ask(f"SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet('{path}'))")) == types
    expected = {
        "VARCHAR": pl.String,
        "DATE": pl.Date,
        "BIGINT": pl.Int64,
        "INTEGER": pl.Int32,
        "DOUBLE": pl.Float64,
        "BOOLEAN": pl.Boolean,
        "TIMESTAMP": pl.Datetime("us"),
    }
    assert pl.read_parquet_schema(path) == {column: expected[kind] for column, kind in types.items()}


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_the_files_own_types_are_plain(shared_export, name):
    path = folder(shared_export) / "v1" / f"{name}.parquet"
    written = {
        row[0]: row[1:]
        for row in ask(
            f"SELECT name, type, converted_type FROM parquet_schema('{path}') WHERE num_children IS NULL"
        )
    }
    types = dict(
        ask(f"SELECT column_name, column_type FROM (DESCRIBE v1.{name})", str(shared_export.store))
    ) | ({"ratios": "VARCHAR"} if name == "cases" else {})
    assert written == {column: TYPES[kind] for column, kind in types.items()}
    assert set(ask(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')")) == {("ZSTD",)}


def test_ratios_are_json(shared_export):
    assert pl.read_parquet(folder(shared_export) / "v1" / "cases.parquet")["ratios"].str.json_path_match(
        "$.water"
    ).to_list() == ["2.1"]


def test_the_link_leads_to_a_whole_export_and_the_one_before_stays(export):
    first = (folder(export) / "v1").resolve()
    for households in (3, 4):
        publish(export.store, frames(households=[(f"{h}", None, None) for h in range(households)]), META)
        assert not parquet_export.is_up_to_date(export)
        parquet_export.sync_parquet_export(export)
    assert parquet_export.is_up_to_date(export) and not first.exists()
    second, third = sorted(folder(export).glob("v1-*"))
    assert (folder(export) / "v1").resolve() == third and os.readlink(folder(export) / "v1") == third.name
    assert [pl.read_parquet(one / "households.parquet").height for one in (second, third)] == [3, 4]
    assert sorted(path.stem for path in third.glob("*.parquet")) == sorted(tables.PUBLISHED)
    parquet_export.sync_parquet_export(export, keep=0)
    assert list(folder(export).glob("v1-*")) == [third]


def test_an_export_of_the_same_file_is_not_made_again(export):
    there = (folder(export) / "v1").resolve()
    assert parquet_export.sync_parquet_export(export) == [] and (folder(export) / "v1").resolve() == there


def test_only_views_that_changed_are_written_again(export):
    again = frames(outcomes=[*ROWS["outcomes"], ROWS["outcomes"][0]])
    before = {path.stem: path.stat().st_ino for path in (folder(export) / "v1").glob("*.parquet")}
    replace_tables(export.store, {"outcomes": again["outcomes"]})
    parquet_export.sync_parquet_export(export, {"outcomes"})
    after = {path.stem: path.stat().st_ino for path in (folder(export) / "v1").glob("*.parquet")}
    assert {name for name in before if before[name] != after[name]} == {
        "outcomes"
    } and before.keys() == after.keys()
    assert pl.read_parquet(folder(export) / "v1" / "outcomes.parquet").height == 2


def test_an_export_that_fails_says_so_and_leaves_the_one_before(export, monkeypatch):
    there = (folder(export) / "v1").resolve()
    publish(export.store, frames(households=[]), META)

    def full(*args, **named):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parquet_export, "_write_views", full)
        (line,) = parquet_export.sync_parquet_export(export)
    assert "No space left on device" in line and "the export before stands" in line and "\n" not in line
    assert (
        sorted(path.name for path in folder(export).iterdir()) == ["v1", there.name]
        and pl.read_parquet(there / "households.parquet").height == 2
    )
    assert (
        parquet_export.sync_parquet_export(export) == []
        and pl.read_parquet(folder(export) / "v1" / "households.parquet").is_empty()
    )


def test_what_a_killed_run_left_is_written_over(export):
    publish(export.store, frames(households=[]), META)
    draft = draft_path(folder(export) / "v1-000002")
    draft.mkdir()
    (draft / "runs.parquet").write_text("half")
    (folder(export) / ".v1.next").symlink_to("nowhere")
    assert parquet_export.sync_parquet_export(export) == []
    assert sorted(path.name for path in folder(export).iterdir()) == ["v1", "v1-000001", "v1-000002"]


def test_files_are_for_owner_and_group_and_none_is_left_when_it_is_switched_off(export):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder(export).rglob("*") if path.is_file()}
    assert modes == {0o640} and {
        stat.S_IMODE(path.stat().st_mode) for path in folder(export).glob("v1-*")
    } == {0o750}
    assert (
        parquet_export.sync_parquet_export(settings_of(export.store, parquet=False)) == []
        and not folder(export).exists()
    )


def test_what_others_have_in_the_folder_stays(export):
    theirs = folder(export) / "mine.parquet", folder(export) / "v1-000007" / "x.parquet"
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    publish(export.store, frames(households=[]), META)
    assert parquet_export.sync_parquet_export(export) == []
    assert sorted(path.name for path in parquet_export.find_foreign_entries(export)) == [
        "mine.parquet",
        "v1-000007",
    ]
    parquet_export.sync_parquet_export(settings_of(export.store, parquet=False))
    assert sorted(path for path in folder(export).rglob("*") if path.is_file()) == sorted(theirs)
    parquet_export.sync_parquet_export(settings_of(export.store, parquet=False))
    assert all(path.exists() for path in theirs)


def test_an_export_is_on_the_disk_before_the_link_leads_to_it(export, monkeypatch):
    synced, late = set(), []

    def fsync(descriptor, real=os.fsync):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    def replace(source, target, real=os.replace):
        if Path(target).name == "v1-000002":
            late.extend(str(path) for path in Path(source).iterdir() if str(path) not in synced)
        real(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    publish(export.store, frames(households=[]), META)
    parquet_export.sync_parquet_export(export)
    written = [path for path in (folder(export) / "v1-000002").iterdir() if path.suffix == ".parquet"]
    assert written and [path for path in late if not path.endswith("of.txt")] == []
    assert str(folder(export)) in synced


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """A site that asks for Parquet, its last night but one judged."""
    site = make_site(tmp_path_factory.mktemp("export"), last=day(-2))
    site.change("[store]", "[publish]\nparquet = true\n\n[store]")
    site.nightly()
    return site


def test_the_export_follows_every_swap_of_the_file(site):
    def night() -> dt.date:
        return pl.read_parquet(site.root / "out/parquet/v1/worklist.parquet")["night"].max()

    assert night() == day(-2)
    for name, values in daily().items():
        site.put(f"{name}.csv", rows(name, values))
    site.nightly()
    assert night() == LAST
    (site.root / "out/parquet/v1").unlink()
    assert "nothing to do" in site.nightly().stderr and night() == LAST  # what is lost is made again
    case = site.view("cases")["case_id"][0]
    decided = site.run("decide", case, "benign", "--reason", "guests", "--day", str(LAST))
    assert decided.exit_code == 0, decided.output
    outcomes = pl.read_parquet(site.root / "out/parquet/v1/outcomes.parquet")
    assert outcomes["outcome"].to_list() == ["benign"] == site.view("outcomes")["outcome"].to_list()


def test_a_prune_leaves_no_export_of_before(site, monkeypatch):
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: LAST)
    site.change("[publish]", "[retention]\nreadings_days = 40\n\n[publish]")
    pruned = site.run("prune")
    assert pruned.exit_code == 0, pruned.output
    assert len(list((site.root / "out/parquet").glob("v1-*"))) == 1
    days = pl.read_parquet(site.root / "out/parquet/v1/readings.parquet")["day"]
    assert days.min() == site.view("readings")["day"].min() == LAST - dt.timedelta(days=40)
