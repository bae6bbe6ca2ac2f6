"""The calendar in force: the country's, with the corrections that ship and those of the site."""

import datetime as dt
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from anomaly.calendar import calendar_days
from pipelines.config.settings import Settings
from pipelines.errors import SettingsError


def calendar_in_force(settings: Settings, first: dt.date, last: dt.date) -> pl.DataFrame:
    """Return the calendar from first to last, as `anomaly.calendar.calendar_days` gives it.

    Raises SettingsError for a country or a correction that cannot be used.
    """
    corrections = [_read_corrections(path) for path in correction_files(settings)]
    try:
        return calendar_days(settings.site.calendar, first, last, corrections)
    except ValueError as error:
        raise SettingsError(f"[site] {error}") from None


_NEEDED_FIELDS = {
    "holidays": {"day"},
    "workdays": {"day"},
    "windows": {"first", "last", "en"},
    "provisional": set(),
}
"""Sections of a file of corrections → fields that each of their rows needs."""


def _read_corrections(path: Path) -> dict:
    """Read a file of corrections; raises SettingsError for one that cannot be used."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{path}: not readable as TOML ({error}); correct that line") from None
    for name, rows in tree.items():
        if name not in _NEEDED_FIELDS:
            raise SettingsError(f"{path}: unknown name `{name}`; known: {', '.join(_NEEDED_FIELDS)}")
        for row in rows if isinstance(rows, list) else ():
            if missing := sorted(_NEEDED_FIELDS[name] - set(row)):
                raise SettingsError(f"{path}: a row of [[{name}]] has no `{missing[0]}`; add it")
    return tree


def correction_files(settings: Settings) -> list[Path]:
    """Return the files of corrections; one beside the settings replaces one of its name that ships."""
    country = settings.site.calendar
    folders = [Path(__file__).parent / "calendars" / country, settings.root / "calendars" / country]
    by_name = {path.name: path for folder in folders for path in sorted(folder.glob("*.toml"))}
    return list(by_name.values())


def local_now(settings: Settings) -> dt.datetime:
    """Return the time of the site's clock to the second, without a zone."""
    return dt.datetime.now(ZoneInfo(settings.site.timezone)).replace(microsecond=0, tzinfo=None)


def local_today(settings: Settings) -> dt.date:
    """Return today's date in the site's time zone."""
    return dt.datetime.now(ZoneInfo(settings.site.timezone)).date()
