"""Ids replaced at the door, and the one way back.

A code is the HMAC-SHA-256 of an id under the site's key, so the same home has the same code on every night and nobody
without the key can try ids out. The map from code to id is a private file of its own, outside the state; whoever has it can
name the homes. Pseudonymised data are still personal data.
"""

import csv
import hashlib
import hmac
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.config.settings import Settings
from pipelines.errors import NotFound, SettingsError, StateError
from pipelines.storage.atomic_write import SECRET_MODE, write_bytes
from pipelines.storage.state import Store

LEAST_BYTES = 32
CODE_DIGITS = 20  # 80 bits: among a million homes two share a code once in two million million sites
_MARK = "pseudonyms.json"


def coder(settings: Settings, store: Store) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What is done to every frame as it is read: its ids become codes where the settings name a key, else nothing.

    Raises SettingsError for a key that cannot be used, StateError where the state was begun with another key or none.
    """
    key = _key(settings) if settings.pseudonyms else None
    mark = {"key": key and hashlib.sha256(b"key of " + key).hexdigest()[:16]}
    if store.read_json(_MARK, {"key": None} if store.path("files.json").exists() else mark) != mark:
        raise StateError(
            f"{store.folder}: its ids are {'in clear' if key else 'codes'} or of another key; put [pseudonyms] back as it was, or remove the folder and start anew"
        )
    if key is None:
        return lambda frame: frame
    store.write_json(_MARK, mark)
    return lambda frame: _coded(frame, key, _map_of(settings))


def check_key(settings: Settings) -> str:
    """Whether the key can be used, in words. Raises SettingsError."""
    _key(settings)
    return f"{settings.root / settings.pseudonyms.key} can be used, and only by this user"


def _coded(frame: pl.DataFrame, key: bytes, place: Path) -> pl.DataFrame:
    ids = frame["household"].drop_nulls().unique().to_list()
    codes = {one: code(key, one) for one in ids}
    _remember(place, {made: one for one, made in codes.items()})
    return frame.with_columns(pl.col("household").replace_strict(codes, default=None, return_dtype=pl.String))


def code(key: bytes, household: str) -> str:
    """The code of an id under a key: `h` and hexadecimal digits."""
    return "h" + hmac.new(key, household.encode(), hashlib.sha256).hexdigest()[:CODE_DIGITS]


def reveal_id(settings: Settings, household: str) -> str:
    """The id behind a code, from the private map. Raises NotThere where there is none."""
    if not settings.pseudonyms:
        raise NotFound(
            "[pseudonyms] names no key: ids of this site are in clear, and there is nothing to reveal"
        )
    place = _map_of(settings)
    known = _known(place)
    if household not in known:
        raise NotFound(f"{place}: does not hold {household}; ask whoever keeps the map")
    return known[household]


def _key(settings: Settings) -> bytes:
    place = settings.root / settings.pseudonyms.key
    try:
        key, mode = place.read_bytes().strip(), place.stat().st_mode
    except OSError as error:
        raise SettingsError(
            f"[pseudonyms] key: {place} cannot be read ({error.strerror}); make one: head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE"
        ) from None
    if len(key) < LEAST_BYTES:
        raise SettingsError(
            f"[pseudonyms] key: {place} holds {len(key)} bytes, at least {LEAST_BYTES} are needed; make a new one before the first night"
        )
    if mode & 0o077:
        raise SettingsError(f"[pseudonyms] key: {place} can be read by others; chmod 600 it")
    return key


def _map_of(settings: Settings) -> Path:
    return settings.root / settings.pseudonyms.map


def _known(place: Path) -> dict[str, str]:
    """code → id."""
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"[pseudonyms] map: {place} cannot be read ({error.strerror})") from None
    return {row["code"]: row["household"] for row in csv.DictReader(io.StringIO(text, newline=""))}


def _remember(place: Path, fresh: dict[str, str]) -> None:
    known = _known(place)
    if fresh.keys() <= known.keys():
        return
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["code", "household"])
    rows.writerows(sorted((known | fresh).items()))
    write_bytes(place, out.getvalue().encode(), SECRET_MODE)
