"""Open packed text, so that it can be unpacked chunk by chunk and given up as soon as it grows too large."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from backports import zstd

from pipelines.ingest.text_table import MalformedFile

TEXT_SUFFIXES = (".csv", ".txt", ".tsv")
_NOT_EXPORTS = ("__MACOSX",)
"""Folders that a program adds to the archives it makes."""


def unpacked_chunks(path: Path, chunk_bytes: int) -> Iterator[bytes]:
    """Yield what a packed file holds; raises MalformedFile for one that is cut short or damaged."""
    suffix = path.suffix.lower()
    kind = "gzip" if suffix == ".gz" else suffix[1:]
    damaged = MalformedFile(f"is not a sound {kind} file", "copy or export it again")
    try:
        with PACKINGS[suffix](path) as file:
            while chunk := file.read(chunk_bytes):
                yield chunk
    except EOFError:
        raise MalformedFile("is cut short", "copy or export it again") from None
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, zstd.ZstdError, ValueError):
        raise damaged from None


def _open_gzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb"))


def _open_zip(path: Path) -> IO[bytes]:
    """Open the only file of an archive; more than one would leave no row number to tell rows by."""
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if _is_export(member)]
        if len(members) != 1:
            raise MalformedFile(
                f"holds {len(members)} files" if members else "holds no file",
                "pack each export into an archive of its own, or unpack it and name the folder",
            )
        if PurePosixPath(members[0].filename).suffix.lower() not in ("", *TEXT_SUFFIXES):
            raise MalformedFile(
                "holds what is no text", f"unpack it; {', '.join(TEXT_SUFFIXES)} may be packed"
            )
        try:
            return archive.open(members[0])
        except (RuntimeError, NotImplementedError):  # a password, or a method that Python does not know
            raise MalformedFile(
                "is locked, or packed in a way that is not read", "pack it anew as plain zip"
            ) from None


def _is_export(member: zipfile.ZipInfo) -> bool:
    place = PurePosixPath(member.filename)
    return not member.is_dir() and place.parts[0] not in _NOT_EXPORTS and not place.name.startswith(".")


def _open_zstd(path: Path) -> IO[bytes]:
    return cast(IO[bytes], zstd.open(path, "rb"))


PACKINGS: dict[str, Callable[[Path], IO[bytes]]] = {".gz": _open_gzip, ".zip": _open_zip, ".zst": _open_zstd}
"""Suffix of packed text → what opens it. Any suffix before it but that of another reader is one of text."""
