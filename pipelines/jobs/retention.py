"""Remove what is older than [retention] allows from the state, the pages and the published file.

Outcomes, assignments, the runs and the audit log are kept: they are the account. Before anything is deleted,
the first day that is kept of each class of data is noted (`RETENTION_FLOOR_FILE`), so that neither an export
that comes again nor a night that is judged later brings back what was pruned.

What is deleted cannot be brought back, so a clock that disagrees with what the site has seen is not believed:
see `_refuse_doubtful_clock`.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anomaly.readings import SignalRule, to_daily_grain
from pipelines.cases.build import build_cases
from pipelines.config.calendar import calendar_in_force, local_today
from pipelines.config.settings import Settings
from pipelines.errors import PruneRefused
from pipelines.ingest.inputs import stored_inputs
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import published_frames, recent_readings
from pipelines.publish.meta_frames import meta_frames
from pipelines.reporting import night_report, writer
from pipelines.reporting.own_pages import has_pages
from pipelines.storage.atomic_write import draft_path, find_leftovers, remove_draft
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.partitions import Partition, PartitionedTable, check_partitions
from pipelines.storage.raw_rows import RawRows, as_raw_rows, as_stored
from pipelines.storage.state import RETENTION_FLOOR_FILE, RUN_JOURNAL, RUN_LOCK_SECONDS, Store

FAR_AHEAD = dt.timedelta(days=60)
"""How far the clock may be ahead of all that the site has seen before it is taken for wrong."""
DELETIONS, BEGUN = "deletions.jsonl", "pruning.json"


@dataclass(frozen=True)
class ExpiredData:
    """What one class of data holds from before the first day that is kept of it."""

    name: str
    """The class: raw, readings, nights, reports or drafts."""
    before: dt.date
    """The first day that is kept."""
    rows: int
    """How many rows, nights, reports or drafts expire."""
    places: tuple[Path, ...]
    """The files and folders that hold them."""

    def describe(self) -> str:
        """Return a line for people."""
        places = f"{len(self.places)} place{'s' * (len(self.places) != 1)}"
        return f"{self.name}: {self.rows} from before {self.before}, in {places}"


@dataclass(frozen=True)
class Pruned:
    """What a prune has deleted, or would delete; `remarks` are lines for people."""

    expired: list[ExpiredData]
    remarks: list[str]


def prune(settings: Settings, dry_run: bool, clock_is_right: bool = False) -> Pruned:
    """Delete what is too old and publish what is left; with `dry_run` only say what that would be.

    clock_is_right: whether somebody vouches for today's date. Raises PruneRefused where nobody does and it
    may be wrong, and where nothing of the site would be left.
    """
    store = Store(settings.store)
    store.prepare()
    with store.locked(RUN_LOCK_SECONDS):
        _check_state(store)
        today = local_today(settings)
        newest_reading = _newest_reading(settings, store)
        if not clock_is_right:
            _refuse_doubtful_clock(store, today, newest_reading)
        first_kept = _first_kept_days(settings, today)
        _refuse_emptying(store, first_kept, newest_reading)
        if newest_reading:  # what has not happened yet cannot be too old
            first_kept = {name: min(day, newest_reading) for name, day in first_kept.items()}
        writer.clear_leftovers(settings.reports, store.known_nights())
        expired = _find_expired(settings, store, first_kept, today)
        begun = store.read_json(BEGUN, [])
        if dry_run or not (begun or any(data.places for data in expired)):
            return Pruned(expired, [])
        deletions = _deletion_lines(expired, begun)
        store.write_json(BEGUN, deletions)
        store.write_json(RETENTION_FLOOR_FILE, first_kept)
        raw, *others = expired
        _reduce_raw_rows(settings, store, raw)
        for data in others:
            for place in data.places:
                if data.name == "reports":
                    writer.remove_night_folder(place)
                else:
                    _delete_before(store, place, data.before)
        remarks = _publish(settings, store)
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        for line in deletions:
            store.append_line(DELETIONS, {"at": at} | line)
        AuditLog(store).append("prune", deleted=deletions)
        store.path(BEGUN).unlink()
    return Pruned(expired, remarks)


def _check_state(store: Store) -> None:
    """Raise StateDamaged or AuditLogBroken where a file of the state is not as it was written."""
    AuditLog(store).head()
    store.check_files(mend=False)
    for folder in (*store.path("rows").glob("*"), *store.path("days").glob("*")):
        check_partitions(PartitionedTable(folder).partitions())


def _deletion_lines(expired: list[ExpiredData], begun: list[dict]) -> list[dict]:
    """Return a line for each class that loses something.

    Where a prune was broken off (`begun` are its lines), part of it is gone already: the larger count is the
    whole.
    """
    lines = {
        data.name: {
            "class": data.name,
            "before": str(data.before),
            "rows": data.rows,
            "places": len(data.places),
        }
        for data in expired
        if data.places
    }
    for line in begun:
        if line["rows"] > lines.get(line["class"], {"rows": -1})["rows"]:
            lines[line["class"]] = line
    return list(lines.values())


# the clock


def _newest_reading(settings: Settings, store: Store) -> dt.date | None:
    parts = [part for name in settings.rules for part in DailyReadings(store, name).partitions()]
    return max((part.last for part in parts), default=None)


def _refuse_doubtful_clock(store: Store, today: dt.date, newest_reading: dt.date | None) -> None:
    """Raise PruneRefused where today is far after all that the site has seen, or before its newest reading.

    Seen are the readings, the ends of the runs and the lines of the audit log.
    """
    runs = store.read_lines(RUN_JOURNAL)
    finished = [dt.datetime.fromisoformat(line["finished_utc"]).date() for line in runs]
    seen = [day for day in (newest_reading, AuditLog(store).last_day(), *finished) if day]
    clock = f"prune: today is {today} by this machine's clock"
    remedy = "set the clock, or where it is right run again with --clock-is-right"
    if newest_reading and today < newest_reading:
        raise PruneRefused(f"{clock}, before the newest reading ({newest_reading}); {remedy}")
    if seen and today - max(seen) > FAR_AHEAD:
        raise PruneRefused(
            f"{clock}, {(today - max(seen)).days} days after the newest reading, run or line of the audit "
            f"log ({max(seen)}); {remedy}"
        )


def _refuse_emptying(store: Store, first_kept: Mapping[str, dt.date], newest_reading: dt.date | None) -> None:
    """Raise PruneRefused where every reading or every night would go, whoever vouches for the clock."""
    nights = store.judged_nights()
    every_reading = newest_reading is not None and newest_reading < first_kept["readings"]
    if every_reading or (nights and nights[-1] < first_kept["nights"]):
        last = nights[-1] if nights else newest_reading
        raise PruneRefused(
            f"prune: every reading or every night of the site would go (the last is {last}); set the clock, "
            f"or longer [retention], or remove {store.folder} by hand to give the site up"
        )


# what has expired


def _first_kept_days(settings: Settings, today: dt.date) -> dict[str, dt.date]:
    """Return the first day that is kept of each class of data."""
    keep = settings.retention
    readings_from = today - dt.timedelta(days=keep.readings_days)
    # a night, and a page, shows readings: neither outlives them
    return {
        "raw": today - dt.timedelta(days=keep.raw_days),
        "readings": readings_from,
        "nights": max(readings_from, today - dt.timedelta(days=keep.nights_days)),
        "reports": max(readings_from, today - dt.timedelta(days=keep.reports_days)),
    }


def _find_expired(
    settings: Settings, store: Store, first_kept: Mapping[str, dt.date], today: dt.date
) -> list[ExpiredData]:
    """Return what each class of data holds that is too old, raw rows first."""
    readings_from = first_kept["readings"]
    nights = tuple(
        store.path(f"nights/{night}") for night in store.judged_nights() if night < first_kept["nights"]
    )
    reports = tuple(
        settings.reports / str(night)
        for night in sorted(store.known_nights())
        if has_pages(settings.reports / str(night))
        and (night < first_kept["reports"] or night_report.first_day_drawn(store, night) < readings_from)
    )
    tables = {
        path: _count_before(path, readings_from) for path in _tables(store) if path.parent not in nights
    }
    leftovers = tuple(sorted({*store.find_leftovers(), *find_leftovers(settings.reports)}))
    return [
        _expired_raw_rows(settings, store, first_kept["raw"]),
        ExpiredData(
            "readings",
            readings_from,
            sum(tables.values()),
            tuple(path for path, rows in tables.items() if rows),
        ),
        ExpiredData("nights", first_kept["nights"], len(nights), nights),
        ExpiredData("reports", first_kept["reports"], len(reports), reports),
        ExpiredData("drafts", today, len(leftovers), leftovers),
    ]


def _tables(store: Store) -> Iterator[Path]:
    """Yield every Parquet file of the state but drafts."""
    return (path for path in sorted(store.state.rglob("*.parquet")) if not path.name.startswith("."))


def _is_before(path: Path, day: dt.date) -> pl.Expr | None:
    """Return which rows of a Parquet file are from before the day; None where it has no days."""
    columns = pl.read_parquet_schema(path)
    dated = [name for name in ("time", "day") if name in columns]
    return pl.col(dated[0]).cast(pl.Date) < day if dated else None


def _count_before(path: Path, day: dt.date) -> int:
    is_before = _is_before(path, day)
    return 0 if is_before is None else _count_rows(pl.scan_parquet(path, glob=False).filter(is_before))


def _count_rows(frame: pl.LazyFrame) -> int:
    return frame.select(pl.len()).collect().item()


# raw rows: those finer than a day are reduced to daily ones


def _expired_raw_rows(settings: Settings, store: Store, before: dt.date) -> ExpiredData:
    """Count the rows that go when old days are reduced to daily rows.

    Recent days keep their detail, since late rows may still change them.
    """
    spared = {
        part.path: _count_rows(pl.scan_parquet(part.path, glob=False)) - left.height
        for rule in settings.rules.values()
        for part, left in _reduced_parts(store, rule, before)
    }
    places = tuple(path for path, rows in spared.items() if rows)
    return ExpiredData("raw", before, sum(spared.values()), places)


def _reduce_raw_rows(settings: Settings, store: Store, raw: ExpiredData) -> None:
    for rule in settings.rules.values():
        for part, left in _reduced_parts(store, rule, raw.before):
            if part.path in raw.places:
                RawRows(store, rule.name).table.replace(part, as_stored(left))


def _reduced_parts(store: Store, rule: SignalRule, before: dt.date) -> list[tuple[Partition, pl.DataFrame]]:
    """Return each part of a signal's rows with what is left of it; a day's row is where its last row was."""
    rows = RawRows(store, rule.name)
    cells = rows.read().rename({"home": "household"}).drop("order")
    left = to_daily_grain(cells, rule, before).rename({"household": "home"})
    reduced = []
    for part in rows.partitions():
        lines = pl.read_parquet(part.path, glob=False, columns=["file", "row"])
        of_part = left.join(lines, on=["file", "row"], how="semi", maintain_order="left")
        reduced.append((part, as_raw_rows(of_part)))
    return reduced


# deletion


def _delete_before(store: Store, place: Path, day: dt.date) -> None:
    """Delete a folder or a draft whole, and of a table the rows from before the day."""
    if place.is_dir() and not place.name.startswith("."):
        # renamed first, so that it goes at once: a night that is half there would be judged again
        place = place.rename(draft_path(place))
    name = place.relative_to(store.state) if place.is_relative_to(store.state) else place
    table = PartitionedTable(place.parent)
    part = _find_partition(table, place)
    if part:
        place = part.path
    is_draft = place.name.startswith(".")
    is_before = _is_before(place, day) if place.suffix == ".parquet" and not is_draft else None
    if is_before is None:
        remove_draft(place)
        return
    left = store.read(str(place.relative_to(store.state))).filter(~is_before)
    if part:
        table.replace(part, as_stored(left))
    else:
        store.write(str(name), left)


def _find_partition(table: PartitionedTable, place: Path) -> Partition | None:
    """Return the folder's part that is the file; a part that was rewritten keeps its number alone."""
    for part in table.partitions():
        if part.path == place or (part.path.name[:6] == place.name[:6] and not place.exists()):
            return part
    return None


def _publish(settings: Settings, store: Store) -> list[str]:
    """Publish the file anew from what is left; one with tables replaced would still hold what was deleted.

    Returns lines for people, as `Publication.finish` and `sync_parquet_export` do.
    """
    if not store.judged_nights():
        settings.store.unlink(missing_ok=True)
        return parquet_export.sync_parquet_export(settings, keep=0)
    inputs = stored_inputs(settings, store)
    frames = published_frames(settings, store, inputs, build_cases(settings, store))
    first, last = inputs.stored.find_span() or (local_today(settings), local_today(settings))
    remarks = duckdb_file.publish(
        settings.store,
        frames | {"readings": recent_readings(settings, inputs.stored)},
        meta_frames(settings, calendar_in_force(settings, first, last)),
    )
    remarks += parquet_export.sync_parquet_export(settings, keep=0)
    night_report.write_overview(settings, frames)
    return remarks
