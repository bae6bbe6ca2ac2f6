"""The state folder: where everything lies that outlives a run, and how its files are read and written.

Parquet, JSON and journals of JSON lines only, each file written whole or not at all. Whatever is done twice
gives the same files. What lies where is listed in `pipelines/storage/__init__.py`.
"""

import contextlib
import datetime as dt
import glob
import io
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import polars as pl

from pipelines.errors import StateDamaged, StateError, StoreLocked
from pipelines.storage.atomic_write import (
    FILE_MODE,
    commit,
    draft_file,
    find_leftovers,
    make_folder,
    private_opener,
    remove_draft,
    write_bytes,
    write_text,
)
from pipelines.storage.checksums import UNLISTED, check_folder, checksum, file_checksum, knows, recorded
from pipelines.storage.partitions import unreadable_table

STATE_VERSION = 2
"""1: of version 0.1.0, without checksums but those of partitions. 2: every file has one."""
VERSION_FILE = "version.json"
RETENTION_FLOOR_FILE = "kept_from.json"
"""First kept day of each class of data."""
UNFINISHED_RUN_FILE = "running.json"
"""What a run has set out to do; gone once it is through."""
RUN_JOURNAL = "runs.jsonl"
RUN_LOG, OLDER_RUN_LOG = "log.jsonl", "log.1.jsonl"
"""Beside the published file: every step of every run, the failed ones included."""
RUN_LOCK_SECONDS = 60.0
"""How long a night or a prune waits for another command, such as a decision that is being published."""
SHORT_LOCK_SECONDS = 60.0
"""How long to wait for a lock that is held for a few writes: who has it longer has been stopped."""
JUDGED_FILES = ("evidence.parquet", "rarities.parquet", "not_judged.parquet", "expected.parquet", "done.json")
FROZEN_FILES = ("cases.parquet", "series.parquet", "flow.parquet", "control.parquet", "frozen.json")
NIGHT_FILES = (*JUDGED_FILES, *FROZEN_FILES)
HISTORY_FILE = "history.parquet"
"""In the folder of the latest night: what was expected of every judged home."""
_MADE_ANEW = (
    *NIGHT_FILES,
    HISTORY_FILE,
    "sources.parquet",
    "key.json",
    "report.json",
    "site.json",
    "files.json",
    "readings.json",
    "quality.parquet",
)
"""Files that the next run makes anew where they are gone; so is all of the folder `carry`."""
_REMEDIES = {
    RETENTION_FLOOR_FILE: "put it back from a copy, or remove sums.json beside it and run `anomaly prune`",
    "pseudonyms.json": "put it back from a copy",
    "revised.parquet": "put it back from a copy, or remove it: what judging again had changed is lost then",
    "before.parquet": "remove it and run again: what judging again changes is told without it",
    UNFINISHED_RUN_FILE: "remove it and judge the nights of the run that was broken off again",
    "pruning.json": "remove it and run `anomaly prune` again",
    "late_count.json": "remove it and run again",
    "late.json": "remove it and run again: late readings are counted once more",
}
"""What to do about damaged files that are not simply made anew."""
_ATTEMPTS, _PAUSE_SECONDS = 3, 0.02
"""To read a file that another process may be replacing."""
_CHECK = re.compile(rb',? ?"check": "([0-9a-f]{8})"\}$')
"""End of a journal's line: the checksum of what comes before it and of the journal's name."""


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
        written = self.version()
        if written > STATE_VERSION:
            raise StateError(
                f"{self.folder}: written by a newer version "
                f"(state {written}, this one knows {STATE_VERSION}); upgrade, or name another [store] path"
            )
        if written != STATE_VERSION or not self.path(VERSION_FILE).exists():
            self.write_json(VERSION_FILE, {"state": STATE_VERSION})

    def version(self) -> int:
        """Return the version of the state; this one where there is no state yet. Raises StateDamaged."""
        written = self.read_json(VERSION_FILE, {"state": STATE_VERSION}).get("state")
        if type(written) is not int:
            raise self.damaged(VERSION_FILE)
        return written

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
        path = self.path(name)
        with draft_file(path) as draft:
            frame.write_parquet(draft, compression="zstd", compression_level=3)
            with recorded(path, file_checksum(draft)):
                commit(draft, path)

    def read(self, name: str, schema: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Read a table; an empty one of `schema`, if given, where there is no file. Raises StateDamaged."""
        path = self.path(name)
        try:
            return pl.read_parquet(io.BytesIO(self._read_checked(path)))
        except FileNotFoundError as error:
            if schema is not None:
                return pl.DataFrame(schema=schema)
            raise unreadable_table(path, error) from None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise unreadable_table(path, error) from None

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file, whole or not at all; the same value gives the same bytes."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
        path = self.path(name)
        with recorded(path, checksum(text.encode())) if self._is_listed(name) else contextlib.nullcontext():
            write_text(path, text)

    def read_json(self, name: str, default: Any) -> Any:
        """Read a JSON file; `default` where there is none.

        Raises StateDamaged for one that is not as it was written, is no JSON, or holds another kind of value
        than `default`.
        """
        try:
            content = self._read_checked(self.path(name))
            value = json.loads(content)
        except FileNotFoundError:
            return default
        except ValueError:
            raise self.damaged(name) from None
        if default is not None and type(value) is not type(default):
            raise self.damaged(name)
        return value

    def damaged(self, name: str) -> StateDamaged:
        """Return the error for a small file of the state that does not hold what it should."""
        remedy = _REMEDIES.get(Path(name).name, "remove that file and run again: it is made anew")
        return StateDamaged(f"{self.path(name)}: is damaged; {remedy}")

    def _is_listed(self, name: str) -> bool:
        return not name.startswith("..") and Path(name).name not in UNLISTED

    def _read_checked(self, path: Path) -> bytes:
        """Return a file's bytes; raises StateDamaged where they are not those that were written."""
        name = str(path.relative_to(self.state))
        for _ in range(_ATTEMPTS):
            content = path.read_bytes()
            if not self._is_listed(name) or knows(path.parent, path.name, checksum(content)):
                return content
            time.sleep(_PAUSE_SECONDS)
        raise self.damaged(name)

    def check_files(self, mend: bool) -> list[str]:
        """Compare every file with its checksum and, to mend, remove those damaged that a night makes anew.

        Returns a line for each that was removed. Raises StateDamaged, with nothing removed, for any other
        damaged file. Partitions are checked when they are read, journals line by line. To be
        called by the holder of the run lock.
        """
        folders = [self.state, *self.path("nights").glob("????-??-??"), *self.path("carry").glob("*")]
        required = (RETENTION_FLOOR_FILE,)
        damaged = [
            folder / name
            for folder in sorted(filter(Path.is_dir, folders))
            for name in check_folder(folder, required if folder == self.state else (), settle=mend)
        ]
        for path in damaged:
            if not mend or (path.name not in _MADE_ANEW and path.parent.parent.name != "carry"):
                raise self.damaged(str(path.relative_to(self.state)))
        for path in damaged:
            path.unlink()
        return [f"{path}: was damaged, and is made anew" for path in damaged]

    # journals: a line is added and never changed, and ends with its own checksum

    def append_line(self, name: str, value: Mapping) -> None:
        """Add one JSON line to a journal and wait until it is on the disk."""
        self.append_lines(name, [value])

    def append_lines(self, name: str, values: Iterable[Mapping]) -> None:
        """Add JSON lines to a journal, which is looked through once, and wait until they are on the disk."""
        path = self.path(name)
        make_folder(path.parent)
        with open(path, "ab", opener=private_opener) as journal:
            before = path.read_bytes()
            end = before.rfind(b"\n") + 1
            if before[end:] and _parse_line(name, before[end:]) is not None:
                journal.write(b"\n")  # only its end was cut off by a kill
            else:
                journal.truncate(end)  # a line cut short by a kill was never acknowledged
            for value in values:
                journal.write(_make_line(name, value))
            journal.flush()
            os.fsync(journal.fileno())

    def write_lines(self, name: str, values: Iterable[Mapping]) -> None:
        """Write a journal anew, whole or not at all."""
        write_bytes(self.path(name), b"".join(_make_line(name, value) for value in values))

    def read_lines(self, name: str) -> list[dict]:
        """Read every line of a journal; raises StateDamaged for one that is not as it was written.

        A last line cut short by a kill was never acknowledged and is passed over.
        """
        try:
            *whole, last = self.path(name).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        lines = []
        for number, text in enumerate(whole, 1):
            if (line := _parse_line(name, text)) is None:
                raise self.damaged_line(name, number)
            lines.append(line)
        line = _parse_line(name, last)
        return lines if line is None else [*lines, line]

    def damaged_line(self, name: str, number: int) -> StateDamaged:
        """Return the error for a line of a journal that is not as it was written."""
        return StateDamaged(
            f"{self.path(name)}: line {number} is damaged; put the file back from a copy, "
            "or take that line out and record again what it said"
        )

    # runs and nights

    def runs(self) -> list[dict]:
        """Return the lines of the run journal; raises StateDamaged for one that is no run."""
        lines = self.read_lines(RUN_JOURNAL)
        for number, line in enumerate(lines, 1):
            try:
                dt.date.fromisoformat(line["night"])
            except (KeyError, TypeError, ValueError):
                raise self.damaged_line(RUN_JOURNAL, number) from None
        return lines

    def published_runs(self) -> list[dict]:
        """Return the lines of the run journal, but for those of a run that has not finished."""
        return self.runs()[: self._published_count()]

    def unpublished_runs(self) -> list[dict]:
        """Return the lines of the run journal of a run that has not finished, or was broken off."""
        count = self._published_count()
        return [] if count is None else self.runs()[count:]

    def _published_count(self) -> int | None:
        """Return how many lines the run journal had when the unfinished run began; None where none is."""
        return self.read_json(UNFINISHED_RUN_FILE, {}).get("runs")

    def first_kept_day(self, data_class: str) -> dt.date:
        """Return the first day that is kept of a class of data; what is older was pruned and stays so."""
        day = self.read_json(RETENTION_FLOOR_FILE, {}).get(data_class, "0001-01-01")
        try:
            return dt.date.fromisoformat(day)
        except (TypeError, ValueError):
            raise self.damaged(RETENTION_FLOOR_FILE) from None

    def judged_nights(self) -> list[dt.date]:
        """Return every judged night, in order."""
        done = self.path("nights").glob("????-??-??/done.json")
        return sorted(dt.date.fromisoformat(path.parent.name) for path in done)

    def known_nights(self) -> set[dt.date]:
        """Return every night that was ever judged, those that were pruned since included."""
        run = {dt.date.fromisoformat(line["night"]) for line in self.runs()}
        return run | set(self.judged_nights())

    def incomplete_nights(self) -> list[dt.date]:
        """Return nights that have run but whose folder has lost a file: they must be judged again."""
        judged = self.judged_nights()
        run = {dt.date.fromisoformat(line["night"]) for line in self.runs()}
        run = {night for night in run if night >= self.first_kept_day("nights")}
        needed: dict[dt.date, tuple[str, ...]] = dict.fromkeys(judged, NIGHT_FILES)
        if judged and run:
            needed[judged[-1]] = (*NIGHT_FILES, HISTORY_FILE)
        whole = {
            night
            for night, names in needed.items()
            if all(self.path(f"nights/{night}/{name}").exists() for name in names)
        }
        return sorted((run | set(judged)) - whole)


def _make_line(name: str, value: Mapping) -> bytes:
    """Return a journal's line with its checksum and its end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()
    comma = b", " if value else b""
    return text[:-1] + comma + b'"check": "' + _line_check(name, text).encode() + b'"}\n'


def _parse_line(name: str, text: bytes) -> dict | None:
    """Return a journal's line without its checksum, None for one that is not as it was written.

    Lines of version 0.1.0 have no checksum.
    """
    check = _CHECK.search(text)
    if check:
        text = text[: check.start()] + b"}"
        if check[1].decode() != _line_check(name, text):
            return None
    try:
        line = json.loads(text)
    except ValueError:  # not JSON, or cut within a character
        return None
    return line if isinstance(line, dict) else None


def _line_check(name: str, text: bytes) -> str:
    return checksum(text, zlib.crc32(name.encode()))


def _command() -> str:
    """Return the program and its first word; the words after it may be somebody's reasons."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:60]
