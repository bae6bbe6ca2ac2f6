"""Nights of a site too large to be looked at whole: a sample says what all homes say together, then each is judged by it.

The sample runs through the same functions as a small site, over all its days (pass 1). Of every other home only the last
days are worked out, block by block (pass 2); those with something to say, and those with an open case, then go through
the same with as many days as a page shows. Whatever a person reads was made by these.

A block is judged by what it is handed and by the readings in the store alone: it may be judged on another machine.
"""

import dataclasses
import datetime as dt
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import detectors, devices, evidence, expected
from anomaly.expected import Expected, Grid
from anomaly.peers import Peers
from anomaly.readings import Laid
from anomaly.tables import UNKNOWN
from pipelines.days import Days, drawn
from pipelines.derive import blocks
from pipelines.engine import Over
from pipelines.judge import Outcome, Verdicts, barred, calendar, found_on, kinds, needed, sheet, write_night
from pipelines.kept import Kept
from pipelines.load import Inputs
from pipelines.settings import Settings
from pipelines.store import Part, StateError

TONIGHT = -1  # where the night stands among the nights that are scored
LAST_DAYS = 14  # the longest window a detector looks back on
PEERS = 20  # homes of a district in the sample, where it has them and there are not too many districts
SHOWN_DAYS = 120  # of the homes looked at in full, where no more are published
LOOK_BACK = 700  # days; what is older has no say in a night


@dataclass(frozen=True)
class Site:
    """Homes by number: their names, which may be judged, their district's group (0 unknown) and which are in the sample."""

    names: np.ndarray
    judged: np.ndarray
    group: np.ndarray
    groups: int
    sample: np.ndarray

    def part(self, homes: range) -> "Site":
        """Those homes by themselves, numbered from 0."""
        here = slice(homes.start, homes.stop)
        of_sample = self.sample[(self.sample >= homes.start) & (self.sample < homes.stop)] - homes.start
        return Site(self.names[here], self.judged[here], self.group[here], self.groups, of_sample)


def site_of(settings: Settings, inputs: Inputs) -> Site:
    """The site's homes, and the sample: the first of each district by a hash of their ids, in proportion to its homes."""
    names = inputs.kept.names.to_numpy()
    codes = inputs.dwellings["district"].unique().drop_nulls().sort().to_frame().with_row_index("group", offset=1)
    places = inputs.dwellings.join(codes, on="district", how="left").select("household", pl.col("group").fill_null(0), judged=True)
    placed = inputs.kept.names.to_frame("household").join(places, on="household", how="left", maintain_order="left")
    judged, group = placed["judged"].fill_null(False).to_numpy(), placed["group"].fill_null(0).cast(pl.Int32).to_numpy()
    order = drawn(names)
    share = min(1.0, settings.engine.sample_homes / max(1, judged.sum()))
    groups = codes.height + 1
    least = PEERS if PEERS * groups <= 2 * settings.engine.sample_homes else 0
    number = np.flatnonzero(judged)
    ranked = number[np.lexsort((number, order[number], group[number]))]
    size = np.bincount(group[ranked], minlength=groups)
    place = np.arange(len(ranked)) - np.repeat(size.cumsum() - size, size)
    wanted = np.maximum(np.ceil(size * share), np.minimum(size, least))
    return Site(names, judged, group, groups, np.sort(ranked[place < wanted[group[ranked]]]))


@dataclass(frozen=True)
class Yardstick:
    """What the sample says: its own expectations and scores, and through `peers` what holds for all."""

    seen: Expected
    scores: list
    peers: Peers


@dataclass(frozen=True)
class Followed:
    """Homes that have a case, whatever a night says of them: `shown` may be on a page of one of the nights, and of `told` more
    than the last day is published. before: how many days before the night the first of the nights lies.
    """

    shown: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    before: int = 0


