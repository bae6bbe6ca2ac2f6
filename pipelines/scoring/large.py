"""Nights of a site too large to be looked at whole: a sample says what all homes say together, then each is judged by it.

The sample runs through the same functions as a small site, over its last year (pass 1). Of every other home only the last
days are worked out, block by block (pass 2); those with something to say, and those with an open case, then go through
the same with as many days as a page shows. Whatever a person reads was made by these.

A block is judged by what it is handed and by the readings in the store alone: it may be judged on another machine.
"""

import dataclasses
import datetime as dt
import functools
import itertools
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import evidence, expected, sensor_faults, tail_model
from anomaly.detectors import Scores
from anomaly.expected import Expected, Grid
from anomaly.readings import ReadingArrays
from anomaly.tables import UNKNOWN
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import StateError
from pipelines.ingest.inputs import Inputs
from pipelines.runtime.engine import Over
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.night import (
    FROZEN_DAYS,
    JudgedNights,
    Outcome,
    evidence_for_night,
    excluded_homes,
    needed,
    rarity_table,
    write_night,
)
from pipelines.scoring.sample import (
    FirstBlockCache,
    HomeIndex,
    bare_grid,
    fit_sample,
    index_homes,
    sample_days,
    sample_since,
    scores_of,
)
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.partitions import Partition
from pipelines.storage.stored_readings import StoredReadings

TONIGHT = -1  # where the night stands among the nights that are scored
LAST_DAYS = 14  # the longest window a detector looks back on
SHOWN_DAYS = 120  # of the homes looked at in full, where no more are published
LOOK_BACK = 700  # days; what is older has no say in a night


@dataclass(frozen=True)
class TrackedHomes:
    """Homes that have a case, whatever a night says of them: `shown` may be on a page of one of the nights, and of `told` more
    than the last day is published. before: how many days before the night the first of the nights lies.
    """

    shown: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    before: int = 0


def judge_large(
    settings: Settings,
    inputs: Inputs,
    nights: Sequence[dt.date],
    followed: TrackedHomes,
    over: Over,
    progress: ReportProgress,
) -> JudgedNights:
    """As `judge`, with the arrays of those homes only that a page may show: with a case, or with evidence on the last night that may open one.

    `over` is the engine (`pipelines.runtime.engine`) that the blocks of homes are judged on.
    """
    first, _ = inputs.stored.span()
    hand = FirstBlockCache()
    for heard, period in itertools.groupby(sorted(nights), sample_since):
        period, site = list(period), index_homes(settings, inputs, sample_days(heard, first))
        progress(Progress(f"asking {len(site.sample)} homes what was to be expected"))
        ended = period[-1] == max(nights)
        told = min(
            heard, (min(nights) if ended else period[0]) - dt.timedelta(days=_shown_days(settings) - 1)
        )
        days = calendar_in_force(
            settings, max(first, min(told, period[0] - dt.timedelta(days=LOOK_BACK - 1))), period[-1]
        )
        fitted = fit_sample(settings, (inputs.stored, hand), site, days, (heard, told))
        for night in period[:-1] if ended else period:
            until = days.filter(pl.col("day") <= night)
            _, opened = _judge_night(
                settings, (inputs, hand), (site, fitted, until, TrackedHomes(followed.shown)), over, progress
            )
            # a case that opens stays on the lists of the nights after, quiet or not
            followed = TrackedHomes(followed.shown | opened, followed.told | opened)
    followed = dataclasses.replace(followed, before=(max(nights) - min(nights)).days)
    seen, _ = _judge_night(settings, (inputs, hand), (site, fitted, days, followed), over, progress)
    return JudgedNights(seen, days)


def _shown_days(settings: Settings) -> int:
    return max(settings.publish.expected_days, SHOWN_DAYS)


@dataclass
class _Block:
    """What one block of homes gives to a night."""

    asked: tuple[np.ndarray, ReadingArrays]  # homes to be looked at in full: their numbers and readings
    rarity_table: pl.DataFrame
    cannot: pl.DataFrame
    had: np.ndarray  # (S, homes) any reading of the signal
    judged: int
    history: pl.DataFrame
    odd: "SensorState"


