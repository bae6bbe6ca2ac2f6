"""What every command shares: exit codes, options, and how it talks."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from anomaly.words import printable

DONE, BUG, REFUSED, DEGRADED, NOTHING, LOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 11, 130

settings_option = click.option("--settings", "settings_path", type=click.Path(path_type=Path), required=True, metavar="S", help="The settings file.")
night_option = click.option("--night", type=click.DateTime(["%Y-%m-%d"]), metavar="D", help="The night, YYYY-MM-DD; the latest one if left out.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the last one a summary.")


class Refused(click.ClickException):
    """A run that cannot go on; the message is one line."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(printable(" ".join(message.split())))
        self.exit_code = exit_code


class Commands(click.Group):
    """Turns the flow's own errors into one line and an exit code."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise Refused("interrupted; nothing is half-published, run it again to go on", INTERRUPTED) from None
        except Exception as error:
            code = _codes().get(type(error).__name__)
            if code is None:
                raise
            raise Refused(str(error), code) from None


def _codes() -> dict[str, int]:
    return {
        "SettingsError": REFUSED,
        "StateError": REFUSED,
        "CannotWrite": REFUSED,
        "NotThere": REFUSED,
        "NotRecorded": REFUSED,
        "Broken": DEGRADED,
        "NoSuchNight": REFUSED,
        "SourceError": NOTHING,
        "NothingReadable": NOTHING,
        "NothingToPlant": NOTHING,
        "PublicationRefused": NOTHING,
        "Locked": LOCKED,
    }


def talk(as_json: bool) -> Callable[[str], None]:
    """What a run is doing, to stderr: JSON lines when asked for, a line that rewrites itself on a terminal, else nothing."""
    if as_json:
        return lambda text: click.echo(json.dumps({"message_type": "progress", "text": text}, ensure_ascii=False))
    if sys.stderr.isatty():
        return lambda text: click.echo(f"\r\x1b[K{text} …", err=True, nl=False)
    return lambda text: None


def emit(as_json: bool, lines: list[str], **summary) -> None:
    """The end of a run: the lines for people to stderr, or the summary as a JSON line."""
    if as_json:
        click.echo(json.dumps({"message_type": "summary", **summary}, ensure_ascii=False, default=str))
        return
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    for line in lines:
        click.echo(line, err=True)
