"""A few rows for every table of the published file: two homes, one case, one night."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl

from anomaly import __version__, tables
from anomaly.calendar import calendar_days
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.duckdb_file import OFFLINE
from pipelines.publish.meta_frames import SCHEMA_VERSION

NIGHT, CODE = dt.date(2026, 3, 14), "c260314-0123456789"
CLOCK = dt.datetime(2026, 3, 15, 2)
RATIOS = [{"key": "water", "value": 2.1}]
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
        (CODE, "0001", "O'Hara", "water", NIGHT, NIGHT, NIGHT, "new", 9000.0, RATIOS)
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
    "sources": [
        (NIGHT, "water", NIGHT, 0, None, 2, 2, 1.0, 0, 1, "ok", ""),
        (NIGHT, "power", None, None, None, 2, 0, 0.0, 0, 0, "dead", "power is dead"),
    ],
    "revisions": [(NIGHT, 1, "0001", "water", "changed", CODE, CODE, 8000.0, 9000.0, None, 1)],
}
"""Table → its rows as tuples."""

SETTINGS_TEXT = '{"site": "O\'Hara"}'
CALENDAR = calendar_days("CN", NIGHT, NIGHT)
META = {
    "schema_version": pl.DataFrame({"schema_version": [SCHEMA_VERSION], "tool_version": [__version__]}),
    "settings": pl.DataFrame({"settings": [SETTINGS_TEXT]}),
    "dictionary": data_dictionary(),
    "calendar": CALENDAR,
}
"""The tables of schema meta."""


def frames(**changed: list[tuple]) -> dict[str, pl.DataFrame]:
    """Return ROWS as frames; `changed` gives other rows for some tables."""
    return {
        name: pl.DataFrame(changed.get(name, ROWS[name]), schema=tables.empty(table).schema, orient="row")
        for name, table in tables.PUBLISHED.items()
    }


def ask(path: Path, sql: str) -> list[tuple]:
    """Return what a DuckDB file answers."""
    with duckdb.connect(str(path), read_only=True, config=OFFLINE) as con:
        return con.execute(sql).fetchall()
