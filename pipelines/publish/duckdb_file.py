"""The published DuckDB file: written as a draft, checked against its tables, read back, and swapped in whole.

`_internal` holds the data as tables, `v1` a view of each (sql/), `meta` what describes them. Nobody ever
opens the published file for writing: a change is a new file in its place, so that a reader sees one night or
the next, never half of one.
"""

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dataframely as dy
import duckdb
import polars as pl

from anomaly import tables
from pipelines.errors import PublicationRefused
from pipelines.publish.dictionary import column_meanings, table_grain
from pipelines.publish.sql_types import sql_type
from pipelines.storage.atomic_write import commit, draft_file, sync_to_disk

SQL_FOLDER = Path(__file__).parent / "sql"
OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Settings of every connection: DuckDB fetches nothing from outside."""

LOG_SUFFIXES = (".wal", ".wal.checkpoint", ".wal.recovery")
"""Of the logs that DuckDB reads back into a database beside which they lie."""
STORAGE_VERSION = "v1.4.0"  # the oldest DuckDB that is to open the file
# DuckDB keeps rows in groups of 122,880: what comes in whole groups is written once and not regrouped
ROW_GROUP_SIZE = 2 * 122_880


@dataclass(frozen=True)
class NumberedReadings:
    """Readings with numbers in place of words, as they lie in the file; v1.readings puts the words back.

    cells: one row a reading: home (UInt32), signal (UInt8), day, value, quality (UInt8, its place in
    tables.QUALITIES).
    homes: home, household. signals: signal, name, unit.
    """

    cells: pl.DataFrame
    homes: pl.DataFrame
    signals: pl.DataFrame

    @property
    def height(self) -> int:
        return self.cells.height


def number_readings(readings: pl.DataFrame) -> NumberedReadings:
    """Replace the words in readings (tables.Readings) by numbers, homes and signals in alphabetical order."""
    homes = readings.select("household").unique().sort("household").with_row_index("home")
    signals = readings.select(name="signal", unit="unit").unique().sort("name", "unit")
    signals = signals.with_row_index("signal").cast({"signal": pl.UInt8})
    cells = readings.join(homes, on="household").join(
        signals.rename({"signal": "number"}), left_on=["signal", "unit"], right_on=["name", "unit"]
    )
    quality = pl.col("quality").replace_strict(
        tables.QUALITIES, range(len(tables.QUALITIES)), return_dtype=pl.UInt8
    )
    return NumberedReadings(
        cells.select("home", pl.col("number").alias("signal"), "day", "value", quality), homes, signals
    )


@contextlib.contextmanager
def start_publication(
    target: Path, readings: Callable[[], pl.DataFrame | NumberedReadings]
) -> Iterator["Publication"]:
    """Begin a draft of the published file for a block that finishes it; removed where the block raises.

    The readings, nearly all of the file, are written in a thread meanwhile; `readings` is called there.
    """
    with draft_file(target) as draft, ThreadPoolExecutor(1) as thread:
        yield Publication(target, draft, thread.submit(_write_draft_with_readings, draft, readings))


@dataclass(frozen=True)
class Publication:
    """A published file in the making. readings_written: how many readings it holds, once they are written."""

    target: Path
    draft: Path
    readings_written: Future[int]

    def finish(self, frames: Mapping[str, pl.DataFrame], meta: Mapping[str, pl.DataFrame]) -> list[str]:
        """Write all other tables beside the readings, read the draft back and swap it in.

        frames: one for every name of tables.PUBLISHED but the readings (`published_frames`). meta: one for
        every name of tables.META (`meta_frames`). Returns a line for each log of another program that was in
        the way. Raises PublicationRefused, with yesterday's file untouched, where a frame breaks a rule of
        its table or the draft does not read back as written.
        """
        heights = {"readings": self.readings_written.result()}
        with _attached_draft(self.draft) as con:
            for name, table in tables.PUBLISHED.items():
                if name not in heights:
                    _write_table(con, f"_internal.{name}", _checked(name, table, frames[name]), self.draft)
                    heights[name] = frames[name].height
                _write_view(con, name, table)
            for name, table in tables.META.items():
                _write_table(con, f"meta.{name}", _checked(name, table, meta[name]), self.draft)
        _check_row_counts(self.draft, heights)
        return _swap_in(self.draft, self.target)


def publish(
    target: Path,
    frames: Mapping[str, pl.DataFrame | NumberedReadings],
    meta: Mapping[str, pl.DataFrame],
) -> list[str]:
    """Write the published file at once, the readings among its frames; see `Publication.finish`."""
    with start_publication(target, lambda: frames["readings"]) as publication:
        others = {name: frame for name, frame in frames.items() if isinstance(frame, pl.DataFrame)}
        return publication.finish(others, meta)


def replace_tables(target: Path, frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """Replace some tables of the published file, in a copy that is then swapped in.

    Returns and raises what `Publication.finish` does.
    """
    with draft_file(target) as draft:
        shutil.copyfile(target, draft)
        with duckdb.connect(str(draft), config=OFFLINE) as con:
            for name, frame in frames.items():
                table = tables.PUBLISHED[name]
                con.execute(f"DROP VIEW IF EXISTS v1.{name}; DROP TABLE IF EXISTS _internal.{name}")
                _write_table(con, f"_internal.{name}", _checked(name, table, frame), draft)
                _write_view(con, name, table)
            con.execute("CHECKPOINT")
        _check_row_counts(draft, {name: frame.height for name, frame in frames.items()})
        return _swap_in(draft, target)


def is_readable(published: Path) -> bool:
    """Return whether the published file is there and answers a query."""
    return _why_unreadable(published) is None


def put_logs_aside(published: Path) -> list[str]:
    """Rename the logs that another program has left beside the published file; return a line for each.

    DuckDB would read them back into whatever lies there, and then refuse the file or show what nobody
    published. The tool itself leaves no log there.
    """
    lines = []
    for log in log_files(published):
        numbered = (log.with_name(f"{log.name}.household-anomaly-aside-{n}") for n in itertools.count(1))
        aside = next(path for path in numbered if not os.path.lexists(path))
        log.rename(aside)
        sync_to_disk(aside.parent)
        lines.append(
            f"{log}: left by a program that had opened the published file for writing; is now {aside.name}"
        )
    return lines


def log_files(published: Path) -> list[Path]:
    """Return the logs that lie beside the published file."""
    paths = [published.with_name(published.name + suffix) for suffix in LOG_SUFFIXES]
    return [path for path in paths if os.path.lexists(path)]


def _why_unreadable(published: Path) -> str | None:
    """Return why the published file answers no query, in a line; None where it does."""
    try:
        # attached, not connected to: a reader in this very process may have it open with other settings
        with duckdb.connect(config=OFFLINE) as con:
            con.execute(f"ATTACH '{_quotes_doubled(published)}' AS published (READ_ONLY); USE published")
            con.execute("SELECT count(*) FROM v1.runs").fetchall()
    except duckdb.Error as error:
        return " ".join((str(error).splitlines() or [""])[0].split())[:120]
    return None


def _swap_in(draft: Path, target: Path) -> list[str]:
    """Put the draft in the place of the published file and open it there; see `Publication.finish`."""
    lines = put_logs_aside(target)
    commit(draft, target)
    if cause := _why_unreadable(target):
        raise PublicationRefused(
            f"{target}: the new file is there and does not open ({cause}); "
            "see to what else lies in that folder and run again"
        )
    return lines


def _write_draft_with_readings(draft: Path, readings: Callable[[], pl.DataFrame | NumberedReadings]) -> int:
    """Make the draft with its schemas and the readings alone; return how many there are."""
    found = readings()
    if isinstance(found, pl.DataFrame):
        found = number_readings(_checked("readings", tables.Readings, found))
    with _attached_draft(draft) as con:
        con.execute("CREATE SCHEMA v1; CREATE SCHEMA meta; CREATE SCHEMA _internal")
        _write_table(con, "_internal.readings", found.cells, draft)
        _write_table(con, "_internal.homes", found.homes, draft)
        _write_table(con, "_internal.signals", found.signals, draft)
    return found.height


@contextlib.contextmanager
def _attached_draft(draft: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection in which the draft is the database in use; everything is in its file at the end."""
    attach = f"ATTACH '{_quotes_doubled(draft)}' AS published (STORAGE_VERSION '{STORAGE_VERSION}')"
    with duckdb.connect(config=OFFLINE) as con:
        con.execute(f"{attach}; USE published")
        yield con
        con.execute("CHECKPOINT published; USE memory; DETACH published")


