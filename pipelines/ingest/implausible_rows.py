"""Refuse files whose rows are readable and cannot be what the settings say they are.

A register falls when a meter is exchanged, not day after day; a row of a use that comes once a week does not
hold the use of the day it names. Some homes of a file tell that, so that a large one costs no more than a
small one.
"""

import polars as pl

from anomaly.readings import SignalRule
from anomaly.readings.timestamps import DAY
from pipelines.config.sections import Source
from pipelines.ingest.text_table import MalformedFile

SAMPLE_ROWS = 1_000
SAMPLE_HOMES = 50
"""So many of the homes that the first rows name are looked at."""
LEAST_DAYS = 8
"""Steps from day to day before a file says that a register falls."""
FALLING_SHARE = 0.25
"""Of the days: registers that fall on more are none. One that shows each day's use falls on about half."""
FALL = 0.99
LEAST_HOMES = 3
"""Of a file, before their use says that its unit is another."""
LEAST_ROWS = 4
"""Of a home, before the days between them are believed."""


def refuse_implausible_rows(rows: pl.DataFrame, rule: SignalRule, source: Source) -> None:
    """Raise MalformedFile where a file's rows are no cumulative register, or hold several days each."""
    if rows.height < LEAST_ROWS:
        return
    homes = rows["household"].head(SAMPLE_ROWS).unique(maintain_order=True).head(SAMPLE_HOMES)
    sample = rows.filter(pl.col("household").is_in(homes.implode()))
    _refuse_days_beyond_the_cap(sample, rule, source)
    if rule.kind == "register" and not rule.restarts:
        _refuse_falling_register(sample, source)
    elif rule.kind != "register":
        _refuse_rows_of_several_days(sample, source)


def _refuse_days_beyond_the_cap(sample: pl.DataFrame, rule: SignalRule, source: Source) -> None:
    """Refuse a file of which most homes use more in a day than any can: its unit is another."""
    if rule.kind != "usage" or rule.day_cap is None:
        return
    days = sample.group_by("household", pl.col("time").dt.date()).agg(pl.col("value").sum())
    typical = days["value"].median()
    homes = days["household"].n_unique()
    if homes < LEAST_HOMES or not isinstance(typical, float) or typical <= rule.day_cap:
        return
    smaller = {"kwh": "Wh", "mwh": "kWh", "m3": "litre", "kw": "W"}.get(rule.unit.lower())
    unit = f'unit = "{smaller}"' if smaller else "unit"
    raise MalformedFile(
        f"has homes that use {typical:,.0f} {rule.base} on an ordinary day, "
        f"where no home uses more than {rule.day_cap:,}",
        f"set {unit} in [signals.{source.name}], or max_per_day where that is so",
        kept_problem="has days most of which are more than any home uses",
    )


def _refuse_falling_register(sample: pl.DataFrame, source: Source) -> None:
    series = ["household", *(name for name in ("meter",) if name in sample.columns)]
    rows = sample.sort(*series, "time").with_columns(
        day=pl.col("time").dt.epoch("us") // DAY,
        falls=pl.col("value") < FALL * pl.col("value").shift().over(series),
    )
    days = rows.group_by(*series, "day", maintain_order=True).agg(pl.col("falls").any())
    steps = days.height - days.select(series).n_unique()
    falling = days["falls"].sum()
    if steps < LEAST_DAYS or falling <= FALLING_SHARE * steps:
        return
    is_dated = bool(sample["dated"].all())
    section = f"[signals.{source.name}]"
    remedy = 'kind = "usage"' if is_dated else 'restarts = "daily", where it begins anew each day,'
    problem = f"falls back on {falling} of {steps} days of a home: it is no cumulative register"
    raise MalformedFile(problem, f"set {remedy} in {section}")


def _refuse_rows_of_several_days(sample: pl.DataFrame, source: Source) -> None:
    dated = sample.filter("dated").sort("household", "time")
    step = (pl.col("time") - pl.col("time").shift()).over("household").dt.total_days()
    steps = dated.select("household", step=step).filter(pl.col("step") > 0)
    homes = steps.group_by("household").agg(
        pl.col("step").min().alias("least"), usual=pl.col("step").median(), n=pl.len()
    )
    homes = homes.filter(pl.col("n") >= LEAST_ROWS - 1)
    wide = homes.filter((pl.col("least") > 1) & (pl.col("usual") > 1))
    if homes.is_empty() or 2 * wide.height <= homes.height:
        return
    days = wide.select(pl.col("usual").median()).item()
    raise MalformedFile(
        f"has rows {days:.0f} days apart: what a home uses in {days:.0f} days is no day's use",
        f'export a row a day; where the values are what a meter shows, set kind = "register" '
        f"in [signals.{source.name}]",
    )
