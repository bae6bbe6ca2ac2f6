"""The log of a run: its start, every step and its end as JSON lines in `log.jsonl` beside the published file.

Lines carry counts only. No home is ever named in them, nor a text that came out of a file.
"""

import contextlib
import datetime as dt
import json
import logging
import logging.handlers
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from anomaly import __version__
from pipelines.cli.console import exit_code_of, progress_fields
from pipelines.config.settings import Settings
from pipelines.jobs.nightly import Result
from pipelines.jobs.notices import send_notice
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.storage.atomic_write import make_folder
from pipelines.storage.state import OLDER_RUN_LOG, RUN_LOG, Store

LOG_BYTES = 1 << 20  # a log of this size becomes the older one, in place of the one before
_COUNTS = ("judged", "not_judged", "cases_open", "cases_new", "expected_wrong_doors")
_log = logging.getLogger(__name__)


class RunLog:
    """The log of one run of a command. Set `result` to what the run came to before `end`."""

    def __init__(
        self, settings: Settings, command: str, show: ReportProgress, warn: Callable[[str], None]
    ) -> None:
        self.result: Result | None = None
        self._settings, self._command = settings, command
        self._show, self._warn = show, warn
        self._began = time.monotonic()
        _write_line(
            logging.INFO, "start", command=command, version=__version__, settings_sha256=settings.sha256
        )

    def progress(self, event: Progress) -> None:
        """Show what the run is doing, and log it."""
        self._show(event)
        _write_line(logging.INFO, "progress", **progress_fields(event))

    def end(self) -> None:
        """Log what the run came to, and give notice of it."""
        assert self.result is not None
        facts = self._facts(self.result.exit_code, **_counts(self.result))
        level, event = (logging.WARNING, "degraded") if self.result.degraded else (logging.INFO, "done")
        _write_line(level, event, **facts, stopped=self.result.stopped)
        self._notify(event, facts)

    def fail(self, error: BaseException) -> None:
        """Log that the run was ended by an error, and give notice of it; only the error's kind is named."""
        facts = self._facts(exit_code_of(error), error=type(error).__name__)
        stopped = {"stopped": self.result.stopped} if self.result else {}
        _write_line(logging.ERROR, "failed", **facts, **stopped)
        self._notify("failed", facts)

    def _facts(self, exit_code: int, **outcome: object) -> dict[str, object]:
        seconds = round(time.monotonic() - self._began, 1)
        return {"command": self._command, "exit_code": exit_code, "seconds": seconds, **outcome}

    def _notify(self, event: str, facts: dict[str, object]) -> None:
        site = {"site": self._settings.site.name, "version": __version__}
        send_notice(self._settings, {"message_type": "notice", "event": event, **site, **facts}, self._warn)


def _write_line(level: int, message_type: str, **fields: object) -> None:
    _log.log(level, message_type, extra={"fields": fields})


def _counts(result: Result) -> dict[str, object]:
    counts = {name: result.run[name] for name in _COUNTS if name in result.run}
    return {"night": str(result.night), "did": result.did, "degraded": len(result.degraded), **counts}


@contextlib.contextmanager
def logged_run(
    settings: Settings, command: str, show: ReportProgress, warn: Callable[[str], None]
) -> Iterator[RunLog]:
    """Log the run in the block and give notice of its end; what the block raises is raised again."""
    with _log_file(Store(settings.store).folder):
        run_log = RunLog(settings, command, show, warn)
        try:
            yield run_log
        except BaseException as error:
            run_log.fail(error)
            raise
        run_log.end()


class JsonLines(logging.Formatter):
    """Formats records as JSON: at, level, message_type, process, then the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a record without `fields` is a message in words."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line = {
            "at": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname.lower(),
            "message_type": record.msg,
            "process": record.process,
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            fields = {"message_type": "message", "text": record.getMessage()}
        return json.dumps(line | fields, ensure_ascii=False, default=str)


class LogFile(logging.handlers.RotatingFileHandler):
    """A log file that is put aside when it is full; one that cannot be written stops nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / RUN_LOG, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self.setFormatter(JsonLines())

    def rotation_filename(self, default_name: str) -> str:
        """Return the name of the log that is put aside."""
        return str(Path(self.baseFilename).with_name(OLDER_RUN_LOG))

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without the line."""


@contextlib.contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """Write what the flow's modules log to the folder's log file for as long as the block lasts."""
    with contextlib.suppress(OSError):
        make_folder(folder)
    logger, handler = logging.getLogger("pipelines"), LogFile(folder)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
