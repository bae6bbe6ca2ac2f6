"""The step in which a meter or a series counts."""

import polars as pl

_STEPS = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
AGREE = 0.95  # share of the changes that must be multiples: a meter exchange or two must not hide the step
ENOUGH = 5  # changes; fewer say nothing and the step is 1


def resolution(frame: pl.DataFrame) -> pl.DataFrame:
    """household [, signal], resolution (Int64, base units): the largest of 1, 2, 5 × 10^k that nearly all changes are multiples of.

    frame: rows (with `time`, any kind: the changes between successive rows are looked at) or readings (the known day values;
    days interpolated to midnight no longer show the step, so give the rows of a stamped register).
    It knows what the frame holds: cut it at the night before.
    """
    keys = [name for name in ("household", "signal") if name in frame.columns]
    change = pl.col("value")
    if "time" in frame.columns:
        frame, change = frame.sort(*keys, "time"), change.diff().over(keys).abs()
    elif "quality" in frame.columns:
        frame = frame.filter(pl.col("quality") == "read")
    changes = frame.select(*keys, change=change).filter(pl.col("change") > 0)
    fits = changes.group_by(keys).agg(pl.len().alias("n"), *((pl.col("change") % step == 0).sum().alias(str(step)) for step in _STEPS))
    largest = pl.max_horizontal(pl.when((pl.col(str(s)) >= AGREE * pl.col("n")) & (pl.col("n") >= ENOUGH)).then(s).otherwise(1) for s in _STEPS)
    homes = frame.select(keys).unique()
    found = homes.join(fits.select(*keys, resolution=largest.cast(pl.Int64)), on=keys, how="left")
    return found.with_columns(pl.col("resolution").fill_null(1)).sort(keys)
