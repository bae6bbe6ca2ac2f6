"""`anomaly doctor`: checks before the night of what would stop or degrade it."""

import contextlib
import dataclasses
import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import filelock

from anomaly import charts
from anomaly.messages import printable, source_sentence
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, check_purpose
from pipelines.errors import SettingsError, SourceError, StateError
from pipelines.ingest import pseudonyms
from pipelines.ingest.files import find_files
from pipelines.jobs.nightly import overdue_notes
from pipelines.jobs.site_places import find_trouble
from pipelines.jobs.source_samples import (
    SourceSample,
    commonest_doubt,
    files_gone,
    health_on,
    newest_night,
    refused_line,
    sample_sources,
    unmatched_ids,
    usual_values,
)
from pipelines.publish.duckdb_file import OFFLINE, log_files
from pipelines.runtime import engine
from pipelines.scoring.sources import read_sources
from pipelines.storage.state import STATE_VERSION, Store

LOW_DISK_BYTES = 1 << 30
SHOWN_FILES = 3


@dataclass(frozen=True)
class Finding:
    """What one check found; `detail` says in words what there is, and where it is not fine what to do."""

    what: str
    fine: bool
    detail: str


def check_site(settings: Settings, now: dt.datetime | None = None) -> list[Finding]:
    """Check purpose, sources, folders, engine, file, disk, calendar, clock and fonts; changes nothing."""
    now = now or dt.datetime.now()
    samples = sample_sources(settings, now)
    latest_reading = max((sample.latest_time for sample in samples if sample.latest_time), default=None)
    return [
        _check_purpose(settings, now.date()),
        *_check_sources(settings, samples),
        *_check_ids(settings, samples),
        _check_night(settings, samples, now.date()),
        *_check_files_gone(settings),
        *_check_pseudonyms(settings),
        _check_store(Store(settings.store)),
        _check_reports(settings),
        _check_places(settings),
        *_check_engine(settings),
        _check_published_file(settings),
        _check_disk(settings),
        _check_calendar(settings, now.date()),
        _check_clock(settings, now, latest_reading),
        _check_fonts(settings),
    ]


def _check_purpose(settings: Settings, today: dt.date) -> Finding:
    try:
        check_purpose(settings, today)
    except SettingsError as error:
        return Finding("purpose", False, str(error))
    left = (settings.purpose.expires - today).days
    detail = f"in force until {settings.purpose.expires}"
    if left <= 30:
        detail += f", {left} days from now: have it renewed"
    return Finding("purpose", left > 30, detail)


def _check_sources(settings: Settings, samples: Sequence[SourceSample]) -> list[Finding]:
    """Check each source: whether it would stop, what it would have refused, how far its days reach."""
    night = newest_night(samples)
    usual = _usual_ages(settings)
    return [_check_source(settings, sample, night, usual.get(sample.name)) for sample in samples]


def _check_source(
    settings: Settings, sample: SourceSample, night: dt.date | None, usual_age: int | None
) -> Finding:
    what = f"source {sample.name}"
    if sample.error is not None:
        return Finding(what, False, str(sample.error))
    facts, troubles = [sample.summary], []
    if refused := refused_line(sample, settings.limits.rejects_share):
        troubles.append(refused)
    if sample.days is not None:
        base = settings.rules[sample.name].base
        unit = "passages" if base == "count" else base
        health = health_on(sample, night or dt.date.max, usual_age)
        if health.newest_day:
            facts.append(f"newest usable day {health.newest_day}")
        if values := usual_values(sample):
            facts.append(f"a home's last days {', '.join(map(str, values))} {unit}")
        if health.status != "ok":
            row = {
                "source": sample.name,
                "usual_age_days": usual_age,
                **dataclasses.asdict(health),
            }
            trouble = source_sentence("en", row)
            if 2 * health.homes_read < health.homes_usual and (doubt := commonest_doubt(sample)):
                trouble += f" (most days are {doubt})"
                if doubt == "doubtful":
                    trouble += f"; check unit and max_per_day in [signals.{sample.name}]"
            troubles.append(trouble)
    return Finding(what, not troubles, printable("; ".join([*facts, *troubles])))


def _usual_ages(settings: Settings) -> dict[str, int | None]:
    """Return how many days each signal is usually behind, as the latest night had it."""
    with contextlib.suppress(OSError, StateError):  # the store's finding
        store = Store(settings.store)
        latest = read_sources(store, store.judged_nights()[-1:])
        return dict(latest.select("source", "usual_age_days").iter_rows())
    return {}


