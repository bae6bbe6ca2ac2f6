"""Refuse a site whose files would mix with its own exports, with another site's or with another program's.

Checked by every command that writes, before it writes anything, and by `anomaly doctor`. What is refused is
something that only the settings can mend; what the tool may remove once it runs is decided by its own marks
(`MARK` of pipelines/storage/atomic_write.py).
"""

import contextlib
import fnmatch
import glob
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipelines.config.sections import Source
from pipelines.config.settings import Settings, load_settings, real_path
from pipelines.errors import StateError
from pipelines.ingest.files import files_pattern
from pipelines.publish import parquet_export
from pipelines.publish.duckdb_file import is_readable
from pipelines.reporting.own_pages import is_own_page
from pipelines.storage.state import RUN_JOURNAL, Store

SITE_FILE = "site.json"
"""In the state: which settings file the store belongs to, relative to the store's folder."""
STATE_NAMES = frozenset(
    ("version.json", "files.json", "homes.parquet", RUN_JOURNAL, "chain.json", "chain.lock", "journals.lock")
)
"""Of these at least one is in every state folder."""
SAMPLE_FILES = (
    *("audit.jsonl", "manifest.json", "log.jsonl", "log.1.jsonl", "run.lock", "run.holder"),
    *("state/version.json", "state/runs.jsonl", "state/homes.parquet", "state/chain.lock"),
    "state/rows/SIGNAL/000001_2026-03-01_2026-03-31_9f3c01aa.parquet",
    "state/days/SIGNAL/000001_2026-03-01_2026-03-31_9f3c01aa.parquet",
    "state/carry/SIGNAL/000001.parquet",
    *("state/nights/2026-03-01/evidence.parquet", "state/nights/2026-03-01/done.json"),
    *("parquet/v1/readings.parquet", "parquet/v1-000001/readings.parquet", "parquet/v1-000001/of.txt"),
)
"""A file of each kind that lies beside the published file or below its folder; SIGNAL is any signal's
name."""
SAMPLE_PAGES = (
    *("index.html", "2026-03-01/index.html", "2026-03-01/cases.csv", "evaluation/found.json"),
    *("2026-03-01/cases/c260301-0f3a9c21d7.html", "2026-03-01/cases/c260301-0f3a9c21d7.png"),
)


def load_site(path: Path) -> Settings:
    """Read a settings file for a command that writes; raises SettingsError, and StateError for a place of
    it."""
    settings = load_settings(path)
    for trouble in find_trouble(settings):
        raise StateError(trouble)
    return settings


def find_trouble(settings: Settings) -> Iterator[str]:
    """Yield a line for each place of the site that mixes with others: what, where and what to do."""
    yield from _own_files_among_inputs(settings)
    yield from _reports_among_exports(settings)
    for find in (_store_of_another_site, _foreign_store, _foreign_export, _foreign_reports):
        with contextlib.suppress(OSError):  # what may not be read is told by who needs it
            yield from find(settings)


def note_site(settings: Settings, store: Store) -> None:
    """Note in the state which settings file it belongs to."""
    name = {"settings": os.path.relpath(settings.path, store.folder)}
    if store.read_json(SITE_FILE, None) != name:
        store.write_json(SITE_FILE, name)


# inputs


def _sources(settings: Settings) -> Iterator[tuple[str, Source]]:
    """Yield each source with its section's name in the settings."""
    for name, source in settings.sources.items():
        yield f"[signals.{name}]", source
    if settings.households:
        yield "[households]", settings.households


def _own_files_among_inputs(settings: Settings) -> Iterator[str]:
    """Look whether a file that the tool writes would be taken for an export."""
    for section, source in _sources(settings):
        folder, pattern = _split_pattern(settings.root / files_pattern(settings.root, source))
        for path in _own_files(settings):
            if path.is_relative_to(folder) and _matches(pattern, path.relative_to(folder).parts):
                yield (
                    f'{section} files = "{source.files}" takes in {path}, which this tool writes itself; '
                    "name the exports more closely, or give [store] and [reports] folders of their own"
                )
                break


