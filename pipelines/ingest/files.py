"""Find the files of a source, in order, and tell one that changed from one that was loaded."""

import contextlib
import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from anomaly.readings import file_sort_key
from pipelines.config.sections import Source
from pipelines.errors import SourceError

PASSING_SUFFIXES = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Of copies that are half done."""


def find_files(root: Path, source: Source) -> list[Path]:
    """Return the source's files by folder, stem and suffix.

    Numbers in names count by size: water.csv, water-2.csv, water-10.csv, water-late.csv. Hidden files and the
    traces of half-done copies are passed over. Raises SourceError where nothing is left.
    """
    root = Path(root)
    literal = root / source.files
    if literal.is_file():
        paths = [literal]
    else:
        paths = [
            root / name for name in glob.glob(files_pattern(root, source), root_dir=root, recursive=True)
        ]
    paths = [path for path in paths if path.is_file() and not _is_passing(path.name)]
    if not paths:
        remedy = f"check `files` in [{source.name}] and that the export has run"
        raise SourceError(source.name, source.files, "matches no file", remedy)

    def order(path: Path) -> tuple[str, str]:
        name = file_name(path, root)
        return file_sort_key(name), name

    return sorted(paths, key=order)


def files_pattern(root: Path, source: Source) -> str:
    """Return the glob of a source's files: of a folder, all files in it."""
    if (root / source.files).is_dir():
        return f"{glob.escape(source.files.rstrip('/'))}/*"
    return source.files


def file_name(path: Path, root: Path) -> str:
    """Return the name that a file goes by in the state: relative to the settings where it lies below them."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")  # a name need not be text


@contextlib.contextmanager
def system_errors_as_source_errors(path: Path, source: Source) -> Iterator[None]:
    """Raise what the system refuses while the block looks at a file as SourceError."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            source.name,
            str(path),
            f"cannot be opened ({error.strerror or error})",
            "check that it is there and readable",
            kept_what=f"cannot be opened ({error.strerror or type(error).__name__})",
        ) from None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_passing(name: str) -> bool:
    """Return whether a file is hidden, an office program's lock or a half-done copy."""
    return name.startswith((".", "~$")) or name.lower().endswith(PASSING_SUFFIXES)
