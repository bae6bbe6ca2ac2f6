"""What was promised held against what was found: wrong doors, misses, fairness, and what follows from them.

A door is `wrong` where the answer was benign and right where it was confirmed; every other outcome is no answer. Shares
come with Wilson's 95 % interval. Nothing here knows a person: doors are told apart by kind of case, place and month.
"""

import datetime as dt
import hashlib
import math
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from anomaly import tables
from anomaly.intervals import wilson

ANSWERS = {
    "case_id": pl.String,
    "household": pl.String,
    "listed": pl.Date,
    "signature": pl.String,
    "district": pl.String,
    "class": pl.String,
    "day": pl.Date,
    "since": pl.Date,
    "outcome": pl.String,
    "chance_before": pl.Float64,
    "chance_wrong": pl.Float64,
}
CONTROL = "control"
SMALL_GROUP = 15  # homes; a smaller place is not told about
MANY = 10_000  # homes of which each draws a lot; of more, so many are chosen in a cheaper way first


@dataclass(frozen=True)
class AccountRules:
    """When outcomes are enough to act upon."""

    least_outcomes: int = 30  # answered doors of a kind, or a place, before it is corrected or stopped
    window_days: int = 365  # older answers no longer correct or stop anything
    stop_share: float = 0.8  # a kind stops where even the lower end of its wrong share lies above
    stop_times: float = (
        1.5  # a place stops where its doors are wrong so many times as often as the others', beyond chance
    )

    def __post_init__(self) -> None:
        if not self.least_outcomes >= 1:
            raise ValueError(f"least_outcomes = {self.least_outcomes} would act on nothing; write at least 1")
        if not 0 < self.stop_share <= 1:
            raise ValueError(f"stop_share = {self.stop_share}; a share lies above 0 and at most at 1")
        if not self.stop_times >= 1:
            raise ValueError(
                f"stop_times = {self.stop_times} would stop a place for being like the others; write at least 1"
            )


@dataclass(frozen=True)
class Standing:
    """What the outcomes known by a night amount to. shifts: kind → what is added to a chance's log odds.

    stopped: kind, and places: district → (wrong, answered) of those no longer listed.
    """

    shifts: Mapping[str, float] = field(default_factory=dict)
    stopped: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def corrected(self, signature: str, chance: float) -> float:
        """The chance that a door of this kind is wrong, after what outcomes have taught."""
        return shifted(chance, self.shifts[signature]) if signature in self.shifts else chance

    def stops(self, signature: str, district: str | None) -> bool:
        """Whether doors of this kind or place are no longer listed."""
        return signature in self.stopped or district in self.places


def settled(answers: pl.DataFrame) -> pl.DataFrame:
    """The answered doors, one row a listing: of several answers the latest day's, and of one day the later row's.

    answers: ANSWERS in the order in which they were recorded. An objection that nobody has decided leaves its door open.
    """
    deciding = answers.filter(pl.col("outcome").is_in(["confirmed", "benign", "contested"])).sort(
        "day", maintain_order=True
    )
    last = deciding.unique(["case_id", "listed"], keep="last", maintain_order=True)
    return last.filter(pl.col("outcome") != "contested").with_columns(wrong=pl.col("outcome") == "benign")


def standing(answers: pl.DataFrame, night: dt.date, rules: AccountRules = AccountRules()) -> Standing:
    """What a night may conclude from the answers it knows: those since then or before, of the last `window_days`."""
    known = answers.filter(
        (pl.col("since") <= night) & (pl.col("day") > night - dt.timedelta(days=rules.window_days))
    )
    doors = settled(known.filter(pl.col("signature") != CONTROL, pl.col("listed").is_not_null()))
    shifts, stopped = {}, {}
    for (kind,), own in doors.group_by("signature", maintain_order=True):
        wrong, answered = int(own["wrong"].sum()), own.height
        if answered < rules.least_outcomes:
            continue
        shifts[kind] = _shift(own["chance_before"].to_list(), wrong)
        if wilson(wrong, answered)[1] > rules.stop_share:
            stopped[kind] = (wrong, answered)
    return Standing(shifts, stopped, unfair(doors, "district", rules))


