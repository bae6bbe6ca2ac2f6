"""Write files so that a reader, a kill or a power cut sees the old content or the new one, never half of it.

Every file is written as a draft beside its place, put on the disk and then renamed into place. Files and
folders of the tool are for their owner and group only, whatever the umask says.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o750
SECRET_MODE = 0o600
"""Of what only the user may read who runs the tool, such as the map from codes back to ids."""
MARK = "household-anomaly"
"""In the name of every draft, so that one of another program is never taken for one."""
_LEFTOVER = re.compile(rf"\..+\.{MARK}\.(draft(\..+)?|old)")
_OLDER_LEFTOVER = re.compile(
    r"\.([a-z_]+\.(json|parquet)|\d{6}\.parquet|\d{4}-\d\d-\d\d)\.(draft(\.wal)?|old)"
)
"""Of version 0.1.0, whose names carry no mark: names of its state."""
_AUDIT_DRAFTS = (f".chain.json.{MARK}.draft", ".chain.json.draft")


def draft_path(path: Path) -> Path:
    """Return where the draft of a file or folder lies."""
    return path.with_name(f".{path.name}.{MARK}.draft")


def moved_aside_path(path: Path) -> Path:
    """Return where a folder lies while another takes its place."""
    return path.with_name(f".{path.name}.{MARK}.old")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, for owner and group only."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)


def private_opener(path: str, flags: int) -> int:
    """Open a file, made for owner and group only where it is new; for `open(…, opener=private_opener)`."""
    return os.open(path, flags, FILE_MODE)


def write_new(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    """Write a draft, or a file of a draft folder, and wait until it is on the disk."""
    path.unlink(missing_ok=True)  # made anew with its final mode, so that at no moment others may read it
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    """Write a file whole, or not at all."""
    with draft_file(path) as draft:
        write_new(draft, content, mode)
        os.replace(draft, path)
        sync_to_disk(path.parent)


def write_text(path: Path, text: str, mode: int = FILE_MODE) -> None:
    """Write a text file in UTF-8, lines ended as `text` ends them, whole or not at all."""
    write_bytes(path, text.encode(), mode)


@contextlib.contextmanager
def replace_atomically(path: Path, mode: int = FILE_MODE) -> Iterator[Path]:
    """Give the block a draft, file or folder, that takes the place of `path` when the block ends well."""
    with draft_file(path) as draft:
        yield draft
        commit(draft, path, mode)


@contextlib.contextmanager
def draft_file(path: Path) -> Iterator[Path]:
    """Give the block the path of a draft beside `path` for `commit`; it is gone where the block raises."""
    make_folder(path.parent)
    draft = draft_path(path)
    remove_draft(draft)
    try:
        yield draft
    except BaseException:
        remove_draft(draft)
        raise


def commit(draft: Path, path: Path, mode: int = FILE_MODE) -> None:
    """Put a draft in the place of `path` and wait until that is on the disk."""
    os.chmod(draft, mode)
    sync_to_disk(draft)
    os.replace(draft, path)
    sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_draft(draft: Path) -> None:
    """Remove a draft, file or folder, and the log that a database may have kept beside it."""
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)
    draft.with_name(f"{draft.name}.wal").unlink(missing_ok=True)


def find_leftovers(folder: Path, deep: bool = False, of_old_version: bool = False) -> list[Path]:
    """Return the drafts that killed runs have left in a folder, and anywhere below it where it is `deep`.

    To be called by the holder of the run lock. The audit log's draft is passed over: it is written without
    that lock, so it may be under way. Drafts of other programs are not the tool's to remove: its own carry
    its mark. of_old_version: whether the folder is the tool's alone, so that drafts of version 0.1.0, which
    carry none, are known by the names of the state.
    """
    patterns = [_LEFTOVER, _OLDER_LEFTOVER] if of_old_version else [_LEFTOVER]
    return [
        path
        for path in sorted(folder.rglob(".*") if deep else folder.glob(".*"))
        if any(pattern.fullmatch(path.name) for pattern in patterns) and path.name not in _AUDIT_DRAFTS
    ]
