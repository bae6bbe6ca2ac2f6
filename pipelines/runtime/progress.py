"""Progress of a run, as events that a terminal, a log and a program can each show."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A step of a run that has begun or got further."""

    step: str
    """What is being done, such as "judging 2026-08-31"; the same words for the same step."""
    done: int | None = None
    """How much of it is done, where that can be counted."""
    total: int | None = None
    unit: str = ""
    """What is counted, such as "homes"."""
    text: str = ""
    """The event for people; made from the other fields if left out."""

    def __post_init__(self) -> None:
        if not self.text:
            counted = "" if self.total is None else f": {self.done:,} of {self.total:,} {self.unit}"
            object.__setattr__(self, "text", self.step + counted)


ReportProgress = Callable[[Progress], None]
"""The parameter `progress` of everything that takes long: called with each event."""


def no_progress(event: Progress) -> None:
    """Show nothing."""
