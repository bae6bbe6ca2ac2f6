"""The calendar in force: the country's, with the site's own corrections."""

import datetime as dt
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from anomaly.calendar import calendar_days
from pipelines.config.settings import Settings
from pipelines.errors import SettingsError


def calendar_in_force(settings: Settings, first: dt.date, last: dt.date) -> pl.DataFrame:
    """The calendar in force; raises SettingsError for a country or an override that cannot be used."""
    overrides = [_override(path) for path in correction_files(settings)]
    try:
        return calendar_days(settings.site.calendar, first, last, overrides)
    except ValueError as error:
        raise SettingsError(f"[site] {error}") from None


_CORRECTIONS = {
    "holidays": {"day"},
    "workdays": {"day"},
    "windows": {"first", "last", "en"},
    "provisional": set(),
}


def _override(path: Path) -> dict:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{path}: not readable as TOML ({error}); correct that line") from None
    for name, rows in tree.items():
        if name not in _CORRECTIONS:
            raise SettingsError(f"{path}: unknown name `{name}`; known: {', '.join(_CORRECTIONS)}")
        for row in rows if isinstance(rows, list) else ():
            if missing := sorted(_CORRECTIONS[name] - set(row)):
                raise SettingsError(f"{path}: a row of [[{name}]] has no `{missing[0]}`; add it")
    return tree


def correction_files(settings: Settings) -> list[Path]:
    """The corrections of the calendar: those beside the settings file before those of the same name that ship."""
    country = settings.site.calendar
    folders = [
        Path(__file__).parent / "calendars" / country,
        settings.root / "calendars" / country,
    ]
    return list({path.name: path for folder in folders for path in sorted(folder.glob("*.toml"))}.values())


def local_today(settings: Settings) -> dt.date:
    """The local day."""
    return dt.datetime.now(ZoneInfo(settings.site.timezone)).date()
