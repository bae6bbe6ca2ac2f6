"""The published file: made as a draft from the state's Parquet, checked, and swapped in whole."""

import contextlib
import dataclasses
import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from anomaly import __version__, tables
from pipelines.errors import PublicationRefused
from pipelines.storage.state import drafted, replacing, settle

SQL = Path(__file__).parent / "sql"
SCHEMA_VERSION = "1.1.0"  # of v1 and meta; tests/test_interface.py says what asks for the next one
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
READABLE_SINCE = "v1.4.0"
ROWS = (
    2 * 122_880
)  # DuckDB keeps so many together, or half: what comes in such groups is written once, and not put together again
_TYPES = {
    "String": "VARCHAR",
    "Date": "DATE",
    "Int64": "BIGINT",
    "Int32": "INTEGER",
    "Float64": "DOUBLE",
    "Boolean": "BOOLEAN",
    "Datetime": "TIMESTAMP",
} | {
    "Int8": "TINYINT",
    "UInt8": "UTINYINT",
    "UInt32": "UINTEGER",
}


@dataclass(frozen=True)
class Numbered:
    """Readings with numbers in place of words, as they lie in the file: the views put the words back.

    cells: home (UInt32), signal (UInt8), day, value, quality (UInt8, place in tables.QUALITIES), one row a reading.
    homes: home, household. signals: signal, name, unit.
    """

    cells: pl.DataFrame
    homes: pl.DataFrame
    signals: pl.DataFrame

    @property
    def height(self) -> int:
        return self.cells.height


def numbered(readings: pl.DataFrame) -> Numbered:
    """tables.Readings as numbers."""
    homes = readings.select("household").unique().sort("household").with_row_index("home")
    signals = (
        readings.select(name="signal", unit="unit")
        .unique()
        .sort("name", "unit")
        .with_row_index("signal")
        .cast({"signal": pl.UInt8})
    )
    places = pl.col("quality").replace_strict(
        tables.QUALITIES, range(len(tables.QUALITIES)), return_dtype=pl.UInt8
    )
    cells = readings.join(homes, on="household").join(
        signals.rename({"signal": "number"}), left_on=["signal", "unit"], right_on=["name", "unit"]
    )
    return Numbered(
        cells.select("home", pl.col("number").alias("signal"), "day", "value", places), homes, signals
    )


@contextlib.contextmanager
def begun(target: Path, readings: Callable[[], pl.DataFrame | Numbered]) -> Iterator["Publication"]:
    """A draft of the published file, gone at the end unless it was finished; its readings, most of it, are written in a thread meanwhile."""
    with drafted(target) as draft, ThreadPoolExecutor(1) as thread:
        yield Publication(target, draft, thread.submit(_begin, draft, readings))


@dataclass(frozen=True)
class Publication:
    """A published file in the making. readings: how many there are, once they are written."""

    target: Path
    draft: Path
    readings: Future[int]

    def finish(self, frames: dict[str, pl.DataFrame], meta: dict[str, object]) -> None:
        """Write `frames`, one for every other name of tables.PUBLISHED, beside the readings, and swap the file in.

        meta: what is in force (settings as text, calendar frame, schema and tool version). Raises PublicationRefused, with
        yesterday's file untouched, where a frame breaks its table or the draft does not read back as written.
        """
        heights = {"readings": self.readings.result()}
        with _attached(self.draft) as con:
            for name, table in tables.PUBLISHED.items():
                if name not in heights:
                    _write_table(con, f"_internal.{name}", _checked(name, table, frames[name]), self.draft)
                    heights[name] = frames[name].height
                _write_view(con, name, table)
            for name, frame in _meta(meta).items():
                _write_table(con, f"meta.{name}", frame, self.draft)
        _read_back(self.draft, heights)
        settle(self.draft, self.target)


def publish(target: Path, frames: dict[str, pl.DataFrame | Numbered], meta: dict[str, object]) -> None:
    """A publication of `frames`, the readings among them (they may be Numbered), made at once; see `Publication.finish`."""
    with begun(target, lambda: frames["readings"]) as publication:
        publication.finish(frames, meta)


