import datetime as dt
import json
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from anomaly import __version__, tables
from anomaly.calendar import calendar_days
from pipelines.config.settings import load_settings
from pipelines.errors import PublicationRefused
from pipelines.publish import duckdb_file as publishing
from pipelines.publish.duckdb_file import (
    OFFLINE,
    SCHEMA_VERSION,
    SQL,
    dictionary,
    publish,
    revise,
    settings_json,
)
from pipelines.storage.state import Store

NIGHT, CODE = dt.date(2026, 3, 14), "c260314-0123456789"
CLOCK = dt.datetime(2026, 3, 15, 2)
META = {"settings": '{"site": "O\'Hara"}', "calendar": calendar_days("CN", NIGHT, NIGHT)}
ROWS = {
    "runs": [("r1", NIGHT, CLOCK, CLOCK, "0.1.0", "9f2c", 2, 0, 1, 1, 0.2, "", 0)],
    "households": [("0001", "7", "O'Hara"), ("0002", None, None)],
    "readings": [
        ("0001", "water", NIGHT, 418, "litre", "read"),
        ("0002", "water", NIGHT, None, "litre", "missing"),
    ],
    "expected": [
        (NIGHT, "0001", "water", NIGHT, 418, 199.0, 165.8, 238.2, 6.93, "litre"),
        (NIGHT, "0001", "water", NIGHT - dt.timedelta(1), None, 1.0, 0.0, 2.0, None, None),
    ],
    "evidence": [(NIGHT, "0001", "alone", "water", 7, 2.1, 3.0, 9000.0, "Water 2.1×")],
    "cases": [
        (
            CODE,
            "0001",
            "O'Hara",
            "water",
            NIGHT,
            NIGHT,
            NIGHT,
            "new",
            9000.0,
            [{"key": "water", "value": 2.1}],
        )
        + (3.5, 2.0, 6.5, "Water 2.1×", "用水 2.1 倍", "benign", None)
    ],
    "worklist": [(NIGHT, 1, CODE, "0001", "O'Hara", "water", "water", 9000.0, 0.2, 0.3, True, "O'Neil")],
    "assignments": [(CODE, NIGHT, "O'Neil", None)],
    "outcomes": [(CODE, NIGHT, "benign", "a pool; it's seasonal", None, None)],
    "account": [("all", "all", 1, 1, 0, 1, 0.2, 1.0, 0.2, 1.0, 0.3, 0.2, False)],
    "control": [(NIGHT, "k260314-0123456789", "0002", None)],
    "misses": [(1, 0, 0, None, None, None, 1, None, None, None)],
    "not_judged": [(NIGHT, "0002", "water", "no whole day yet")],
    "rejects": [("water", "water.csv", 3, "no value")],
    "revisions": [(NIGHT, 1, "0001", "water", "changed", CODE, CODE, 8000.0, 9000.0, None, 1)],
}


def frames(**changed):
    return {
        name: pl.DataFrame(changed.get(name, ROWS[name]), schema=tables.empty(table).schema, orient="row")
        for name, table in tables.PUBLISHED.items()
    }


