"""The errors a run can end with, each with the exit code that the command line gives it.

Every message is one line: what is wrong, where, and what to do next. Anything that is not an AnomalyError is
a bug.
"""

import enum
from pathlib import PurePath
from typing import ClassVar

from anomaly.messages import printable


class ExitCode(enum.IntEnum):
    """The exit codes of every command; pipelines/README.md says what to do about each."""

    DONE = 0
    BUG = 1
    REFUSED = 2
    DEGRADED = 3
    NOTHING_READABLE = 4
    LOCKED = 11
    INTERRUPTED = 130


class AnomalyError(Exception):
    """An end of a run that a user can do something about."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG


class SettingsError(AnomalyError):
    """The settings cannot be used, or the purpose is not in force."""

    exit_code = ExitCode.REFUSED

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # a name in the file may hold a line break


class SourceError(AnomalyError):
    """A source that cannot be read. Fields: source, file, remedy, kept.

    The message may quote cells, headers and paths, so that the reader can mend the file: it is for the
    terminal alone. `kept` says the same without them, for tables, journals, logs and pages. It names the file
    without its folders; `kept_what` and `kept_remedy` are given where `what` and `remedy` quote.
    """

    exit_code = ExitCode.NOTHING_READABLE

    def __init__(
        self,
        source: str,
        file: str,
        what: str,
        remedy: str,
        kept_what: str | None = None,
        kept_remedy: str | None = None,
    ):
        self.source, self.file, self.remedy = source, file, remedy
        self.kept = _one_line(
            f"[{source}] {PurePath(file).name} {kept_what or what}: {kept_remedy or remedy}"
        )
        super().__init__(_one_line(f"[{source}] {file} {what}: {remedy}"))


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


class NothingReadable(AnomalyError):
    """No source gave anything to judge."""

    exit_code = ExitCode.NOTHING_READABLE


class NothingToPlant(AnomalyError):
    """The site has no readings that `anomaly evaluate` could plant surges into."""

    exit_code = ExitCode.NOTHING_READABLE


class NoSuchNight(AnomalyError):
    """A night was asked for on which no reading can say anything."""

    exit_code = ExitCode.REFUSED


class StateError(AnomalyError):
    """The state folder cannot be used."""

    exit_code = ExitCode.REFUSED


class StateDamaged(StateError):
    """A file of the state is not what was written."""

    exit_code = ExitCode.NOTHING_READABLE


class StoreLocked(AnomalyError):
    """Another run holds the lock."""

    exit_code = ExitCode.LOCKED


class NotFound(AnomalyError):
    """What was asked for is neither published nor stored."""

    exit_code = ExitCode.REFUSED


class NotRecorded(AnomalyError):
    """An outcome, an assignment or a reveal that cannot be recorded."""

    exit_code = ExitCode.REFUSED


class PruneRefused(AnomalyError):
    """A prune by a clock that may be wrong, or one that would leave nothing of the site."""

    exit_code = ExitCode.REFUSED


class NotReported(AnomalyError):
    """The file is published and the pages are not."""

    exit_code = ExitCode.REFUSED


class WorkerFailed(AnomalyError):
    """A worker process ended, or could not do its part of the work."""

    exit_code = ExitCode.REFUSED


class NoCacheFolder(AnomalyError):
    """There is no folder in which compiled code could be kept."""

    exit_code = ExitCode.REFUSED


class PublicationRefused(AnomalyError):
    """The draft did not pass its checks; the published file stands as it was."""

    exit_code = ExitCode.NOTHING_READABLE


class AuditLogBroken(AnomalyError):
    """The audit log is not what was written; the message says where."""

    exit_code = ExitCode.DEGRADED


class FolderNotFree(AnomalyError):
    """A folder that a new city or site would overwrite."""

    exit_code = ExitCode.REFUSED


class EngineUnavailable(AnomalyError):
    """The engine asked for cannot be had; nothing has been done yet."""

    exit_code = ExitCode.REFUSED


class EngineLost(AnomalyError):
    """The engine broke down at work."""

    exit_code = ExitCode.NOTHING_READABLE
