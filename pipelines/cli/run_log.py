"""A run watched: every step of it a line of the log, and its end a notice to the owner's own command.

Both carry counts only. No home is ever named in them, nor a text that came out of a file.
"""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from anomaly import __version__
from pipelines.cli.console import code_of
from pipelines.config.settings import Settings
from pipelines.errors import DEGRADED, DONE
from pipelines.jobs.nightly import Result
from pipelines.storage.state import FOLDER_MODE, MODE, Store

LOG, OLDER = "log.jsonl", "log.1.jsonl"
LOG_BYTES = 1 << 20  # then the log is put aside in place of the one before
COUNTS = ("judged", "not_judged", "cases_open", "cases_new", "expected_wrong_doors")


@dataclass
class Watch:
    """One run under way. tell: what it is doing, for people and for the log. result: what it came to, once it has."""

    settings: Settings
    command: str
    say: Callable[[str], None]
    warn: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    result: Result | None = None

    def tell(self, text: str) -> None:
        """Say what the run is doing."""
        self.say(text)
        self.log("info", "progress", text=text)

    def log(self, level: str, message_type: str, **fields: object) -> None:
        """Add a line to the log; a log that cannot be written stops nothing."""
        line = {
            "at": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": level,
            "message_type": message_type,
            "process": os.getpid(),
            **fields,
        }
        folder = Store(self.settings.store).folder
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            if (folder / LOG).exists() and (folder / LOG).stat().st_size > LOG_BYTES:
                os.replace(folder / LOG, folder / OLDER)
            with open(
                folder / LOG, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, MODE)
            ) as log:
                log.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def end(self, error: BaseException | None = None) -> None:
        """Log how the run ended, and give notice of it."""
        code = code_of(error) if error else DEGRADED if self.result.degraded else DONE
        event = {DONE: "done", DEGRADED: "degraded"}.get(code, "failed") if not error else "failed"
        facts = {
            "command": self.command,
            "exit_code": code,
            "seconds": round(time.monotonic() - self.began, 1),
        }
        facts |= {"error": type(error).__name__} if error else self._counts()
        level = {"done": "info", "degraded": "warning"}.get(event, "error")
        self.log(level, event, **facts, **({"stopped": self.result.stopped} if self.result else {}))
        self._notify(
            {
                "message_type": "notice",
                "event": event,
                "site": self.settings.site.name,
                "version": __version__,
                **facts,
            }
        )

    def _counts(self) -> dict:
        run = {name: self.result.run[name] for name in COUNTS if name in self.result.run}
        return {
            "night": str(self.result.night),
            "did": self.result.did,
            "degraded": len(self.result.degraded),
            **run,
        }

    def _notify(self, notice: dict) -> None:
        """Run the owner's command with the notice on its standard input; whatever becomes of it only warns."""
        rules = self.settings.notify
        if not rules.command:
            return
        given = {
            f"ANOMALY_{name.upper()}": str(notice[name])
            for name in ("event", "exit_code", "site", "night")
            if name in notice
        }
        try:
            # what it prints belongs with the talk, and whatever it starts ends with it
            hook = subprocess.Popen(
                rules.command,
                cwd=self.settings.root,
                env=os.environ | given,
                stdin=subprocess.PIPE,
                stdout=2,
                stderr=2,
                start_new_session=True,
            )
            try:
                hook.communicate(json.dumps(notice, ensure_ascii=False).encode(), timeout=rules.seconds)
            except subprocess.TimeoutExpired:
                self._warn(f"did not end within {rules.seconds} seconds and was stopped")
            else:
                if hook.returncode:
                    self._warn(f"ended with {hook.returncode}")
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(hook.pid, signal.SIGKILL)
                hook.wait()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the command
            self._warn(f"cannot be run ({getattr(error, 'strerror', None) or error})")

    def _warn(self, what: str) -> None:
        self.log("warning", "notify", what=what)
        self.warn(f"warning: [notify] {self.settings.notify.command[0]} {what}; the night stands as it is")


@contextlib.contextmanager
def watched(
    settings: Settings, command: str, say: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[Watch]:
    """Watch the run in the block, which gives `tell` on and sets `result`; what it raises goes on."""
    watch = Watch(settings, command, say, warn)
    watch.log("info", "start", command=command, version=__version__, settings_sha256=settings.sha256)
    try:
        yield watch
    except BaseException as error:
        watch.end(error)
        raise
    watch.end()
