"""The state folder: where everything lies that outlives a run, and how its files are read and written.

Parquet, JSON and journals of JSON lines only, each file written whole or not at all. Whatever is done twice
gives the same files. What lies where is listed in `pipelines/storage/__init__.py`.
"""

import contextlib
import datetime as dt
import glob
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import polars as pl

from pipelines.errors import StateDamaged, StateError, StoreLocked
from pipelines.storage.atomic_write import (
    FILE_MODE,
    find_leftovers,
    make_folder,
    private_opener,
    remove_draft,
    replace_atomically,
    write_text,
)
from pipelines.storage.partitions import unreadable_table

STATE_VERSION = 1
VERSION_FILE = "version.json"
RETENTION_FLOOR_FILE = "kept_from.json"
"""First kept day of each class of data."""
UNFINISHED_RUN_FILE = "running.json"
"""What a run has set out to do; gone once it is through."""
RUN_JOURNAL = "runs.jsonl"
RUN_LOG, OLDER_RUN_LOG = "log.jsonl", "log.1.jsonl"
"""Beside the published file: every step of every run, the failed ones included."""
SHORT_LOCK_SECONDS = 60.0
"""How long to wait for a lock that is held for a few writes: who has it longer has been stopped."""
JUDGED_FILES = ("evidence.parquet", "rarities.parquet", "not_judged.parquet", "expected.parquet", "done.json")
FROZEN_FILES = ("cases.parquet", "series.parquet", "flow.parquet", "control.parquet", "frozen.json")
NIGHT_FILES = (*JUDGED_FILES, *FROZEN_FILES)


