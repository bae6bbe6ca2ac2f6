"""Keep the audit log: one line a step, each bound to the line before it by that line's hash.

`audit.jsonl` is only ever added to, under a lock, and each line is on the disk before it counts. How many
lines there are and the hash of the last are kept in the state folder, so that lines cut off at the end are
missed as well.
"""

import datetime as dt
import getpass
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import AuditLogBroken
from pipelines.storage.atomic_write import private_opener
from pipelines.storage.state import Store

NO_HASH = "0" * 64
"""In the first line, in place of the hash of the line before."""
_HEAD_FILE = "chain.json"
_LOCK = "chain.lock"


class LogHead(NamedTuple):
    """How many lines an audit log has, and the hash of the last."""

    lines: int
    last_hash: str


@dataclass(frozen=True)
class AuditLog:
    """The audit log of a store."""

    store: Store

    @property
    def path(self) -> Path:
        """The path of the log."""
        return self.store.folder / "audit.jsonl"

    def append(self, step: str, **facts: object) -> None:
        """Add a line that says what was done, when and by which user of this machine.

        Raises AuditLogBroken where lines are missing at the end of the log.
        """
        with self.store.short_lock(_LOCK):
            lines, head = self._lines(), self._head()
            if len(lines) < head.lines:
                raise AuditLogBroken(
                    f"{self.path}: {head.lines - len(lines)} lines are missing at its end; "
                    "put the log back from a copy before going on"
                )
            line = {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "step": step,
                "user": _user(),
                **facts,
                "previous": _hash(lines[-1]) if lines else NO_HASH,
            }
            text = json.dumps(line, ensure_ascii=False, default=str).encode()
            with open(self.path, "ab", opener=private_opener) as log:
                # a line cut short by a kill was never acknowledged
                log.truncate(sum(len(line) + 1 for line in lines))
                log.write(text + b"\n")
                log.flush()
                os.fsync(log.fileno())
            self.store.write_json(_HEAD_FILE, {"lines": len(lines) + 1, "last": _hash(text)})

    def check_readable(self) -> None:
        """Raise StateDamaged where no line could be added: a run must know that before it does anything."""
        self._head()

    def verify(self) -> LogHead:
        """Check every line; raises AuditLogBroken for a line that was changed, removed, added or moved."""
        if not self.path.exists() and not self._head().lines:
            return LogHead(0, NO_HASH)
        with self.store.short_lock(_LOCK):
            lines, head = self._lines(), self._head()
        previous = NO_HASH
        for number, line in enumerate(lines, 1):
            try:
                bound = json.loads(line)["previous"]
            except (ValueError, KeyError, TypeError):
                raise AuditLogBroken(f"{self.path}: line {number} is not a line of this log") from None
            if bound != previous:
                raise AuditLogBroken(
                    f"{self.path}: line {number} does not follow the one before it: "
                    "a line was changed, removed or moved there"
                )
            previous = _hash(line)
        if len(lines) < head.lines:
            raise AuditLogBroken(f"{self.path}: {head.lines - len(lines)} lines are missing at its end")
        if head.lines and _hash(lines[head.lines - 1]) != head.last_hash:
            raise AuditLogBroken(f"{self.path}: line {head.lines} was changed")
        return LogHead(len(lines), previous)

    def last_day(self) -> dt.date | None:
        """Return the day of the newest line; None where there is none that can be read."""
        try:
            return dt.datetime.fromisoformat(json.loads(self._lines()[-1])["at"]).date()
        except (IndexError, ValueError, KeyError, TypeError):
            return None

    def _lines(self) -> list[bytes]:
        """Return the whole lines, without their ends."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _head(self) -> LogHead:
        head = self.store.read_json(_HEAD_FILE, {"lines": 0, "last": NO_HASH})
        return LogHead(head["lines"], head["last"])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