@dataclass
class SensorState:
    """What a block's sensors gave lately."""

    looked_at: np.ndarray  # (homes,) something may have failed, whatever the building does
    silent: np.ndarray  # (doors, homes) gave nothing tonight
    working: np.ndarray  # (doors, homes) enough days above zero
    homes: np.ndarray  # that may be asked for their last days: the odd, the silent and the first that is not
    recent: np.ndarray  # (S, homes, sensor_faults.LOOK_BACK_DAYS) their last days as tonight knew them, UNKNOWN where it did not


@dataclass(frozen=True)
class DetailedHomes:
    """Homes looked at as a person would: their readings of all days, what was expected on the last of them, and which of all
    were vacant; and their scores of the night.
    """

    looked: tuple[Grid, Expected, np.ndarray]
    scores: list[Scores]


def _judge_night(
    settings: Settings, given: tuple[Inputs, FirstBlockCache], what, over: Over, progress: ReportProgress
) -> tuple[Expected, frozenset[str]]:
    """The arrays of the homes looked at in full, and the homes whose evidence may open a case."""
    inputs, hand = given
    site, fitted, days, followed = what
    night = days["day"].max()
    of_sample = fitted.seen.grid.index(night)
    pasts = [tail_model.fit_tail(one.score, of_sample) for one in fitted.scores]
    found = []
    ranges = list(home_blocks(len(site.names)))
    shared = settings, (inputs.stored, hand), _parts(inputs.stored), (fitted.peers, days, pasts)
    shown, told = (_among(site, homes) for homes in (followed.shown, followed.told))
    items = (
        (homes, site.part(homes), (shown[homes.start : homes.stop], told[homes.start : homes.stop]))
        for homes in ranges
    )
    for homes, block in zip(ranges, over(_read, _block, shared, items), strict=True):
        found.append(block)
        progress(Progress(f"judging {night}", homes.stop, len(site.names), "homes"))
    failed = _failed_sensors(settings, inputs, site, night, [f.odd for f in found])
    looked_at = _in_full(settings, (site, fitted, days, followed.before), [f.asked for f in found])
    evident = pl.concat([_evident(settings, one, pasts, failed) for one in looked_at]).sort(
        "household", "detector", "signal"
    )
    long = _lately(looked_at, evident["household"].unique(), FROZEN_DAYS)
    sample_sheet = rarity_table(fitted.seen, _rated(settings, fitted.scores, of_sample, pasts), of_sample)
    sample_judged = expected.judgeable_signals(fitted.seen, of_sample)
    whose = np.concatenate([f.had for f in found], axis=1)
    s, h = np.nonzero(whose)
    had = pl.DataFrame(
        {"household": pl.Series(site.names).gather(h), "signal": pl.Series(sorted(settings.rules)).gather(s)}
    )
    cannot = [failed, *(f.cannot for f in found), excluded_homes(inputs, had), _silent(settings, inputs, had)]
    cannot.append(_cannot(settings, fitted.looked, days.height, whose[:, site.sample] & ~sample_judged))
    judged = sum(f.judged for f in found) + int(sample_judged.any(axis=0).sum())
    write_night(
        inputs.stored.store,
        night,
        Outcome(
            evident,
            pl.concat([sample_sheet, *(f.rarity_table for f in found)]).sort("household"),
            pl.concat(cannot),
            judged,
            long,
        ),
    )
    opened = frozenset(evident.filter("opens", pl.col("rarity") >= needed(settings))["household"])
    history = [
        *(f.history for f in found),
        expected.expected_frame(fitted.seen, of_sample, np.arange(len(site.sample)), 1),
    ]
    back = expected.expected_frame(
        fitted.seen, of_sample, np.flatnonzero(told[site.sample]), settings.publish.expected_days
    )
    new = _lately(looked_at, opened - followed.told, settings.publish.expected_days)
    history += [frame.filter(pl.col("day") < night) for frame in (back, new)]
    inputs.stored.store.write(
        f"nights/{night}/history.parquet", pl.concat(history).sort("household", "signal", "day")
    )
    return _of_pages(looked_at, followed.shown | opened), opened


def _rated(
    settings: Settings, scores: Sequence[Scores], at: int, pasts: Sequence[tail_model.TailModel]
) -> list[evidence.RankedScores]:
    """Scores of the night at that place, by the past of each."""
    return evidence.score_rarity(scores, [at], needed(settings), settings.detectors.second_opinions, pasts)