def ask(path, sql):
    with duckdb.connect(str(path), read_only=True, config=OFFLINE) as con:
        return con.sql(sql).fetchall()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A published file that is only read."""
    path = tmp_path_factory.mktemp("standing") / "anomaly.duckdb"
    publish(path, frames(), META)
    return path


@pytest.fixture
def published(tmp_path):
    publish(tmp_path / "anomaly.duckdb", frames(), META)
    return tmp_path / "anomaly.duckdb"


def test_what_a_killed_publication_leaves_is_swept(tmp_path, monkeypatch):
    target = tmp_path / "anomaly.duckdb"
    lying = []
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publish.duckdb_file._literal", lambda part: lying.append(part) or 1 / 0)
        patch.setattr(
            Path, "unlink", lambda path, missing_ok=False: None
        )  # as where nothing was left to do it
        with pytest.raises(ZeroDivisionError):
            publish(target, frames(), META)
    assert lying and lying[0].exists()
    Store(target).sweep()
    assert files(tmp_path) == []


def test_every_view_answers_with_what_was_given(standing):
    for name, table in tables.PUBLISHED.items():
        answer = ask(standing, f"SELECT * FROM v1.{name}")
        given = [tuple({"water": 2.1} if isinstance(v, list) else v for v in row) for row in ROWS[name]]
        assert sorted(answer, key=repr) == sorted(given, key=repr), name
        columns = ask(standing, f"SELECT column_name, column_type FROM (DESCRIBE v1.{name})")
        assert [column for column, _ in columns] == table.column_names()
    assert ask(standing, "SELECT ratios['water'] FROM v1.cases") == [(2.1,)]


def test_an_empty_site_has_every_view(tmp_path):
    publish(tmp_path / "anomaly.duckdb", frames(**dict.fromkeys(ROWS, [])), META)
    for name in tables.PUBLISHED:
        assert ask(tmp_path / "anomaly.duckdb", f"SELECT * FROM v1.{name}") == []


def test_some_tables_are_revised_and_the_rest_stays(published):
    again = frames(
        outcomes=[*ROWS["outcomes"], (CODE, NIGHT, "contested", "says no", "me", 5)], assignments=[]
    )
    revise(published, {name: again[name] for name in ("outcomes", "assignments")})
    assert ask(published, "SELECT outcome FROM v1.outcomes ORDER BY ALL") == [("benign",), ("contested",)]
    assert (
        ask(published, "SELECT count(*) FROM v1.assignments") == [(0,)]
        and ask(published, "SELECT * FROM v1.runs") == ROWS["runs"]
    )
    assert files(published.parent) == ["anomaly.duckdb"] and stat.S_IMODE(published.stat().st_mode) == 0o640
    assert ask(published, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal")[0][
        0
    ].startswith("v1.4")


def test_a_revision_that_breaks_a_table_changes_nothing(published):
    before = published.read_bytes()
    with pytest.raises(PublicationRefused, match="outcomes: .*minutes"):
        revise(published, {"outcomes": frames()["outcomes"].drop("minutes")})
    assert published.read_bytes() == before and files(published.parent) == ["anomaly.duckdb"]


def test_every_view_and_column_has_a_comment(standing):
    views = ask(standing, "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'v1'")
    assert {name for name, comment in views if comment} == set(tables.PUBLISHED)
    columns = ask(
        standing,
        "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal",
    )
    assert {schema for schema, *_ in columns} == {"v1", "meta", "_internal"}
    assert len([column for column in columns if column[0] == "v1"]) == sum(
        len(table.column_names()) for table in tables.PUBLISHED.values()
    )
    assert [column for column in columns if not column[3]] == []
    assert ask(standing, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL") == []


def test_the_meta_tables(standing):
    assert ask(standing, "FROM meta.schema_version") == [(SCHEMA_VERSION, __version__)]
    assert ask(standing, "FROM meta.settings") == [(META["settings"],)]
    assert ask(standing, "FROM meta.calendar") == META["calendar"].rows()
    assert sorted(ask(standing, "FROM meta.dictionary")) == sorted(dictionary().rows())
    types = dict(
        ask(
            standing,
            "SELECT table_name || '.' || column_name, data_type FROM duckdb_columns() WHERE schema_name IN ('v1', 'meta')",
        )
    )
    assert {f"{view}.{column}": kind for view, column, kind, *_ in dictionary().iter_rows()} == types


def test_every_number_has_a_unit_and_nothing_else_has_in_both_languages():
    words = dictionary()
    number = pl.col("type").str.contains("INT|DOUBLE")
    assert (
        words.filter(number != pl.col("unit_en").is_not_null()).is_empty()
        and words.filter(pl.col("unit_en").is_null() != pl.col("unit_zh").is_null()).is_empty()
    )
    assert words.filter(pl.any_horizontal(pl.col("meaning_en", "meaning_zh").str.len_chars() < 1)).is_empty()
    assert words.filter(~pl.col("meaning_zh").str.contains(r"\p{Han}")).is_empty()


def test_one_file_is_left_for_owner_and_group(standing):
    assert files(standing.parent) == ["anomaly.duckdb"]
    assert stat.S_IMODE(standing.stat().st_mode) == 0o640


def test_no_keys_no_indexes_and_readable_since_1_4(standing):
    assert ask(standing, "SELECT count(*) FROM duckdb_indexes()") == [(0,)]
    assert ask(standing, "SELECT count(*) FROM duckdb_constraints() WHERE constraint_type <> 'NOT NULL'") == [
        (0,)
    ]
    with duckdb.connect(config=OFFLINE) as con:
        con.execute(f"ATTACH '{standing}' AS file (READ_ONLY)")
        (tags,) = con.sql("SELECT tags FROM duckdb_databases() WHERE database_name = 'file'").fetchall()[0]
    assert tags["storage_version"].startswith("v1.4.0")


@pytest.mark.parametrize(
    ("name", "rows", "told"),
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
def test_a_frame_that_breaks_its_table_is_refused_and_the_old_file_stands(published, name, rows, told):
    before = published.read_bytes()
    with pytest.raises(PublicationRefused, match=told):
        publish(published, frames(**{name: rows}), META)
    assert published.read_bytes() == before
    assert files(published.parent) == ["anomaly.duckdb"]


def test_a_frame_without_a_column_is_refused(published):
    with pytest.raises(PublicationRefused, match="outcomes: .*minutes"):
        publish(published, frames() | {"outcomes": frames()["outcomes"].drop("minutes")}, META)
    assert files(published.parent) == ["anomaly.duckdb"]


def test_a_draft_that_does_not_read_back_is_refused(published, monkeypatch):
    before = published.read_bytes()
    whole = publishing._checked
    monkeypatch.setattr(publishing, "_checked", lambda name, table, frame: whole(name, table, frame).head(1))
    with pytest.raises(
        PublicationRefused, match="households: the draft holds 1 rows of 2; yesterday's file stands"
    ):
        publish(published, frames(), META)
    assert published.read_bytes() == before


def test_what_a_killed_run_left_is_cleared(published):
    with duckdb.connect(str(published.parent / ".anomaly.duckdb.draft"), config=OFFLINE) as con:
        con.execute(
            "PRAGMA disable_checkpoint_on_shutdown; CREATE SCHEMA v1; CREATE TABLE v1.runs (night DATE)"
        )
    assert files(published.parent) == [".anomaly.duckdb.draft", ".anomaly.duckdb.draft.wal", "anomaly.duckdb"]
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


def test_the_same_frames_give_the_same_rows(standing, tmp_path):
    other = tmp_path / "again" / "anomaly.duckdb"
    publish(other, frames(), META)
    for name in tables.PUBLISHED:
        assert ask(other, f"SELECT * FROM v1.{name}") == ask(standing, f"SELECT * FROM v1.{name}")


def test_a_quote_in_the_folders_name_is_only_a_character(tmp_path):
    path = tmp_path / "O'Hara" / "anomaly.duckdb"
    publish(path, frames(), META)
    assert ask(path, "SELECT count(*) FROM v1.runs") == [(1,)]


@pytest.mark.parametrize("name", tables.PUBLISHED)
def test_a_views_first_line_is_its_grain(name):
    text = (SQL / f"{name}.sql").read_text(encoding="utf-8")
    first, second = text.splitlines()[:2]
    grain = tables.PUBLISHED[name].__doc__.strip().rstrip(".").lower()
    assert first == f"-- grain: {first.removeprefix('-- grain: ')}" and first.lower() == f"-- grain: {grain}"
    assert second == f"CREATE VIEW v1.{name} AS"
    assert [path.stem for path in sorted(SQL.glob("*.sql"))] == sorted(tables.PUBLISHED)


def test_the_settings_in_the_file_name_no_place_and_no_key(tmp_path):
    text = """[site]
name = "Nanming"
[purpose]
name = "Leaks"
legal_basis = "rule 12"
owner = "the office"
contact = "objections@example.org"
expires = 2099-12-31
signatures = ["water"]
[store]
path = "/srv/li-wei/store/anomaly.duckdb"
[reports]
path = "/srv/li-wei/reports"
[households]
files = "/srv/li-wei/register.csv"
columns = { household = "li-wei-id" }
[pseudonyms]
key = "/srv/li-wei/secret.key"
map = "/srv/li-wei/map.csv"
[signals.water]
files = "/srv/li-wei/water*"
kind = "register"
unit = "m3"
columns = { household = "id", time = "li-wei-day", value = "reading" }
"""
    (tmp_path / "anomaly.toml").write_text(text, encoding="utf-8")
    told = settings_json(load_settings(tmp_path / "anomaly.toml"))
    assert "li-wei" not in told and "secret" not in told and str(tmp_path) not in told
    assert (
        json.loads(told)["site"]["name"] == "Nanming" and json.loads(told)["rules"]["water"]["unit"] == "m3"
    )
