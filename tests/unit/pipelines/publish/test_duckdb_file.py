"""The published file: whole or not at all, checked against its tables, and readable by others meanwhile."""

import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from anomaly import __version__, tables
from pipelines.errors import PublicationRefused
from pipelines.publish import duckdb_file
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.duckdb_file import (
    OFFLINE,
    SQL_FOLDER,
    NumberedReadings,
    is_readable,
    number_readings,
    publish,
    put_logs_aside,
    replace_tables,
    start_publication,
)
from pipelines.publish.meta_frames import SCHEMA_VERSION
from pipelines.storage.atomic_write import draft_path
from pipelines.storage.state import Store
from tests.support.published_rows import CALENDAR, CODE, META, NIGHT, ROWS, SETTINGS_TEXT, ask, frames


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def shared_file(tmp_path_factory):
    """A published file that is only read."""
    path = tmp_path_factory.mktemp("published") / "anomaly.duckdb"
    publish(path, frames(), META)
    return path


@pytest.fixture
def published(tmp_path):
    publish(tmp_path / "anomaly.duckdb", frames(), META)
    return tmp_path / "anomaly.duckdb"


def test_readings_with_numbers_in_place_of_words():
    readings = frames(
        readings=[
            ("0002", "water", NIGHT, 5, "litre", "read"),
            ("0001", "water", NIGHT, 3, "litre", "interpolated"),
            ("0001", "power", NIGHT, None, "Wh", "missing"),
        ]
    )["readings"]
    found = number_readings(readings)
    assert found.homes.rows() == [(0, "0001"), (1, "0002")]
    assert found.signals.rows() == [(0, "power", "Wh"), (1, "water", "litre")]
    assert sorted(found.cells.rows(), key=repr) == [
        (0, 0, NIGHT, None, 4),
        (0, 1, NIGHT, 3, 1),
        (1, 1, NIGHT, 5, 0),
    ]
    assert found.height == 3


def test_numbered_readings_are_published_like_readings_in_words(tmp_path, shared_file):
    """The homes and signals may be numbered in any order, and hold more than have readings."""
    numbered = NumberedReadings(
        pl.DataFrame(
            {"home": [7, 3], "signal": [1, 1], "day": [NIGHT] * 2, "value": [418, None], "quality": [0, 4]},
            schema={
                "home": pl.UInt32,
                "signal": pl.UInt8,
                "day": pl.Date,
                "value": pl.Int64,
                "quality": pl.UInt8,
            },
        ),
        pl.DataFrame(
            {"home": [3, 5, 7], "household": ["0002", "0009", "0001"]}, schema_overrides={"home": pl.UInt32}
        ),
        pl.DataFrame(
            {"signal": [0, 1], "name": ["power", "water"], "unit": ["Wh", "litre"]},
            schema_overrides={"signal": pl.UInt8},
        ),
    )
    path = tmp_path / "anomaly.duckdb"
    publish(path, frames() | {"readings": numbered}, META)
    query = "SELECT * FROM v1.readings ORDER BY household"
    assert ask(path, query) == ROWS["readings"] == ask(shared_file, query)


def test_a_publication_that_is_broken_off_leaves_nothing(tmp_path):
    target = tmp_path / "anomaly.duckdb"
    with (
        pytest.raises(ZeroDivisionError),
        start_publication(target, lambda: frames()["readings"]) as publication,
    ):
        assert publication.readings_written.result() == 2
        _ = 1 / 0
    assert files(tmp_path) == [] and not is_readable(target)


def test_is_readable(published):
    assert is_readable(published)
    published.write_bytes(published.read_bytes()[:5000])
    assert not is_readable(published)


def test_logs_of_other_programs_are_put_aside_each_under_a_name_of_its_own(published):
    for content in ("first", "second"):
        for suffix in (".wal", ".wal.recovery"):
            published.with_name(published.name + suffix).write_text(content)
        assert len(put_logs_aside(published)) == 2
    aside = {path.name: path.read_text() for path in published.parent.iterdir() if path != published}
    assert aside == {
        f"anomaly.duckdb{suffix}.household-anomaly-aside-{n}": content
        for suffix in (".wal", ".wal.recovery")
        for n, content in ((1, "first"), (2, "second"))
    }
    assert put_logs_aside(published) == [] and is_readable(published)


