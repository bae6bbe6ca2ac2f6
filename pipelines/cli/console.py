"""What every command shares: exit codes, options, and how it talks."""

import errno
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import click

from anomaly.messages import printable
from pipelines.errors import BUG, DONE, INTERRUPTED, NOTHING_READABLE, AnomalyError
from pipelines.runtime.progress import Progress, ReportProgress, no_progress

SELDOM = 50_000  # new objects between two looks for what may be thrown away
FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))

settings_option = click.option(
    "--settings",
    "settings_path",
    type=click.Path(path_type=Path),
    required=True,
    metavar="S",
    help="The settings file.",
)
night_option = click.option(
    "--night",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="D",
    help="The night, YYYY-MM-DD; the latest one if left out.",
)
_AS_JSON = "pipelines.as_json"


def _remember(context: click.Context, option: click.Parameter, as_json: bool) -> bool:
    context.meta[_AS_JSON] = as_json  # for what is told of an error
    return as_json


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_remember, help="Print JSON lines, the last one a summary."
)


def alone(work: Callable[[], object]) -> NoReturn:
    """Do the work as all that this process is for, and leave with its exit code.

    The libraries that were imported stay to the end: to look through them again and again, and to take them apart when
    everything is done and closed, would cost a night a second.
    """
    gc.set_threshold(SELDOM)
    code = DONE
    try:
        work()
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            raise
        code = left.code or DONE
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Refused(click.ClickException):
    """A run that cannot go on; the message is one line."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(printable(" ".join(message.split())))
        self.exit_code = exit_code


class Commands(click.Group):
    """Turns the flow's own errors into one line and an exit code."""

    def invoke(self, context: click.Context):
        mask = os.umask(0o077)
        os.umask(mask | 0o027)  # whoever makes a file, a library too: it is for its owner and group only
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            code = code_of(error)
            if code == BUG:
                raise
            message = _message(error)
            if context.meta.get(_AS_JSON):
                click.echo(_json_line(message_type="summary", error=message, exit_code=code))
            raise Refused(message, code) from None
        finally:
            os.umask(mask)


def code_of(error: BaseException) -> int:
    """The exit code a run ends with that raises this."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, AnomalyError):
        return error.exit_code
    return NOTHING_READABLE if _full(error) else BUG


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing is half-published, run it again to go on"
    if isinstance(error, AnomalyError):
        return str(error)
    return f"{_full(error)}; yesterday's file stands, nothing is half-published: make room and run again"


def _full(error: BaseException) -> str | None:
    """What a disk said that takes nothing more; None for any other error. Polars and DuckDB only say it in words."""
    return next((line for line in str(error).splitlines() for words in FULL if words in line), None)


def progress_display(as_json: bool) -> ReportProgress:
    """Return what shows a run's progress: JSON lines on stdout, or one line of a terminal that is written anew, or nothing."""
    if as_json:
        return lambda event: click.echo(_json_line(message_type="progress", **progress_fields(event)))
    if sys.stderr.isatty():
        remaining = RemainingTime()
        return lambda event: click.echo(f"\r\x1b[K{event.text}{remaining(event)} …", err=True, nl=False)
    return no_progress


def progress_fields(event: Progress) -> dict[str, object]:
    """Return the fields of an event for a JSON line: text, and done, total and unit where something is counted."""
    counted = {} if event.total is None else {"done": event.done, "total": event.total, "unit": event.unit}
    return {"text": event.text, **counted}


class RemainingTime:
    """Estimates how long the rest of a counted step will take.

    The first event of a step only starts its clock: what comes before it includes preparations that are not repeated.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: dict[str, tuple[float, int]] = {}

    def __call__(self, event: Progress) -> str:
        """Return the estimate in words, such as ", about 5 min left"; empty where there is none yet, or no rest."""
        if event.done is None or event.total is None:
            return ""
        now = self._clock()
        began, done_then = self._first.setdefault(event.step, (now, event.done))
        if event.done <= done_then or event.done >= event.total:
            return ""
        seconds = (now - began) / (event.done - done_then) * (event.total - event.done)
        amount = f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
        return f", about {amount} left"


def warn(text: str) -> None:
    """A line of talk, to stderr."""
    click.echo(text, err=True)


def emit(as_json: bool, lines: Iterable[str], rows: Iterable[Mapping] = (), /, **summary: object) -> None:
    """The end of a run: the lines for people to stderr, or JSON lines for the rows and the summary."""
    if as_json:
        _emit_json(rows, summary)
        return
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    for line in lines:
        click.echo(line, err=True)


def answer(as_json: bool, text: str, rows: Iterable[Mapping] = (), /, **summary: object) -> None:
    """What was asked for, to stdout: the text, or JSON lines for the rows and the summary."""
    if as_json:
        _emit_json(rows, summary)
    else:
        click.echo(text, nl=False)


def _emit_json(rows: Iterable[Mapping], summary: Mapping) -> None:
    for row in rows:
        click.echo(_json_line(**row))
    click.echo(_json_line(message_type="summary", **summary))


def _json_line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False, default=str)
