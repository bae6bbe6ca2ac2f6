"""Detectors: each sees one kind of oddness and gives scores, never a threshold.

To add a detector:

1. a file in this folder with a frozen dataclass that is called: it has a `name`, takes
   `anomaly.expected.Expectation` and the peers' statistics, and returns a list of `Scores` (`scores.Detector`
   says what is promised, `together.py` is the shortest example, `windows.py` has the steps they share);
2. its class in `DETECTORS` in `register.py`;
3. rows in a test of its own, tests/unit/anomaly/detectors/test_<name>.py: what it must find, and what it must
   not. `test_conformance.py` there runs over every registered detector by itself.

Its scores get their rarity from the site's own past (`anomaly.evidence`), and that decides what becomes a
case. Tests name the texts that then lack it: `use` in `pipelines/config/reference.toml`, `[detectors]` in
every file of `anomaly/locale/`, the table of `anomaly/README.md`. What no test can know: the `share` of its
scores, as each new one lowers the rarities of the others of its signal; whether it is only a second opinion
(`DetectorRules`); and its line in `tests/benchmarks/ours.py`, where the benchmark asks it.
"""

from anomaly.detectors.register import REGISTER, DetectorRules, chosen_detectors, preload
from anomaly.detectors.scores import ALL, Detector, Scores
from anomaly.detectors.windows import upper_tail_share

__all__ = [
    "ALL",
    "REGISTER",
    "Detector",
    "DetectorRules",
    "Scores",
    "chosen_detectors",
    "preload",
    "upper_tail_share",
]
