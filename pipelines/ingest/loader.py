"""Load what is new: changed files into raw rows, raw rows into daily readings.

A file is read again only when its size or time stamp and then its SHA-256 differ from what was loaded before.
Rows are merged by key, the later file name and then the later row wins, so loading a file twice, or files one
by one or all at once, gives the same readings. Many files are loaded batch by batch; a load that was broken
off goes on after the last batch.
"""

import contextlib
import dataclasses
import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import polars as pl

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import Source
from pipelines.config.settings import Settings
from pipelines.errors import SourceError, StateDamaged
from pipelines.ingest.contradictions import update_contradictions
from pipelines.ingest.files import file_name, find_files
from pipelines.ingest.formats import malformed_as_source_error, read_cells
from pipelines.ingest.implausible_rows import refuse_implausible_rows
from pipelines.ingest.incremental import ReadingChanges, StoredSignal
from pipelines.ingest.inputs import Inputs, stored_inputs
from pipelines.ingest.ledger import ChangedFile, FileLedger, LedgerEntry, read_entries, reading_mark
from pipelines.ingest.lost_meaning import refuse_doubtful_decimals, refuse_lost_ids
from pipelines.ingest.pseudonyms import EncodeIds, id_encoder
from pipelines.ingest.refused_rows import describe_refused_rows
from pipelines.ingest.register import load_register
from pipelines.ingest.repeated_rows import settle_repeated_rows
from pipelines.ingest.signal_ids import ids_mark, read_signal_ids, signals_with_ids, to_households
from pipelines.runtime.process_pool import prefetch, prefetch_map
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import HOMES_FILE, HomeNumbers
from pipelines.storage.raw_rows import RawRows, as_raw_rows
from pipelines.storage.rejects import commonest_reason, replace_rejects
from pipelines.storage.state import Store

BATCH_ROWS = 4_000_000
"""Rows that are read before they are written."""
MADE_WITH_FILE = "readings.json"
"""The rules that the stored readings were made with, and their partitions."""
UNFINISHED_LOAD_FILE = "loading.json"
"""There while readings are being changed."""
_NUMBERED_FOLDERS = ("rows", "days", "carry")
"""Of the state: they name homes by number."""
_COLUMN_REASONS = ["value not a number", "time not readable", "no value", "no time"]
"""Where every row is refused for one of these, a column or its form is not what the settings say."""


class ReadFile(NamedTuple):
    """A file as it was read: its rows (RAW_ROW_SCHEMA but `file`, EXTRA_COLUMNS) and those refused (row,
    reason)."""

    entry: LedgerEntry
    rows: pl.DataFrame
    refused: pl.DataFrame


@dataclass(frozen=True)
class Batch:
    """Files of a source, read together; the last batch of a source may hold none."""

    source: str
    files: list[ReadFile] = field(default_factory=list)
    done: int = 0
    """Files of the source that are read with this batch and those before it."""
    total: int = 0
    error: SourceError | None = None
    """Why the source stopped; nothing of it follows."""

    @property
    def is_last(self) -> bool:
        """True where nothing of the source follows."""
        return self.done == self.total


@dataclass
class _Load:
    """One load under way."""

    settings: Settings
    store: Store
    today: dt.date
    now: dt.datetime | None
    """By the site's clock; None: no day is open."""
    progress: ReportProgress
    ledger: FileLedger
    homes: HomeNumbers
    changes: ReadingChanges
    encode_ids: EncodeIds
    failed: dict[str, SourceError] = field(default_factory=dict)
    merge_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    refused_rows: list[str] = field(default_factory=list)
    """Lines on the refused rows of the files read, for the terminal alone."""


