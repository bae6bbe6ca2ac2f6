"""Measure the tool on a site's own data: plant surges into copies of it and see what is found.

In order: `plant_surges` makes one copy, `plant_and_judge` makes some copies and has each of them judged,
`collect_alarms` gathers what the homes without a surge raised, `Alarms.threshold` gives the rarity that a
capacity affords, `detection_delays` says how soon each surge was found at that threshold, and `score_card`
and `share_found_by_day` sum that up. Apart from these, `raise_surprise` and `smallest_surges_shown` answer
what surge tonight could show at all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

import numpy as np
import polars as pl

from anomaly.intervals import Estimate, poisson_interval, wilson_interval
from anomaly.outcomes import MIN_GROUP_HOMES

# How use follows people: doors one to one, water with exponent .7 (2 to 4 residents are only ×1.5), power
# with about .5.
EXPONENTS = {"count": 1.0, "litre": 0.7, "Wh": 0.5}
STEPS = (1000, 100, 10)  # base units; a series moves in one of these steps if nearly all its values do
STEP_SHARE = 0.95
RAMP_DAYS = (2, 7)
SPIKE_DAYS = 3
QUIET_NIGHTS = 14  # an alarm is a crossing after so many nights below the threshold
GRACE_DAYS = (
    7  # an alarm so soon after a surge was still raised by it: detectors look at windows of past days
)
RATE_UNIT = 30_000.0  # home-nights of 1,000 homes and 30 days
TRUTH_SCHEMA = {
    "household": pl.String,
    "size": pl.Float64,
    "shape": pl.String,
    "ramp": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
}


@dataclass(frozen=True)
class SurgePlan:
    """The surges to plant. Sizes are people over people before.

    A `step` has its full size at once, a `ramp` grows over 2 to 7 days, a `spike` is a step of 3 days,
    whatever `length_days` says. A shape named twice is planted twice as often.
    """

    sizes: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0)
    shapes: tuple[str, ...] = ("step", "step", "ramp", "ramp", "spike")
    length_days: tuple[int, int] = (10, 40)  # shortest and longest
    share: float = (
        0.05  # of the homes fit for it; with many more the peers themselves would no longer be ordinary
    )
    min_history_days: int = 42  # days with a value that a home must have before the nights


def plant_surges(
    readings: pl.DataFrame, first_night: date, last_night: date, seed: int, plan: SurgePlan = SurgePlan()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a copy of the readings with surges in it, and the truth (TRUTH_SCHEMA).

    At most one surge a home.

    readings: those of `tables.Readings`; further columns pass through. The copy is sorted by household,
    signal and day.

    Each surge lies wholly within the nights, shortened where they are fewer, and has its full size from its
    day `ramp` on. All signals of a home rise together, by the size to the power of `EXPONENTS` of their unit;
    the only signal of a home rises by the size itself. Values stay multiples of the step in which their
    series moves; what rounding leaves over is carried to the next day.
    """
    rng = np.random.default_rng(seed)
    readings = readings.sort("household", "signal", "day")
    homes = _homes_fit_for_surge(readings, first_night, last_night, plan.min_history_days)
    chosen = rng.permutation(len(homes))[: min(len(homes), max(1, round(plan.share * len(homes))))]
    kinds = list(product(plan.sizes, plan.shapes))
    turns = rng.permutation(len(kinds))  # every kind has its turn before any has its second
    nights = (last_night - first_night).days + 1
    rows = []
    for number, home in enumerate(chosen):
        size, shape = kinds[turns[number % len(kinds)]]
        shortest, longest = plan.length_days
        length = SPIKE_DAYS if shape == "spike" else int(rng.integers(shortest, longest + 1))
        length = min(length, nights)
        ramp = int(rng.integers(RAMP_DAYS[0], RAMP_DAYS[1] + 1)) if shape == "ramp" else 1
        first = first_night + timedelta(days=int(rng.integers(0, nights - length + 1)))
        rows.append((homes[int(home)], size, shape, ramp, first, first + timedelta(days=length - 1)))
    truth = pl.DataFrame(rows, schema=TRUTH_SCHEMA, orient="row").sort("household")
    return _raise_readings(readings, truth), truth


