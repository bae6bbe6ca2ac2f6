"""The register of detectors, and the choice among them: `[detectors]` of the settings."""

from dataclasses import dataclass

from anomaly.detectors.alone import Alone
from anomaly.detectors.forest import Forest
from anomaly.detectors.scores import Detector
from anomaly.detectors.spike import Spike
from anomaly.detectors.together import Together

DETECTORS: tuple[type[Detector], ...] = (
    Together,
    Alone,
    Spike,
    Forest,
)
"""Every detector there is, in the order they are asked: a new one gets a line here."""

REGISTER: dict[str, type[Detector]] = {detector.name: detector for detector in DETECTORS}


@dataclass(frozen=True)
class DetectorRules:
    """Which detectors are asked."""

    use: tuple[str, ...] = tuple(REGISTER)
    second_opinion: tuple[str, ...] = ("forest",)
    """Detectors whose evidence is written down and opens no case, unless they are asked alone."""

    def __post_init__(self) -> None:
        if not self.use:
            raise ValueError(f"use is empty and nothing would be judged; choose from {', '.join(REGISTER)}")

    @property
    def second_opinions(self) -> tuple[str, ...]:
        """The second opinions in force: none where there is no first one."""
        return self.second_opinion if set(self.use) - set(self.second_opinion) else ()


def chosen_detectors(rules: DetectorRules = DetectorRules()) -> list[Detector]:
    """Return the detectors that are asked, in the register's order; KeyError for a name that is not in it."""
    if unknown := [name for name in rules.use if name not in REGISTER]:
        raise KeyError(f"no detector is called {unknown[0]}; there are {', '.join(REGISTER)}")
    return [detector() for name, detector in REGISTER.items() if name in rules.use]


def preload(rules: DetectorRules = DetectorRules()) -> None:
    """Import what the chosen detectors need (their `preload`, where one has it); may run in a thread."""
    for detector in chosen_detectors(rules):
        getattr(detector, "preload", lambda: None)()