def _begin(draft: Path, readings: Callable[[], pl.DataFrame | Numbered]) -> int:
    """A file with the readings alone; how many they are."""
    frame = readings()
    if not isinstance(frame, Numbered):
        frame = numbered(_checked("readings", tables.PUBLISHED["readings"], frame))
    with _attached(draft) as con:
        con.execute("CREATE SCHEMA v1; CREATE SCHEMA meta; CREATE SCHEMA _internal")
        _write_readings(con, frame, draft)
    return frame.height


@contextlib.contextmanager
def _attached(draft: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config=OFFLINE) as con:
        con.execute(
            f"ATTACH '{_quoted(draft)}' AS published (STORAGE_VERSION '{READABLE_SINCE}'); USE published"
        )
        yield con
        con.execute("CHECKPOINT published; USE memory; DETACH published")


def revise(target: Path, frames: dict[str, pl.DataFrame]) -> None:
    """Replace some tables of the published file, in a copy that is then swapped in. Raises PublicationRefused like `publish`."""
    with replacing(target) as draft:
        shutil.copyfile(target, draft)
        with duckdb.connect(str(draft), config=OFFLINE) as con:
            for name, frame in frames.items():
                con.execute(f"DROP VIEW IF EXISTS v1.{name}; DROP TABLE IF EXISTS _internal.{name}")
                _write_table(con, f"_internal.{name}", _checked(name, tables.PUBLISHED[name], frame), draft)
                _write_view(con, name, tables.PUBLISHED[name])
            con.execute("CHECKPOINT")
        _read_back(draft, {name: frame.height for name, frame in frames.items()})


def _checked(name: str, table, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the table's columns and types, refused where a row breaks a rule of its table."""
    try:
        frame = frame.select(table.column_names()).cast(dict(tables.empty(table).schema))
    except pl.exceptions.PolarsError as error:
        raise PublicationRefused(
            f"{name}: does not fit its table ({str(error).splitlines()[0]}); yesterday's file stands"
        ) from None
    good, failures = table.filter(frame)
    if good.height != frame.height:
        raise PublicationRefused(
            f"{name}: {frame.height - good.height} rows break the table's rules ({failures.counts()}); yesterday's file stands"
        )
    return frame


def _write_readings(con, readings: Numbered, draft: Path) -> None:
    for name, frame in (
        ("readings", readings.cells),
        ("homes", readings.homes),
        ("signals", readings.signals),
    ):
        _write_table(con, f"_internal.{name}", frame, draft)


def _write_table(con, name: str, frame: pl.DataFrame, draft: Path) -> None:
    """A table of that name, schema and all, with its comments. draft: what is written on the way lies beside it, and is swept with it."""
    columns = ", ".join(f'"{column}" {_sql_type(kind)}' for column, kind in frame.schema.items())
    con.execute(f"CREATE TABLE {name} ({columns})")
    if frame.height:
        chosen = ", ".join(
            f'map_from_entries("{c}")' if isinstance(k, pl.List) else f'"{c}"'
            for c, k in frame.schema.items()
        )
        part = draft.with_name(f"{draft.name}.{name}.parquet")
        try:
            frame.write_parquet(
                part, compression="lz4", statistics=False, row_group_size=ROWS
            )  # read once, and whole
            con.execute(
                f"INSERT INTO {name} SELECT {chosen} FROM read_parquet($file)", {"file": _literal(part)}
            )
        finally:
            part.unlink(missing_ok=True)
    schema, _, short = name.partition(".")
    table = tables.META[short] if schema == "meta" else tables.PUBLISHED.get(short)
    told = table.columns() if table else {}
    about = (
        table.__doc__
        if schema == "meta"
        else f"behind v1; may change at any time: read v1.{short if table else 'readings'}"
    )
    _comment(
        con,
        f"TABLE {name}",
        about,
        {
            c: told[c].metadata["en"] if c in told else f"number or name behind v1.readings: {c}"
            for c in frame.columns
        },
    )


def _write_view(con, name: str, table) -> None:
    con.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))
    _comment(
        con,
        f"VIEW v1.{name}",
        table.__doc__,
        {column: spec.metadata["en"] for column, spec in table.columns().items()},
    )