def judge_large(settings: Settings, inputs: Inputs, nights: Sequence[dt.date], followed: Followed, over: Over, tell) -> Verdicts:
    """As `judge`, with the arrays of those homes only that a page may show: with evidence on the last night, or with a case.

    `over` is the engine (`pipelines.engine`) that the blocks of homes are judged on.
    """
    site = site_of(settings, inputs)
    first, last = inputs.kept.span()
    days = calendar(settings, max(first, max(nights) - dt.timedelta(days=LOOK_BACK - 1)), max(nights))
    tell(f"asking {len(site.sample)} homes what was to be expected")
    yardstick = _yardstick(settings, inputs, site, days)
    *earlier, last = sorted(nights)
    for night in earlier:
        until = days.filter(pl.col("day") <= night)
        _, opened = _judge_night(settings, inputs, (site, yardstick, until, Followed(followed.shown)), over, tell)
        # a case that opens stays on the lists of the nights after, quiet or not
        followed = Followed(followed.shown | opened, followed.told | opened)
    followed = dataclasses.replace(followed, before=(last - min(nights)).days)
    seen, _ = _judge_night(settings, inputs, (site, yardstick, days, followed), over, tell)
    return Verdicts(seen, days)


def _yardstick(settings: Settings, inputs: Inputs, site: Site, days: pl.DataFrame) -> Yardstick:
    arrays = inputs.kept.arrays(site.sample, days["day"].min(), days.height)
    grid = _grid(settings, site, (site.sample, arrays), days)
    peers = Peers(grid.ordinal, site.groups)
    seen = expected.expect(grid, settings.expected, peers)
    return Yardstick(seen, [one for detector in detectors.chosen(settings.detectors) for one in detector(seen, peers)], peers)


def _grid(settings: Settings, site: Site, homes: tuple[np.ndarray, Laid], days: pl.DataFrame) -> Grid:
    """A grid of those homes: their numbers and readings."""
    numbers, laid = homes
    value = laid.floats
    return dataclasses.replace(_bare_grid(settings, site, homes, days), value=value, resolution=expected.resolution(value, laid.lag))


def _bare_grid(settings: Settings, site: Site, homes: tuple[np.ndarray, Laid], days: pl.DataFrame) -> Grid:
    """The same for `expect_lately`: with whole numbers, and without the resolution of their series."""
    numbers, laid = homes
    signals = tuple(sorted(settings.rules))
    units = tuple(settings.rules[name].base for name in signals)
    weekday = days["weekday"].to_numpy().astype(np.int8)
    return Grid(tuple(site.names[numbers]), signals, units, days["day"].min(), laid.value, laid.lag, weekday, site.group[numbers], np.empty((0, 0, 0)))


@dataclass
class _Block:
    """What one block of homes gives to a night."""

    asked: tuple[np.ndarray, Laid]  # homes to be looked at in full: their numbers and readings
    sheet: pl.DataFrame
    cannot: pl.DataFrame
    had: np.ndarray  # (S, homes) any reading of the signal
    judged: int
    history: pl.DataFrame
    odd: "_Odd"


@dataclass
class _Odd:
    """What a block's sensors gave lately."""

    looked_at: np.ndarray  # (homes,) something may have failed, whatever the building does
    silent: np.ndarray  # (doors, homes) gave nothing tonight
    working: np.ndarray  # (doors, homes) enough days above zero
    homes: np.ndarray  # that may be asked for their last days: the odd, the silent and the first that is not
    recent: np.ndarray  # (S, homes, devices.LOOK_BACK) their last days as tonight knew them, UNKNOWN where it did not


