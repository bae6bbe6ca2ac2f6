"""Surges planted into a copy of a site's own readings, and the score card of what was found of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt

import numpy as np
import polars as pl

# How use follows people: doors one to one, water with exponent .7 (2 to 4 residents are only ×1.5), power with about .5.
EXPONENTS = {"count": 1.0, "litre": 0.7, "Wh": 0.5}
STEPS = (1000, 100, 10)  # base units; a series moves in one of these steps if nearly all its values do
STEP_SHARE = 0.95
GRACE_DAYS = 7  # a case opened so soon after a surge was still opened by it: windows reach back
WILSON_Z = 1.96  # 95 %
TRUTH_SCHEMA = {"household": pl.String, "size": pl.Float64, "first": pl.Date, "last": pl.Date}


@dataclass(frozen=True)
class Plan:
    """What to plant. Sizes are people over people before; days and shares as (lowest, highest) and of 1."""

    sizes: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0)
    days: tuple[int, int] = (10, 40)
    share: float = 0.3  # of the homes that could be judged; more, and the peers themselves are no longer ordinary
    history: int = 42  # days with a value a home must have before its surge


def plant(readings: pl.DataFrame, nights: tuple[date, date], seed: int, plan: Plan = Plan()) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Readings with surges in them, and the truth: `household, size, first, last`, at most one surge a home.

    `readings` are those of `tables.Readings`, further columns pass through; the result is sorted by household, signal and
    day. Each surge lies wholly within the nights (first, last) to be judged, shortened where they are fewer. All signals of
    a home rise together, by size to the power of `EXPONENTS` of their unit; the only signal of a home rises by the size
    itself. Values stay whole multiples of the step their series moves in, with the remainder carried to the next day.
    """
    rng = np.random.default_rng(seed)
    readings = readings.sort("household", "signal", "day")
    span = (nights[1] - nights[0]).days + 1
    known = readings.filter(pl.col("value").is_not_null())
    before = known.filter(pl.col("day") < nights[0]).group_by("household").agg(pl.col("day").n_unique().alias("days"))
    within = known.filter(pl.col("day").is_between(*nights)).select("household").unique()
    fit = before.filter(pl.col("days") >= plan.history).join(within, on="household", how="semi")["household"].sort()
    chosen = rng.permutation(len(fit))[: round(plan.share * len(fit))]
    rows = []
    for number, home in enumerate(chosen):
        length = min(int(rng.integers(plan.days[0], plan.days[1] + 1)), span)
        first = nights[0] + timedelta(days=int(rng.integers(0, span - length + 1)))
        rows.append((fit[int(home)], plan.sizes[number % len(plan.sizes)], first, first + timedelta(days=length - 1)))
    truth = pl.DataFrame(rows, schema=TRUTH_SCHEMA, orient="row").sort("household")
    return _raise(readings, truth), truth


def _raise(readings: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The readings with every surge of the truth in them; nulls stay null, rows outside the surges stay as they are."""
    series = ["household", "signal"]
    value = pl.col("value")
    surge = value.is_not_null() & pl.col("day").is_between("first", "last")
    step = pl.lit(1)
    for one in reversed(STEPS):
        multiples = (value % one == 0).mean().over(series)
        step = pl.when(multiples >= STEP_SHARE).then(one).otherwise(step)
    alone = pl.col("signal").filter(value.is_not_null()).n_unique().over("household") == 1
    exponent = pl.when(alone).then(1.0).otherwise(pl.col("unit").replace_strict(EXPONENTS, default=1.0, return_dtype=pl.Float64))
    raised = pl.when(surge).then(value * pl.col("size") ** exponent)
    total = pl.col("raised").cum_sum().over(series)
    carried = ((total / pl.col("step")).round() - ((total - pl.col("raised")) / pl.col("step")).round()) * pl.col("step")
    return (
        readings.join(truth, on="household", how="left", maintain_order="left")
        .with_columns(step=step, raised=raised)
        .with_columns(pl.when(pl.col("raised").is_not_null()).then(carried.cast(pl.Int64)).otherwise(value).alias("value"))
        .select(readings.columns)
    )


def score_card(cases: pl.DataFrame, truth: pl.DataFrame, home_nights: int) -> pl.DataFrame:
    """One row per planted size, or one with size null where nothing was planted.

    `cases`: `household, opened, last_seen` at least, dates; `truth`: `household, size, first, last`. Columns: `size`,
    `planted`, `found` (a case of the home was opened during the surge or up to 7 days after it), `share` with its Wilson
    interval `low` to `high` (95 %), `median_delay` (days from the first day of a found surge to the opening of its first
    case), `wrong_cases` (running during no planted surge) and `wrong_doors` (those per 1,000 homes and 30 days; the same
    in every row). A true surge of the site itself counts as wrong here, so `wrong_doors` is an upper bound.
    """
    if home_nights <= 0:
        raise ValueError(f"evaluate: {home_nights} home-nights were judged; a score card needs at least one")
    until = pl.col("last") + pl.duration(days=GRACE_DAYS)
    pairs = cases.join(truth, on="household", how="inner")
    found = (
        pairs.filter(pl.col("opened").is_between("first", until))
        .group_by("household", "first")
        .agg(((pl.col("opened") - pl.col("first")).dt.total_days().min()).alias("delay"))
    )
    met = pairs.filter((pl.col("opened") <= until) & (pl.col("last_seen") >= pl.col("first")))
    wrong = cases.join(met.select("household", "opened").unique(), on=["household", "opened"], how="anti").height
    card = (
        truth.join(found, on=["household", "first"], how="left")
        .group_by("size")
        .agg(pl.len().alias("planted"), pl.col("delay").count().alias("found"), pl.col("delay").median().alias("median_delay"))
        .sort("size")
    )
    rows = [(r["size"], r["planted"], r["found"], *wilson(r["found"], r["planted"]), r["median_delay"]) for r in card.iter_rows(named=True)]
    names = ("size", "planted", "found", "share", "low", "high", "median_delay")
    types = (pl.Float64, pl.Int64, pl.Int64, pl.Float64, pl.Float64, pl.Float64, pl.Float64)
    rows = rows or [(None, 0, 0, None, None, None, None)]
    out = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    return out.with_columns(wrong_cases=pl.lit(wrong, pl.Int64), wrong_doors=pl.lit(wrong / home_nights * 30_000.0))


def wilson(found: int, tried: int) -> tuple[float, float, float]:
    """Share and its 95 % interval (Wilson 1927): honest at 0 and 1 and for few trials. `tried` must be positive."""
    share, z2 = found / tried, WILSON_Z**2 / tried
    middle = (share + z2 / 2) / (1 + z2)
    half = WILSON_Z * sqrt(share * (1 - share) / tried + z2 / (4 * tried)) / (1 + z2)
    return share, max(0.0, middle - half), min(1.0, middle + half)


def evaluate(
    readings: pl.DataFrame,
    judge: Callable[[pl.DataFrame], pl.DataFrame],
    nights: tuple[date, date],
    seed: int = 1,
    plan: Plan = Plan(),
) -> pl.DataFrame:
    """The score card of a judge on a site's own data: `judge` takes readings and gives the cases of the nights, both included."""
    planted, truth = plant(readings, nights, seed, plan)
    home_nights = readings["household"].n_unique() * ((nights[1] - nights[0]).days + 1)
    return score_card(judge(planted), truth, home_nights)
