"""The published file: made as a draft from the state's Parquet, checked, and swapped in whole."""

import dataclasses
import datetime as dt
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from anomaly import __version__, tables
from pipelines.store import replacing

SQL = Path(__file__).parent / "sql"
SCHEMA_VERSION = "1.0.0"
OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
READABLE_SINCE = "v1.4.0"
_TYPES = {"String": "VARCHAR", "Date": "DATE", "Int64": "BIGINT", "Int32": "INTEGER", "Float64": "DOUBLE", "Boolean": "BOOLEAN", "Datetime": "TIMESTAMP"} | {
    "UInt8": "UTINYINT",
    "UInt32": "UINTEGER",
}


class PublicationRefused(Exception):
    """The draft did not pass its checks; the published file stands as it was."""


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
    signals = readings.select(name="signal", unit="unit").unique().sort("name", "unit").with_row_index("signal").cast({"signal": pl.UInt8})
    places = pl.col("quality").replace_strict(tables.QUALITIES, range(len(tables.QUALITIES)), return_dtype=pl.UInt8)
    cells = readings.join(homes, on="household").join(signals.rename({"signal": "number"}), left_on=["signal", "unit"], right_on=["name", "unit"])
    return Numbered(cells.select("home", pl.col("number").alias("signal"), "day", "value", places), homes, signals)


def publish(target: Path, frames: dict[str, pl.DataFrame | Numbered], meta: dict[str, object]) -> None:
    """Write `frames` (one for every name of tables.PUBLISHED; readings may be Numbered) and swap the file in.

    meta: what is in force (settings as text, calendar frame, schema and tool version). Raises PublicationRefused, with
    yesterday's file untouched, where a frame breaks its table or the draft does not read back as written.
    """
    with replacing(target) as draft:
        draft.unlink(missing_ok=True)
        with duckdb.connect(config=OFFLINE) as con:
            con.execute(f"ATTACH '{_quoted(draft)}' AS published (STORAGE_VERSION '{READABLE_SINCE}')")
            con.execute("USE published; CREATE SCHEMA v1; CREATE SCHEMA meta; CREATE SCHEMA _internal")
            for name, table in tables.PUBLISHED.items():
                frame = frames[name] if isinstance(frames[name], Numbered) else _checked(name, table, frames[name])
                if name == "readings":
                    _write_readings(con, frame if isinstance(frame, Numbered) else numbered(frame), draft.parent)
                else:
                    _write_table(con, name, frame, draft.parent)
                _write_view(con, name, table)
            _write_meta(con, meta, draft.parent)
            con.execute("CHECKPOINT published; USE memory; DETACH published")
        _read_back(draft, frames)


def revise(target: Path, frames: dict[str, pl.DataFrame]) -> None:
    """Replace some tables of the published file, in a copy that is then swapped in. Raises PublicationRefused like `publish`."""
    with replacing(target) as draft:
        shutil.copyfile(target, draft)
        with duckdb.connect(str(draft), config=OFFLINE) as con:
            for name, frame in frames.items():
                con.execute(f"DROP VIEW IF EXISTS v1.{name}; DROP TABLE IF EXISTS _internal.{name}")
                _write_table(con, name, _checked(name, tables.PUBLISHED[name], frame), draft.parent)
                _write_view(con, name, tables.PUBLISHED[name])
            con.execute("CHECKPOINT")
        draft.with_name(draft.name + ".wal").unlink(missing_ok=True)
        _read_back(draft, frames)