def load(
    settings: Settings,
    store: Store,
    today: dt.date,
    progress: ReportProgress = no_progress,
    now: dt.datetime | None = None,
) -> Inputs:
    """Bring the state up to date with the sources and return what a night works on.

    now: by the site's clock, to tell days that are not over; None: every day is. A source that cannot be read
    stops with one line in `failed`; what it gave earlier stays in use.
    """
    _begin_anew_without_home_numbers(settings, store)
    ledger, encode_ids = FileLedger(store), id_encoder(settings, store)
    changes = _mend_readings(settings, store, ledger, progress)
    run = _Load(settings, store, today, now, progress, ledger, HomeNumbers(store), changes, encode_ids)
    # whose the ids of signals are must be known before these are read
    steps = [_load_signals, _load_register]
    for step in reversed(steps) if signals_with_ids(settings.households) else steps:
        step(run)
    if changes:
        progress(Progress("comparing doors and meters"))
        update_contradictions(store, settings.rules, changes)
        for name in settings.rules:
            DailyReadings(store, name).compact()
    store.write_json(MADE_WITH_FILE, made_with(settings, store))
    ledger.write()
    store.path(UNFINISHED_LOAD_FILE).unlink(missing_ok=True)
    return stored_inputs(settings, store, run.failed, run.merge_counts, run.refused_rows)


def made_with(settings: Settings, store: Store) -> dict[str, Any]:
    """Return the rules that the stored readings were made with, and the names of their partitions."""
    rules = {name: json.loads(json.dumps(dataclasses.asdict(rule))) for name, rule in settings.rules.items()}
    partitions = {name: [one.path.name for one in DailyReadings(store, name).partitions()] for name in rules}
    return {"rules": rules, "parts": partitions}


def _read_made_with(store: Store) -> dict[str, Any]:
    """Return what `made_with` gave after the last whole load; nothing where that is not known."""
    before = store.read_json(MADE_WITH_FILE, None)
    if not isinstance(before, dict) or not before.keys() >= {"rules", "parts"}:
        return {"rules": {}, "parts": {}}
    return before


# before anything is read: make good what is missing


def _begin_anew_without_home_numbers(settings: Settings, store: Store) -> None:
    """Remove readings of which nothing says any more whose they are; they are loaded again.

    Raises StateDamaged where not every export is still there.
    """
    folders = [store.path(name) for name in _NUMBERED_FOLDERS]
    if store.path(HOMES_FILE).exists() or not any(folder.exists() for folder in folders):
        return
    there = _files_there(settings)
    loaded = sorted((entry["file"], entry["source"]) for entry in read_entries(store))
    gone = [
        file for file, source in loaded if (file, source) not in there and not (settings.root / file).exists()
    ]
    if gone:
        raise StateDamaged(
            f"{store.path(HOMES_FILE)}: is lost, and with it which home is which; "
            f"put it back from a copy, or {gone[0]} to be loaded again"
        )
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _files_there(settings: Settings) -> set[tuple[str, str]]:
    """Return (file, source) of every file that can be loaded; a name in the state need not name a path."""
    there = set()
    for name, source in settings.sources.items():
        with contextlib.suppress(SourceError):
            there |= {(file_name(path, settings.root), name) for path in find_files(settings.root, source)}
    return there


def _mend_readings(
    settings: Settings, store: Store, ledger: FileLedger, progress: ReportProgress
) -> ReadingChanges:
    """Make good what an earlier load, other rules or a lost file have left undone; return what changed."""
    changes = ReadingChanges()
    before, now = _read_made_with(store), made_with(settings, store)
    signals = {name: StoredSignal(store, rule) for name, rule in settings.rules.items()}
    to_rebuild = []
    for name, signal in signals.items():
        # a partition that was rewritten has another checksum in its name, and the same number
        lost = {part[:6] for part in before["parts"].get(name, [])} - {
            part[:6] for part in now["parts"][name]
        }
        other_rule = before["rules"].get(name) != now["rules"][name]
        if RawRows(store, name).partitions() and (lost or other_rule or not signal.is_whole()):
            to_rebuild.append(name)
    was_broken_off = store.path(UNFINISHED_LOAD_FILE).exists()
    for name in to_rebuild:  # before anything is written: a new partition may have the number of a lost one
        _mark_unfinished(store)
        _mark_rebuilding(store, name)
        changes.everything = True
    if was_broken_off:
        done = sum(source != "households" for source, _ in ledger.entries)
        progress(Progress(f"the last load was broken off: going on after {done} files"))
        changes.everything = True
        for signal in signals.values():
            signal.repair(changes)
    for name in to_rebuild:
        signals[name].rebuild(len(HomeNumbers(store)))
    changes.everything |= before["rules"].keys() != now["rules"].keys()
    return changes