def _among(site: HomeIndex, homes: frozenset[str]) -> np.ndarray:
    """(homes,) whether the home is one of those."""
    return (
        pl.Series(site.names, dtype=pl.String)
        .is_in(pl.Series(sorted(homes), dtype=pl.String).implode())
        .to_numpy()
    )


def _parts(kept: StoredReadings) -> list[list[Partition]]:
    return [DailyReadings(kept.store, name).partitions() for name in sorted(kept.rules)]


def _read(shared, item) -> ReadingArrays:
    """The readings of a block of homes."""
    _, (kept, hand), parts, (_, days, _) = shared
    homes, _, _ = item
    if _parts(kept) != parts:
        raise StateError(
            f"{kept.store.state}: {socket.gethostname()} finds other readings there; it must lie on storage that all machines of the cluster share"
        )
    return hand.take(kept, homes, days)


def _block(shared, item, laid: ReadingArrays) -> _Block:
    """A block of homes by the last days alone."""
    settings, _, _, (peers, days, pasts) = shared
    homes, site, (shown, told) = item
    numbers = np.arange(len(homes))
    grid = bare_grid(settings, site, (numbers, laid), days)
    span = min(LAST_DAYS, days.height)
    seen, vacant = expected.expect_recent_fused(grid, settings.expected, peers, span)
    rated = _rated(settings, scores_of(settings, seen, peers), TONIGHT, pasts)
    ours = site.judged & ~np.isin(numbers, site.sample)
    largest = np.fmax.reduce([one.rarity[TONIGHT] for one in rated])
    with np.errstate(invalid="ignore"):
        asked = np.flatnonzero(
            site.judged & (shown | (largest >= needed(settings) * settings.evidence.kept_share))
        )
    mine = np.flatnonzero(ours)
    judged = expected.judgeable_signals(seen, span - 1)
    names = pl.Series(site.names)
    return _Block(
        (homes.start + asked, laid.select_homes(asked)),
        rarity_table(seen, rated, TONIGHT).filter(pl.col("household").is_in(names.gather(mine).implode())),
        _cannot(settings, (grid, seen, vacant), days.height, laid.has_readings & ~judged & ours),
        laid.has_readings,
        int(judged[:, mine].any(axis=0).sum()),
        pl.concat(
            [
                expected.expected_frame(seen, span - 1, mine, 1),
                _back(settings, site, (days, laid, peers), np.flatnonzero(ours & told)),
            ]
        ),
        _odd(settings, laid, homes.start),
    )


def _back(settings: Settings, site: HomeIndex, what, homes: np.ndarray) -> pl.DataFrame:
    """What was expected of those homes on the days before the last, as many as are published."""
    days, laid, peers = what
    span = min(settings.publish.expected_days, days.height)
    seen, _ = expected.expect_recent_fused(
        bare_grid(settings, site, (homes, laid.select_homes(homes)), days), settings.expected, peers, span
    )
    return expected.expected_frame(seen, span - 1, np.arange(len(homes)), span).filter(
        pl.col("day") < days["day"].max()
    )


def _odd(settings: Settings, laid: ReadingArrays, first: int) -> SensorState:
    """first: number of the block's first home."""
    doors = np.array([settings.rules[name].kind == "count" for name in sorted(settings.rules)])
    recent = _timely(laid, sensor_faults.MIN_REPEAT_DAYS)
    silent = ~(recent[doors, :, -1] > 0)
    looked_at = sensor_faults.homes_to_check(recent)
    kept = looked_at | silent.any(axis=0) | (np.cumsum(~silent, axis=1) == 1).any(axis=0)
    back = slice(-sensor_faults.LOOK_BACK_DAYS, None)
    value, lag = laid.value[doors, :, back], laid.lag[doors, :, back]
    working = ((value > 0) & (lag <= np.arange(value.shape[2])[::-1])).sum(
        axis=2
    ) >= sensor_faults.MIN_WORKING_DAYS
    homes = np.flatnonzero(kept)
    return SensorState(
        looked_at,
        silent,
        working,
        first + homes,
        _timely(laid.select_homes(homes), sensor_faults.LOOK_BACK_DAYS),
    )