def _check_ids(settings: Settings, samples: Sequence[SourceSample]) -> list[Finding]:
    """Check that the sources number the homes alike; no finding where there is one source alone."""
    with_homes = [sample for sample in samples if sample.homes]
    if len(with_homes) < 2:
        return []
    trouble = unmatched_ids(samples, settings.limits.rejects_share)
    homes = len(frozenset().union(*(sample.homes for sample in with_homes)))
    fine = f"{len(with_homes)} sources speak of {homes} homes by the same ids"
    return [Finding("ids", not trouble, printable("; ".join(trouble) or fine))]


def _check_night(settings: Settings, samples: Sequence[SourceSample], today: dt.date) -> Finding:
    """Say which night can be judged, with which signals."""
    night = newest_night(samples)
    if night is None:
        return Finding("night", False, "no source holds a whole day: nothing can be judged")
    usual, whole, behind = _usual_ages(settings), [], []
    for sample in samples:
        if sample.days is None:
            continue
        newest = health_on(sample, night, usual.get(sample.name)).newest_day
        if newest == night:
            whole.append(sample.name)
        elif newest:
            age, ordinary = (night - newest).days, usual.get(sample.name)
            known = "" if ordinary is None else f", usually {ordinary}"
            behind.append(f"{sample.name} up to {newest} ({age} day{'s' * (age != 1)} behind{known})")
    detail = "; ".join([f"{night} can be judged with {', '.join(whole)}", *behind])
    overdue: list[str] = []
    with contextlib.suppress(OSError, StateError, KeyError):  # the store's finding
        overdue = overdue_notes(Store(settings.store).runs(), night, today)
    return Finding("night", not overdue, printable("; ".join([detail, *overdue])))


def _check_files_gone(settings: Settings) -> list[Finding]:
    """Name files that were loaded and are gone; no finding where all are there."""
    gone: list[str] = []
    with contextlib.suppress(OSError, StateError):  # the store's finding
        gone = files_gone(settings, Store(settings.store))
    if not gone:
        return []
    shown = ", ".join(gone[:SHOWN_FILES]) + (" …" if len(gone) > SHOWN_FILES else "")
    one = len(gone) == 1
    number = "1 file that was loaded is" if one else f"{len(gone)} files that were loaded are"
    detail = f"{number} gone; what {'it' if one else 'they'} gave stays in use: {shown}"
    return [Finding("files", False, printable(detail))]


def _check_pseudonyms(settings: Settings) -> list[Finding]:
    if not settings.pseudonyms:
        return []
    try:
        return [Finding("pseudonyms", True, pseudonyms.check_key(settings.root, settings.pseudonyms))]
    except SettingsError as error:
        return [Finding("pseudonyms", False, str(error))]


def _check_reports(settings: Settings) -> Finding:
    writable = _is_writable(settings.reports)
    return Finding("reports", writable, f"{settings.reports} can{'' if writable else 'not'} be written")


def _check_places(settings: Settings) -> Finding:
    trouble = list(find_trouble(settings))
    fine = "store, reports and exports keep apart, and no other site has them"
    return Finding("places", not trouble, "; ".join(trouble) or fine)


def _check_store(store: Store) -> Finding:
    try:
        trouble = _store_trouble(store)
    except (StateError, OSError) as error:
        return Finding("store", False, str(error))
    if trouble:
        return Finding("store", False, f"{store.folder}: {trouble}")
    return Finding("store", True, f"{store.folder} can be written, no run holds the lock")


def _store_trouble(store: Store) -> str:
    """Return why a run could not use the store's folder, and what to do; empty if it could."""
    store.check_path()
    if not all(_is_writable(folder) for folder in (store.folder, store.state)):
        return "cannot be written; give [store] path a folder this user may write"
    written = store.version()
    if written > STATE_VERSION:
        versions = f"state {written}, this one knows {STATE_VERSION}"
        return f"written by a newer version ({versions}); upgrade, or name another [store] path"
    if holder := _lock_holder(store.folder):
        return f"another run holds the lock ({holder}); wait for it to end, or stop it"
    return ""


def _lock_holder(folder: Path) -> str | None:
    """Return who holds the run lock, if anybody.

    Without a holder's note nothing is touched. Beside a note, which a killed run may have left, the lock is
    tried.
    """
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