def _mark_unfinished(store: Store) -> None:
    """Mark that readings are being changed, until the load is through."""
    store.write_json(UNFINISHED_LOAD_FILE, {})


def _mark_rebuilding(store: Store, signal: str) -> None:
    """Mark that the readings of a signal follow no rules: a rebuild that is broken off begins anew.

    The numbers of its partitions begin at 1 again, so they alone do not tell that some are not there yet.
    """
    before = _read_made_with(store)
    if before["rules"].pop(signal, None):
        store.write_json(MADE_WITH_FILE, before)


# read and write, batch by batch


def _load_signals(run: _Load) -> None:
    """Read the new files of every source, and write each batch while the next one is being read."""
    names = iter(run.settings.sources)
    run.progress(Progress(f"loading {next(names)}"))
    # closed even where this load fails: then nothing is read any more
    with contextlib.closing(prefetch(_read_batches(run))) as batches:
        for batch in batches:
            counts = {"loaded": 0, "duplicate": 0, "restated": 0}
            counts = run.merge_counts.setdefault(batch.source, counts)
            if batch.files:
                _write_batch(run, batch, counts)
                run.progress(Progress(f"loading {batch.source}", batch.done, batch.total, "files"))
            if batch.error:
                run.failed[batch.source] = batch.error
            if batch.is_last and (name := next(names, None)):
                run.progress(Progress(f"loading {name}"))


def _load_register(run: _Load) -> None:
    """Load the household register, where the settings name one."""
    if source := run.settings.households:
        try:
            load_register(source, run.settings.root, run.ledger, run.encode_ids)
        except SourceError as error:
            run.failed["households"] = error


def _read_batches(run: _Load) -> Iterator[Batch]:
    """Yield what is new of every source, one source after another."""
    for name in run.settings.sources:
        try:
            yield from _read_signal(run, name)
        except SourceError as error:
            yield Batch(name, error=error)


class ParsedFile(NamedTuple):
    """The rows of a file and those refused, as `parse_rows` gives them, and the cells that they come from."""

    rows: pl.DataFrame
    refused: pl.DataFrame
    cells: pl.DataFrame


def parse_file(
    path: Path,
    source: Source,
    rule: SignalRule,
    encode_ids: EncodeIds,
    latest_day: dt.date,
    read_at: dt.datetime | None,
) -> ParsedFile:
    """Read a file of a signal; raises SourceError for one that stops its source."""
    cells, others = read_cells(path, source)
    with malformed_as_source_error(path, source):
        refuse_lost_ids(cells, source)
        if not rule.events:
            refuse_doubtful_decimals(cells, source, rule)
        rows, refused = parse_rows(encode_ids(cells), rule, latest_day, read_at)
        if not rule.events:  # of a log each row is a passage
            rows, refused = settle_repeated_rows(
                rows, refused, cells=cells, others=others, rule=rule, source=source
            )
            refuse_implausible_rows(rows, rule, source)
    return ParsedFile(rows, refused, cells)


