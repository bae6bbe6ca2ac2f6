"""`anomaly init`: a folder to start from, with the reference settings and the folders that they name."""

import shlex
from pathlib import Path

from pipelines.config.sections import REFERENCE
from pipelines.errors import SettingsError


def create_site(folder: Path) -> list[Path]:
    """Write anomaly.toml and empty folders, and return their paths, the settings file first.

    Raises SettingsError where a settings file is there already, or the folder cannot be written.
    """
    target = folder / "anomaly.toml"
    if target.exists():
        raise SettingsError(f"{target}: is there already; name another folder, or remove it first")
    try:
        for part in ("access", "calendars"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        target.write_text(REFERENCE.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be written ({error.strerror}); name a folder this user may write"
        ) from None
    return [target, folder / "access", folder / "calendars"]


def next_step(target: Path) -> str:
    """Return in one line what to do with a new settings file."""
    check = f"anomaly doctor --settings {shlex.quote(str(target))}"
    return f"fill in [purpose] and [site], put exports where the files of [signals.*] point, then: {check}"
