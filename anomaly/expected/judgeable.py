"""Which signals of which homes a night can judge, and why not the others."""

import numpy as np
import polars as pl

from anomaly.expected.expectation import Expected
from anomaly.expected.rules import ExpectedRules

RECENT_DAYS = 7


def judgeable_signals(expected: Expected, night: int) -> np.ndarray:
    """(S, H) bool: at least half of the last seven days, as known on the night, have an expectation and a value."""
    grid = expected.grid
    days = np.arange(max(0, night - RECENT_DAYS + 1), night + 1)
    known = ~np.isnan(expected.surprise[:, :, days]) & (grid.lag[:, :, days] + days <= night)
    return 2 * known.sum(axis=2) >= RECENT_DAYS


def not_judged_frame(expected: Expected, night: int, rules: ExpectedRules) -> pl.DataFrame:
    """household, signal, reason of every signal that this night cannot judge."""
    grid = expected.grid
    s, h = np.nonzero(~judgeable_signals(expected, night))
    counts = pl.DataFrame(
        {
            "household": np.array(grid.households, dtype=object)[h],
            "signal": np.array(grid.signals, dtype=object)[s],
            **_counts(expected, night, rules, (s, h)),
        },
        schema_overrides={"household": pl.String, "signal": pl.String},
    )
    return counts.select("household", "signal", reason=_reason(rules))


def _counts(
    expected: Expected, night: int, rules: ExpectedRules, pairs: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Days of each (signal, household) pair, as the night knows them: `whole` ever, `recent` of the last seven, `old` and
    `occupied` where the short rung of the ladder looks, `based` recent ones with an expectation, `spanned` ones judged.
    """
    s, h = pairs
    recent, old = (
        slice(max(0, night - RECENT_DAYS + 1), night + 1),
        slice(max(0, night - rules.lookback_days), max(0, night + 1 - rules.short_guard_days)),
    )
    lag = expected.grid.lag[s, h, : night + 1]
    whole = ~np.isnan(expected.grid.value[s, h, : night + 1]) & (lag + np.arange(night + 1) <= night)
    timely = whole & (lag < rules.short_guard_days)
    based = whole[:, recent] & ~np.isnan(expected.expected[s, h, recent])
    return {
        "whole": whole.sum(axis=1),
        "recent": whole[:, recent].sum(axis=1),
        "old": timely[:, old].sum(axis=1),
        "occupied": (timely & ~expected.vacant[h, : night + 1])[:, old].sum(axis=1),
        "based": based.sum(axis=1),
        "spanned": (based & ~np.isnan(expected.surprise[s, h, recent])).sum(axis=1),
    }


def _reason(rules: ExpectedRules) -> pl.Expr:
    """The first of the conditions of `judged` that does not hold, in words (each is also a key of anomaly/locale)."""
    least, span = (
        rules.short_least_days,
        f"between {rules.short_guard_days} and {rules.lookback_days} days old, {rules.short_least_days} are needed",
    )
    few = 2 * pl.col("based") < RECENT_DAYS
    return (
        pl.when(pl.col("whole") == 0)
        .then(pl.lit("no whole day yet"))
        .when(2 * pl.col("recent") < RECENT_DAYS)
        .then(pl.format("{} whole days in the last {}, half are needed", "recent", pl.lit(RECENT_DAYS)))
        .when(few & (pl.col("old") < least))
        .then(pl.format("{} whole days {}", "old", pl.lit(span)))
        .when(few & (pl.col("occupied") < least))
        .then(pl.format("{} occupied days {}", "occupied", pl.lit(span)))
        .when(few)
        .then(
            pl.format(
                "{} of the last {} days are whole and have enough history, half are needed",
                "based",
                pl.lit(RECENT_DAYS),
            )
        )
        .otherwise(
            pl.format(
                "coarse register: {} of the last {} days end a week without a gap, half are needed",
                "spanned",
                pl.lit(RECENT_DAYS),
            )
        )
    )


def expected_frame(expected: Expected, night: int, homes: np.ndarray, days: int) -> pl.DataFrame:
    """tables.ExpectedDays without night and unit: the last `days` days of those homes, as the night saw them."""
    grid = expected.grid
    first = max(0, night - days + 1)
    at = np.arange(first, night + 1)
    box = np.ix_(range(len(grid.signals)), homes, at)
    known = ~np.isnan(expected.expected[box])
    s, h, d = np.nonzero(known)
    value = np.where(grid.lag[box] + at <= night, grid.value[box], np.nan)[known]
    surprise = np.where(np.isnan(value), np.nan, expected.surprise[box][known])
    frame = pl.DataFrame(
        {
            "household": np.array(grid.households, dtype=object)[homes][h] if len(homes) else [],
            "signal": np.array(grid.signals, dtype=object)[s] if len(grid.signals) else [],
            "day": (at[d] + grid.ordinal).astype("datetime64[D]"),
            "value": value,
            "expected": expected.expected[box][known],
            "low": expected.low[box][known],
            "high": expected.high[box][known],
            "surprise": surprise,
        },
        schema_overrides={"household": pl.String, "signal": pl.String, "day": pl.Date},
        nan_to_null=True,
    )
    return frame.with_columns(
        pl.col("value").cast(pl.Int64),
        pl.col("expected", "low", "high").round(2),
        pl.col("surprise").round(4),
    ).sort("household", "signal", "day")