def _judge_night(settings: Settings, inputs: Inputs, what, over: Over, tell) -> tuple[Expected, frozenset[str]]:
    """The arrays of the homes looked at in full, and the homes whose evidence may open a case."""
    site, yardstick, days, followed = what
    night, at = days["day"].max(), days.height - 1
    pasts = evidence.tails(yardstick.scores, [at])
    found = []
    ranges = list(blocks(len(site.names)))
    shared = settings, inputs.kept, _parts(inputs.kept), (yardstick.peers, days, pasts)
    shown, told = (_among(site, homes) for homes in (followed.shown, followed.told))
    items = ((homes, site.part(homes), (shown[homes.start : homes.stop], told[homes.start : homes.stop])) for homes in ranges)
    for homes, block in zip(ranges, over(_read, _block, shared, items), strict=True):
        found.append(block)
        tell(f"judging {night}: {homes.stop:,} of {len(site.names):,} homes")
    failed = _failed_sensors(settings, inputs, site, night, [f.odd for f in found])
    seen, scores = _in_full(settings, (site, yardstick, days, followed.before), [f.asked for f in found])
    rated = evidence.rate(scores, [at], needed(settings), settings.detectors.seconds, pasts)
    evident = found_on(settings, seen, rated, at, failed)
    long = expected.expected_frame(seen, at, np.flatnonzero(np.isin(np.array(seen.grid.households, dtype=str), evident["household"].to_list())), settings.publish.expected_days)
    ours = yardstick.seen.grid.households
    sample_rated = evidence.rate(yardstick.scores, [at], needed(settings), settings.detectors.seconds, pasts)
    sample_sheet = sheet(yardstick.seen, sample_rated, at)
    s, h = np.nonzero(np.concatenate([f.had for f in found], axis=1))
    had = pl.DataFrame({"household": pl.Series(site.names).gather(h), "signal": pl.Series(sorted(settings.rules)).gather(s)})
    cannot = [failed, *(f.cannot for f in found), expected.not_judged(yardstick.seen, at, settings.expected).join(had, on=["household", "signal"], how="semi")]
    cannot += [barred(inputs, had), _silent(settings, inputs, had)]
    judged = sum(f.judged for f in found) + int(expected.judged(yardstick.seen, at).any(axis=0).sum())
    write_night(inputs.kept.store, night, Outcome(evident, pl.concat([sample_sheet, *(f.sheet for f in found)]).sort("household"), pl.concat(cannot), judged, long))
    opened = frozenset(evident.filter("opens", pl.col("rarity") >= needed(settings))["household"])
    history = [*(f.history for f in found), expected.expected_frame(yardstick.seen, at, np.arange(len(ours)), 1)]
    back = expected.expected_frame(yardstick.seen, at, np.flatnonzero(told[site.sample]), settings.publish.expected_days)
    history += [frame.filter(pl.col("day") < night) for frame in (back, long.filter(pl.col("household").is_in(opened - followed.told)))]
    inputs.kept.store.write(f"nights/{night}/history.parquet", pl.concat(history).sort("household", "signal", "day"))
    return seen, opened


def _among(site: Site, homes: frozenset[str]) -> np.ndarray:
    """(homes,) whether the home is one of those."""
    return pl.Series(site.names, dtype=pl.String).is_in(pl.Series(sorted(homes), dtype=pl.String).implode()).to_numpy()


def _parts(kept: Kept) -> list[list[Part]]:
    return [Days(kept.store, name).parts() for name in sorted(kept.rules)]


def _read(shared, item) -> Laid:
    """The readings of a block of homes."""
    _, kept, parts, (_, days, _) = shared
    homes, _, _ = item
    if _parts(kept) != parts:
        raise StateError(f"{kept.store.state}: {socket.gethostname()} finds other readings there; it must lie on storage that all machines of the cluster share")
    return kept.arrays(np.arange(homes.start, homes.stop), days["day"].min(), days.height)


def _block(shared, item, laid: Laid) -> _Block:
    """A block of homes by the last days alone."""
    settings, _, _, (peers, days, pasts) = shared
    homes, site, (shown, told) = item
    numbers = np.arange(len(homes))
    grid = _bare_grid(settings, site, (numbers, laid), days)
    span = min(LAST_DAYS, days.height)
    seen, vacant = expected.expect_lately(grid, settings.expected, peers, span)
    scores = [one for detector in detectors.chosen(settings.detectors) for one in detector(seen, peers)]
    rated = evidence.rate(scores, [TONIGHT], needed(settings), settings.detectors.seconds, [{TONIGHT: past} for (past,) in map(dict.values, pasts)])
    ours = site.judged & ~np.isin(numbers, site.sample)
    largest = np.fmax.reduce([one.rarity[TONIGHT] for one in rated])
    with np.errstate(invalid="ignore"):
        asked = np.flatnonzero(site.judged & (shown | (largest >= needed(settings) * settings.evidence.kept_share)))
    mine = np.flatnonzero(ours)
    judged = expected.judged(seen, span - 1)
    names = pl.Series(site.names)
    return _Block(
        (homes.start + asked, laid.only(asked)),
        sheet(seen, rated, TONIGHT).filter(pl.col("household").is_in(names.gather(mine).implode())),
        _cannot(settings, (grid, seen, vacant), np.flatnonzero(ours & (~judged & laid.had).any(axis=0)), laid.had),
        laid.had,
        int(judged[:, mine].any(axis=0).sum()),
        pl.concat([expected.expected_frame(seen, span - 1, mine, 1), _back(settings, site, (days, laid, peers), np.flatnonzero(ours & told))]),
        _odd(settings, laid, homes.start),
    )


