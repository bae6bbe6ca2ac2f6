"""Checks before the night: what would stop or degrade it."""

import contextlib
import datetime as dt
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import filelock

from anomaly import charts
from anomaly.messages import printable
from anomaly.readings import parse_rows
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, check_purpose
from pipelines.errors import SettingsError, SourceError, StateError
from pipelines.ingest import pseudonyms
from pipelines.ingest.files import find_files, read_file
from pipelines.publish.duckdb_file import OFFLINE
from pipelines.runtime import engine
from pipelines.storage.state import STATE_VERSION, Store

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    what: str
    fine: bool
    detail: str


def examine(settings: Settings, now: dt.datetime | None = None) -> list[Finding]:
    """Purpose, sources, places, lock, engine, published file, disk, calendar, clock and fonts, one finding each."""
    now = now or dt.datetime.now()
    sources, latest = _sources(settings)
    places = [
        *_pseudonyms(settings),
        *_places(settings),
        *_engine(settings),
        _file(settings),
        _disk(settings),
    ]
    return [
        _purpose(settings, now.date()),
        *sources,
        *places,
        _calendar(settings, now.date()),
        _clock(settings, now, latest),
        _font(settings),
    ]


def _purpose(settings: Settings, today: dt.date) -> Finding:
    try:
        check_purpose(settings, today)
    except SettingsError as error:
        return Finding("purpose", False, str(error))
    left = (settings.purpose.expires - today).days
    return Finding(
        "purpose",
        left > 30,
        f"in force until {settings.purpose.expires}"
        + ("" if left > 30 else f", {left} days from now: have it renewed"),
    )


def _sources(settings: Settings) -> tuple[list[Finding], dt.datetime | None]:
    """What the newest file of each source gives, and the latest time in any of them."""
    sources = dict(settings.sources) | ({"households": settings.households} if settings.households else {})
    findings, latest = [], []
    for name, source in sources.items():
        try:
            files = find_files(settings.root, source)
            newest = files[-1]  # in the order in which they are loaded: a copied folder's times say nothing
            cells = read_file(newest, source)
            if name in settings.rules:
                latest.append(parse_rows(cells, settings.rules[name])[0]["time"].max())
            told = f"{len(files)} file{'s' * (len(files) != 1)}, {cells.height} rows in the newest ({newest.name})"
            findings.append(Finding(f"source {name}", True, printable(told)))
        except SourceError as error:
            findings.append(Finding(f"source {name}", False, str(error)))
    return findings, max((time for time in latest if time), default=None)


def _pseudonyms(settings: Settings) -> list[Finding]:
    if not settings.pseudonyms:
        return []
    try:
        return [Finding("pseudonyms", True, pseudonyms.check_key(settings))]
    except SettingsError as error:
        return [Finding("pseudonyms", False, str(error))]


def _places(settings: Settings) -> list[Finding]:
    """The folders a run writes to, looked at and left as they are."""
    writable = _writable(settings.reports)
    return [
        _store(Store(settings.store)),
        Finding("reports", writable, f"{settings.reports} can{'' if writable else 'not'} be written"),
    ]


def _store(store: Store) -> Finding:
    if not all(_writable(folder) for folder in (store.folder, store.state)):
        return Finding(
            "store",
            False,
            f"{store.folder}: cannot be written; give [store] path a folder this user may write",
        )
    try:
        written = store.read_json("version.json", {"state": STATE_VERSION})["state"]
    except (StateError, OSError) as error:
        return Finding("store", False, str(error))
    if written > STATE_VERSION:
        return Finding(
            "store",
            False,
            f"{store.folder}: written by a newer version (state {written}, this one knows {STATE_VERSION}); upgrade, or name another [store] path",
        )
    if holder := _holder(store.folder):
        return Finding(
            "store",
            False,
            f"{store.folder}: another run holds the lock ({holder}); wait for it to end, or stop it",
        )
    return Finding("store", True, f"{store.folder} can be written, no run holds the lock")


def _holder(folder: Path) -> str | None:
    """Who holds the run lock. Without a holder's note nothing is touched; beside the note of a killed run the lock is tried."""
    try:
        holder = (folder / "run.holder").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    if not (folder / "run.lock").exists():
        return None
    try:
        with filelock.FileLock(folder / "run.lock", timeout=0):
            return None
    except OSError:  # held (filelock's Timeout is one), or not ours to try
        return holder


