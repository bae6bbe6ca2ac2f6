"""Remember which files were loaded, so that only new and changed ones are read."""

import dataclasses
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import NamedTuple, TypedDict

from anomaly.readings import SignalRule
from pipelines.config.sections import Source
from pipelines.ingest.files import file_name, file_sha256, find_files, system_errors_as_source_errors
from pipelines.storage.home_numbers import HOMES_FILE
from pipelines.storage.raw_rows import RawRows
from pipelines.storage.rejects import REJECTS_FILE
from pipelines.storage.state import Store
from pipelines.storage.stored_register import has_register

LEDGER_FILE = "files.json"


class LedgerEntry(TypedDict, total=False):
    """A file that was loaded, as it stands in the state and, but for `part`, in the manifest."""

    source: str
    file: str
    bytes: int
    modified_ns: int
    sha256: str
    read_as: str
    """Mark of the settings that say how its cells are read."""
    rows: int
    rejects: int
    first_read: str
    """When this content was first read, by the site's clock: the day of it was not over."""
    read_on: str
    """The day it was read, where it held rows of later days: it is read again once that day is over."""
    part: int
    """The partition of raw rows it went into; 0 where it gave no new row. Register files have none."""


REQUIRED = {"source", "file", "bytes", "modified_ns", "sha256"}


class ChangedFile(NamedTuple):
    """A file that must be read, with what is known of it so far."""

    entry: LedgerEntry
    path: Path


class FileLedger:
    """The files that were loaded, by source and name.

    A file whose rows are not in the state any more counts as never loaded.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.entries: dict[tuple[str, str], LedgerEntry] = {}
        entries = read_entries(store)
        if not store.path(REJECTS_FILE).exists() or not store.path(HOMES_FILE).exists():
            return
        present: set[tuple[str, int | None]] = set()
        if has_register(store):
            present.add(("households", None))
        for source in {entry["source"] for entry in entries} - {"households"}:
            present |= {(source, partition.number) for partition in RawRows(store, source).partitions()}
        for entry in entries:
            if (entry["source"], entry.get("part")) in present or entry.get("part") == 0:
                self.record(entry)

    def record(self, entry: LedgerEntry) -> None:
        """Count a file as loaded; `write` puts that on the disk."""
        self.entries[entry["source"], entry["file"]] = entry

    def remove(self, source: str, file: str) -> None:
        """Count a file as never loaded; `write` puts that on the disk."""
        self.entries.pop((source, file), None)

    def files(self, source: str) -> list[str]:
        """Return the names of the files of a source."""
        return [file for of_source, file in self.entries if of_source == source]

    def get(self, source: str, file: str) -> LedgerEntry | None:
        """Return what is known of a file, None for one that was never loaded."""
        return self.entries.get((source, file))

    def write(self) -> None:
        """Write the ledger to the state."""
        self.store.write_json(LEDGER_FILE, self._sorted())

    def find_changed(
        self,
        source: Source,
        root: Path,
        read_as: str,
        today: dt.date = dt.date.min,
        now: dt.datetime | None = None,
    ) -> list[ChangedFile]:
        """Find the files of a source that are new, or whose content or reading differs from what was loaded.

        Only where size or time stamp differ is a file's SHA-256 worked out; where that is the same, the entry
        is brought up to date and the file is not read. now: by the site's clock; it is kept with content that
        was not read before, so that this gives the same rows whenever it is read again. Raises SourceError.
        """
        changed = []
        for path in find_files(root, source):
            name = file_name(path, root)
            with system_errors_as_source_errors(path, source):
                stat = path.stat()
            known = before = self.get(source.name, name)
            if known and (known.get("read_as") != read_as or known.get("read_on", str(today)) < str(today)):
                known = None
            if known and (known["bytes"], known["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
                continue
            with system_errors_as_source_errors(path, source):
                digest = file_sha256(path)
            entry = LedgerEntry(
                source=source.name,
                file=name,
                bytes=stat.st_size,
                modified_ns=stat.st_mtime_ns,
                sha256=digest,
                read_as=read_as,
            )
            if now is not None:
                entry["first_read"] = self._first_read(source.name, before, digest, today) or now.isoformat()
            if known and known["sha256"] == digest:
                self.record(known | entry)
            else:
                changed.append(ChangedFile(entry, path))
        return changed

    def _first_read(self, source: str, before: LedgerEntry | None, digest: str, today: dt.date) -> str | None:
        """Return when a source's content was first read, under whatever name; None for new content.

        A file that held rows of later days is new once their day has come.
        """
        if before and before["sha256"] == digest:
            return None if before.get("read_on", str(today)) < str(today) else before.get("first_read")
        same = (
            entry.get("first_read", "")
            for (of_source, _), entry in self.entries.items()
            if of_source == source and entry["sha256"] == digest
        )
        return min(filter(None, same), default=None)

    def _sorted(self) -> list[LedgerEntry]:
        return sorted(self.entries.values(), key=lambda entry: (entry["source"], entry["file"]))


def read_entries(store: Store) -> list[LedgerEntry]:
    """Return what the state says was loaded; raises StateDamaged for a file of another shape."""
    entries = store.read_json(LEDGER_FILE, [])
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and entry.keys() >= REQUIRED for entry in entries
    ):
        raise store.damaged(LEDGER_FILE)
    return entries


def reading_mark(source: Source, rule: SignalRule | None = None) -> str:
    """Return a mark of the settings by which a file's cells are read: under another it is read again."""
    fields = dataclasses.asdict(source) | {"files": None}
    del fields["max_bytes"]
    # these two are applied to raw rows, which are kept
    fields["rule"] = rule and dataclasses.asdict(rule) | {"max_per_day": None, "boundary_hours": None}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=sorted).encode()).hexdigest()[:16]