def test_what_a_killed_publication_leaves_is_swept(tmp_path, monkeypatch):
    target = tmp_path / "anomaly.duckdb"
    lying = []
    with monkeypatch.context() as patch:
        patch.setattr(duckdb_file, "_escape_pattern", lambda rows: lying.append(rows) or 1 / 0)
        # a killed process removes nothing
        patch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(ZeroDivisionError):
            publish(target, frames(), META)
    assert lying and lying[0].exists()
    Store(target).remove_leftovers()
    assert files(tmp_path) == []


def test_every_view_answers_with_what_was_given(shared_file):
    for name, table in tables.PUBLISHED.items():
        answer = ask(shared_file, f"SELECT * FROM v1.{name}")
        given = [tuple({"water": 2.1} if isinstance(v, list) else v for v in row) for row in ROWS[name]]
        assert sorted(answer, key=repr) == sorted(given, key=repr), name
        columns = ask(shared_file, f"SELECT column_name, column_type FROM (DESCRIBE v1.{name})")
        assert [column for column, _ in columns] == table.column_names()
    assert ask(shared_file, "SELECT ratios['water'] FROM v1.cases") == [(2.1,)]


def test_an_empty_site_has_every_view(tmp_path):
    publish(tmp_path / "anomaly.duckdb", frames(**dict.fromkeys(ROWS, [])), META)
    for name in tables.PUBLISHED:
        assert ask(tmp_path / "anomaly.duckdb", f"SELECT * FROM v1.{name}") == []


def test_some_tables_are_replaced_and_the_rest_stays(published):
    again = frames(
        outcomes=[*ROWS["outcomes"], (CODE, NIGHT, "contested", "says no", "me", 5)], assignments=[]
    )
    replace_tables(published, {name: again[name] for name in ("outcomes", "assignments")})
    assert ask(published, "SELECT outcome FROM v1.outcomes ORDER BY ALL") == [("benign",), ("contested",)]
    assert ask(published, "SELECT count(*) FROM v1.assignments") == [(0,)]
    assert ask(published, "SELECT * FROM v1.runs") == ROWS["runs"]
    assert files(published.parent) == ["anomaly.duckdb"] and stat.S_IMODE(published.stat().st_mode) == 0o640
    ((version,),) = ask(
        published, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"
    )
    assert version.startswith("v1.4")


def test_a_replacement_that_breaks_a_table_changes_nothing(published):
    before = published.read_bytes()
    with pytest.raises(PublicationRefused, match="outcomes: .*minutes"):
        replace_tables(published, {"outcomes": frames()["outcomes"].drop("minutes")})
    assert published.read_bytes() == before and files(published.parent) == ["anomaly.duckdb"]


def test_every_view_and_column_has_a_comment(shared_file):
    views = ask(shared_file, "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'v1'")
    assert {name for name, comment in views if comment} == set(tables.PUBLISHED)
    columns = ask(
        shared_file,
        "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal",
    )
    assert {schema for schema, *_ in columns} == {"v1", "meta", "_internal"}
    assert len([column for column in columns if column[0] == "v1"]) == sum(
        len(table.column_names()) for table in tables.PUBLISHED.values()
    )
    assert [column for column in columns if not column[3]] == []
    assert ask(shared_file, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL") == []


def test_the_meta_tables(shared_file):
    assert ask(shared_file, "FROM meta.schema_version") == [(SCHEMA_VERSION, __version__)]
    assert ask(shared_file, "FROM meta.settings") == [(SETTINGS_TEXT,)]
    assert ask(shared_file, "FROM meta.calendar") == CALENDAR.rows()
    assert sorted(ask(shared_file, "FROM meta.dictionary")) == sorted(data_dictionary().rows())
    types = ask(
        shared_file,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name IN ('v1', 'meta')",
    )
    assert sorted(data_dictionary().select("view", "column", "type").rows()) == sorted(types)


def test_one_file_is_left_for_owner_and_group(shared_file):
    assert files(shared_file.parent) == ["anomaly.duckdb"]
    assert stat.S_IMODE(shared_file.stat().st_mode) == 0o640


def test_no_keys_no_indexes_and_readable_since_1_4(shared_file):
    assert ask(shared_file, "SELECT count(*) FROM duckdb_indexes()") == [(0,)]
    keys = "SELECT count(*) FROM duckdb_constraints() WHERE constraint_type <> 'NOT NULL'"
    assert ask(shared_file, keys) == [(0,)]
    with duckdb.connect(config=OFFLINE) as con:
        con.execute(f"ATTACH '{shared_file}' AS file (READ_ONLY)")
        (tags,) = con.sql("SELECT tags FROM duckdb_databases() WHERE database_name = 'file'").fetchall()[0]
    assert tags["storage_version"].startswith("v1.4.0")


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("households", [("0001", None, None), ("0001", None, None)], "households: 2 rows break"),
        (
            "worklist",
            [(NIGHT, 1, CODE, "0001", None, "water", "water", 9000.0, 1.2, 0.2, True, None)],
            "worklist: 1 rows break",
        ),
        ("rejects", [("water", "water.csv", None, "no value")], "rejects: 1 rows break"),
        ("readings", [("0001", "water", NIGHT, 1, None, "read")], "readings: 1 rows break"),
    ],
)
def test_a_frame_that_breaks_its_table_is_refused_and_the_old_file_stands(published, name, rows, message):
    before = published.read_bytes()
    with pytest.raises(PublicationRefused, match=message):
        publish(published, frames(**{name: rows}), META)
    assert published.read_bytes() == before
    assert files(published.parent) == ["anomaly.duckdb"]


