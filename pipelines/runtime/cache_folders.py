"""Choose where compiled code and the list of fonts are kept for a user who has no home to keep them in.

numba and matplotlib look for a folder when they are imported: numba raises where it finds none, and
matplotlib makes a new one in each process, which nobody removes. So this comes before their import.
"""

import os
import stat
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

import anomaly
from pipelines.errors import NoCacheFolder

COMPILED = Path(anomaly.__file__).with_name("__pycache__")
"""Where numba keeps what it compiles if it may: in such a folder beside each module, here for all of them."""


def choose_cache_folders(environment: MutableMapping[str, str] = os.environ) -> None:
    """Name the folders of numba and matplotlib in the environment where none of the usual can be written.

    They lie in the folder for temporary files then, and are this user's alone: what is in them is run as
    code. Raises NoCacheFolder where not even these can be had.
    """
    if named := environment.get("NUMBA_CACHE_DIR"):
        for_code = [Path(named)]
    else:
        for_code = [COMPILED, *_at_home(environment, "XDG_CACHE_HOME", ".cache", "numba")]
    if not any(map(_can_be_written, for_code)):
        environment["NUMBA_CACHE_DIR"] = str(_private_folder("numba"))
    if named := environment.get("MPLCONFIGDIR"):
        for_fonts = [Path(named)]
    else:
        for_fonts = [
            *_at_home(environment, "XDG_CACHE_HOME", ".cache", "matplotlib"),
            *_at_home(environment, "XDG_CONFIG_HOME", ".config", "matplotlib"),
        ]
    if not for_fonts or not all(map(_can_be_written, for_fonts)):
        environment["MPLCONFIGDIR"] = str(_private_folder("matplotlib"))


def _at_home(environment: MutableMapping[str, str], name: str, usual: str, folder: str) -> list[Path]:
    """Return the folder of a library in the user's home; none where the user has no home."""
    if named := environment.get(name):
        return [Path(named) / folder]
    try:
        return [Path.home() / usual / folder]
    except RuntimeError:  # a user without an entry in the list of users
        return []


def _can_be_written(folder: Path) -> bool:
    """Try: what root may not do, such as writing in /proc, cannot be asked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private_folder(name: str) -> Path:
    """Make a folder that nobody else can write; raises NoCacheFolder."""
    remedy = "set NUMBA_CACHE_DIR and MPLCONFIGDIR to folders that only this user may write"
    try:
        folder = Path(tempfile.gettempdir()) / f"household-anomaly-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise NoCacheFolder(
            f"no folder for compiled code can be written ({error.strerror}); {remedy}"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise NoCacheFolder(f"{folder}: others may write there, and compiled code is run from it; {remedy}")
    return folder / name
