"""Know the checksum of every file of the state, so that a changed file is never read as other content.

A folder of the state keeps the CRC-32 of its files in `sums.json`; partitions carry theirs in their names. A
new checksum is written down beside the old one before its file is put in place, and alone after that, so that
a kill at any moment leaves a file that its folder knows. A folder without `sums.json`, as version 0.1.0 wrote
it, is taken as it is and has one from the first file on that is written there.
"""

import contextlib
import json
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pipelines.errors import StateDamaged
from pipelines.storage.atomic_write import write_text

SUMS_FILE = "sums.json"
UNLISTED = (SUMS_FILE, "version.json", "chain.json", "loading.json")
"""The first three check themselves; of the last only counts that it is there."""
_LISTED_SUFFIXES = (".parquet", ".json")
MAX_GONE = 20
"""Files that are gone and whose checksums are still listed; with more of them all are forgotten."""
_CHUNK_BYTES = 1 << 18
_sums_lock = threading.Lock()
"""Threads of a run write files of one folder at the same time; no other process does."""

Sums = dict[str, list[str]]
"""File name → its checksum; two while it is being replaced, or written for the first time."""
_NO_FILE = ""
"""The checksum of a file that is not there yet."""


def checksum(content: bytes, start: int = 0) -> str:
    """Return the CRC-32 of some bytes in hexadecimal, going on from `start`."""
    return f"{zlib.crc32(content, start):08x}"


def file_checksum(path: Path) -> str:
    """Return the CRC-32 of a file's bytes in hexadecimal."""
    value, chunk = 0, memoryview(bytearray(_CHUNK_BYTES))
    with open(path, "rb", buffering=0) as file:
        while read := file.readinto(chunk):
            value = zlib.crc32(chunk[:read], value)
    return f"{value:08x}"


def read_sums(folder: Path) -> Sums | None:
    """Return the checksums of a folder's files, None where it keeps none; raises StateDamaged."""
    path = folder / SUMS_FILE
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("check") != _check_of(content.get("sums")):
        raise StateDamaged(
            f"{path}: is damaged; put it back from a copy, or remove it and run again: "
            "the files beside it are then taken as they are"
        )
    return content["sums"]


def knows(folder: Path, name: str, found: str) -> bool:
    """Return whether a file with that checksum is what was written; raises StateDamaged.

    To be asked after the file was read: whoever replaces it meanwhile writes the new checksum down first.
    """
    sums = read_sums(folder)
    return sums is None or found in sums.get(name, ())


@contextlib.contextmanager
def recorded(path: Path, new: str) -> Iterator[None]:
    """Write down the checksum of a file that the block puts in place, before and after it does."""
    folder, name = path.parent, path.name
    with _sums_lock:
        sums = _read_or_begin(folder)
        before = sums.get(name, []) if path.exists() else [_NO_FILE]
        if before != [new]:
            _write_sums(folder, sums | {name: [*(one for one in before if one != new), new]})
    yield
    if before not in ([], [new]):
        with _sums_lock:
            _write_sums(folder, _read_or_begin(folder) | {name: [new]})


def check_folder(folder: Path, required: Collection[str] = (), settle: bool = True) -> list[str]:
    """Compare a folder's files with their checksums; return the names of those that are not as written.

    To settle, what a kill has left undecided is decided, a folder that keeps no checksums yet begins to, and
    files that are gone are forgotten once there are many, but for those `required`: they are not as written.
    To be called by the holder of the run lock.
    """
    with _sums_lock:
        listed = read_sums(folder)
        found = _found_sums(folder)
        if listed is None:
            if found and settle:
                _write_sums(folder, found)
            return []
        damaged = [name for name, sums in found.items() if sums[0] not in listed.get(name, ())]
        damaged += [
            name for name in required if name not in found and _NO_FILE not in listed.get(name, [_NO_FILE])
        ]
        settled = {name: sums for name, sums in found.items() if name in listed and name not in damaged}
        settled |= {name: listed[name] for name in damaged if name in listed}
        undecided = any(len(listed[name]) > 1 for name in settled if name not in damaged)
        if settle and (undecided or len(listed) - len(settled) > MAX_GONE):
            _write_sums(folder, settled)
        return sorted(damaged)


def _read_or_begin(folder: Path) -> Sums:
    sums = read_sums(folder)
    return _found_sums(folder) if sums is None else sums


def _found_sums(folder: Path) -> Sums:
    """Return the checksums of the files that lie in a folder now."""
    return {path.name: [file_checksum(path)] for path in sorted(folder.glob("*")) if _is_listed(path)}


def _is_listed(path: Path) -> bool:
    return path.suffix in _LISTED_SUFFIXES and not path.name.startswith(".") and path.name not in UNLISTED


def _write_sums(folder: Path, sums: Mapping[str, list[str]]) -> None:
    text = json.dumps({"check": _check_of(sums), "sums": sums}, indent=1, sort_keys=True)
    write_text(folder / SUMS_FILE, text + "\n")


def _check_of(sums: object) -> str:
    return checksum(json.dumps(sums, sort_keys=True).encode())