def _is_writable(folder: Path) -> bool:
    """Return whether the folder, or the nearest one above it that is there, may be written."""
    there = _nearest_folder(folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _nearest_folder(path: Path) -> Path:
    while not os.path.exists(path):  # Path.exists raises below a folder that may not be entered
        path = path.parent
    return path


def _check_engine(settings: Settings) -> list[Finding]:
    """Check that the cluster that is asked for answers; no finding where none is."""
    kind, address = settings.engine.kind, settings.engine.address
    if kind == engine.LOCAL:
        return []
    try:
        with engine.open_engine(kind, address):
            return [Finding("engine", True, f"{kind}: the cluster at {address} answers")]
    except engine.EngineUnavailable as error:
        return [Finding("engine", False, str(error))]


def _check_published_file(settings: Settings) -> Finding:
    """Check that the published file opens, and count its runs."""
    if not os.path.exists(settings.store):
        return Finding("file", True, f"{settings.store} is not published yet")
    try:
        with duckdb.connect(str(settings.store), read_only=True, config=OFFLINE) as con:
            [(runs,)] = con.execute("SELECT count(*) FROM v1.runs").fetchall()
    except duckdb.Error as error:
        cause = " ".join((str(error).splitlines() or [""])[0].split())[:120]
        remedy = "remove that file; the next nightly rebuilds it"
        if logs := log_files(settings.store):
            remedy = f"{logs[0].name}, of another program, lies beside it: the next nightly puts it aside"
        detail = f"cannot be read ({cause}); {remedy}"
        return Finding("file", False, f"{settings.store}: {detail}")
    return Finding("file", True, f"{settings.store} opens, {runs} run{'s' * (runs != 1)}")


def _check_disk(settings: Settings) -> Finding:
    """Check that there is space: a night writes the file anew beside the old one, and its tables twice."""
    folder = _nearest_folder(settings.store.parent)
    published = settings.store.stat().st_size if os.path.exists(settings.store) else 0
    free, needed = shutil.disk_usage(folder).free, max(LOW_DISK_BYTES, 3 * published)
    detail = f"{free / 1e9:.1f} GB free at {folder}"
    if free <= needed:
        detail += f", a night may need {needed / 1e9:.1f} GB: make room"
    return Finding("disk", free > needed, detail)


def _check_calendar(settings: Settings, today: dt.date) -> Finding:
    try:
        days = calendar_in_force(settings, today, today + dt.timedelta(days=60))
    except SettingsError as error:
        return Finding("calendar", False, str(error))
    country = settings.site.calendar
    years = sorted({day.year for day in days.filter(days["provisional"])["day"]})
    if not years:
        return Finding("calendar", True, f"{country}, official for the next 60 days")
    remedy = f"put calendars/{country}/{years[0]}.toml beside the settings"
    return Finding("calendar", False, f"{country} {', '.join(map(str, years))} is provisional: {remedy}")


def _check_clock(settings: Settings, now: dt.datetime, latest_reading: dt.datetime | None) -> Finding:
    """Check that no input was written, no reading is dated and no run ended later than now."""
    earliest_now = {"an input was written": _newest_input(settings) - 3600}
    if latest_reading:  # a register may name its day by the midnight that ends it
        earliest_now["the latest reading is dated"] = latest_reading.timestamp() - 86400
    if last_run := _last_run(settings):
        earliest_now["the last run ended"] = last_run.timestamp() - 60
    what, when = max(earliest_now.items(), key=lambda item: item[1])
    fine, detail = when < now.timestamp(), f"{now:%Y-%m-%d %H:%M}"
    if not fine:
        later = f"{dt.datetime.fromtimestamp(when, now.tzinfo):%Y-%m-%d %H:%M}"
        detail += f", but {what} later than that, {later}: set the clock, or look at that export"
    return Finding("clock", fine, detail)


def _newest_input(settings: Settings) -> float:
    """Return when the newest input file was written, in seconds since 1970; 0 where there is none."""
    written: list[float] = []
    for source in settings.sources.values():
        with contextlib.suppress(SourceError, OSError):
            written += [path.stat().st_mtime for path in find_files(settings.root, source)]
    return max(written, default=0)


def _last_run(settings: Settings) -> dt.datetime | None:
    finished: list[str] = []
    with contextlib.suppress(OSError, StateError, KeyError):  # the store's finding
        finished = [line["finished_utc"] for line in Store(settings.store).runs()]
    return dt.datetime.fromisoformat(max(finished)).replace(tzinfo=dt.UTC) if finished else None


def _check_fonts(settings: Settings) -> Finding:
    font = charts.chinese_font()
    needed = "zh" in settings.site.languages
    missing = "no Chinese font, charts fall back to English labels: pip install '.[zh]' from the checkout"
    return Finding("fonts", bool(font) or not needed, font.path if font else missing)
