"""Retention: what is older than its class of data may be is taken out of the state, the pages and the published file.

Outcomes, assignments, the runs and the audit log are kept: they are the account. A floor is written before anything is
deleted, so that no export that comes again and no night that is missed brings back what was pruned.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anomaly.readings import SignalRule, to_daily_grain
from pipelines.cases.build import fold
from pipelines.config.calendar import calendar_in_force, local_today
from pipelines.config.settings import Settings
from pipelines.ingest.loader import stored_inputs
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import published_frames, recent_readings
from pipelines.publish.meta_frames import meta_frames
from pipelines.reporting import night_report
from pipelines.storage.atomic_write import find_leftovers, remove_draft
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.partitions import Partition, PartitionedTable
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA, RawRows
from pipelines.storage.state import RETENTION_FLOOR_FILE, Store

DELETIONS, BEGUN = "deletions.jsonl", "pruning.json"


@dataclass(frozen=True)
class Old:
    """What one class of data holds from before its first kept day: so many rows or pages, in so many files or folders."""

    name: str
    before: dt.date
    rows: int
    places: tuple[Path, ...]

    def told(self) -> str:
        """In one line."""
        return f"{self.name}: {self.rows} from before {self.before}, in {len(self.places)} place{'s' * (len(self.places) != 1)}"


def prune(settings: Settings, dry_run: bool) -> list[Old]:
    """Take out what is too old, or with `dry_run` only say what that would be."""
    store = Store(settings.store)
    store.prepare()
    with store.locked():
        night_report.tidy(settings)
        old = _old(settings, store, local_today(settings))
        begun = store.read_json(BEGUN, [])
        if dry_run or not (begun or any(one.places for one in old)):
            return old
        record = _record(old, begun)
        store.write_json(BEGUN, record)
        store.write_json(RETENTION_FLOOR_FILE, {one.name: one.before for one in old})
        _thin(settings, store, old[0])
        for one in old[1:]:
            for place in one.places:
                _take_out(store, place, one.before)
        _publish(settings, store)
        for line in record:
            store.append_line(DELETIONS, {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")} | line)
        AuditLog(store).append("prune", deleted=record)
        store.path(BEGUN).unlink()
    return old


def _record(old: list[Old], begun: list[dict]) -> list[dict]:
    """A line for each class that loses something; of what a prune that was broken off had set out to take out, all of it."""
    lines = {
        one.name: {"class": one.name, "before": str(one.before), "rows": one.rows, "places": len(one.places)}
        for one in old
        if one.places
    }
    for line in begun:
        if line["rows"] > lines.get(line["class"], {"rows": -1})["rows"]:
            lines[line["class"]] = line
    return list(lines.values())


def _old(settings: Settings, store: Store, now: dt.date) -> list[Old]:
    keep = settings.retention
    readings = now - dt.timedelta(days=keep.readings_days)
    # a night, and a page, tells readings: neither outlives them
    nights, pages = (
        max(readings, now - dt.timedelta(days=days)) for days in (keep.nights_days, keep.reports_days)
    )
    folders = tuple(store.path(f"nights/{night}") for night in store.judged_nights() if night < nights)
    shown = tuple(
        folder for folder in sorted(settings.reports.glob("????-??-??")) if folder.name < str(pages)
    )
    files = [(path, _rows_before(path, readings)) for path in _tables(store) if path.parent not in folders]
    touched = tuple(path for path, rows in files if rows)
    left = tuple(sorted({*find_leftovers(store.folder), *find_leftovers(settings.reports)}))
    return [
        _finer(settings, store, now - dt.timedelta(days=keep.raw_days)),
        Old("readings", readings, sum(rows for _, rows in files), touched),
        Old("nights", nights, len(folders), folders),
        Old("reports", pages, len(shown), shown),
        Old("drafts", now, len(left), left),
    ]


def _finer(settings: Settings, store: Store, before: dt.date) -> Old:
    """Rows finer than a day: late rows may still change a recent day, an older one needs its daily grain only."""
    parts = {
        part.path: fewer for rule in settings.rules.values() for part, fewer in _thinned(store, rule, before)
    }
    spared = {
        path: pl.scan_parquet(path, glob=False).select(pl.len()).collect().item() - left.height
        for path, left in parts.items()
    }
    return Old("raw", before, sum(spared.values()), tuple(path for path, n in spared.items() if n))


def _thin(settings: Settings, store: Store, old: Old) -> None:
    for rule in settings.rules.values():
        for part, left in _thinned(store, rule, old.before):
            if part.path in old.places:
                RawRows(store, rule.name).table.replace(part, left)


def _thinned(store: Store, rule: SignalRule, before: dt.date) -> list[tuple[Partition, pl.DataFrame]]:
    """Each part of a signal's rows with what is left of it: a row brought down lies where the last of its day lay."""
    rows = RawRows(store, rule.name)
    left = to_daily_grain(rows.read().rename({"home": "household"}).drop("order"), rule, before).rename(
        {"household": "home"}
    )
    there = [(part, pl.read_parquet(part.path, glob=False, columns=["file", "row"])) for part in rows.partitions()]
    return [
        (
            part,
            left.join(lines, on=["file", "row"], how="semi", maintain_order="left")
            .select(RAW_ROW_SCHEMA.keys())
            .cast(RAW_ROW_SCHEMA),
        )
        for part, lines in there
    ]


