"""Options, exit codes, progress and output that all commands share.

Data goes to stdout, messages to stderr. With `--json` everything is JSON lines on stdout, the last one a
summary.
"""

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
from pipelines.errors import AnomalyError, ExitCode
from pipelines.runtime.cache_folders import choose_cache_folders
from pipelines.runtime.progress import Progress, ReportProgress, no_progress

_GC_THRESHOLD = 50_000  # new objects between two runs of the garbage collector
_DENIED = os.strerror(errno.EACCES)
_DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))

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


def _remember_as_json(context: click.Context, option: click.Parameter, as_json: bool) -> bool:
    context.meta[_AS_JSON] = as_json  # an error is printed as JSON too
    return as_json


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_remember_as_json,
    help="Print JSON lines, the last one a summary.",
)


def run_and_exit(work: Callable[[], object]) -> NoReturn:
    """Do the work as all that this process is for, and leave with its exit code.

    Garbage is seldom collected, and the process ends without taking its libraries apart: both would cost a
    night a second.
    """
    gc.set_threshold(_GC_THRESHOLD)
    code: int = ExitCode.DONE
    try:
        work()
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            raise
        code = left.code or ExitCode.DONE
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class CommandGroup(click.Group):
    """The commands, with every error that is not a bug turned into one line and an exit code."""

    def invoke(self, context: click.Context) -> object:
        """Run a command; files that it makes, through a library too, are for their owner and group only."""
        mask = os.umask(0o077)
        os.umask(mask | 0o027)
        try:
            choose_cache_folders()
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            code = exit_code_of(error)
            if code == ExitCode.BUG:
                raise
            message = _message_of(error)
            if context.meta.get(_AS_JSON):
                click.echo(_json_line(message_type="summary", error=message, exit_code=code))
            clear_progress()
            click.echo(f"Error: {printable(' '.join(message.split()))}", err=True)
            raise click.exceptions.Exit(code) from None
        finally:
            os.umask(mask)


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a run that raises this."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, AnomalyError):
        return error.exit_code
    if _disk_full_message(error):
        return ExitCode.NOTHING_READABLE
    if message := _file_message(error):
        return ExitCode.REFUSED if _DENIED in message else ExitCode.NOTHING_READABLE
    return ExitCode.BUG


def _message_of(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing is half-published, run it again to go on"
    if isinstance(error, AnomalyError):
        return str(error)
    what = _disk_full_message(error)
    if what is None:
        return _file_message(error) or str(error)
    return f"{what}; yesterday's file stands, nothing is half-published: make room and run again"


def _disk_full_message(error: BaseException) -> str | None:
    """Return the line that says that a disk takes nothing more; None for any other error.

    It is looked for in words, since Polars and DuckDB raise errors of their own.
    """
    lines = str(error).splitlines()
    return next((line for line in lines if any(words in line for words in _DISK_FULL)), None)


def _file_message(error: BaseException) -> str | None:
    """Return the line on a file that this user may not open, or that the system cannot; else None.

    Polars and DuckDB say so in words alone. A file that is not there is missed by whoever looked for it.
    """
    line = (str(error).splitlines() or [""])[0]
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, FileNotFoundError):
        line = f"{os.fsdecode(error.filename)}: {error.strerror}"
    elif _DENIED not in line:
        return None
    if _DENIED in line:
        return f"{line}; run it as the user whose site this is, or have that right given to this one"
    return f"{line}; look at that path and at its disk, then run again"


def progress_display(as_json: bool) -> ReportProgress:
    """Return what shows a run's progress: JSON lines, a line that is rewritten on a terminal, or nothing."""
    if as_json:
        return lambda event: click.echo(_json_line(message_type="progress", **progress_fields(event)))
    if sys.stderr.isatty():
        remaining = RemainingTime()
        return lambda event: click.echo(f"\r\x1b[K{event.text}{remaining(event)} …", err=True, nl=False)
    return no_progress


def progress_fields(event: Progress) -> dict[str, object]:
    """Return an event's fields for a JSON line: text, and done, total and unit where something is counted."""
    counted = {} if event.total is None else {"done": event.done, "total": event.total, "unit": event.unit}
    return {"text": event.text, **counted}


class RemainingTime:
    """Estimates how long the rest of a counted step will take.

    The first event of a step only starts its clock: what comes before it includes preparations that are not
    repeated.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: dict[str, tuple[float, int]] = {}

    def __call__(self, event: Progress) -> str:
        """Return the estimate in words, such as ", about 5 min left"; empty where there is none."""
        if event.done is None or event.total is None:
            return ""
        now = self._clock()
        began, done_then = self._first.setdefault(event.step, (now, event.done))
        if event.done <= done_then or event.done >= event.total:
            return ""
        seconds = (now - began) / (event.done - done_then) * (event.total - event.done)
        amount = f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
        return f", about {amount} left"


def print_message(text: str) -> None:
    """Print a line for people, to stderr; what is not to be seen in it, such as in a path, is escaped."""
    click.echo(printable(text), err=True)


def print_messages(
    as_json: bool, lines: Iterable[str], rows: Iterable[Mapping] = (), /, **summary: object
) -> None:
    """Print the end of a run: the lines for people to stderr, or the rows and the summary as JSON lines."""
    if as_json:
        _print_json(rows, summary)
        return
    clear_progress()
    for line in lines:
        print_message(line)


def print_data(as_json: bool, text: str, rows: Iterable[Mapping] = (), /, **summary: object) -> None:
    """Print what was asked for to stdout: the text, or the rows and the summary as JSON lines."""
    if as_json:
        _print_json(rows, summary)
    else:
        print_text(text)


def print_text(text: str) -> None:
    """Print text to stdout; in it a path that is not in UTF-8 is escaped."""
    click.echo(_encodable(text), nl=False)


def clear_progress() -> None:
    """Clear the line of a terminal on which progress is shown."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _print_json(rows: Iterable[Mapping], summary: Mapping) -> None:
    for row in rows:
        click.echo(_json_line(**row))
    click.echo(_json_line(message_type="summary", **summary))


def _json_line(**fields: object) -> str:
    return _encodable(json.dumps(fields, ensure_ascii=False, default=str))


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
