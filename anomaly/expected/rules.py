"""Rules of the expectation: `[expected]` of the settings."""

from dataclasses import dataclass

import numpy as np

MODELS = ("usual", "stl")
SHARES = ("vacant_share", "own_spread_share", "coarse_share", "floor_share")
MINIMUMS = {
    "vacancy_days": 1,
    "baseline_days": 14,
    "guard_days": 1,
    "least_days": 3,
    "short_guard_days": 1,
    "short_least_days": 3,
    "peers_min": 2,
    "coarse_days": 1,
}
"""Rules below these leave nothing to judge by, or count days that are not there."""

PAST_LEVEL_DAYS = 336
"""Days of the past year in which a level lived at is looked for: the blocks of `kernels`."""


@dataclass(frozen=True)
class ExpectedRules:
    """How the expectation is made; the defaults are the measured recipe."""

    vacant_share: float = 0.5
    """A day is vacant where every present signal is at most this share of the home's 60 % quantile."""
    vacancy_days: int = 240
    """Days that quantile looks back."""
    baseline_days: int = 84
    """Days the usual level rests on."""
    guard_days: int = 11
    """Days before the night that the baseline leaves out. It is renewed weekly, so up to six more are left
    out: a fortnight on average."""
    least_days: int = 21
    """Days needed for the full baseline."""
    short_guard_days: int = 7
    """The short baseline has a smaller guard …"""
    short_least_days: int = 10
    """… and needs fewer days; the spread then leans on the peers'."""
    peers_min: int = 15
    """With fewer peers there is neither a day factor nor a scaling by peers."""
    own_spread_share: float = 0.7
    """Weight of the home's own variance against its peers'."""
    least_spread: float = 0.1
    """Log units; no home is taken to be more regular than that."""
    coarse_share: float = 0.25
    """A register is coarse where its step exceeds this share of the home's mean day …"""
    coarse_days: int = 7
    """… and is then judged on totals of so many days."""
    floor_share: float = 0.2
    """Usual is at least this share of the peers' median level."""
    past_level: bool = True
    """A level lived at within the past year is not a surge."""
    model: str = "usual"
    """The recipe, or "stl", the textbook's decomposition, to compare with: most other rules do not apply."""

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model = {self.model!r} is not known; choose {' or '.join(MODELS)}")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}; a share lies between 0 and 1")
        for name, minimum in MINIMUMS.items():
            if not getattr(self, name) >= minimum:
                raise ValueError(f"{name} = {getattr(self, name)} is too small; write at least {minimum}")
        for name in ("least_days", "short_least_days"):
            if getattr(self, name) > self.baseline_days:
                days = f"{name} = {getattr(self, name)} exceeds baseline_days = {self.baseline_days}"
                raise ValueError(f"{days} and nothing would be judged; write fewer")

    @property
    def baselines(self) -> np.ndarray:
        """(2, 3) int64: guard days, least days, days between renewals of the full and the short baseline.

        For each day the first of them with enough days is taken.
        """
        return np.array(
            [[self.guard_days, self.least_days, 7], [self.short_guard_days, self.short_least_days, 1]],
            dtype=np.int64,
        )

    @property
    def short_baseline_reach(self) -> int:
        """Days before a day in which the short baseline looks for those it rests on."""
        return self.short_guard_days + 3 * self.baseline_days - 1

    @property
    def reach_days(self) -> int:
        """Number of last days, the day itself included, that what is expected of a day may rest on.

        Of its own readings: those of the baselines, of the vacancy and of the past level.
        """
        lengths = [guard + renewal + 3 * self.baseline_days - 1 for guard, _, renewal in self.baselines]
        vacancy = self.vacancy_days + 7
        past_level = self.guard_days + 6 + PAST_LEVEL_DAYS if self.past_level else 0
        return max(*map(int, lengths), vacancy, past_level)
