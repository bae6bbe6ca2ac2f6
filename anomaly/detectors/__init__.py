"""The register of detectors: each sees one kind of oddness and gives scores, never a threshold.

To add one: a file with a frozen dataclass that is called (`name`, `__call__(expected) -> scores`), a line in
`REGISTER`, rows in tests/test_detectors.py.
"""

from dataclasses import dataclass

from anomaly.detectors.alone import Alone
from anomaly.detectors.forest import Forest
from anomaly.detectors.scores import ALL, Scores
from anomaly.detectors.spike import Spike
from anomaly.detectors.together import Together
from anomaly.detectors.windows import upper_tail_share

REGISTER = {detector.name: detector for detector in (Together, Alone, Spike, Forest)}


@dataclass(frozen=True)
class DetectorRules:
    """Which detectors are asked."""

    use: tuple[str, ...] = tuple(REGISTER)
    second_opinion: tuple[str, ...] = (
        "forest",
    )  # their evidence is written down and opens no case, unless they are asked alone

    def __post_init__(self) -> None:
        if not self.use:
            raise ValueError(f"use is empty and nothing would be judged; choose from {', '.join(REGISTER)}")

    @property
    def second_opinions(self) -> tuple[str, ...]:
        """The second opinions in force: none where there is no first one."""
        return self.second_opinion if set(self.use) - set(self.second_opinion) else ()


def chosen_detectors(rules: DetectorRules = DetectorRules()) -> list:
    """The detectors that are asked, in the register's order; KeyError for a name that is not in it."""
    if unknown := [name for name in rules.use if name not in REGISTER]:
        raise KeyError(f"no detector is called {unknown[0]}; there are {', '.join(REGISTER)}")
    return [detector() for name, detector in REGISTER.items() if name in rules.use]


def preload(rules: DetectorRules = DetectorRules()) -> None:
    """What the detectors that are asked need time for before they see anything (`prepare`, where one has it); may run in a thread."""
    for detector in chosen_detectors(rules):
        getattr(detector, "prepare", lambda: None)()


__all__ = [
    "ALL",
    "DetectorRules",
    "REGISTER",
    "Scores",
    "chosen_detectors",
    "preload",
    "upper_tail_share",
]
