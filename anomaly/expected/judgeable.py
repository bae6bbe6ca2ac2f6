"""Tell which signals of which homes a night can judge, and why not the others."""

import numpy as np
import polars as pl

from anomaly.expected.expectation import Expectation
from anomaly.expected.rules import ExpectedRules

RECENT_DAYS = 7


def judgeable_signals(expected: Expectation, night: int) -> np.ndarray:
    """Return (S, H) bool: at least half of the last seven days, as the night knew them, were judged.

    night: day index. A day is judged where it has an expectation and a value.
    """
    grid = expected.grid
    days = np.arange(max(0, night - RECENT_DAYS + 1), night + 1)
    known = ~np.isnan(expected.surprise[:, :, days]) & (grid.lag[:, :, days] + days <= night)
    return 2 * known.sum(axis=2) >= RECENT_DAYS


def not_judged_frame(expected: Expectation, night: int, rules: ExpectedRules) -> pl.DataFrame:
    """Return household, signal, reason of every signal that this night (day index) cannot judge."""
    grid = expected.grid
    s, h = np.nonzero(~judgeable_signals(expected, night))
    counts = pl.DataFrame(
        {
            "household": np.array(grid.households, dtype=object)[h],
            "signal": np.array(grid.signals, dtype=object)[s],
            **_count_days(expected, night, rules, s, h),
        },
        schema_overrides={"household": pl.String, "signal": pl.String},
    )
    return counts.select("household", "signal", reason=_reason(rules))


def _count_days(
    expected: Expectation, night: int, rules: ExpectedRules, s: np.ndarray, h: np.ndarray
) -> dict[str, np.ndarray]:
    """Count the days of each pair of signal s and home h (both (N,)), as the night knows them.

    whole: ever. recent: of the last seven. old, occupied: where the short baseline looks. with_expectation:
    recent ones that have one. judged: of these, those with a surprise.
    """
    recent = slice(max(0, night - RECENT_DAYS + 1), night + 1)
    old = slice(max(0, night - rules.short_baseline_reach), max(0, night + 1 - rules.short_guard_days))
    lag = expected.grid.lag[s, h, : night + 1]
    whole = ~np.isnan(expected.grid.value[s, h, : night + 1]) & (lag + np.arange(night + 1) <= night)
    timely = whole & (lag < rules.short_guard_days)
    with_expectation = whole[:, recent] & ~np.isnan(expected.expected[s, h, recent])
    return {
        "whole": whole.sum(axis=1),
        "recent": whole[:, recent].sum(axis=1),
        "old": timely[:, old].sum(axis=1),
        "occupied": (timely & ~expected.vacant[h, : night + 1])[:, old].sum(axis=1),
        "with_expectation": with_expectation.sum(axis=1),
        "judged": (with_expectation & ~np.isnan(expected.surprise[s, h, recent])).sum(axis=1),
    }


def _reason(rules: ExpectedRules) -> pl.Expr:
    """Return, in words, the first condition of `judgeable_signals` that does not hold.

    Each sentence is also a key of anomaly/locale.
    """
    least = rules.short_least_days
    between = (
        f"between {rules.short_guard_days} and {rules.short_baseline_reach} days old, {least} are needed"
    )
    few = 2 * pl.col("with_expectation") < RECENT_DAYS
    of_last = pl.lit(RECENT_DAYS)
    return (
        pl.when(pl.col("whole") == 0)
        .then(pl.lit("no whole day yet"))
        .when(2 * pl.col("recent") < RECENT_DAYS)
        .then(pl.format("{} whole days in the last {}, half are needed", "recent", of_last))
        .when(few & (pl.col("old") < least))
        .then(pl.format("{} whole days {}", "old", pl.lit(between)))
        .when(few & (pl.col("occupied") < least))
        .then(pl.format("{} occupied days {}", "occupied", pl.lit(between)))
        .when(few)
        .then(
            pl.format(
                "{} of the last {} days are whole and have enough history, half are needed",
                "with_expectation",
                of_last,
            )
        )
        .otherwise(
            pl.format(
                "coarse register: {} of the last {} days end a week without a gap, half are needed",
                "judged",
                of_last,
            )
        )
    )