def _homes_fit_for_surge(
    readings: pl.DataFrame, first_night: date, last_night: date, min_history_days: int
) -> pl.Series:
    """Return the households with enough days before the nights and any value on them, sorted."""
    known = readings.filter(pl.col("value").is_not_null())
    history = (
        known.filter(pl.col("day") < first_night).group_by("household").agg(days=pl.col("day").n_unique())
    )
    present = known.filter(pl.col("day").is_between(first_night, last_night)).select("household").unique()
    fit = history.filter(pl.col("days") >= min_history_days).join(present, on="household", how="semi")
    return fit["household"].sort()


def _raise_readings(readings: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Return the readings with every surge of the truth in them; all other rows and nulls stay."""
    series = ["household", "signal"]
    value = pl.col("value")
    in_surge = value.is_not_null() & pl.col("day").is_between("first", "last")
    step = pl.lit(1)
    for larger in reversed(STEPS):
        multiples = (value % larger == 0).mean().over(series)
        step = pl.when(multiples >= STEP_SHARE).then(larger).otherwise(step)
    only_signal = pl.col("signal").filter(value.is_not_null()).n_unique().over("household") == 1
    by_unit = pl.col("unit").replace_strict(EXPONENTS, default=1.0, return_dtype=pl.Float64)
    exponent = pl.when(only_signal).then(1.0).otherwise(by_unit)
    day_number = (pl.col("day") - pl.col("first")).dt.total_days() + 1
    grown = (day_number / pl.col("ramp")).clip(upper_bound=1.0)
    size = 1.0 + (pl.col("size") - 1.0) * grown
    raised = pl.when(in_surge).then(value * size**exponent)
    # rounding the running total, and not each day, carries what is left over to the next day
    total, step_size = pl.col("raised").cum_sum().over(series), pl.col("step")
    steps = (total / step_size).round() - ((total - pl.col("raised")) / step_size).round()
    rounded = (steps * step_size).cast(pl.Int64)
    return (
        readings.join(truth, on="household", how="left", maintain_order="left")
        .with_columns(step=step, raised=raised)
        .with_columns(pl.when(pl.col("raised").is_not_null()).then(rounded).otherwise(value).alias("value"))
        .select(readings.columns)
    )


@dataclass(frozen=True)
class JudgedRound:
    """One copy with surges in it, as it was judged.

    households: the H homes that were judged.
    first_night: the first of the N nights judged.
    rarity: (H, 14 + N), the largest rarity of each home on the 14 nights before `first_night` and on the N
    nights from it on; NaN where a home was not judged.
    truth: TRUTH_SCHEMA, of some of the households.
    """

    households: Sequence[str]
    first_night: date
    rarity: np.ndarray
    truth: pl.DataFrame

    @property
    def night_rarity(self) -> np.ndarray:
        """(H, N) rarity of each night; −inf where a home was not judged."""
        return self._judged_rarity[:, QUIET_NIGHTS:]

    @property
    def fortnight_rarity(self) -> np.ndarray:
        """(H, N) largest rarity of the 14 nights before each night; −inf where none of them was judged."""
        windows = np.lib.stride_tricks.sliding_window_view(self._judged_rarity, QUIET_NIGHTS, axis=1)
        return windows[:, :-1].max(axis=2)

    @property
    def _judged_rarity(self) -> np.ndarray:
        return np.where(np.isnan(self.rarity), -np.inf, self.rarity)

    @property
    def unplanted(self) -> np.ndarray:
        """(H,) bool: homes without a surge."""
        return ~np.isin(np.array(self.households, dtype=str), self.truth["household"].to_numpy().astype(str))


@dataclass(frozen=True)
class Alarms:
    """The home-nights of homes without a surge, from which the false alarms at any threshold are counted.

    rarity: sorted rarity of each home-night.
    continued: of each home-night the lower of its rarity and of the largest of the 14 nights before it,
    sorted: at a threshold up to it the home-night only continues what was above the threshold already, and is
    no new alarm.
    copies: copies of the site that these nights are of. A home's ordinary nights are the same in all of them.
    """

    rarity: np.ndarray
    continued: np.ndarray
    copies: int

    def count(self, threshold: float | np.ndarray) -> np.ndarray:
        """Return the alarms at a threshold, in all copies together."""
        above = self.rarity.size - np.searchsorted(self.rarity, threshold)
        return above - (self.continued.size - np.searchsorted(self.continued, threshold))

    def threshold(self, capacity: float) -> float:
        """Return the lowest rarity from which on the alarms keep within a capacity.

        capacity: alarms per 1,000 homes and 30 days.
        """
        levels = np.unique(self.rarity)
        if not levels.size:
            return np.inf
        count = self.count(levels)
        over = np.flatnonzero(count * RATE_UNIT > capacity * self.rarity.size)
        # below the level of most alarms homes are hardly ever below it for a fortnight, and few alarms there
        # mean nothing
        place = over[-1] + 1 if over.size else int(count.argmax())
        return float(levels[place] if place < levels.size else np.nextafter(levels[-1], np.inf))

    def rate(self, threshold: float) -> Estimate:
        """Return the alarms per 1,000 homes and 30 days; NaN where no home was judged."""
        if not self.rarity.size:
            return Estimate(np.nan, np.nan, np.nan)
        # the copies share their homes: more of them make nothing surer
        per_copy = poisson_interval(float(self.count(threshold)) / self.copies)
        return Estimate(*(n * RATE_UNIT * self.copies / self.rarity.size for n in per_copy))


def collect_alarms(rounds: Iterable[JudgedRound]) -> Alarms:
    """Return the judged nights of the homes without a surge of all rounds together."""
    rarity, continued, copies = [], [], 0
    for judged in rounds:
        now, before = judged.night_rarity[judged.unplanted], judged.fortnight_rarity[judged.unplanted]
        known = ~np.isneginf(now)
        rarity.append(now[known])
        continued.append(np.minimum(now, before)[known])
        copies += 1
    return Alarms(np.sort(np.concatenate(rarity)), np.sort(np.concatenate(continued)), copies)


def detection_delays(rounds: Iterable[JudgedRound], threshold: float) -> pl.DataFrame:
    """Return `size, shape, delay` of every planted surge.

    delay: days from the surge's first day to its first alarm at that threshold; null where none was raised by
    7 days after its last day.
    """
    rows = []
    for judged in rounds:
        alarm = (judged.night_rarity >= threshold) & ~(judged.fortnight_rarity >= threshold)
        row_of = {name: h for h, name in enumerate(judged.households)}
        for home, size, shape, _, first, last in judged.truth.iter_rows():
            start = (first - judged.first_night).days
            stop = (last - judged.first_night).days + GRACE_DAYS + 1
            hits = np.flatnonzero(alarm[row_of[home], start:stop]) if home in row_of else np.array([])
            rows.append((size, shape, int(hits[0]) if hits.size else None))
    return pl.DataFrame(
        rows, schema={"size": pl.Float64, "shape": pl.String, "delay": pl.Int64}, orient="row"
    )


def score_card(surges: pl.DataFrame, by: Sequence[str] = ("size",)) -> pl.DataFrame:
    """Return what share of the surges was found, and how soon, for each value of `by`.

    surges: as from `detection_delays`. Columns: those of `by`, `planted`, `found`, their `share` with its 95
    % interval `low` to `high`, and `median_delay` in days, of those found.
    """
    card = (
        surges.group_by(by)
        .agg(
            planted=pl.len().cast(pl.Int64),
            found=pl.col("delay").count().cast(pl.Int64),
            median_delay=pl.col("delay").median(),
        )
        .sort(by)
    )
    shares = [
        wilson_interval(found, planted) for found, planted in card.select("found", "planted").iter_rows()
    ]
    return card.with_columns(
        share=pl.Series([share.value for share in shares], dtype=pl.Float64),
        low=pl.Series([share.low for share in shares], dtype=pl.Float64),
        high=pl.Series([share.high for share in shares], dtype=pl.Float64),
    ).select(*by, "planted", "found", "share", "low", "high", "median_delay")


def share_found_by_day(surges: pl.DataFrame, days: int = 30) -> pl.DataFrame:
    """Return `size, day, share`: the share of surges found by each day; day 0 is their first."""
    each = pl.DataFrame({"day": range(days + 1)}, schema={"day": pl.Int64})
    return (
        surges.join(each, how="cross")
        .group_by("size", "day")
        .agg(share=(pl.col("delay") <= pl.col("day")).fill_null(False).mean())
        .sort("size", "day")
    )


def plant_and_judge(
    readings: pl.DataFrame,
    judge: Callable[[pl.DataFrame], tuple[Sequence[str], np.ndarray]],
    first_night: date,
    last_night: date,
    seeds: Iterable[int],
    plan: SurgePlan = SurgePlan(),
) -> Iterator[JudgedRound]:
    """Yield a round for each seed: a copy of the readings with surges in it, judged by `judge`.

    judge: takes readings, returns the households and their rarity in the form of `JudgedRound`.
    """
    for seed in seeds:
        planted, truth = plant_surges(readings, first_night, last_night, seed, plan)
        households, rarity = judge(planted)
        yield JudgedRound(households, first_night, rarity, truth)


@dataclass(frozen=True)
class RecentDays:
    """The last days of some homes as the expectation sees them; all arrays are (S, H, D).

    surprise, log_ratio, expected: as in the expectation, NaN where unknown.
    offset: what is added to a value before its logarithm is taken, in base units.
    block: days over which a value is a mean.
    """

    surprise: np.ndarray
    log_ratio: np.ndarray
    expected: np.ndarray
    offset: np.ndarray
    block: np.ndarray


def raise_surprise(days: RecentDays, factor: np.ndarray) -> np.ndarray:
    """Return the (S, H, D) surprise that would be, had every value been larger.

    factor: (S, H), times as large, on all D days.

    With v + o = exp(log_ratio) · (expected + o), log(f·v + o) − log(v + o) = log(f − (f − 1) · o / (v + o)),
    divided by the spread log_ratio / surprise. A value that is a mean over several days contains the raised
    days as they come.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = days.log_ratio / days.surprise
    spread = np.where(np.isfinite(spread) & (spread > 0), spread, np.nan)
    known = ~np.isnan(spread).all(axis=2)
    # one spread for each series: the ratio is undefined on a day that came out just as expected
    usual_spread = np.full(known.shape, np.nan)
    usual_spread[known] = np.nanmedian(spread[known], axis=1)
    raised_share = np.minimum(1.0, (np.arange(spread.shape[2]) + 1) / np.maximum(days.block, 1))
    times = 1.0 + (factor[:, :, None] - 1.0) * raised_share
    offset_share = days.offset / (np.exp(days.log_ratio) * (days.expected + days.offset))
    log_rise = np.log(times - (times - 1.0) * np.minimum(offset_share, 1.0))
    return days.surprise + log_rise / usual_spread[:, :, None]


def smallest_surges_shown(home_sizes: pl.DataFrame, sizes: Sequence[float]) -> pl.DataFrame:
    """Return the smallest of the sizes that half of a group's homes would show, or null.

    Columns: `group, name, homes, size`.

    home_sizes: `group, name, size`, a row for each home and group it is in, with the smallest size that the
    home would show, or null. Groups of fewer than 15 homes are left out.
    """
    shown = [(pl.col("size") <= size).fill_null(False).mean() >= 0.5 for size in sizes]
    smallest = pl.coalesce(*(pl.when(half).then(size) for half, size in zip(shown, sizes, strict=True)))
    groups = home_sizes.group_by("group", "name").agg(
        homes=pl.len().cast(pl.Int64), size=smallest.cast(pl.Float64)
    )
    return groups.filter(pl.col("homes") >= MIN_GROUP_HOMES).sort("group", "name")