def _comment(con, where: str, about: str, columns: Mapping[str, str]) -> None:
    """where: TABLE or VIEW and its name."""
    con.execute(f"COMMENT ON {where} IS '{_text(about)}'")
    for column, meaning in columns.items():
        con.execute(f"COMMENT ON COLUMN {where.partition(' ')[2]}.\"{column}\" IS '{_text(meaning)}'")


def _meta(meta: Mapping[str, object]) -> dict[str, pl.DataFrame]:
    """The tables of schema meta."""
    frames = {
        "schema_version": pl.DataFrame({"schema_version": [SCHEMA_VERSION], "tool_version": [__version__]}),
        "settings": pl.DataFrame({"settings": [meta["settings"]]}),
        "dictionary": dictionary(),
        "calendar": meta["calendar"],
    }
    return {name: _checked(name, table, frames[name]) for name, table in tables.META.items()}


def dictionary() -> pl.DataFrame:
    """The data dictionary (tables.Dictionary): every column of v1, then of meta."""
    every = [("v1", name, table) for name, table in tables.PUBLISHED.items()] + [
        ("meta", name, table) for name, table in tables.META.items()
    ]
    return pl.DataFrame(
        [
            _told(schema, name, column, table)
            for schema, name, table in every
            for column in table.column_names()
        ],
        tables.empty(tables.Dictionary).schema,
    )


def _told(schema: str, name: str, column: str, table) -> dict[str, str | None]:
    words = table.columns()[column].metadata
    kind = _sql_type(tables.empty(table).schema[column])
    units = {unit: words.get(unit) for unit in ("unit_en", "unit_zh")}
    return {
        "view": name,
        "column": column,
        "type": kind,
        "meaning_en": words["en"],
        "meaning_zh": words["zh"],
        "schema": schema,
    } | units


def _read_back(draft: Path, heights: Mapping[str, int]) -> None:
    with duckdb.connect(str(draft), read_only=True, config=OFFLINE) as con:
        for name, height in heights.items():
            rows = con.sql(f"SELECT count(*) FROM v1.{name}").fetchall()[0][0]
            if rows != height:
                raise PublicationRefused(
                    f"{name}: the draft holds {rows} rows of {height}; yesterday's file stands, run again"
                )


def _sql_type(kind: pl.DataType) -> str:
    return "MAP(VARCHAR, DOUBLE)" if isinstance(kind, pl.List) else _TYPES[kind.base_type().__name__]


def readable(published: Path) -> bool:
    """Whether the published file is there and answers."""
    try:
        with duckdb.connect(str(published), read_only=True, config=OFFLINE) as con:
            con.execute("SELECT count(*) FROM v1.runs").fetchall()
    except duckdb.Error:
        return False
    return True


def _literal(path: Path) -> str:
    """A path in which read_parquet sees no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _text(text: str) -> str:
    return " ".join(text.split()).replace("'", "''")


TOLD = (
    "site",
    "purpose",
    "rules",
    "worklist",
    "expected",
    "detectors",
    "evidence",
    "cases",
    "account",
    "control",
    "retention",
    "limits",
    "publish",
    "engine",
    "sha256",
)
"""The settings that readers of the file may see: no place on a disk, no key, no command."""


def settings_json(settings) -> str:
    """The settings in force that readers may see, as JSON."""
    return json.dumps(
        {name: _plain(getattr(settings, name)) for name in TOLD},
        sort_keys=True,
        ensure_ascii=False,
        default=str,
    )


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {k: _plain(v) for k, v in dataclasses.asdict(value).items()}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return str(value) if isinstance(value, Path | dt.date) else value
