"""The views as Parquet beside the published file, for readers without DuckDB: `[publish] parquet = true`.

`parquet/v1` is a link to the folder of one whole export; the next one is made beside it and the link is swung over, so
that whoever resolves it once reads one night. The export before stays for those who have. Every column is of a plain type.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import duckdb

from anomaly import tables
from pipelines.config.settings import Settings
from pipelines.publish.duckdb_file import OFFLINE
from pipelines.storage.state import MODE, replacing, write_text

FOLDER_MODE = 0o750
OF = "of.txt"  # which published file an export was made of
# What some readers of Parquet have no type for is written as text.
PLAIN = {"ratios": "to_json(ratios)::VARCHAR AS ratios"}


def follow(settings: Settings, changed: Collection[str] | None = None, keep: int = 1) -> list[str]:
    """Bring the export in line with the published file, or take it away where none is asked for; a line where that fails.

    changed: the views that have changed since the last export, None for all; the others are taken over as they lie. keep:
    how many earlier exports stay.
    """
    try:
        _follow(settings, changed, keep)
    except (OSError, duckdb.Error) as error:
        return [
            f"parquet: not renewed, the export before stands ({str(error).splitlines()[0]}); see to that and run again: {settings.store} is whole"
        ]
    return []


def _follow(settings: Settings, changed: Collection[str] | None, keep: int) -> None:
    folder = settings.store.parent / "parquet"
    if not settings.publish.parquet or not settings.store.exists():
        shutil.rmtree(folder, ignore_errors=True)
        return
    link = folder / "v1"
    if not current(settings):
        last = max((int(path.name[3:]) for path in folder.glob("v1-??????")), default=0)
        made = folder / f"v1-{last + 1:06}"
        with replacing(made, FOLDER_MODE) as draft:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            _write(settings.store, draft, link if changed is not None else None, changed or ())
            write_text(draft / OF, _stamp(settings.store))
        _swing(link, made.name)
    there = link.resolve().name
    for old in sorted(path for path in folder.glob("v1-??????") if path.name != there)[: -keep or None]:
        shutil.rmtree(old)


def current(settings: Settings) -> bool:
    """Whether there is an export, and it was made of the published file as it is now."""
    stamp = settings.store.parent / "parquet" / "v1" / OF
    return (
        stamp.exists()
        and settings.store.exists()
        and stamp.read_text(encoding="utf-8") == _stamp(settings.store)
    )


def _stamp(published: Path) -> str:
    stat = published.stat()
    return f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}\n"


def _write(published: Path, folder: Path, last: Path | None, changed: Collection[str]) -> None:
    with duckdb.connect(str(published), read_only=True, config=OFFLINE) as con:
        for name, table in tables.PUBLISHED.items():
            path = folder / f"{name}.parquet"
            if last is not None and name not in changed:
                os.link(last / path.name, path)
                continue
            columns = ", ".join(PLAIN.get(column, f'"{column}"') for column in table.column_names())
            con.execute(
                f"COPY (SELECT {columns} FROM v1.{name}) TO $file (FORMAT parquet, COMPRESSION zstd)",
                {"file": str(path)},
            )
            path.chmod(MODE)


def _swing(link: Path, name: str) -> None:
    """Point the link at another folder, in one step."""
    draft = link.with_name(".v1.next")
    draft.unlink(missing_ok=True)
    draft.symlink_to(name)
    os.replace(draft, link)
