"""Surges planted into copies of a site's own readings, and what was found of them: how much, how soon, at how many wrong doors."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from math import sqrt

import numpy as np
import polars as pl

from anomaly.intervals import NORMAL_95, wilson

# How use follows people: doors one to one, water with exponent .7 (2 to 4 residents are only ×1.5), power with about .5.
EXPONENTS = {"count": 1.0, "litre": 0.7, "Wh": 0.5}
STEPS = (1000, 100, 10)  # base units; a series moves in one of these steps if nearly all its values do
STEP_SHARE = 0.95
RAMP_DAYS = (2, 7)
SPIKE_DAYS = 3
QUIET_NIGHTS = 14  # an alarm is a crossing after so many nights below
GRACE_DAYS = 7  # an alarm so soon after a surge was still raised by it: windows reach back
UNIT = 30_000.0  # household-nights of 1,000 homes and 30 days
LEAST_HOMES = 15  # of a group that is told about
TRUTH_SCHEMA = {
    "household": pl.String,
    "size": pl.Float64,
    "shape": pl.String,
    "ramp": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
}


@dataclass(frozen=True)
class Plan:
    """What to plant. Sizes are people over people before; days as (lowest, highest); shares of 1.

    A `step` is there at once, a `ramp` grows over 2 to 7 days, a `spike` is a step of 3 days, whatever `days` says. A
    shape named twice is planted twice as often.
    """

    sizes: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0)
    shapes: tuple[str, ...] = ("step", "step", "ramp", "ramp", "spike")
    days: tuple[int, int] = (10, 40)
    share: float = (
        0.05  # of the homes that could be judged; many more, and the peers themselves are no longer ordinary
    )
    history: int = 42  # days with a value a home must have before its surge


def plant(
    readings: pl.DataFrame, nights: tuple[date, date], seed: int, plan: Plan = Plan()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Readings with surges in them, and the truth: `household, size, shape, ramp, first, last`, at most one surge a home.

    `readings` are those of `tables.Readings`, further columns pass through; the result is sorted by household, signal and
    day. Each surge lies wholly within the nights (first, last) to be judged, shortened where they are fewer; it is at full
    size from its day `ramp` on. All signals of a home rise together, by size to the power of `EXPONENTS` of their unit; the
    only signal of a home rises by the size itself. Values stay whole multiples of the step their series moves in, with the
    remainder carried to the next day.
    """
    rng = np.random.default_rng(seed)
    readings = readings.sort("household", "signal", "day")
    span = (nights[1] - nights[0]).days + 1
    known = readings.filter(pl.col("value").is_not_null())
    before = (
        known.filter(pl.col("day") < nights[0])
        .group_by("household")
        .agg(pl.col("day").n_unique().alias("days"))
    )
    within = known.filter(pl.col("day").is_between(*nights)).select("household").unique()
    fit = (
        before.filter(pl.col("days") >= plan.history)
        .join(within, on="household", how="semi")["household"]
        .sort()
    )
    chosen = rng.permutation(len(fit))[: min(len(fit), max(1, round(plan.share * len(fit))))]
    kinds = list(product(plan.sizes, plan.shapes))
    turns = rng.permutation(len(kinds))  # every kind has its turn before one has its second
    rows = []
    for number, home in enumerate(chosen):
        size, shape = kinds[turns[number % len(kinds)]]
        length = min(
            SPIKE_DAYS if shape == "spike" else int(rng.integers(plan.days[0], plan.days[1] + 1)), span
        )
        ramp = int(rng.integers(RAMP_DAYS[0], RAMP_DAYS[1] + 1)) if shape == "ramp" else 1
        first = nights[0] + timedelta(days=int(rng.integers(0, span - length + 1)))
        rows.append((fit[int(home)], size, shape, ramp, first, first + timedelta(days=length - 1)))
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
    exponent = (
        pl.when(alone)
        .then(1.0)
        .otherwise(pl.col("unit").replace_strict(EXPONENTS, default=1.0, return_dtype=pl.Float64))
    )
    grown = (((pl.col("day") - pl.col("first")).dt.total_days() + 1) / pl.col("ramp")).clip(upper_bound=1.0)
    size = 1.0 + (pl.col("size") - 1.0) * grown
    raised = pl.when(surge).then(value * size**exponent)
    total = pl.col("raised").cum_sum().over(series)
    carried = (
        (total / pl.col("step")).round() - ((total - pl.col("raised")) / pl.col("step")).round()
    ) * pl.col("step")
    return (
        readings.join(truth, on="household", how="left", maintain_order="left")
        .with_columns(step=step, raised=raised)
        .with_columns(
            pl.when(pl.col("raised").is_not_null())
            .then(carried.cast(pl.Int64))
            .otherwise(value)
            .alias("value")
        )
        .select(readings.columns)
    )


