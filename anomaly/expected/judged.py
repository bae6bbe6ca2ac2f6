"""Which signals of which homes a night can judge, and why not the others."""

import numpy as np
import polars as pl

from anomaly.expected.model import Expected, ExpectedRules

RECENT_DAYS = 7


def judged(expected: Expected, night: int) -> np.ndarray:
    """(S, H) bool: at least half of the last seven days, as known on the night, have an expectation and a value."""
    grid = expected.grid
    days = np.arange(max(0, night - RECENT_DAYS + 1), night + 1)
    known = ~np.isnan(expected.surprise[:, :, days]) & (grid.lag[:, :, days] + days <= night)
    return 2 * known.sum(axis=2) >= RECENT_DAYS


def not_judged(expected: Expected, night: int, rules: ExpectedRules) -> pl.DataFrame:
    """household, signal, reason of every signal with any history that this night cannot judge."""
    grid = expected.grid
    days = np.arange(night + 1)
    known = ~np.isnan(grid.value[:, :, : night + 1]) & (grid.lag[:, :, : night + 1] + days <= night)
    history, recent = known.sum(axis=2), known[:, :, -RECENT_DAYS:].sum(axis=2)
    rows = []
    for s, h in zip(*np.nonzero(~judged(expected, night)), strict=True):
        if history[s, h] == 0:
            reason = "no whole day yet"
        elif 2 * recent[s, h] < RECENT_DAYS:
            reason = f"{recent[s, h]} whole days in the last {RECENT_DAYS}, half are needed"
        else:
            reason = f"history of {history[s, h]} whole days, {rules.days_needed} older ones are needed"
        rows.append((grid.households[h], grid.signals[s], reason))
    return pl.DataFrame(rows, schema={"household": pl.String, "signal": pl.String, "reason": pl.String}, orient="row")


def expected_frame(expected: Expected, night: int, homes: np.ndarray, days: int) -> pl.DataFrame:
    """tables.Expected without the night column: the last `days` days of those homes, as the night saw them."""
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
    return frame.with_columns(pl.col("value").cast(pl.Int64), pl.col("expected", "low", "high").round(2), pl.col("surprise").round(4)).sort(
        "household", "signal", "day"
    )