def unfair(doors: pl.DataFrame, column: str, rules: AccountRules) -> dict[str, tuple[int, int]]:
    """Groups whose doors are wrong far more often than all the others': group → (wrong, answered).

    `stop_times` as often, with the whole interval above the others', and enough answers on both sides.
    """
    found = {}
    for (group,), own in doors.drop_nulls(column).group_by(column, maintain_order=True):
        others = doors.filter(pl.col(column) != group)
        if min(own.height, others.height) < rules.least_outcomes:
            continue
        share, low, _ = wilson(int(own["wrong"].sum()), own.height)
        usual, _, high = wilson(int(others["wrong"].sum()), others.height)
        if low > high and share >= rules.stop_times * usual:
            found[group] = (int(own["wrong"].sum()), own.height)
    return found


def shifted(chance: float, shift: float) -> float:
    """A chance with its log odds moved; certainty counts as 99 in 100, so that outcomes can move it."""
    chance = min(max(chance, 0.01), 0.99)
    return 1.0 / (1.0 + math.exp(-(math.log(chance / (1.0 - chance)) + shift)))


def _shift(chances: Sequence[float], wrong: int) -> float:
    """The shift under which the chances add up to what was found: recalibration in the large (Cox 1958; Steyerberg 2004).

    Half a door of either kind is added (Jeffreys), so that no run of luck makes a chance 0 or 1. Found by halving.
    """
    wanted = (wrong + 0.5) / (len(chances) + 1.0) * len(chances)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(shifted(p, middle) for p in chances) < wanted:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


def account(
    listed: pl.DataFrame, answers: pl.DataFrame, now: Standing, small: Collection[str] = ()
) -> pl.DataFrame:
    """tables.Account: a row for all doors, and one a kind, a district and a month of first listing.

    listed: case_id, listed, signature, district of every door at each first listing. small: districts not told about.
    """
    answers = answers.filter(pl.col("signature") != CONTROL, pl.col("listed").is_not_null())
    ever = pl.concat([listed.select(_DOOR), answers.select(_DOOR)]).unique(
        ["case_id", "listed"], keep="first", maintain_order=True
    )
    parts = {
        "all": pl.lit("all"),
        "signature": pl.col("signature"),
        "district": pl.col("district"),
        "month": pl.col("listed").dt.strftime("%Y-%m"),
    }
    rows = []
    for grouped_by, name in parts.items():
        doors = settled(answers).with_columns(name=name)
        for (group,), own in (
            ever.with_columns(name=name).drop_nulls("name").group_by("name", maintain_order=True)
        ):
            if grouped_by != "district" or group not in small:
                rows.append(
                    {"grouped_by": grouped_by, "name": group, "listed": own.height}
                    | _held(doors.filter(pl.col("name") == group), now)
                )
                rows[-1]["stopped"] = group in {"signature": now.stopped, "district": now.places}.get(
                    grouped_by, ()
                )
    return pl.DataFrame(rows, schema=dict(tables.empty(tables.Account).schema), orient="row").sort(
        "grouped_by", "name"
    )


_DOOR = ("case_id", "listed", "signature", "district")


def _held(doors: pl.DataFrame, now: Standing) -> dict:
    """Promise and finding of some answered doors."""
    wrong, n = int(doors["wrong"].sum()), doors.height
    share, low, high = wilson(wrong, n) if n else (None, None, None)
    after = [now.corrected(kind, p) for kind, p in doors.select("signature", "chance_before").iter_rows()]
    return {
        "answered": n,
        "confirmed": n - wrong,
        "wrong": wrong,
        "promised": round(doors["chance_wrong"].sum(), 4),
        "wrong_share": share,
        "low": low,
        "high": high,
        "chance_before": doors["chance_before"].mean(),
        "chance_after": sum(after) / n if n else None,
    }


RATES = {
    "listed": "homes",
    "visited": "listed",
    "confirmed": "visited",
    "wrong": "visited",
}  # of what each is a share