@dataclass(frozen=True)
class Round:
    """What a judge made of one planted copy.

    rarity: (H, 14 + N), the largest of each home on the 14 nights before `first` and on the N nights from it on; NaN where
    a home was not judged. truth: as `plant` gives it, of some of the households.
    """

    households: Sequence[str]
    first: date
    rarity: np.ndarray
    truth: pl.DataFrame

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, N) rarity of the nights, and the largest of the fortnight before each; −inf where nothing is known."""
        known = np.where(np.isnan(self.rarity), -np.inf, self.rarity)
        before = np.lib.stride_tricks.sliding_window_view(known, QUIET_NIGHTS, axis=1)[:, :-1].max(axis=2)
        return known[:, QUIET_NIGHTS:], before

    @property
    def unplanted(self) -> np.ndarray:
        """(H,) bool."""
        return ~np.isin(np.array(self.households, dtype=str), self.truth["household"].to_numpy().astype(str))


@dataclass(frozen=True)
class Alarms:
    """Alarms that the homes without a plant raise at each threshold. Arrays are sorted.

    score: their rarities; before: of the same nights the lower of rarity and the fortnight's before; copies: how many
    copies of the site these are, for a home's ordinary nights are the same in all.
    """

    score: np.ndarray
    before: np.ndarray
    copies: int

    def count(self, level: float | np.ndarray) -> np.ndarray:
        """Alarms at a threshold, in all copies."""
        reached = self.score.size - np.searchsorted(self.score, level)
        return reached - (self.before.size - np.searchsorted(self.before, level))

    def threshold(self, capacity: float) -> float:
        """The lowest rarity from which on there are at most `capacity` alarms per 1,000 homes and 30 days."""
        levels = np.unique(self.score)
        if not levels.size:
            return np.inf
        count = self.count(levels)
        over = np.flatnonzero(count * UNIT > capacity * self.score.size)
        # below the level of most alarms homes hardly ever come to rest, and few alarms there mean nothing
        place = over[-1] + 1 if over.size else int(count.argmax())
        return float(levels[place] if place < levels.size else np.nextafter(levels[-1], np.inf))

    def rate(self, level: float) -> tuple[float, float, float]:
        """Alarms per 1,000 homes and 30 days with their 95 % interval (Byar's approximation, Breslow & Day 1987)."""
        if not self.score.size:
            return np.nan, np.nan, np.nan
        count = (
            float(self.count(level)) / self.copies
        )  # the copies share their homes: more of them say nothing new
        more = count + 1
        low = count * (1 - 1 / (9 * count) - NORMAL_95 / (3 * sqrt(count))) ** 3 if count >= 1 else 0.0
        high = more * (1 - 1 / (9 * more) + NORMAL_95 / (3 * sqrt(more))) ** 3
        return tuple(n * UNIT * self.copies / self.score.size for n in (count, low, high))


def alarms(rounds: Iterable[Round]) -> Alarms:
    """The homes without a plant of all rounds together."""
    score, before, copies = [], [], 0
    for one in rounds:
        now, past = (part[one.unplanted] for part in one.parts)
        known = ~np.isneginf(now)
        score.append(now[known])
        before.append(np.minimum(now, past)[known])
        copies += 1
    return Alarms(np.sort(np.concatenate(score)), np.sort(np.concatenate(before)), copies)


def found(rounds: Iterable[Round], level: float) -> pl.DataFrame:
    """`size, shape, delay` of every planted surge: days from its first day to the first alarm at that threshold, null where
    none was raised by a week after its last day."""
    rows = []
    for one in rounds:
        now, before = one.parts
        begins = (now >= level) & ~(before >= level)
        at = {name: h for h, name in enumerate(one.households)}
        for home, size, shape, _, first, last in one.truth.iter_rows():
            start, stop = (first - one.first).days, (last - one.first).days + GRACE_DAYS + 1
            hits = np.flatnonzero(begins[at[home], start:stop]) if home in at else np.array([])
            rows.append((size, shape, int(hits[0]) if hits.size else None))
    return pl.DataFrame(
        rows, schema={"size": pl.Float64, "shape": pl.String, "delay": pl.Int64}, orient="row"
    )


def score_card(surges: pl.DataFrame, by: Sequence[str] = ("size",)) -> pl.DataFrame:
    """`by`, `planted`, `found`, their `share` with its interval `low` to `high` (95 %), and `median_delay` in days, of `found`'s surges."""
    card = (
        surges.group_by(by)
        .agg(
            planted=pl.len().cast(pl.Int64),
            found=pl.col("delay").count().cast(pl.Int64),
            median_delay=pl.col("delay").median(),
        )
        .sort(by)
    )
    shares = [wilson(n, tried) for n, tried in card.select("found", "planted").iter_rows()]
    columns = {
        name: pl.Series([s[i] for s in shares], dtype=pl.Float64)
        for i, name in enumerate(("share", "low", "high"))
    }
    return card.with_columns(**columns).select(
        *by, "planted", "found", "share", "low", "high", "median_delay"
    )


def by_day(surges: pl.DataFrame, days: int = 30) -> pl.DataFrame:
    """`size, day, share`: the share found by each day since the onset, the onset being day 0."""
    each = pl.DataFrame({"day": range(days + 1)}, schema={"day": pl.Int64})
    return (
        surges.join(each, how="cross")
        .group_by("size", "day")
        .agg(share=(pl.col("delay") <= pl.col("day")).fill_null(False).mean())
        .sort("size", "day")
    )


def evaluate(
    readings: pl.DataFrame,
    judge: Callable[[pl.DataFrame], tuple[Sequence[str], np.ndarray]],
    nights: tuple[date, date],
    seeds: Iterable[int],
    plan: Plan = Plan(),
) -> Iterable[Round]:
    """A round for each seed. `judge` takes readings and gives the households and their rarity as `Round` has it."""
    for seed in seeds:
        planted, truth = plant(readings, nights, seed, plan)
        households, rarity = judge(planted)
        yield Round(households, nights[0], rarity, truth)


@dataclass(frozen=True)
class Course:
    """The last days of some homes, as (S, H, D) arrays: the expectation's surprise, log_ratio and expected, with the offset
    that its logarithm adds to a value and the days that a value spans."""

    surprise: np.ndarray
    log_ratio: np.ndarray
    expected: np.ndarray
    offset: np.ndarray
    block: np.ndarray


def lifted(course: Course, factor: np.ndarray) -> np.ndarray:
    """(S, H, D): the surprise of the same days had every value been `factor` (S, H) times as large from the first of them on.

    With v + o = exp(log_ratio) · (expected + o), log(f·v + o) − log(v + o) = log(f − (f − 1) · o / (v + o)), divided by
    the spread log_ratio / surprise. Where a value is a mean over several days, it contains the raised ones as they come.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = course.log_ratio / course.surprise
    spread = np.where(np.isfinite(spread) & (spread > 0), spread, np.nan)
    known = ~np.isnan(spread).all(axis=2)
    usual = np.full(known.shape, np.nan)
    usual[known] = np.nanmedian(
        spread[known], axis=1
    )  # one a series: of a value just as expected the ratio says nothing
    raised = np.minimum(1.0, (np.arange(spread.shape[2]) + 1) / np.maximum(course.block, 1))
    times = 1.0 + (factor[:, :, None] - 1.0) * raised
    part = course.offset / (np.exp(course.log_ratio) * (course.expected + course.offset))
    return course.surprise + np.log(times - (times - 1.0) * np.minimum(part, 1.0)) / usual[:, :, None]


def smallest_surges(least: pl.DataFrame, sizes: Sequence[float]) -> pl.DataFrame:
    """`group, name, homes, size`: the smallest of the sizes that half of a group's homes would show; null where none is.

    least: `group, name, size`, a row for each home and group it is in, with the smallest size it would show, or null.
    Groups of fewer than 15 homes are left out.
    """
    shown = [(pl.col("size") <= size).fill_null(False).mean() >= 0.5 for size in sizes]
    first = pl.coalesce(*(pl.when(half).then(size) for half, size in zip(shown, sizes, strict=True)))
    groups = least.group_by("group", "name").agg(homes=pl.len().cast(pl.Int64), size=first.cast(pl.Float64))
    return groups.filter(pl.col("homes") >= LEAST_HOMES).sort("group", "name")
