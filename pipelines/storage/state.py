"""The state folder: where everything lies that outlives a run, and how it is written.

Parquet and JSON only, each file written beside its place, seen onto the disk and renamed into it, so that a reader, a kill
or a power cut sees the old file or the new one. Whatever is done twice gives the same files.
"""

import contextlib
import datetime as dt
import functools
import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import filelock
import polars as pl

from pipelines.errors import StateDamaged, StateError, StoreLocked

MODE, FOLDER_MODE = 0o640, 0o750
STATE_VERSION = 1
FLOOR = "kept_from.json"
RUNNING = "running.json"  # what a run has set out to do, until it is through
ROW_GROUP = 1 << 17  # rows; a reader of some homes passes over the groups of others
JUDGED_FILES = ("evidence.parquet", "rarities.parquet", "not_judged.parquet", "expected.parquet", "done.json")
FROZEN_FILES = ("cases.parquet", "series.parquet", "flow.parquet", "control.parquet", "frozen.json")
NIGHT_FILES = (*JUDGED_FILES, *FROZEN_FILES)


@dataclass(frozen=True)
class Part:
    """One of the numbered Parquet files of a folder; the later number is the later word. first, last: the days it touches.

    sum: of its bytes when it was written, the end of its name: a bit that has fallen over on the disk reads as another number.
    """

    path: Path
    number: int
    first: dt.date
    last: dt.date
    sum: str = ""