def test_a_frame_without_a_column_is_refused(published):
    with pytest.raises(PublicationRefused, match="outcomes: .*minutes"):
        publish(published, frames() | {"outcomes": frames()["outcomes"].drop("minutes")}, META)
    assert files(published.parent) == ["anomaly.duckdb"]


def test_a_draft_that_does_not_read_back_is_refused(published, monkeypatch):
    before = published.read_bytes()
    whole = duckdb_file._checked
    monkeypatch.setattr(duckdb_file, "_checked", lambda *given: whole(*given).head(1))
    with pytest.raises(
        PublicationRefused, match="households: the draft holds 1 rows of 2; yesterday's file stands"
    ):
        publish(published, frames(), META)
    assert published.read_bytes() == before


def test_what_a_killed_run_left_is_cleared(published):
    draft = draft_path(published)
    with duckdb.connect(str(draft), config=OFFLINE) as con:
        con.execute(
            "PRAGMA disable_checkpoint_on_shutdown; CREATE SCHEMA v1; CREATE TABLE v1.runs (night DATE)"
        )
    assert files(published.parent) == [draft.name, f"{draft.name}.wal", "anomaly.duckdb"]
    publish(published, frames(households=[("0009", None, None)]), META)
    assert ask(published, "SELECT household FROM v1.households") == [("0009",)]
    assert files(published.parent) == ["anomaly.duckdb"]


def test_an_open_reader_blocks_nothing_and_keeps_seeing_whole_data(published):
    count = "SELECT (SELECT count(*) FROM v1.households), (SELECT max(household) FROM v1.readings)"
    script = f"""
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(con.sql({count!r}).fetchall(), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(published)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as reader:
        for households in (3, 4):
            reader.stdin.write("\n")
            assert reader.stdout.readline() == "[(2, '0002')]\n"
            publish(published, frames(households=[(f"{h}", None, None) for h in range(households)]), META)
            assert ask(published, count) == [(households, "0002")]
        reader.stdin.write("\n")
        assert reader.stdout.readline() == "[(2, '0002')]\n"
        reader.stdin.close()
    assert files(published.parent) == ["anomaly.duckdb"]


def test_the_same_frames_give_the_same_rows(shared_file, tmp_path):
    other = tmp_path / "again" / "anomaly.duckdb"
    publish(other, frames(), META)
    for name in tables.PUBLISHED:
        assert ask(other, f"SELECT * FROM v1.{name}") == ask(shared_file, f"SELECT * FROM v1.{name}")


def test_a_quote_in_the_folders_name_is_only_a_character(tmp_path):
    path = tmp_path / "O'Hara" / "anomaly.duckdb"
    publish(path, frames(), META)
    assert ask(path, "SELECT count(*) FROM v1.runs") == [(1,)]


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_a_views_first_line_is_its_grain(name):
    text = (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    first, second = text.splitlines()[:2]
    grain = tables.PUBLISHED[name].__doc__.strip().rstrip(".").lower()
    assert first == f"-- grain: {first.removeprefix('-- grain: ')}" and first.lower() == f"-- grain: {grain}"
    assert second == f"CREATE VIEW v1.{name} AS"
    assert [path.stem for path in sorted(SQL_FOLDER.glob("*.sql"))] == sorted(tables.PUBLISHED)
