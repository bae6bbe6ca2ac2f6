"""The views of v1 as Parquet beside the published file, for readers without DuckDB.

Made where the settings say `[publish] parquet = true`. `parquet/v1` is a link to the folder of one whole
export. The next export is made beside it and the link then swings over, so that whoever resolves the link
once reads one night. The export before stays for those who have. Every column is of a plain type.
"""

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import duckdb

from anomaly import tables
from pipelines.config.settings import Settings, real_path
from pipelines.publish.duckdb_file import OFFLINE
from pipelines.storage.atomic_write import (
    FILE_MODE,
    FOLDER_MODE,
    find_leftovers,
    replace_atomically,
    sync_to_disk,
    write_text,
)

FOLDER, LINK, NEXT_LINK = "parquet", "v1", ".v1.next"
STAMP_FILE = "of.txt"  # in an export's folder: which published file it was made of
PLAIN_COLUMNS = {"ratios": "to_json(ratios)::VARCHAR AS ratios"}
"""Columns of a type that some readers of Parquet do not have, written as text."""


def sync_parquet_export(
    settings: Settings, changed: Collection[str] | None = None, keep: int = 1
) -> list[str]:
    """Bring the export in line with the published file, or remove it where the settings ask for none.

    changed: the views that have changed since the last export, None for all; the others are taken over as
    they are. keep: how many earlier exports stay. Returns a line to tell where the export could not be
    renewed.
    """
    try:
        _sync(settings, changed, keep)
    except (OSError, duckdb.Error) as error:
        reason = str(error).splitlines()[0]
        return [
            f"parquet: not renewed, the export before stands ({reason}); see to that and run again: "
            f"{settings.store} is whole"
        ]
    return []


def is_up_to_date(settings: Settings) -> bool:
    """Return whether there is an export and it was made of the published file as it is now."""
    stamp = settings.store.parent / FOLDER / LINK / STAMP_FILE
    if not stamp.exists() or not settings.store.exists():
        return False
    return stamp.read_text(encoding="utf-8") == _stamp(settings.store)


def is_there(settings: Settings) -> bool:
    """Return whether the folder holds an export of the tool."""
    return bool(_exports(settings.store.parent / FOLDER))


def find_foreign_entries(settings: Settings) -> list[Path]:
    """Return what other programs have in the export's folder."""
    folder = settings.store.parent / FOLDER
    links = [path for path in (folder / LINK, folder / NEXT_LINK) if path.is_symlink()]
    own = {*links, *_exports(folder), *find_leftovers(folder)}
    return sorted(set(folder.glob("*")) - own) if folder.is_dir() else []


def _exports(folder: Path) -> list[Path]:
    """Return the exports in the folder, oldest first: each carries the stamp of the file it was made of."""
    return sorted(path for path in folder.glob("v1-??????") if (path / STAMP_FILE).is_file())


def _sync(settings: Settings, changed: Collection[str] | None, keep: int) -> None:
    folder = settings.store.parent / FOLDER
    link = folder / LINK
    if not settings.publish.parquet or not settings.store.exists():
        _remove(folder)
        return
    if not is_up_to_date(settings):
        last = max((int(path.name[3:]) for path in _exports(folder)), default=0)
        export = folder / f"v1-{last + 1:06}"
        with replace_atomically(export, FOLDER_MODE) as draft:
            draft.mkdir()
            if changed is None:
                changed = tables.PUBLISHED.keys()
            _write_views(settings.store, draft, earlier=link, changed=changed)
            write_text(draft / STAMP_FILE, _stamp(settings.store))
        _point_link(link, export.name)
    current = real_path(link).name
    earlier = [path for path in _exports(folder) if path.name != current]
    for path in earlier[: max(len(earlier) - keep, 0)]:
        shutil.rmtree(path)


def _remove(folder: Path) -> None:
    """Remove the exports, and their folder where nobody else has anything in it."""
    exports = _exports(folder)
    for link in (folder / LINK, folder / NEXT_LINK):
        if exports and link.is_symlink():
            link.unlink()
    for path in (*exports, *find_leftovers(folder)):
        shutil.rmtree(path, ignore_errors=True)
    if exports:
        with contextlib.suppress(OSError):  # somebody else has something in it
            folder.rmdir()


def _stamp(published: Path) -> str:
    """Return what tells one published file from the next: its inode, size and time of change."""
    stat = published.stat()
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}\n"


def _write_views(published: Path, folder: Path, earlier: Path, changed: Collection[str]) -> None:
    """Write the changed views; the others become hard links to their files in the earlier export."""
    with duckdb.connect(str(published), read_only=True, config=OFFLINE) as con:
        for name, table in tables.PUBLISHED.items():
            path = folder / f"{name}.parquet"
            if name not in changed:
                os.link(earlier / path.name, path)
                continue
            columns = ", ".join(PLAIN_COLUMNS.get(column, f'"{column}"') for column in table.column_names())
            con.execute(
                f"COPY (SELECT {columns} FROM v1.{name}) TO $file (FORMAT parquet, COMPRESSION zstd)",
                {"file": str(path)},
            )
            path.chmod(FILE_MODE)
            sync_to_disk(path)


def _point_link(link: Path, name: str) -> None:
    """Point the link at another folder, in one step."""
    draft = link.with_name(NEXT_LINK)
    draft.unlink(missing_ok=True)
    draft.symlink_to(name)
    os.replace(draft, link)
    sync_to_disk(link.parent)
