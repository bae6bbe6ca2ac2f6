"""What every command shares: exit codes, options, and how it talks."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import click

from anomaly.words import printable

DONE, BUG, REFUSED, DEGRADED, NOTHING, LOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 11, 130

settings_option = click.option("--settings", "settings_path", type=click.Path(path_type=Path), required=True, metavar="S", help="The settings file.")
night_option = click.option("--night", type=click.DateTime(["%Y-%m-%d"]), metavar="D", help="The night, YYYY-MM-DD; the latest one if left out.")
_AS_JSON = "pipelines.as_json"


def _remember(context: click.Context, option: click.Parameter, as_json: bool) -> bool:
    context.meta[_AS_JSON] = as_json  # for what is told of an error
    return as_json


json_option = click.option("--json", "as_json", is_flag=True, callback=_remember, help="Print JSON lines, the last one a summary.")


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
            message = "interrupted; nothing is half-published, run it again to go on" if code == INTERRUPTED else str(error)
            if context.meta.get(_AS_JSON):
                click.echo(_line(message_type="summary", error=message, exit_code=code))
            raise Refused(message, code) from None
        finally:
            os.umask(mask)


def code_of(error: BaseException) -> int:
    """The exit code a run ends with that raises this."""
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else _CODES.get(type(error).__name__, BUG)


_CODES = {
    "SettingsError": REFUSED,
    "StateError": REFUSED,
    "CannotWrite": REFUSED,
    "NotThere": REFUSED,
    "NotRecorded": REFUSED,
    "Broken": DEGRADED,
    "NoSuchNight": REFUSED,
    "NoEngine": REFUSED,
    "SourceError": NOTHING,
    "NothingReadable": NOTHING,
    "NothingToPlant": NOTHING,
    "PublicationRefused": NOTHING,
    "EngineLost": NOTHING,
    "Locked": LOCKED,
}


def talk(as_json: bool) -> Callable[[str], None]:
    """What a run is doing, to stderr: JSON lines when asked for, a line that rewrites itself on a terminal, else nothing."""
    if as_json:
        return lambda text: click.echo(_line(message_type="progress", text=text))
    if sys.stderr.isatty():
        return lambda text: click.echo(f"\r\x1b[K{text} …", err=True, nl=False)
    return lambda text: None


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