@dataclass(frozen=True)
class Store:
    """All state of one site; `published` is the one file that others read, the state lies beside it."""

    published: Path

    @property
    def folder(self) -> Path:
        """The folder of the published file, the audit log and the state."""
        return self.published.parent

    @property
    def state(self) -> Path:
        """The folder that every name given to `read`, `write` and their kin is relative to."""
        return self.folder / "state"

    def path(self, name: str) -> Path:
        """Return where a file of the state lies."""
        return self.state / name

    def check_path(self) -> None:
        """Raise StateError for a path that DuckDB would take for another one, or cannot be given at all."""
        path = str(self.published)
        named = {"?": "with a '?'", "\\": "with a backslash"}
        why = next((words for sign, words in named.items() if sign in path), "")
        try:
            path.encode()
        except UnicodeEncodeError:
            why = "that is not in UTF-8"
        if why:
            raise StateError(
                f"{path}: DuckDB cannot open a path {why}; give [store] path a folder with another name"
            )

    def prepare(self) -> None:
        """Make the folder; raises StateError where it cannot be written or was written by a newer version."""
        self.check_path()
        try:
            make_folder(self.state)
            probe = self.state / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StateError(
                f"{self.folder}: cannot be written ({error.strerror}); "
                "give [store] path a folder this user may write"
            ) from None
        version = self.read_json(VERSION_FILE, {"state": STATE_VERSION})
        written = version.get("state") if isinstance(version, dict) else None
        if not isinstance(written, int):
            raise self.damaged(VERSION_FILE)
        if written > STATE_VERSION:
            raise StateError(
                f"{self.folder}: written by a newer version "
                f"(state {written}, this one knows {STATE_VERSION}); upgrade, or name another [store] path"
            )
        if written != STATE_VERSION or not self.path(VERSION_FILE).exists():
            self.write_json(VERSION_FILE, {"state": STATE_VERSION})

    # locks, and what killed runs leave

    @contextlib.contextmanager
    def locked(self, seconds: float = 0, waiting: Callable[[str], None] = lambda who: None) -> Iterator[None]:
        """Hold the run lock, for which another command is waited up to `seconds`.

        waiting: told who has the lock before the wait begins. Raises StoreLocked, which names who has it,
        where the wait was in vain.
        """
        lock = filelock.FileLock(self.folder / "run.lock", mode=FILE_MODE)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting(self._lock_holder())
            self._wait_for(lock, seconds)
        holder = self.folder / "run.holder"
        try:
            now = dt.datetime.now(dt.UTC)
            write_text(holder, f"process {os.getpid()}, {_command()}, since {now:%Y-%m-%d %H:%M:%SZ}\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def _wait_for(self, lock: filelock.BaseFileLock, seconds: float) -> None:
        try:
            lock.acquire(timeout=seconds)
        except filelock.Timeout:
            waited = f"; waited {seconds:.0f} s" if seconds else ""
            raise StoreLocked(
                f"{self.folder}: another run holds the lock ({self._lock_holder()}){waited}; "
                "wait for it to end, or stop it"
            ) from None

    def _lock_holder(self) -> str:
        """Return who has the run lock, as far as it is known: process, command, and since when."""
        try:
            return (self.folder / "run.holder").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return "another process"

    @contextlib.contextmanager
    def short_lock(self, name: str) -> Iterator[None]:
        """Wait for and hold a lock that guards a few writes beside a run, such as a journal's.

        Raises StoreLocked where another process does not give it back.
        """
        make_folder(self.state)
        lock = filelock.FileLock(self.path(name), mode=FILE_MODE)
        try:
            lock.acquire(timeout=SHORT_LOCK_SECONDS)
        except filelock.Timeout:
            raise StoreLocked(
                f"{self.path(name)}: another process has held this lock for {SHORT_LOCK_SECONDS:.0f} s; "
                f"`fuser {self.path(name)}` names it: let it go on or stop it, and run again"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def find_leftovers(self) -> list[Path]:
        """Return the drafts that killed runs have left of this store; for the holder of the run lock."""
        older = self.folder.glob(f".{glob.escape(self.published.name)}.draft*")  # of version 0.1.0
        return [
            *find_leftovers(self.state, deep=True, of_old_version=True),
            *find_leftovers(self.folder / "parquet"),
            *find_leftovers(self.folder),
            *older,
        ]

    def remove_leftovers(self) -> None:
        """Remove the drafts that killed runs have left; to be called by the holder of the run lock."""
        for path in self.find_leftovers():
            remove_draft(path)

    # tables, JSON files and journals by name, relative to the state folder

    def write(self, name: str, frame: pl.DataFrame) -> None:
        """Write a table as Parquet, whole or not at all."""
        with replace_atomically(self.path(name)) as draft:
            frame.write_parquet(draft, compression="zstd", compression_level=3)

    def read(self, name: str, schema: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Read a table; an empty one of `schema`, if given, where there is no file. Raises StateDamaged."""
        path = self.path(name)
        if schema is not None and not path.exists():
            return pl.DataFrame(schema=schema)
        try:
            return pl.read_parquet(path, glob=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, FileNotFoundError) as error:
            raise unreadable_table(path, error) from None

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file, whole or not at all; the same value gives the same bytes."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str)
        write_text(self.path(name), text + "\n")

    def read_json(self, name: str, default: Any) -> Any:
        """Read a JSON file; `default` where there is none. Raises StateDamaged for one that is no JSON."""
        try:
            return json.loads(self.path(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default
        except ValueError:
            raise self.damaged(name) from None

    def damaged(self, name: str) -> StateDamaged:
        """Return the error for a small file of the state that does not hold what it should."""
        return StateDamaged(f"{self.path(name)}: is damaged; remove that file and run again: it is made anew")

    def append_line(self, name: str, value: Mapping) -> None:
        """Add one JSON line to a journal and wait until it is on the disk."""
        self.append_lines(name, [value])

    def append_lines(self, name: str, values: Iterable[Mapping]) -> None:
        """Add JSON lines to a journal, which is looked through once, and wait until they are on the disk."""
        path = self.path(name)
        make_folder(path.parent)
        with open(path, "a", encoding="utf-8", opener=private_opener) as journal:
            if journal.tell() and not path.read_bytes().endswith(b"\n"):
                journal.write("\n")  # a line cut short by a kill must not swallow this one
            for value in values:
                journal.write(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def read_lines(self, name: str) -> list[dict]:
        """Read every whole line of a journal.

        A last line cut short by a kill was never acknowledged and is passed over.
        """
        try:
            journal = self.path(name).read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for line in journal.split(b"\n"):
            with contextlib.suppress(ValueError):  # not JSON, or cut within a character
                lines.append(json.loads(line))
        return lines

    # runs and nights

    def published_runs(self) -> list[dict]:
        """Return the lines of the run journal, but for those of a run that has not finished."""
        return self.read_lines(RUN_JOURNAL)[: self._published_count()]

    def unpublished_runs(self) -> list[dict]:
        """Return the lines of the run journal of a run that has not finished, or was broken off."""
        count = self._published_count()
        return [] if count is None else self.read_lines(RUN_JOURNAL)[count:]

    def _published_count(self) -> int | None:
        """Return how many lines the run journal had when the unfinished run began; None where none is."""
        return self.read_json(UNFINISHED_RUN_FILE, {}).get("runs")

    def first_kept_day(self, data_class: str) -> dt.date:
        """Return the first day that is kept of a class of data; what is older was pruned and stays so."""
        return dt.date.fromisoformat(self.read_json(RETENTION_FLOOR_FILE, {}).get(data_class, "0001-01-01"))

    def judged_nights(self) -> list[dt.date]:
        """Return every judged night, in order."""
        done = self.path("nights").glob("????-??-??/done.json")
        return sorted(dt.date.fromisoformat(path.parent.name) for path in done)

    def known_nights(self) -> set[dt.date]:
        """Return every night that was ever judged, those that were pruned since included."""
        run = {dt.date.fromisoformat(line["night"]) for line in self.read_lines(RUN_JOURNAL)}
        return run | set(self.judged_nights())

    def incomplete_nights(self) -> list[dt.date]:
        """Return nights that have run but whose folder has lost a file: they must be judged again."""
        judged = self.judged_nights()
        run = {dt.date.fromisoformat(line["night"]) for line in self.read_lines(RUN_JOURNAL)}
        run = {night for night in run if night >= self.first_kept_day("nights")}
        whole = {
            night
            for night in judged
            if all(self.path(f"nights/{night}/{name}").exists() for name in NIGHT_FILES)
        }
        return sorted((run | set(judged)) - whole)


def _command() -> str:
    """Return the program and its first word; the words after it may be somebody's reasons."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:60]