@dataclass(frozen=True)
class Store:
    """The folder that holds all state; `published` is the one file others read."""

    published: Path

    @property
    def folder(self) -> Path:
        return self.published.parent

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def prepare(self) -> None:
        """Make the folder, and refuse one that is not ours to write or was written by a newer version."""
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            probe = self.state / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StateError(
                f"{self.folder}: cannot be written ({error.strerror}); give [store] path a folder this user may write"
            ) from None
        if "?" in str(self.published):
            raise StateError(
                f"{self.published}: DuckDB cannot open a path with a '?'; give [store] path a folder without one"
            )
        version = self.read_json("version.json", {"state": STATE_VERSION})
        written = version.get("state") if isinstance(version, dict) else None
        if not isinstance(written, int):
            raise self.damaged("version.json")
        if written > STATE_VERSION:
            raise StateError(
                f"{self.folder}: written by a newer version (state {written}, this one knows {STATE_VERSION}); upgrade, or name another [store] path"
            )
        if written != STATE_VERSION or not self.path("version.json").exists():
            self.write_json("version.json", {"state": STATE_VERSION})

    @contextlib.contextmanager
    def locked(self, seconds: float = 0) -> Iterator[None]:
        """Hold the run lock; raises StoreLocked (naming the holder's process) where another run has it and keeps it so long."""
        lock = filelock.FileLock(self.folder / "run.lock", mode=MODE)
        holder = self.folder / "run.holder"
        try:
            lock.acquire(timeout=seconds)
        except filelock.Timeout:
            who = holder.read_text() if holder.exists() else "another process"
            raise StoreLocked(
                f"{self.folder}: another run holds the lock ({who.strip()}); wait for it to end, or stop it"
            ) from None
        try:
            write_text(
                holder,
                f"process {os.getpid()}, {_command()}, since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%SZ}\n",
            )
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def sweep(self) -> None:
        """Clear what killed runs have left lying; for who holds the lock."""
        for path in (
            *drafts(self.state),
            *drafts(self.folder / "parquet"),
            *self.folder.glob(f".{self.published.name}.draft*"),
        ):
            clear(path)

    # frames and JSON by name, relative to the state folder

    def path(self, name: str) -> Path:
        return self.state / name

    def write(self, name: str, frame: pl.DataFrame) -> None:
        """Write a frame whole, or not at all."""
        with replacing(self.path(name)) as draft:
            frame.write_parquet(draft, compression="zstd", compression_level=3)

    def read(self, name: str, schema: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
        """Read a frame; where it is not there, an empty one of `schema`."""
        path = self.path(name)
        if schema is not None and not path.exists():
            return pl.DataFrame(schema=schema)
        try:
            return pl.read_parquet(path, glob=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, FileNotFoundError) as error:
            raise unreadable(path, error) from None

    def parts(self, folder: str) -> list[Part]:
        """The parts of a folder in the order in which they were written."""
        found = ([*path.stem.split("_"), path] for path in self.path(folder).glob("??????_*_*.parquet"))
        return sorted(
            (
                Part(path, int(n), dt.date.fromisoformat(a), dt.date.fromisoformat(z), *kept)
                for n, a, z, *kept, path in found
            ),
            key=lambda part: part.number,
        )

    def add_part(self, folder: str, frame: pl.DataFrame, first: dt.date, last: dt.date) -> Part:
        """Write a frame as the folder's next part."""
        number = max((part.number for part in self.parts(folder)), default=0) + 1
        return self._write_part(self.path(folder), frame, (number, first, last))

    def rewrite_part(self, part: Part, frame: pl.DataFrame) -> Part:
        """Put a frame in the place of a part's content."""
        written = self._write_part(part.path.parent, frame, (part.number, part.first, part.last))
        for other in part.path.parent.glob(
            f"{part.number:06}_*.parquet"
        ):  # of the same number there is one, whatever was killed before
            if other != written.path:
                other.unlink()
        return written

    def _write_part(self, folder: Path, frame: pl.DataFrame, named: tuple[int, dt.date, dt.date]) -> Part:
        number, first, last = named
        with drafted(folder / f"{number:06}.parquet") as draft:
            frame.write_parquet(draft, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
            kept = _sum.__wrapped__(draft)
            path = folder / f"{number:06}_{first}_{last}_{kept}.parquet"
            settle(draft, path)
        return Part(path, number, first, last, kept)

    def write_json(self, name: str, value: object) -> None:
        write_text(
            self.path(name),
            json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n",
        )

    def read_json(self, name: str, default: object) -> object:
        try:
            return json.loads(self.path(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default
        except ValueError:
            raise self.damaged(name) from None

    def damaged(self, name: str) -> StateDamaged:
        """The error for a small file of the state that does not hold what it should."""
        return StateDamaged(f"{self.path(name)}: is damaged; remove that file and run again: it is made anew")

    def append_line(self, name: str, value: Mapping) -> None:
        """Add one JSON line to a journal and see it onto the disk."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        with open(path, "a", encoding="utf-8", opener=_private) as journal:
            if journal.tell() and not path.read_bytes().endswith(b"\n"):
                journal.write("\n")  # a line cut short by a kill must not swallow this one
            journal.write(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def read_lines(self, name: str) -> list[dict]:
        """Every whole line of a journal; a last line cut short by a kill was never acknowledged and is passed over."""
        try:
            journal = self.path(name).read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for line in journal.split(b"\n"):
            with contextlib.suppress(ValueError):  # not JSON, or cut within a character
                lines.append(json.loads(line))
        return lines

    def runs(self) -> tuple[list[dict], list[dict]]:
        """The journal of runs, and those of its lines that a run not through yet, or broken off, has written."""
        lines, begun = self.read_lines("runs.jsonl"), self.read_json(RUNNING, {})
        through = begun.get("runs", len(lines))
        return lines[:through], lines[through:]

    def kept_from(self, name: str) -> dt.date:
        """The first day that is kept of a class of data; what is older was pruned and stays so."""
        return dt.date.fromisoformat(self.read_json(FLOOR, {}).get(name, "0001-01-01"))

    def nights(self) -> list[dt.date]:
        """Every judged night, in order."""
        return sorted(
            dt.date.fromisoformat(p.parent.name) for p in self.path("nights").glob("????-??-??/done.json")
        )

    def broken_nights(self) -> list[dt.date]:
        """Nights that have run but whose folder has lost a file: they must be judged again."""
        run = {dt.date.fromisoformat(line["night"]) for line in self.read_lines("runs.jsonl")}
        run = {night for night in run if night >= self.kept_from("nights")}
        whole = {
            night
            for night in self.nights()
            if all(self.path(f"nights/{night}/{name}").exists() for name in NIGHT_FILES)
        }
        return sorted((run | set(self.nights())) - whole)


def of_homes(part: Part | list[Part], homes: range | pl.Series | None) -> pl.LazyFrame:
    """The rows of those homes in a part, or in several; None for all; groups of rows that hold none of a range are not read. Damaged where one is."""
    parts = part if isinstance(part, list) else [part]
    with ThreadPoolExecutor() as threads:
        list(threads.map(_see_whole, parts))
    # of a range most rows of a group are asked for: to look at `home` first and only then at what is left costs a tenth more
    frame = pl.scan_parquet(
        [one.path for one in parts], glob=False, parallel="row_groups" if isinstance(homes, range) else "auto"
    )
    if isinstance(homes, range):
        return frame.filter(pl.col("home").is_between(homes.start, homes.stop - 1))
    return frame if homes is None else frame.filter(pl.col("home").is_in(homes.implode()))


def collected(frame: pl.LazyFrame, part: Part | list[Part]) -> pl.DataFrame:
    """What was asked of a part, or of several; StateDamaged, with the part's name, where one is."""
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        for one in part if isinstance(part, list) else ():
            collected(pl.scan_parquet(one.path, glob=False), one)
        raise unreadable(part[0].path if isinstance(part, list) else part.path, error) from None


def _see_whole(part: Part) -> None:
    stat = part.path.stat()
    if part.sum and part.sum != _sum(part.path, stat.st_size, stat.st_mtime_ns):
        raise unreadable(part.path, "its bytes are not those that were written")


@functools.cache
def _sum(path: Path, *stat: int) -> str:
    """Of all bytes of a file; asked once of each as it is (`stat`: its size and time) in a run."""
    kept, some = 0, memoryview(bytearray(1 << 18))
    with open(path, "rb", buffering=0) as file:
        while read := file.readinto(some):
            kept = zlib.crc32(some[:read], kept)
    return f"{kept:08x}"


def unreadable(path: Path, error: Exception | str) -> StateDamaged:
    """The error for a table that cannot be read."""
    return StateDamaged(
        f"{path}: cannot be read ({str(error).splitlines()[0]}); remove that file and run again: it is made anew"
    )


@contextlib.contextmanager
def replacing(path: Path, mode: int = MODE) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends well."""
    with drafted(path) as draft:
        yield draft
        settle(draft, path, mode)


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A draft beside `path`, for a block that settles it; gone where the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    draft = path.with_name(f".{path.name}.draft")
    clear(draft)
    try:
        yield draft
    except BaseException:
        clear(draft)
        raise


def settle(draft: Path, path: Path, mode: int = MODE) -> None:
    """Put a draft in its place, for good."""
    os.chmod(draft, mode)
    onto_disk(draft)
    os.replace(draft, path)
    onto_disk(path.parent)


def onto_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear(draft: Path) -> None:
    """Remove a draft, file or folder, and the log that a database may have kept beside it."""
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)


def drafts(folder: Path) -> list[Path]:
    """What runs that were killed have left lying in a folder; nobody writes one while the lock is held, but for the audit log's."""
    return [
        path
        for path in sorted(folder.rglob(".*"))
        if path.name.endswith((".draft", ".wal", ".old")) and path.name != ".chain.json.draft"
    ]


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _command() -> str:
    """What this process was started as: the program and its first word, for the words behind may be somebody's reasons."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])[:60]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, MODE)
