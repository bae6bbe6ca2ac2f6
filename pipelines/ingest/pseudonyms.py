"""Replace household ids by codes as files are read, and find the id behind a code again.

A code is the HMAC-SHA-256 of an id under the site's key, so the same home has the same code on every night
and nobody without the key can try ids out. The map from code to id is a private file of its own, outside the
state; whoever has it can name the homes. Pseudonymised data are still personal data.
"""

import csv
import hashlib
import hmac
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config.sections import PseudonymsSection
from pipelines.config.settings import Settings
from pipelines.errors import NotFound, SettingsError, StateError
from pipelines.ingest.ledger import LEDGER_FILE
from pipelines.storage.atomic_write import SECRET_MODE, write_bytes
from pipelines.storage.state import Store

MIN_KEY_BYTES = 32
CODE_DIGITS = 20
"""80 bits: among a million homes two share a code once in two million million sites."""
KEY_MARK_FILE = "pseudonyms.json"
"""Names the key that the state's codes were made with by a hash of it."""

EncodeIds = Callable[[pl.DataFrame], pl.DataFrame]
"""Returns a frame with `household` as the state is to know it."""


def id_encoder(settings: Settings, store: Store) -> EncodeIds:
    """Return the function that replaces the ids of a frame by codes.

    Where the settings name no key, it changes nothing.     Raises SettingsError for a key that cannot be
    used, StateError where the state was begun with another key or none.
    """
    section = settings.pseudonyms
    key = _read_key(settings.root, section) if section else None
    mark: dict[str, Any] = {"key": key and hashlib.sha256(b"key of " + key).hexdigest()[:16]}
    begun_with = {"key": None} if store.path(LEDGER_FILE).exists() else mark
    if store.read_json(KEY_MARK_FILE, begun_with) != mark:
        raise StateError(
            f"{store.folder}: its ids are {'in clear' if key else 'codes'} or of another key; "
            "put [pseudonyms] back as it was, or remove the folder and start anew"
        )
    if section is None or key is None:
        return lambda frame: frame
    store.write_json(KEY_MARK_FILE, mark)
    map_path = settings.root / section.map
    return lambda frame: _encode_frame(frame, key, map_path)


def check_key(root: Path, section: PseudonymsSection) -> str:
    """Return a sentence that says that the key can be used; raises SettingsError where it cannot."""
    _read_key(root, section)
    return f"{root / section.key} can be used, and only by this user"


def pseudonym(key: bytes, household: str) -> str:
    """Return the code of an id under a key: `h` and hexadecimal digits."""
    return "h" + hmac.new(key, household.encode(), hashlib.sha256).hexdigest()[:CODE_DIGITS]


def reveal_id(settings: Settings, code: str) -> str:
    """Return the id behind a code, from the private map; raises NotFound where it is not in there."""
    if not settings.pseudonyms:
        raise NotFound(
            "[pseudonyms] names no key: ids of this site are in clear, and there is nothing to reveal"
        )
    map_path = settings.root / settings.pseudonyms.map
    ids = _read_map(map_path)
    if code not in ids:
        raise NotFound(f"{map_path}: does not hold {code}; ask whoever keeps the map")
    return ids[code]


def _encode_frame(frame: pl.DataFrame, key: bytes, map_path: Path) -> pl.DataFrame:
    ids = frame["household"].drop_nulls().unique().to_list()
    codes = {household: pseudonym(key, household) for household in ids}
    _add_to_map(map_path, {code: household for household, code in codes.items()})
    return frame.with_columns(pl.col("household").replace_strict(codes, default=None, return_dtype=pl.String))


def _read_key(root: Path, section: PseudonymsSection) -> bytes:
    path = root / section.key
    try:
        key, mode = path.read_bytes().strip(), path.stat().st_mode
    except OSError as error:
        raise SettingsError(
            f"[pseudonyms] key: {path} cannot be read ({error.strerror}); "
            "make one: head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE"
        ) from None
    if len(key) < MIN_KEY_BYTES:
        raise SettingsError(
            f"[pseudonyms] key: {path} holds {len(key)} bytes, at least {MIN_KEY_BYTES} are needed; "
            "make a new one before the first night"
        )
    if mode & 0o077:
        raise SettingsError(f"[pseudonyms] key: {path} can be read by others; chmod 600 it")
    return key


def _read_map(path: Path) -> dict[str, str]:
    """Return the id behind each code; nothing where there is no map yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"[pseudonyms] map: {path} cannot be read ({error.strerror})") from None
    return {row["code"]: row["household"] for row in csv.DictReader(io.StringIO(text, newline=""))}


def _add_to_map(path: Path, ids: dict[str, str]) -> None:
    """Write the map with the ids behind some more codes, where it does not hold them all."""
    known = _read_map(path)
    if ids.keys() <= known.keys():
        return
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["code", "household"])
    rows.writerows(sorted((known | ids).items()))
    write_bytes(path, out.getvalue().encode(), SECRET_MODE)