def _back(settings: Settings, site: Site, what, homes: np.ndarray) -> pl.DataFrame:
    """What was expected of those homes on the days before the last, as many as are published."""
    days, laid, peers = what
    span = min(settings.publish.expected_days, days.height)
    seen, _ = expected.expect_lately(_bare_grid(settings, site, (homes, laid.only(homes)), days), settings.expected, peers, span)
    return expected.expected_frame(seen, span - 1, np.arange(len(homes)), span).filter(pl.col("day") < days["day"].max())


def _odd(settings: Settings, laid: Laid, first: int) -> _Odd:
    """first: number of the block's first home."""
    doors = np.array([settings.rules[name].kind == "count" for name in sorted(settings.rules)])
    recent = _timely(laid, devices.REPEAT_DAYS)
    silent = ~(recent[doors, :, -1] > 0)
    looked_at = devices.looked_at(recent)
    kept = looked_at | silent.any(axis=0) | (np.cumsum(~silent, axis=1) == 1).any(axis=0)
    back = slice(-devices.LOOK_BACK, None)
    value, lag = laid.value[doors, :, back], laid.lag[doors, :, back]
    working = ((value > 0) & (lag <= np.arange(value.shape[2])[::-1])).sum(axis=2) >= devices.ENOUGH
    homes = np.flatnonzero(kept)
    return _Odd(looked_at, silent, working, first + homes, _timely(laid.only(homes), devices.LOOK_BACK))


def _timely(laid: Laid, days: int) -> np.ndarray:
    """(S, H, days) the last values as the last day knew them, UNKNOWN where it did not; zeros that the doors contradict among them."""
    value, lag = np.where(laid.zero[:, :, -days:], 0, laid.value[:, :, -days:]), laid.lag[:, :, -days:]
    known = np.where(lag > np.arange(value.shape[2])[::-1], UNKNOWN, value).astype(value.dtype, copy=False)
    return np.pad(known, ((0, 0), (0, 0), (days - known.shape[2], 0)), constant_values=UNKNOWN)


def _cannot(settings: Settings, what, homes: np.ndarray, had: np.ndarray) -> pl.DataFrame:
    """Which signals of those homes the night cannot judge, and why: from all their days, the last of them worked out."""
    grid, seen, vacant = what
    few = Grid(
        tuple(np.array(grid.households, dtype=object)[homes]), grid.signals, grid.units, grid.first,
        np.where(grid.value[:, homes] == UNKNOWN, np.nan, grid.value[:, homes]), grid.lag[:, homes], grid.weekday, grid.group[homes], grid.resolution,
    )  # fmt: skip
    whole = expected.widened(expected.only(seen, homes, seen.grid.days), few, vacant[homes])
    s, h = np.nonzero(had[:, homes])
    there = pl.DataFrame({"household": pl.Series(few.households, dtype=pl.String).gather(h), "signal": pl.Series(grid.signals).gather(s)})
    return expected.not_judged(whole, grid.days - 1, settings.expected).join(there, on=["household", "signal"], how="semi")


def _in_full(settings: Settings, what, asked: Sequence[tuple[np.ndarray, Laid]]) -> tuple[Expected, list]:
    """Those homes: of the sample as it saw them, of the others as many days as are shown of a case, with the sample for peers."""
    site, yardstick, days, before = what
    numbers = np.concatenate([homes for homes, _ in asked])
    known = np.isin(numbers, site.sample)
    of_sample, others = np.searchsorted(site.sample, numbers[known]), numbers[~known]
    first = expected.only(yardstick.seen, of_sample, days.height)
    scores = [_scores_of(one, of_sample, days.height) for one in yardstick.scores]
    if not len(others):
        return first, scores
    laid = Laid(*(np.concatenate([getattr(one, name) for _, one in asked], axis=1) for name in ("value", "lag", "zero", "had"))).only(np.flatnonzero(~known))
    span = min(max(settings.publish.expected_days, SHOWN_DAYS) + before, days.height)
    late, vacant = expected.expect_lately(_bare_grid(settings, site, (others, laid), days), settings.expected, yardstick.peers, span)
    more = [one for detector in detectors.chosen(settings.detectors) for one in detector(late, yardstick.peers)]
    both = [_together(a, b) for a, b in zip(scores, more, strict=True)]
    return expected.beside(first, expected.widened(late, _grid(settings, site, (others, laid), days), vacant)), both