def _checked(name: str, table, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the table's columns and types, refused where a row breaks a rule of its table."""
    try:
        frame = frame.select(table.column_names()).cast(dict(tables.empty(table).schema))
    except pl.exceptions.PolarsError as error:
        raise PublicationRefused(f"{name}: does not fit its table ({str(error).splitlines()[0]}); yesterday's file stands") from None
    good, failures = table.filter(frame)
    if good.height != frame.height:
        raise PublicationRefused(f"{name}: {frame.height - good.height} rows break the table's rules ({failures.counts()}); yesterday's file stands")
    return frame


def _write_readings(con, readings: Numbered, folder: Path) -> None:
    _write_table(con, "readings", readings.cells, folder)
    _write_table(con, "homes", readings.homes, folder)
    _write_table(con, "signals", readings.signals, folder)


def _write_table(con, name: str, frame: pl.DataFrame, folder: Path) -> None:
    columns = ", ".join(f'"{column}" {_sql_type(kind)}' for column, kind in frame.schema.items())
    con.execute(f"CREATE TABLE _internal.{name} ({columns})")
    if frame.height:
        chosen = ", ".join(f'map_from_entries("{c}")' if isinstance(k, pl.List) else f'"{c}"' for c, k in frame.schema.items())
        with replacing(folder / f"publish-{name}.parquet") as part:
            frame.write_parquet(part, compression="lz4")
            con.execute(f"INSERT INTO _internal.{name} SELECT {chosen} FROM read_parquet($file)", {"file": _literal(part)})
        (folder / f"publish-{name}.parquet").unlink(missing_ok=True)


def _write_view(con, name: str, table) -> None:
    con.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"))
    con.execute(f"COMMENT ON VIEW v1.{name} IS '{_text(table.__doc__)}'")
    for column, spec in table.columns().items():
        con.execute(f"COMMENT ON COLUMN v1.{name}.\"{column}\" IS '{_text(spec.metadata['en'])}'")


def _write_meta(con, meta: dict[str, object], folder: Path) -> None:
    con.execute("CREATE TABLE meta.schema_version AS SELECT $v AS schema_version, $t AS tool_version", {"v": SCHEMA_VERSION, "t": __version__})
    con.execute("CREATE TABLE meta.settings (settings VARCHAR)")
    con.execute("INSERT INTO meta.settings VALUES ($s)", {"s": meta["settings"]})
    con.execute("CREATE TABLE meta.dictionary (\"view\" VARCHAR, \"column\" VARCHAR, type VARCHAR, meaning_en VARCHAR, meaning_zh VARCHAR)")
    con.executemany("INSERT INTO meta.dictionary VALUES (?, ?, ?, ?, ?)", [list(row.values()) for row in dictionary().iter_rows(named=True)])
    calendar = folder / ".calendar.parquet.draft"
    meta["calendar"].write_parquet(calendar)
    con.execute("CREATE TABLE meta.calendar AS SELECT * FROM read_parquet($file)", {"file": _literal(calendar)})
    calendar.unlink()
    for name in ("schema_version", "settings", "dictionary", "calendar"):
        con.execute(f"COMMENT ON TABLE meta.{name} IS '{_text(META[name])}'")


META = {
    "schema_version": "version of the v1 interface and of the tool that wrote the file",
    "settings": "the settings file in force, as JSON",
    "dictionary": "meaning of every column of v1",
    "calendar": "the calendar in force, one row a day",
}


def dictionary() -> pl.DataFrame:
    """The data dictionary: view, column, type, meaning_en, meaning_zh."""
    return pl.DataFrame(
        [
            {"view": name, "column": column, "type": _sql_type(tables.empty(table).schema[column]), "meaning_en": spec.metadata["en"], "meaning_zh": spec.metadata["zh"]}
            for name, table in tables.PUBLISHED.items()
            for column, spec in table.columns().items()
        ]
    )


def _read_back(draft: Path, frames: dict[str, pl.DataFrame]) -> None:
    with duckdb.connect(str(draft), read_only=True, config=OFFLINE) as con:
        for name in frames:
            rows = con.sql(f"SELECT count(*) FROM v1.{name}").fetchall()[0][0]
            if rows != frames[name].height:
                raise PublicationRefused(f"{name}: the draft holds {rows} rows of {frames[name].height}; yesterday's file stands, run again")


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


def settings_json(settings) -> str:
    """The settings in force as JSON, without places on this machine's disk."""
    kept = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings) if f.name not in ("root", "store", "reports", "sources", "pseudonyms", "notify")}
    return json.dumps({k: _plain(v) for k, v in kept.items()}, sort_keys=True, ensure_ascii=False, default=str)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {k: _plain(v) for k, v in dataclasses.asdict(value).items()}
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return str(value) if isinstance(value, Path | dt.date) else value