def _writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that is there, may be written."""
    while not os.path.exists(folder):  # Path.exists raises below a folder that may not be entered
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def _engine(settings: Settings) -> list[Finding]:
    """Whether the cluster that is asked for can be worked with."""
    kind, address = settings.engine.kind, settings.engine.address
    if kind == engine.LOCAL:
        return []
    try:
        with engine.at(kind, address):
            return [Finding("engine", True, f"{kind}: the cluster at {address} answers")]
    except engine.EngineUnavailable as error:
        return [Finding("engine", False, str(error))]


def _file(settings: Settings) -> Finding:
    """The published file opens and holds its runs."""
    if not os.path.exists(settings.store):
        return Finding("file", True, f"{settings.store} is not published yet")
    try:
        with duckdb.connect(str(settings.store), read_only=True, config=OFFLINE) as con:
            runs = con.execute("SELECT count(*) FROM v1.runs").fetchone()[0]
    except duckdb.Error as error:
        cause = " ".join((str(error).splitlines() or [""])[0].split())[:120]
        return Finding(
            "file",
            False,
            f"{settings.store}: cannot be read ({cause}); remove that file; the next nightly rebuilds it",
        )
    return Finding("file", True, f"{settings.store} opens, {runs} run{'s' * (runs != 1)}")


def _disk(settings: Settings) -> Finding:
    """Room for a night: the file is written beside the one that stands, and its tables once more on the way."""
    folder = settings.state
    while not os.path.exists(folder):
        folder = folder.parent
    published = settings.store.stat().st_size if os.path.exists(settings.store) else 0
    free, needed = shutil.disk_usage(folder).free, max(LOW_DISK_BYTES, 3 * published)
    return Finding(
        "disk",
        free > needed,
        f"{free / 1e9:.1f} GB free at {folder}"
        + ("" if free > needed else f", a night may need {needed / 1e9:.1f} GB: make room"),
    )


def _calendar(settings: Settings, today: dt.date) -> Finding:
    try:
        days = calendar_in_force(settings, today, today + dt.timedelta(days=60))
    except SettingsError as error:
        return Finding("calendar", False, str(error))
    years = sorted({day.year for day in days.filter(days["provisional"])["day"]})
    told = (
        f"{settings.site.calendar}, official for the next 60 days"
        if not years
        else (
            f"{settings.site.calendar} {', '.join(map(str, years))} is provisional: put calendars/{settings.site.calendar}/{years[0]}.toml beside the settings"
        )
    )
    return Finding("calendar", not years, told)


def _clock(settings: Settings, now: dt.datetime, latest: dt.datetime | None) -> Finding:
    """The clock is wrong where an input was written, a reading is dated or the last run ended later than now."""
    written, ran = [], []
    for source in settings.sources.values():
        with contextlib.suppress(SourceError, OSError):
            written += [path.stat().st_mtime for path in find_files(settings.root, source)]
    with contextlib.suppress(OSError):  # what keeps the state from being read is the store's finding
        ran = [line["finished_utc"] for line in Store(settings.store).read_lines("runs.jsonl")]
    later = {
        "an input was written": max(written, default=0) - 3600,
        "the latest reading is dated": latest.timestamp() - 86400
        if latest
        else 0,  # a register may name its day by the midnight that ends it
        "the last run ended": dt.datetime.fromisoformat(max(ran)).replace(tzinfo=dt.UTC).timestamp() - 60
        if ran
        else 0,
    }
    what, when = max(later.items(), key=lambda one: one[1])
    ahead = when - now.timestamp()
    told = (
        ""
        if ahead < 0
        else f", but {what} later than that, {dt.datetime.fromtimestamp(when, now.tzinfo):%Y-%m-%d %H:%M}: set the clock, or look at that export"
    )
    return Finding("clock", ahead < 0, f"{now:%Y-%m-%d %H:%M}{told}")


def _font(settings: Settings) -> Finding:
    font = charts.chinese_font()
    needed = "zh" in settings.site.languages
    told = (
        font or "no Chinese font, charts fall back to English labels: pip install '.[zh]' from the checkout"
    )
    return Finding("fonts", bool(font) or not needed, told)