def _timely(laid: ReadingArrays, days: int) -> np.ndarray:
    """(S, H, days) the last values as the last day knew them, UNKNOWN where it did not; zeros that the doors contradict among them."""
    value, lag = (
        np.where(laid.contradicted_zero[:, :, -days:], 0, laid.value[:, :, -days:]),
        laid.lag[:, :, -days:],
    )
    known = np.where(lag > np.arange(value.shape[2])[::-1], UNKNOWN, value).astype(value.dtype, copy=False)
    return np.pad(known, ((0, 0), (0, 0), (days - known.shape[2], 0)), constant_values=UNKNOWN)


def _whole(looked: tuple[Grid, Expected, np.ndarray], homes: np.ndarray, days: int) -> Expected:
    """Those homes on the first so many days; looked: all days, what was seen of the last of them, and which of all were vacant."""
    grid, seen, vacant = looked
    few = grid.select(homes, days)
    few = dataclasses.replace(few, value=np.where(few.value == UNKNOWN, np.nan, few.value))
    return seen.select(homes, days - (grid.days - seen.grid.days)).pad_to(few, vacant[homes, :days])


def _cannot(
    settings: Settings, looked: tuple[Grid, Expected, np.ndarray], days: int, asked: np.ndarray
) -> pl.DataFrame:
    """Why the last of so many days cannot judge the signals that are asked for, (S, homes) bool: from all their days."""
    homes = np.flatnonzero(asked.any(axis=0))
    whole = _whole(looked, homes, days)
    s, h = np.nonzero(asked[:, homes])
    there = pl.DataFrame(
        {
            "household": pl.Series(whole.grid.households, dtype=pl.String).gather(h),
            "signal": pl.Series(whole.grid.signals).gather(s),
        }
    )
    return expected.not_judged_frame(whole, days - 1, settings.expected).join(
        there, on=["household", "signal"], how="semi"
    )


def _in_full(
    settings: Settings, what, asked: Sequence[tuple[np.ndarray, ReadingArrays]]
) -> list[DetailedHomes]:
    """Those homes: of the sample as it saw them, of the others as many days as are shown of a case, with the sample for peers."""
    site, fitted, days, before = what
    numbers = np.concatenate([homes for homes, _ in asked])
    known = np.isin(numbers, site.sample)
    of_sample, others = np.searchsorted(site.sample, numbers[known]), numbers[~known]
    tonight = fitted.seen.grid.index(days["day"].max())
    first = (
        fitted.grid.select(of_sample, days.height),
        fitted.seen.select(of_sample, tonight + 1),
        fitted.vacant[of_sample, : days.height],
    )
    told = [DetailedHomes(first, [one.select(of_sample, tonight) for one in fitted.scores])]
    if len(others):
        laid = ReadingArrays(
            *(
                np.concatenate([getattr(one, name) for _, one in asked], axis=1)
                for name in ("value", "lag", "contradicted_zero", "has_readings")
            )
        ).select_homes(np.flatnonzero(~known))
        grid = bare_grid(settings, site, (others, laid), days)
        late, vacant = expected.expect_recent_fused(
            grid, settings.expected, fitted.peers, min(_shown_days(settings) + before, days.height)
        )
        last_days = late.last_days(LAST_DAYS)
        told.append(DetailedHomes((grid, late, vacant), scores_of(settings, last_days, fitted.peers)))
    return told


def _evident(
    settings: Settings, one: DetailedHomes, pasts: Sequence[tail_model.TailModel], failed: pl.DataFrame
) -> pl.DataFrame:
    """The evidence of those homes."""
    _, seen, _ = one.looked
    days = seen.grid.days
    return evidence_for_night(
        settings,
        seen,
        _rated(settings, [of.pad_to(days) for of in one.scores], days - 1, pasts),
        days - 1,
        failed,
    )


def _lately(looked_at: Sequence[DetailedHomes], homes: Collection[str], days: int) -> pl.DataFrame:
    """What was expected of those of the homes on their last days."""
    seen = [one.looked[1] for one in looked_at]
    return pl.concat(
        [expected.expected_frame(one, one.grid.days - 1, _places(one.grid, homes), days) for one in seen]
    ).sort("household", "signal", "day")