def _scores_of(one, homes: np.ndarray, days: int):
    return type(one)(one.detector, one.signal, one.score[homes, :days], one.window[homes, :days], one.share)


def _together(a, b):
    """Scores of other homes below those of some, on their days; where they have fewer, of the last of them."""
    score, window = (np.full((len(b.score), a.score.shape[1]), fill, kind) for fill, kind in ((np.nan, float), (0, np.int16)))
    score[:, -b.score.shape[1] :], window[:, -b.score.shape[1] :] = b.score, b.window
    return type(a)(a.detector, a.signal, np.concatenate([a.score, score]), np.concatenate([a.window, window]), a.share)


def _silent(settings: Settings, inputs: Inputs, had: pl.DataFrame) -> pl.DataFrame:
    """Homes of the register that never gave anything, for every signal."""
    if settings.households is None:
        return had.head(0).with_columns(reason=pl.lit("", pl.String))
    silent = inputs.dwellings.select("household").join(had, on="household", how="anti")
    return silent.join(had.select("signal").unique(), how="cross").with_columns(reason=pl.lit("no whole day yet"))


def _failed_sensors(settings: Settings, inputs: Inputs, site: Site, night: dt.date, found: Sequence[_Odd]) -> pl.DataFrame:
    """household, signal, reason of what looks like a failed sensor: only homes where something is odd are looked at."""
    look = np.concatenate([f.looked_at for f in found])
    silent, working = (np.concatenate([getattr(f, name) for f in found], axis=1) for name in ("silent", "working"))
    building = _buildings(inputs.register, site.names)
    for s in range(len(silent)):
        look |= devices.silent_buildings(silent[s], working[s], building)
        look[np.flatnonzero(~silent[s])[:1]] = True  # that anything came at all tonight
    asked = np.flatnonzero(look & site.judged)
    first = night - dt.timedelta(days=devices.LOOK_BACK - 1)
    recent = _recent(inputs.kept, asked, first, found)
    days = devices.DeviceDays(list(site.names[asked]), sorted(settings.rules), first, np.where(recent == UNKNOWN, np.nan, recent), np.zeros(recent.shape, np.int8))
    kind: Mapping[str, str] = {name: rule.kind for name, rule in settings.rules.items()}
    return devices.notes_of(days, inputs.register, kind, [night]).drop("night")


def _recent(kept: Kept, asked: np.ndarray, first: dt.date, found: Sequence[_Odd]) -> np.ndarray:
    """(S, asked, devices.LOOK_BACK) as in _Odd: what the blocks have kept, and of who is silent for the building's sake alone what is in the store."""
    homes = np.concatenate([f.homes for f in found])
    recent = np.concatenate([f.recent for f in found], axis=1)
    there = np.isin(asked, homes)
    recent = recent[:, np.searchsorted(homes, asked[there])]
    if there.all():
        return recent
    out = np.empty((len(recent), len(asked), devices.LOOK_BACK), np.int64)
    out[:, there], out[:, ~there] = recent, _timely(kept.arrays(asked[~there], first, devices.LOOK_BACK), devices.LOOK_BACK)
    return out


def _buildings(register: pl.DataFrame, names: np.ndarray) -> np.ndarray:
    """(homes,) number of each home's building, −1 unknown."""
    numbers = register["building"].unique().drop_nulls().to_frame().with_row_index("number").cast({"number": pl.Int64})
    places = register.select("household", "building").join(numbers, on="building", how="left")
    homes = pl.DataFrame({"household": pl.Series(names, dtype=pl.String)}).join(places, on="household", how="left", maintain_order="left")
    return homes["number"].fill_null(-1).to_numpy()


def is_large(settings: Settings, inputs: Inputs) -> bool:
    """Whether the site has more homes than are asked at a small one, and the model is one a sample can speak for."""
    return inputs.dwellings.height > settings.engine.sample_homes and settings.expected.model == "usual" and bool(kinds(settings))
