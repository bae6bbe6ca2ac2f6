"""The audit log: one line a step, each bound to the line before it by that line's hash.

`audit.jsonl` is only ever added to, under a lock and seen onto the disk. How many lines there are and the hash of the last
are kept beside the journals, so that lines cut off at the end are missed as well.
"""

import contextlib
import datetime as dt
import getpass
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import filelock

from pipelines.errors import AuditLogBroken
from pipelines.storage.state import MODE, Store

FIRST = "0" * 64
_HEAD = "chain.json"


@dataclass(frozen=True)
class Trail:
    """The audit log of a store."""

    store: Store

    @property
    def path(self):
        """Where the log lies."""
        return self.store.folder / "audit.jsonl"

    def leave(self, step: str, **facts: object) -> None:
        """Add a line: what was done, when and by which user of this machine. Raises Broken where the log was tampered with at its end."""
        with self._alone():
            lines, head = self._lines(), self._head()
            if len(lines) < head["lines"]:
                raise AuditLogBroken(
                    f"{self.path}: {head['lines'] - len(lines)} lines are missing at its end; put the log back from a copy before going on"
                )
            line = {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "step": step,
                "user": _user(),
                **facts,
                "previous": _hash(lines[-1]) if lines else FIRST,
            }
            text = json.dumps(line, ensure_ascii=False, default=str).encode()
            with open(self.path, "ab", opener=_private) as log:
                log.truncate(
                    sum(len(one) + 1 for one in lines)
                )  # a line cut short by a kill was never acknowledged
                log.write(text + b"\n")
                log.flush()
                os.fsync(log.fileno())
            self.store.write_json(_HEAD, {"lines": len(lines) + 1, "last": _hash(text)})

    def ready(self) -> None:
        """Raises Damaged where no line could be added, for who must know before there is something to tell."""
        self._head()

    def verify(self) -> tuple[int, str]:
        """Number of lines and hash of the last. Raises Broken for a line that was changed, removed, added or moved."""
        if not self.path.exists() and not self._head()["lines"]:
            return 0, FIRST
        with self._alone():
            lines, head = self._lines(), self._head()
        previous = FIRST
        for number, text in enumerate(lines, 1):
            try:
                bound = json.loads(text)["previous"]
            except (ValueError, KeyError, TypeError):
                raise AuditLogBroken(f"{self.path}: line {number} is not a line of this log") from None
            if bound != previous:
                raise AuditLogBroken(
                    f"{self.path}: line {number} does not follow the one before it: a line was changed, removed or moved there"
                )
            previous = _hash(text)
        if len(lines) < head["lines"]:
            raise AuditLogBroken(f"{self.path}: {head['lines'] - len(lines)} lines are missing at its end")
        if head["lines"] and _hash(lines[head["lines"] - 1]) != head["last"]:
            raise AuditLogBroken(f"{self.path}: line {head['lines']} was changed")
        return len(lines), previous

    def _lines(self) -> list[bytes]:
        """The whole lines."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _head(self) -> dict:
        return self.store.read_json(_HEAD, {"lines": 0, "last": FIRST})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.store.state.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.store.path("chain.lock"), mode=MODE):
            yield


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, MODE)
