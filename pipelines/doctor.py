"""Checks before the night: what would stop or degrade it."""

import datetime as dt
import os
import shutil
from dataclasses import dataclass

from anomaly import charts
from pipelines.judge import calendar
from pipelines.settings import Settings, SettingsError, check_purpose
from pipelines.sources import SourceError, found_files, read_file
from pipelines.store import Locked, StateError, Store

LOW_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    what: str
    fine: bool
    detail: str


def examine(settings: Settings, now: dt.datetime | None = None) -> list[Finding]:
    """Purpose, sources, places, lock, disk, calendar, clock and fonts, one finding each."""
    now = now or dt.datetime.now()
    return [_purpose(settings, now.date()), *_sources(settings), *_places(settings), _disk(settings), _calendar(settings, now.date()), _clock(settings, now), _font(settings)]


def _purpose(settings: Settings, today: dt.date) -> Finding:
    try:
        check_purpose(settings, today)
    except SettingsError as error:
        return Finding("purpose", False, str(error))
    left = (settings.purpose.expires - today).days
    return Finding("purpose", left > 30, f"in force until {settings.purpose.expires}" + ("" if left > 30 else f", {left} days from now: have it renewed"))


def _sources(settings: Settings) -> list[Finding]:
    sources = dict(settings.sources) | ({"households": settings.households} if settings.households else {})
    findings = []
    for name, source in sources.items():
        try:
            files = found_files(settings.root, source)
            newest = max(files, key=lambda path: path.stat().st_mtime_ns)
            rows = read_file(newest, source).height
            findings.append(Finding(f"source {name}", True, f"{len(files)} file{'s' * (len(files) != 1)}, {rows} rows in the newest ({newest.name})"))
        except SourceError as error:
            findings.append(Finding(f"source {name}", False, str(error)))
    return findings


def _places(settings: Settings) -> list[Finding]:
    store = Store(settings.store)
    try:
        store.prepare()
        with store.locked():
            findings = [Finding("store", True, f"{store.folder} can be written, no run holds the lock")]
    except (StateError, Locked) as error:
        findings = [Finding("store", False, str(error))]
    folder = settings.reports
    while not folder.exists():
        folder = folder.parent
    writable = folder.is_dir() and os.access(folder, os.W_OK)
    findings.append(Finding("reports", writable, f"{settings.reports} can{'' if writable else 'not'} be written"))
    return findings


def _disk(settings: Settings) -> Finding:
    folder = settings.state
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > LOW_DISK_BYTES, f"{free / 1e9:.1f} GB free at {folder}")


def _calendar(settings: Settings, today: dt.date) -> Finding:
    try:
        days = calendar(settings, today, today + dt.timedelta(days=60))
    except SettingsError as error:
        return Finding("calendar", False, str(error))
    years = sorted({day.year for day in days.filter(days["provisional"])["day"]})
    told = f"{settings.site.calendar}, official for the next 60 days" if not years else (
        f"{settings.site.calendar} {', '.join(map(str, years))} is provisional: put calendars/{settings.site.calendar}/{years[0]}.toml beside the settings"
    )
    return Finding("calendar", not years, told)


def _clock(settings: Settings, now: dt.datetime) -> Finding:
    """The clock is wrong where an input was written later than now."""
    sources = [*settings.sources.values()]
    latest = 0.0
    for source in sources:
        try:
            latest = max([latest, *(path.stat().st_mtime for path in found_files(settings.root, source))])
        except SourceError:
            continue
    ahead = latest - now.timestamp()
    return Finding("clock", ahead < 3600, f"{now:%Y-%m-%d %H:%M}" + ("" if ahead < 3600 else f", but an input was written {ahead / 3600:.0f} hours later: set the clock"))


def _font(settings: Settings) -> Finding:
    font = charts.chinese_font()
    needed = "zh" in settings.site.languages
    told = font or "no Chinese font, charts fall back to English labels: pip install 'household-anomaly[zh]'"
    return Finding("fonts", bool(font) or not needed, told)
