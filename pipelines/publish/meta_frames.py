"""The tables of schema `meta`: interface version, settings in force, dictionary and calendar."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import polars as pl

from anomaly import __version__
from pipelines.config.settings import Settings
from pipelines.publish.dictionary import data_dictionary

SCHEMA_VERSION = "1.2.0"
"""Version of v1 and meta; tests/interface/test_interface.py says which change asks for the next one."""

READABLE_SETTINGS = (
    "site",
    "purpose",
    "rules",
    "worklist",
    "expected",
    "detectors",
    "evidence",
    "cases",
    "account",
    "control",
    "retention",
    "limits",
    "publish",
    "engine",
    "sha256",
)
"""The sections that readers of the file may see: no place on a disk, no key, no command."""


def meta_frames(settings: Settings, calendar: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return a frame for every table of tables.META. calendar: the days in force (tables.Calendar)."""
    return {
        "schema_version": pl.DataFrame({"schema_version": [SCHEMA_VERSION], "tool_version": [__version__]}),
        "settings": pl.DataFrame({"settings": [settings_json(settings)]}),
        "dictionary": data_dictionary(),
        "calendar": calendar,
    }


def settings_json(settings: Settings) -> str:
    """Return the settings in force that readers may see, as JSON."""
    readable = {name: _to_plain_value(getattr(settings, name)) for name in READABLE_SETTINGS}
    return json.dumps(readable, sort_keys=True, ensure_ascii=False, default=str)


def _to_plain_value(value: object) -> object:
    """Return a dataclass as a dict, a path or a date as text, and anything else as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _to_plain_value(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {key: _to_plain_value(one) for key, one in value.items()}
    return str(value) if isinstance(value, Path | dt.date) else value
