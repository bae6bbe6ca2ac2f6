"""Notices of a run's end, given to the owner's own command (`[notify]`).

A notice carries counts only. No home is ever named in it, nor a text that came out of a file.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping

from pipelines.config.settings import Settings

_log = logging.getLogger(__name__)
_IN_ENVIRONMENT = ("event", "exit_code", "site", "night")


def send_notice(settings: Settings, notice: Mapping[str, object], warn: Callable[[str], None]) -> None:
    """Run the command of `[notify]`, if there is one, with the notice as JSON on its standard input.

    No shell is in between. Whatever becomes of the command is only logged and passed to `warn`: the night
    stands as it is.
    """
    command, seconds = settings.notify.command, settings.notify.seconds
    if not command:
        return
    try:
        trouble = _run_command(settings, notice)
    except subprocess.TimeoutExpired:
        trouble = f"did not end within {seconds} seconds and was stopped"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the command
        trouble = f"cannot be run ({getattr(error, 'strerror', None) or error})"
    if trouble:
        _log.warning("notify", extra={"fields": {"what": trouble}})
        warn(f"warning: [notify] {command[0]} {trouble}; the night stands as it is")


def _run_command(settings: Settings, notice: Mapping[str, object]) -> str:
    """Run the command to its end and return what went wrong, empty if nothing did.

    Raises TimeoutExpired where it takes too long, OSError or ValueError where it cannot be run.
    """
    facts = {f"ANOMALY_{name.upper()}": str(notice[name]) for name in _IN_ENVIRONMENT if name in notice}
    process = subprocess.Popen(
        settings.notify.command,
        cwd=settings.root,
        env=os.environ | facts,
        stdin=subprocess.PIPE,
        stdout=2,  # what it prints belongs with the messages, not with the data
        stderr=2,
        start_new_session=True,  # so that whatever it starts can be ended with it
    )
    try:
        line = json.dumps(notice, ensure_ascii=False).encode()
        process.communicate(line, timeout=settings.notify.seconds)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"ended with {process.returncode}" if process.returncode else ""