def _tables(store: Store) -> Iterator[Path]:
    return (path for path in sorted(store.state.rglob("*.parquet")) if not path.name.startswith("."))


def _dated(path: Path, before: dt.date) -> pl.Expr | None:
    """Which rows of a table are from before that day; None where it knows no days."""
    columns = pl.read_parquet_schema(path)
    return next((pl.col(name).cast(pl.Date) < before for name in ("time", "day") if name in columns), None)


def _rows_before(path: Path, before: dt.date) -> int:
    old = _dated(path, before)
    return (
        0 if old is None else pl.scan_parquet(path, glob=False).filter(old).select(pl.len()).collect().item()
    )


def _take_out(store: Store, place: Path, before: dt.date) -> None:
    """A folder or a draft goes whole; of a table the rows from before that day."""
    if place.is_dir() and not place.name.startswith("."):  # at once: half a night would be judged again
        place = place.rename(place.with_name(f".{place.name}.draft"))
    name = place.relative_to(store.state) if place.is_relative_to(store.state) else place
    table = PartitionedTable(place.parent)
    part = next(
        (
            part
            for part in table.partitions()
            if part.path == place or (part.path.name[:6] == place.name[:6] and not place.exists())
        ),
        None,
    )
    place = part.path if part else place  # a part that was thinned out has another name
    old = None if place.name.startswith(".") or place.suffix != ".parquet" else _dated(place, before)
    if old is None:
        remove_draft(place)
    elif part:
        table.replace(part, store.read(str(place.relative_to(store.state))).filter(~old))
    else:
        store.write(str(name), store.read(str(name)).filter(~old))


def _publish(settings: Settings, store: Store) -> None:
    """Make the published file anew from what is left: a revised copy would still hold what was taken out."""
    if not store.judged_nights():
        settings.store.unlink(missing_ok=True)
        parquet_export.sync_parquet_export(settings, keep=0)
        return
    inputs = stored_inputs(settings, store)
    frames = published_frames(settings, store, inputs, fold(settings, store))
    first, last = inputs.stored.span() or (local_today(settings), local_today(settings))
    duckdb_file.publish(
        settings.store,
        frames | {"readings": recent_readings(settings, inputs.stored)},
        meta_frames(settings, calendar_in_force(settings, first, last)),
    )
    parquet_export.sync_parquet_export(settings, keep=0)
    night_report.write_overview(settings, frames)
