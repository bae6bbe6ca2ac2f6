"""Keep the audit log: one line a step, each bound to the line before it by that line's hash.

`audit.jsonl` is only ever added to, under a lock, and each line is on the disk before it counts. The head of
the log, how many lines there are and the hash of the last, is kept in the state folder, so that lines cut off
at the end are missed as well. A log without its head is broken; and each line of the journal of runs keeps
the head of its day (`Store`), so that what was there before the last run cannot be cut off together with the
head.
"""

import contextlib
import datetime as dt
import getpass
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.errors import AuditLogBroken, StateDamaged
from pipelines.storage.atomic_write import private_opener
from pipelines.storage.state import RUN_JOURNAL, Store

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

        Raises AuditLogBroken where lines are missing at the end of the log or its head is, StateDamaged for a
        head that is none. Whether a line can be added can be found out beforehand by `head`.
        """
        with self.store.short_lock(_LOCK):
            lines = self._whole_lines()
            line = {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "step": step,
                "user": _user(),
                **facts,
                "previous": _hash(lines[-1]) if lines else NO_HASH,
            }
            text = json.dumps(line, ensure_ascii=False, default=str).encode()
            if not lines:  # a log whose first line is there without a head would be broken
                self.store.write_json(_HEAD_FILE, {"lines": 0, "last": NO_HASH})
            with open(self.path, "ab", opener=private_opener) as log:
                # a line cut short by a kill was never acknowledged
                log.truncate(sum(len(line) + 1 for line in lines))
                log.write(text + b"\n")
                log.flush()
                os.fsync(log.fileno())
            self.store.write_json(_HEAD_FILE, {"lines": len(lines) + 1, "last": _hash(text)})

    def head(self) -> LogHead:
        """Return how many lines the log has, and the hash of the last; raises like `append`."""
        lines = self._whole_lines()
        return LogHead(len(lines), _hash(lines[-1]) if lines else NO_HASH)

    def lines(self, step: str) -> list[dict]:
        """Return what the log says of a step, as far as its lines can be read; `verify` finds the others."""
        found = []
        for text in self._lines():
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict) and line.get("step") == step:
                    found.append(line)
        return found

    def verify(self) -> LogHead:
        """Check every line; raises AuditLogBroken for a line that was changed, removed, added or moved.

        Nothing is written, and no right to write is needed.
        """
        heads = self._known_heads()  # read first: lines that are added meanwhile do no harm
        lines = self._lines()
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
        self._compare(lines, heads)
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

    def _whole_lines(self) -> list[bytes]:
        """Return the lines, once the end of the log was compared with its heads."""
        heads = self._known_heads()
        lines = self._lines()
        self._compare(lines, heads)
        return lines

    def _known_heads(self) -> list[LogHead]:
        """Return the head as the state keeps it, then as the last run knew it, as far as they are there."""
        kept = self._head()
        of_runs = [line["audit"] for line in self.store.read_lines(RUN_JOURNAL) if "audit" in line]
        return [*([] if kept is None else [kept]), *(LogHead(**one) for one in of_runs[-1:])]

    def _compare(self, lines: Sequence[bytes], heads: Sequence[LogHead]) -> None:
        """Raise AuditLogBroken where the lines do not reach to a head, or have none."""
        for count, last_hash in heads:
            if len(lines) < count:
                raise AuditLogBroken(
                    f"{self.path}: {count - len(lines)} lines are missing at its end; "
                    "put the log back from a copy before going on"
                )
            if count and _hash(lines[count - 1]) != last_hash:
                raise AuditLogBroken(f"{self.path}: line {count} was changed; put the log back from a copy")
        if lines and not self.store.path(_HEAD_FILE).exists():
            raise AuditLogBroken(
                f"{self.store.path(_HEAD_FILE)}: is missing, and with it how many lines {self.path} had "
                f"(now {len(lines)}); put both back from a copy"
            )

    def _head(self) -> LogHead | None:
        """Return the head that the state keeps, None where it keeps none; raises StateDamaged."""
        head = None
        with contextlib.suppress(StateDamaged):
            head = self.store.read_json(_HEAD_FILE, None)
        if head is None and not self.store.path(_HEAD_FILE).exists():
            return None
        match head:
            case {"lines": int(lines), "last": str(last)} if lines >= 0:
                return LogHead(lines, last)
        raise StateDamaged(
            f"{self.store.path(_HEAD_FILE)}: is damaged, and with it how many lines {self.path} had "
            f"(now {len(self._lines())}); put it back from a copy"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
