"""What every command shares: exit codes, options, and how it talks."""

import errno
import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import click

from anomaly.messages import printable
from pipelines.errors import BUG, DONE, INTERRUPTED, NOTHING_READABLE, AnomalyError

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
                click.echo(_line(message_type="summary", error=message, exit_code=code))
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


def talk(as_json: bool) -> Callable[[str], None]:
    """What a run is doing, to stderr: JSON lines when asked for, a line that rewrites itself on a terminal, else nothing."""
    if as_json:
        return lambda text: click.echo(_line(message_type="progress", text=text))
    if sys.stderr.isatty():
        left = time_left()
        return lambda text: click.echo(f"\r\x1b[K{text}{left(text)} …", err=True, nl=False)
    return lambda text: None


def time_left(clock: Callable[[], float] = time.monotonic) -> Callable[[str], str]:
    """A function of what a run says it is doing: where that is `so many of so many` of something, about how long the rest will take.

    The first time a thing is said counts as its beginning: it took what had to be made ready.
    """
    begun: dict[str, tuple[float, int]] = {}

    def left(text: str) -> str:
        found = _SO_FAR.search(text)
        if not found:
            return ""
        done, whole = (int(number.replace(",", "")) for number in found.groups())
        now = clock()
        since, first = begun.setdefault(text[: found.start()], (now, done))
        if done <= first or done >= whole:
            return ""
        return f", about {_duration((now - since) / (done - first) * (whole - done))} left"

    return left


_SO_FAR = re.compile(r"([\d,]+) of ([\d,]+)")


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


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
        click.echo(_line(**row))
    click.echo(_line(message_type="summary", **summary))


def _line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False, default=str)