def _checked(name: str, table: type[dy.Schema], frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame in the table's columns and types.

    Raises PublicationRefused where a column is missing or a row breaks a rule of the table.
    """
    try:
        frame = frame.select(table.column_names()).cast(tables.empty(table).schema)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise PublicationRefused(
            f"{name}: does not fit its table ({reason}); yesterday's file stands"
        ) from None
    good, failures = table.filter(frame)
    if broken := frame.height - good.height:
        raise PublicationRefused(
            f"{name}: {broken} rows break the table's rules ({failures.counts()}); yesterday's file stands"
        )
    return frame


def _write_table(con: duckdb.DuckDBPyConnection, full_name: str, frame: pl.DataFrame, draft: Path) -> None:
    """Write a frame as the table `schema.name`, with its comments.

    On the way the rows lie in a Parquet file beside the draft: what a killed run leaves of it is swept with
    the draft.
    """
    columns = ", ".join(f'"{column}" {sql_type(dtype)}' for column, dtype in frame.schema.items())
    con.execute(f"CREATE TABLE {full_name} ({columns})")
    if frame.height:
        selected = ", ".join(
            f'map_from_entries("{column}")' if isinstance(dtype, pl.List) else f'"{column}"'
            for column, dtype in frame.schema.items()
        )
        rows = draft.with_name(f"{draft.name}.{full_name}.parquet")
        try:
            # read once, and whole: no statistics
            frame.write_parquet(rows, compression="lz4", statistics=False, row_group_size=ROW_GROUP_SIZE)
            con.execute(
                f"INSERT INTO {full_name} SELECT {selected} FROM read_parquet($file)",
                {"file": _escape_pattern(rows)},
            )
        finally:
            rows.unlink(missing_ok=True)
    _comment_table(con, full_name, frame.columns)


def _comment_table(con: duckdb.DuckDBPyConnection, full_name: str, columns: list[str]) -> None:
    schema, _, name = full_name.partition(".")
    if schema == "meta":
        about, meanings = f"{table_grain(tables.META[name])}.", column_meanings(tables.META[name])
    else:
        table = tables.PUBLISHED.get(name)
        about = f"behind v1; may change at any time: read v1.{name if table else 'readings'}"
        meanings = {column: f"number or name behind v1.readings: {column}" for column in columns}
        if table:
            meanings |= {c: meaning for c, meaning in column_meanings(table).items() if c in meanings}
    _comment(con, "TABLE", full_name, about, meanings)


def _write_view(con: duckdb.DuckDBPyConnection, name: str, table: type[dy.Schema]) -> None:
    con.execute((SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    _comment(con, "VIEW", f"v1.{name}", f"{table_grain(table)}.", column_meanings(table))


def _comment(
    con: duckdb.DuckDBPyConnection, kind: str, full_name: str, about: str, meanings: Mapping[str, str]
) -> None:
    """Comment a TABLE or VIEW and its columns. meanings: column → its meaning."""
    con.execute(f"COMMENT ON {kind} {full_name} IS '{_quotes_doubled(about)}'")
    for column, meaning in meanings.items():
        con.execute(f"COMMENT ON COLUMN {full_name}.\"{column}\" IS '{_quotes_doubled(meaning)}'")


def _check_row_counts(draft: Path, heights: Mapping[str, int]) -> None:
    """Read the draft back; raise PublicationRefused where a view has not the rows that were written."""
    with duckdb.connect(str(draft), read_only=True, config=OFFLINE) as con:
        for name, height in heights.items():
            ((rows,),) = con.execute(f"SELECT count(*) FROM v1.{name}").fetchall()
            if rows != height:
                raise PublicationRefused(
                    f"{name}: the draft holds {rows} rows of {height}; yesterday's file stands, run again"
                )


def _escape_pattern(path: Path) -> str:
    """Return a path in which read_parquet sees no pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _quotes_doubled(text: object) -> str:
    """Return a text as it is written between single quotes in SQL."""
    return str(text).replace("'", "''")