def fairness(
    homes: pl.DataFrame, listed: pl.DataFrame, answers: pl.DataFrame, rules: AccountRules = AccountRules()
) -> pl.DataFrame:
    """tables.Fairness: how often homes of each district and dwelling class are listed, visited, confirmed and wrong.

    homes: household, district, class of every judged home. listed: household, case_id, listed of first listings. A group
    under SMALL_GROUP homes is left out. `stop`: its doors are wrong far more often than all the others'.
    """
    doors = settled(answers.filter(pl.col("signature") != CONTROL, pl.col("listed").is_not_null()))
    rows = []
    for column in ("district", "class"):
        stopped = unfair(doors, column, rules)
        for (group,), own in homes.drop_nulls(column).group_by(column, maintain_order=True):
            if own.height < SMALL_GROUP:
                continue
            there = listed.join(own, on="household", how="semi")
            found = doors.filter(pl.col(column) == group)
            counts = {
                "homes": own.height,
                "listed": there["household"].n_unique(),
                "visited": found["household"].n_unique(),
            }
            counts |= {"confirmed": int((~found["wrong"]).sum()), "wrong": int(found["wrong"].sum())}
            rows.append(
                {
                    "grouped_by": column,
                    "name": group,
                    **counts,
                    **_rates(counts, found.height),
                    "stop": group in stopped,
                }
            )
    return pl.DataFrame(rows, schema=FAIRNESS, orient="row").sort("grouped_by", "name")


FAIRNESS = {
    "grouped_by": pl.String,
    "name": pl.String,
    **dict.fromkeys(("homes", "listed", "visited", "confirmed", "wrong"), pl.Int64),
}
FAIRNESS |= {f"{name}_{end}": pl.Float64 for name in RATES for end in ("share", "low", "high")} | {
    "stop": pl.Boolean
}


def _rates(counts: Mapping[str, int], answered: int) -> dict[str, float | None]:
    told = {}
    for name, of in RATES.items():
        whole = answered if of == "visited" else counts[of]
        values = wilson(min(counts[name], whole), whole) if whole else (None, None, None)
        told |= dict(zip((f"{name}_share", f"{name}_low", f"{name}_high"), values, strict=True))
    return told


def draw(homes: Iterable[str], night: dt.date, number: int) -> list[str]:
    """A random sample of homes for desk checks, seeded by the night alone: the same homes and night give the same sample."""

    def lot(home: str) -> str:
        return hashlib.sha256(f"{night}\x1f{CONTROL}\x1f{home}".encode()).hexdigest()

    return sorted(_few(list(homes), night, max(MANY, 100 * number)), key=lot)[:number]


def _few(homes: list[str], night: dt.date, number: int) -> list[str]:
    """As many of the homes, by a hash that takes no time for a million of them and puts them in another order every night."""
    if len(homes) <= number:
        return homes
    sums = np.fromiter(map(zlib.crc32, map(str.encode, homes)), np.uint64, len(homes))
    mixed = sums * np.uint64(2 * zlib.crc32(str(night).encode()) + 1) % np.uint64(1 << 32)
    first = np.flatnonzero(
        mixed <= np.partition(mixed, number)[number]
    )  # all need not be put in order for that
    return [homes[first[place]] for place in np.lexsort((sums[first], mixed[first]))[:number]]


def misses(checks: int, answers: pl.DataFrame, unlisted: int) -> pl.DataFrame:
    """tables.Misses: how many of the unlisted homes have a surge nobody was shown, from the control doors answered so far."""
    doors = settled(answers.filter(pl.col("signature") == CONTROL))
    found, n = doors.filter(~pl.col("wrong")).height, doors.height
    share, low, high = wilson(found, n) if n else (None, None, None)
    row = {
        "drawn": checks,
        "answered": n,
        "found": found,
        "share": share,
        "low": low,
        "high": high,
        "unlisted": unlisted,
    }
    row |= {
        f"missed{end}": None if x is None else x * unlisted
        for end, x in (("", share), ("_low", low), ("_high", high))
    }
    return pl.DataFrame([row], schema=dict(tables.empty(tables.Misses).schema), orient="row")