def _read_signal(run: _Load, name: str) -> Iterator[Batch]:
    """Yield what is new of one signal; raises SourceError for a file that stops it."""
    source, rule = run.settings.sources[name], run.settings.rules[name]
    latest_day = run.today + dt.timedelta(days=1)
    mark, ids = reading_mark(source, rule), None
    if name in signals_with_ids(run.settings.households):
        ids = read_signal_ids(run.store, name)
        mark = f"{mark}-{ids_mark(ids)}"
    changed = run.ledger.find_changed(source, run.settings.root, mark, run.today, run.now)

    def parse(file: ChangedFile) -> tuple[pl.DataFrame, pl.DataFrame]:
        first_read = file.entry.get("first_read")
        read_at = dt.datetime.fromisoformat(first_read) if first_read else None
        rows, refused, cells = parse_file(file.path, source, rule, run.encode_ids, latest_day, read_at)
        if refused.height:
            shown_name = PurePath(file.entry["file"]).name
            run.refused_rows.extend(describe_refused_rows(refused, cells, rule, source, shown_name))
        return (rows if ids is None else to_households(rows, ids, rule)), refused

    done, files = 0, []
    for done, (file, parsed) in enumerate(zip(changed, prefetch_map(parse, changed), strict=True), start=1):
        files.append(_check_file(run, name, file.entry, *parsed))
        if done < len(changed) and sum(one.rows.height for one in files) >= BATCH_ROWS:
            yield Batch(name, files, done, len(changed))
            files = []
    yield Batch(name, files, done, len(changed))


def _check_file(
    run: _Load, source: str, entry: LedgerEntry, rows: pl.DataFrame, refused: pl.DataFrame
) -> ReadFile:
    """Number the homes of a file's rows and fill in its entry; SourceError where a column cannot be used."""
    refuse_unusable_file(source, entry["file"], rows, refused)
    # what a prune removed stays removed, even where the file is read again
    rows = rows.filter(pl.col("time") >= run.store.first_kept_day("readings"))
    entry["rows"], entry["rejects"] = rows.height, refused.height
    # or the clock is behind: read again once the day has come
    if refused["reason"].is_in(["in the future"]).any():
        entry["read_on"] = str(run.today)
    return ReadFile(entry, run.homes.replace_ids(rows), refused)


def refuse_unusable_file(source: str, file: str, rows: pl.DataFrame, refused: pl.DataFrame) -> None:
    """Raise SourceError where every row of a file is refused for what a column holds."""
    if refused.height and not rows.height and refused["reason"].is_in(_COLUMN_REASONS).all():
        raise SourceError(
            source,
            file,
            f"has no row that can be used ({commonest_reason(refused)})",
            f"check columns, unit and time_format in [signals.{source}]",
        )


def _write_batch(run: _Load, batch: Batch, counts: dict[str, int]) -> None:
    """Write a batch: its rows, the readings they make, its rejects, and last that its files are loaded."""
    signal = StoredSignal(run.store, run.settings.rules[batch.source])
    _mark_unfinished(run.store)
    # what the same file gave under other settings is void: its days or units may have been others
    void = []
    for entry, _, _ in batch.files:
        known = run.ledger.get(batch.source, entry["file"])
        if known and known.get("read_as") != entry["read_as"]:
            void.append(entry["file"])
    if void:
        signal.rows.remove_files(void)
    names = pl.Enum([entry["file"] for entry, _, _ in batch.files])
    frames = [rows.with_columns(file=pl.lit(entry["file"], names)) for entry, rows, _ in batch.files]
    rows = pl.concat(frames, rechunk=True)  # in one piece they are sorted five times as fast
    ingested = signal.ingest(as_raw_rows(rows, names), run.changes)
    if void:
        _mark_rebuilding(run.store, batch.source)
        signal.rebuild(len(run.homes))
        run.changes.everything = True
    counts["loaded"] += rows.height
    counts["duplicate"] += ingested.duplicate
    counts["restated"] += ingested.restated
    replace_rejects(run.store, batch.source, {entry["file"]: refused for entry, _, refused in batch.files})
    for entry, _, _ in batch.files:
        entry["part"] = ingested.partition or 0
        run.ledger.record(entry)
    run.ledger.write()