def _of_pages(looked_at: Sequence[DetailedHomes], homes: Collection[str]) -> Expected:
    """Those of the homes on all days: of the many that are looked at few have a case."""
    told = []
    for one in looked_at:
        grid = one.looked[0]
        seen = _whole(one.looked, _places(grid, homes), grid.days)
        told.append(
            dataclasses.replace(
                seen,
                grid=dataclasses.replace(
                    seen.grid, resolution=expected.resolution(seen.grid.value, seen.grid.lag)
                ),
            )
        )
    return functools.reduce(Expected.concat_homes, told)


def _places(grid: Grid, homes: Collection[str]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.array(grid.households, dtype=str), sorted(homes)))


def _silent(settings: Settings, inputs: Inputs, had: pl.DataFrame) -> pl.DataFrame:
    """Homes of the register that never gave anything, for every signal."""
    if settings.households is None:
        return had.head(0).with_columns(reason=pl.lit("", pl.String))
    silent = inputs.dwellings.select("household").join(had, on="household", how="anti")
    return silent.join(had.select("signal").unique(), how="cross").with_columns(
        reason=pl.lit("no whole day yet")
    )


def _failed_sensors(
    settings: Settings, inputs: Inputs, site: HomeIndex, night: dt.date, found: Sequence[SensorState]
) -> pl.DataFrame:
    """household, signal, reason of what looks like a failed sensor: only homes where something is odd are looked at."""
    look = np.concatenate([f.looked_at for f in found])
    silent, working = (
        np.concatenate([getattr(f, name) for f in found], axis=1) for name in ("silent", "working")
    )
    building = _buildings(inputs.register, site.names)
    for s in range(len(silent)):
        look |= sensor_faults.silent_buildings(silent[s], working[s], building)
        look[np.flatnonzero(~silent[s])[:1]] = True  # that anything came at all tonight
    asked = np.flatnonzero(look & site.judged)
    first = night - dt.timedelta(days=sensor_faults.LOOK_BACK_DAYS - 1)
    recent = _recent(inputs.stored, asked, first, found)
    days = sensor_faults.SensorReadings(
        list(site.names[asked]),
        sorted(settings.rules),
        first,
        np.where(recent == UNKNOWN, np.nan, recent),
        np.zeros(recent.shape, np.int8),
    )
    kind: Mapping[str, str] = {name: rule.kind for name, rule in settings.rules.items()}
    return sensor_faults.find_sensor_faults_in_arrays(days, inputs.register, kind, [night]).drop("night")


def _recent(
    kept: StoredReadings, asked: np.ndarray, first: dt.date, found: Sequence[SensorState]
) -> np.ndarray:
    """(S, asked, sensor_faults.LOOK_BACK_DAYS) as in _Odd: what the blocks have kept, and of who is silent for the building's sake alone what is in the store."""
    homes = np.concatenate([f.homes for f in found])
    recent = np.concatenate([f.recent for f in found], axis=1)
    there = np.isin(asked, homes)
    recent = recent[:, np.searchsorted(homes, asked[there])]
    if there.all():
        return recent
    out = np.empty((len(recent), len(asked), sensor_faults.LOOK_BACK_DAYS), np.int64)
    out[:, there], out[:, ~there] = (
        recent,
        _timely(
            kept.arrays(asked[~there], first, sensor_faults.LOOK_BACK_DAYS), sensor_faults.LOOK_BACK_DAYS
        ),
    )
    return out


def _buildings(register: pl.DataFrame, names: np.ndarray) -> np.ndarray:
    """(homes,) number of each home's building, −1 unknown."""
    numbers = (
        register["building"]
        .unique()
        .drop_nulls()
        .to_frame()
        .with_row_index("number")
        .cast({"number": pl.Int64})
    )
    places = register.select("household", "building").join(numbers, on="building", how="left")
    homes = pl.DataFrame({"household": pl.Series(names, dtype=pl.String)}).join(
        places, on="household", how="left", maintain_order="left"
    )
    return homes["number"].fill_null(-1).to_numpy()


def is_large(settings: Settings, inputs: Inputs) -> bool:
    """Whether the site has more homes than are asked at a small one, and the model is one a sample can speak for."""
    return (
        inputs.dwellings.height > settings.engine.sample_homes
        and settings.expected.model == "usual"
        and bool(listed_signatures(settings))
    )