def _own_files(settings: Settings) -> Iterator[Path]:
    yield settings.store
    for signal in settings.rules:
        yield from (settings.store.parent / name.replace("SIGNAL", signal) for name in SAMPLE_FILES)
    yield from (settings.reports / name for name in SAMPLE_PAGES)
    if settings.pseudonyms:
        yield real_path(settings.root / settings.pseudonyms.map)


def _split_pattern(path: Path) -> tuple[Path, Sequence[str]]:
    """Return the folder (or file) that a path names before its first wildcard, and the parts from there
    on."""
    plain = 0
    while plain < len(path.parts) and not glob.has_magic(path.parts[plain]):
        plain += 1
    return real_path(Path(*path.parts[:plain])), path.parts[plain:]


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether glob.glob(…, recursive=True) finds the parts of a path with the parts of a pattern."""
    if not pattern:
        return not parts
    if pattern[0] != "**":
        return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(pattern[1:], parts[1:])
    if len(pattern) == 1:
        return bool(parts)
    return _matches(pattern[1:], parts) or (bool(parts) and _matches(pattern, parts[1:]))


def _reports_among_exports(settings: Settings) -> Iterator[str]:
    """Look whether the pages would lie in a folder of exports; that of the settings file may hold both."""
    for section, source in _sources(settings):
        folder, pattern = _split_pattern(settings.root / files_pattern(settings.root, source))
        exports = folder if pattern else folder.parent
        if settings.reports.is_relative_to(exports) and not settings.root.is_relative_to(exports):
            yield (
                f"[reports] path: {settings.reports} lies in the folder of the exports of {section}; "
                "give the reports a folder of their own"
            )
            break


# others


def _store_of_another_site(settings: Settings) -> Iterator[str]:
    """Look whether the state belongs to another settings file, which is still there."""
    store = Store(settings.store)
    noted = store.read_json(SITE_FILE, None)
    if not isinstance(noted, dict) or not isinstance(noted.get("settings"), str):
        return
    other = Path(os.path.normpath(store.folder / noted["settings"]))
    if other.is_file() and not other.samefile(settings.path):
        yield (
            f"{store.folder}: is the store of {other}; give this site a [store] path of its own, "
            "or remove those settings if this file replaces them"
        )


def _foreign_store(settings: Settings) -> Iterator[str]:
    """Look whether a run would replace files of another program; once the state is there, all are its own."""
    state = Store(settings.store).state
    names = (
        {path.name for path in state.iterdir() if not path.name.startswith(".")} if state.exists() else set()
    )
    if names & STATE_NAMES:
        return
    if names:
        yield f"{state}: holds files of another program; give [store] path a folder without a `state`"
    for name, is_own in OWN_FILES.items():
        path = settings.store if name == "published" else settings.store.parent / name
        if path.exists() and not is_own(path):
            yield (
                f"{path}: was not written by this tool, which would replace it; give [store] path another "
                "folder, or move that file"
            )


def _foreign_export(settings: Settings) -> Iterator[str]:
    foreign = parquet_export.find_foreign_entries(settings) if settings.publish.parquet else []
    if foreign and not parquet_export.is_there(settings):
        yield (
            f"{foreign[0].parent}: holds files of another program ({foreign[0].name}); give [store] path a "
            "folder without a `parquet`, or take [publish] parquet out"
        )


def _foreign_reports(settings: Settings) -> Iterator[str]:
    index = settings.reports / "index.html"
    if index.exists() and not is_own_page(index):
        yield f"{index}: is a page of another program; give [reports] path a folder of its own"


def _has_field(name: str) -> Callable[[Path], bool]:
    """Return whether a file's first line, or all of it, is a JSON object with such a field; or it is
    empty."""

    def is_own(path: Path) -> bool:
        text = path.read_text(encoding="utf-8", errors="replace")
        for part in (text, text.partition("\n")[0]):
            with contextlib.suppress(ValueError):
                found = json.loads(part)
                return isinstance(found, dict) and name in found
        return not text.strip()

    return is_own


OWN_FILES = {
    "published": is_readable,
    "audit.jsonl": _has_field("previous"),
    "manifest.json": _has_field("settings_sha256"),
    "log.jsonl": _has_field("message_type"),
}
"""File beside the state, by name → whether one that is there was written by the tool."""
