"""Hold what was promised against what was found at the doors, and correct later nights by it.

A door is `wrong` where the answer was benign and right where it was confirmed; every other outcome is no
answer. Shares come with their 95 % interval (Wilson). Nothing here knows a person: doors are told apart by
kind of case, district, dwelling class and month.

Four things follow from the answers: `correction_for_night` (what the nights to come make of them), and the
rows of three published tables: `account_table`, `fairness_table` and `misses_table`, the last from the random
control doors of `draw_control_doors`.
"""

import datetime as dt
import hashlib
import math
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from anomaly import tables
from anomaly.intervals import wilson_interval

ANSWER_SCHEMA = {
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
"""Columns of answers, one row an answer in the order of recording.

listed: night of the door's first listing, null for a control door. day: when it was answered. since: the
first night whose list knows it. chance_before, chance_wrong: the chance promised at that listing, before and
after correction.
"""

CONTROL = "control"
"""The signature of a control door: drawn at random for a check at the desk, never listed."""

MIN_GROUP_HOMES = 15
"""Homes of a district or class below which nothing is told about it."""


@dataclass(frozen=True)
class AccountRules:
    """When outcomes are enough to act upon."""

    least_outcomes: int = 30  # answered doors of a kind, or a district, before it is corrected or stopped
    window_days: int = 365  # older answers no longer correct or stop anything
    stop_share: float = 0.8  # a kind stops where even the lower end of its wrong share lies above
    # a district stops where its doors are wrong so many times as often as the others', beyond chance
    stop_times: float = 1.5

    def __post_init__(self) -> None:
        if not self.least_outcomes >= 1:
            raise ValueError(f"least_outcomes = {self.least_outcomes} would act on nothing; write at least 1")
        if not 0 < self.stop_share <= 1:
            raise ValueError(f"stop_share = {self.stop_share}; a share lies above 0 and at most at 1")
        if not self.stop_times >= 1:
            remedy = "would stop a place for being like the others; write at least 1"
            raise ValueError(f"stop_times = {self.stop_times} {remedy}")


def decided_doors(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the answered doors with `wrong`, one row a listing.

    answers: of ANSWER_SCHEMA. Of several answers the latest day's counts, of one day the later row's. An
    objection (`contested`) that nobody has decided since leaves its door open.
    """
    deciding = answers.filter(pl.col("outcome").is_in(["confirmed", "benign", "contested"]))
    last = deciding.sort("day", maintain_order=True).unique(
        ["case_id", "listed"], keep="last", maintain_order=True
    )
    return last.filter(pl.col("outcome") != "contested").with_columns(wrong=pl.col("outcome") == "benign")


def _of_listed_doors(answers: pl.DataFrame) -> pl.DataFrame:
    """Leave out control doors."""
    return answers.filter(pl.col("signature") != CONTROL, pl.col("listed").is_not_null())


# --- what the nights to come make of the answers ------------------------------------------------------------


class WrongCount(NamedTuple):
    """Doors that were wrong, of those answered."""

    wrong: int
    answered: int


@dataclass(frozen=True)
class OutcomeCorrection:
    """What the outcomes known by a night change about its list; the default changes nothing.

    shifts: kind → what is added to the log odds of a door's chance to be wrong. stopped_kinds,
    stopped_districts: those no longer listed because their doors were wrong too often.
    """

    shifts: Mapping[str, float] = field(default_factory=dict)
    stopped_kinds: Mapping[str, WrongCount] = field(default_factory=dict)
    stopped_districts: Mapping[str, WrongCount] = field(default_factory=dict)

    def correct(self, signature: str, chance: float) -> float:
        """Return the chance that a door of this kind is wrong, after what outcomes have taught."""
        return shift_chance(chance, self.shifts[signature]) if signature in self.shifts else chance

    def is_stopped(self, signature: str, district: str | None) -> bool:
        """Return whether doors of this kind or district are no longer listed."""
        return signature in self.stopped_kinds or district in self.stopped_districts


def correction_for_night(
    answers: pl.DataFrame, night: dt.date, rules: AccountRules = AccountRules()
) -> OutcomeCorrection:
    """Return what a night may conclude from the answers it knows, those of the last `window_days`.

    answers: of ANSWER_SCHEMA.
    """
    oldest = night - dt.timedelta(days=rules.window_days)
    known = _of_listed_doors(answers).filter(pl.col("since") <= night, pl.col("day") > oldest)
    doors = decided_doors(known)
    shifts, stopped_kinds = {}, {}
    for (kind,), of_kind in doors.group_by("signature", maintain_order=True):
        count = _count_wrong(of_kind)
        if count.answered < rules.least_outcomes:
            continue
        shifts[kind] = _fit_shift(of_kind["chance_before"].to_list(), count.wrong)
        _, low, _ = wilson_interval(count.wrong, count.answered)
        if low > rules.stop_share:
            stopped_kinds[kind] = count
    return OutcomeCorrection(shifts, stopped_kinds, groups_wrong_too_often(doors, "district", rules))


def groups_wrong_too_often(doors: pl.DataFrame, column: str, rules: AccountRules) -> dict[str, WrongCount]:
    """Return the groups of a column whose doors are wrong far more often than all the others'.

    doors: of `decided_doors`. Far more often: `stop_times` as often, with the whole interval above the
    others', and enough answers on both sides.
    """
    found = {}
    for (group,), inside in doors.drop_nulls(column).group_by(column, maintain_order=True):
        own, others = _count_wrong(inside), _count_wrong(doors.filter(pl.col(column) != group))
        if min(own.answered, others.answered) < rules.least_outcomes:
            continue
        own_share, own_low, _ = wilson_interval(*own)
        others_share, _, others_high = wilson_interval(*others)
        if own_low > others_high and own_share >= rules.stop_times * others_share:
            found[group] = own
    return found


def _count_wrong(doors: pl.DataFrame) -> WrongCount:
    return WrongCount(int(doors["wrong"].sum()), doors.height)


def shift_chance(chance: float, shift: float) -> float:
    """Return a chance with its log odds moved; certainty counts as 99 in 100, so that it can be moved."""
    chance = min(max(chance, 0.01), 0.99)
    return 1.0 / (1.0 + math.exp(-(math.log(chance / (1.0 - chance)) + shift)))


def _fit_shift(chances: Sequence[float], wrong: int) -> float:
    """Find the shift under which the chances add up to the doors found wrong.

    Recalibration in the large (Cox 1958; Steyerberg 2004), by bisection. Half a door of either kind is added
    (Jeffreys), so that no run of luck makes a chance 0 or 1.
    """
    target = (wrong + 0.5) / (len(chances) + 1.0) * len(chances)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(shift_chance(chance, middle) for chance in chances) < target:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


# --- the account: promised and found ------------------------------------------------------------------------

_DOOR_COLUMNS = ("case_id", "listed", "signature", "district")
_ACCOUNT_GROUPS = {
    "all": pl.lit("all"),
    "signature": pl.col("signature"),
    "district": pl.col("district"),
    "month": pl.col("listed").dt.strftime("%Y-%m"),
}


def account_table(
    first_listings: pl.DataFrame,
    answers: pl.DataFrame,
    correction: OutcomeCorrection,
    small_districts: Collection[str] = (),
) -> pl.DataFrame:
    """Return tables.Account: a row for all doors, and one a kind, a district and a month of first listing.

    first_listings: case_id, listed, signature, district of every door at each first listing. answers: of
    ANSWER_SCHEMA. small_districts: left out.
    """
    answers = _of_listed_doors(answers)
    # Answers outlive the nights that listed their doors, so both together are all doors ever listed.
    listed = pl.concat([first_listings.select(_DOOR_COLUMNS), answers.select(_DOOR_COLUMNS)])
    listed = listed.unique(["case_id", "listed"], keep="first", maintain_order=True)
    decided = decided_doors(answers)
    stopped = {"signature": correction.stopped_kinds, "district": correction.stopped_districts}
    rows = []
    for grouped_by, group_name in _ACCOUNT_GROUPS.items():
        named_doors = decided.with_columns(name=group_name)
        groups = listed.with_columns(name=group_name).drop_nulls("name").group_by("name", maintain_order=True)
        for (name,), in_group in groups:
            if grouped_by == "district" and name in small_districts:
                continue
            rows.append(
                {
                    "grouped_by": grouped_by,
                    "name": name,
                    "listed": in_group.height,
                    **_promised_and_found(named_doors.filter(pl.col("name") == name), correction),
                    "stopped": name in stopped.get(grouped_by, ()),
                }
            )
    schema = dict(tables.empty(tables.Account).schema)
    return pl.DataFrame(rows, schema=schema, orient="row").sort("grouped_by", "name")


def _promised_and_found(doors: pl.DataFrame, correction: OutcomeCorrection) -> dict[str, Any]:
    """Return the account's numbers of some answered doors."""
    wrong, answered = _count_wrong(doors)
    share, low, high = wilson_interval(wrong, answered) if answered else (None, None, None)
    corrected = [
        correction.correct(kind, chance)
        for kind, chance in doors.select("signature", "chance_before").iter_rows()
    ]
    return {
        "answered": answered,
        "confirmed": answered - wrong,
        "wrong": wrong,
        "promised": round(doors["chance_wrong"].sum(), 4),
        "wrong_share": share,
        "low": low,
        "high": high,
        "chance_before": doors["chance_before"].mean(),
        "chance_after": sum(corrected) / answered if answered else None,
    }


# --- fairness: the same of every district and dwelling class ------------------------------------------------

RATE_DENOMINATORS = {"listed": "homes", "visited": "listed", "confirmed": "visited", "wrong": "visited"}
"""Each rate of the fairness table, and what it is a share of."""

FAIRNESS_SCHEMA = {
    "grouped_by": pl.String,
    "name": pl.String,
    **dict.fromkeys(("homes", *RATE_DENOMINATORS), pl.Int64),
    **{f"{rate}_{end}": pl.Float64 for rate in RATE_DENOMINATORS for end in ("share", "low", "high")},
    "stop": pl.Boolean,
}


def fairness_table(
    homes: pl.DataFrame,
    first_listings: pl.DataFrame,
    answers: pl.DataFrame,
    rules: AccountRules = AccountRules(),
) -> pl.DataFrame:
    """Return how often homes of each district and class are listed, visited, confirmed and wrong.

    Of FAIRNESS_SCHEMA. homes: household, district, class of every judged home. first_listings: household,
    case_id, listed. answers: of ANSWER_SCHEMA. A group under MIN_GROUP_HOMES is left out. `stop`: its doors
    are wrong far more often than all the others'.
    """
    doors = decided_doors(_of_listed_doors(answers))
    rows = []
    for column in ("district", "class"):
        stopped = groups_wrong_too_often(doors, column, rules)
        for (group,), in_group in homes.drop_nulls(column).group_by(column, maintain_order=True):
            if in_group.height < MIN_GROUP_HOMES:
                continue
            listed = first_listings.join(in_group, on="household", how="semi")
            answered = doors.filter(pl.col(column) == group)
            wrong = int(answered["wrong"].sum())
            counts = {
                "homes": in_group.height,
                "listed": listed["household"].n_unique(),
                "visited": answered["household"].n_unique(),
                "confirmed": answered.height - wrong,
                "wrong": wrong,
            }
            rates = _rates(counts, answered.height)
            rows.append({"grouped_by": column, "name": group, **counts, **rates, "stop": group in stopped})
    return pl.DataFrame(rows, schema=FAIRNESS_SCHEMA, orient="row").sort("grouped_by", "name")


def _rates(counts: Mapping[str, int], answers: int) -> dict[str, float | None]:
    """Return share, low and high of every rate; None where there is nothing to be a share of.

    answers: answered doors; a home may have several, so what is found at them is a share of doors, not of
    homes.
    """
    rates: dict[str, float | None] = {}
    for rate, denominator in RATE_DENOMINATORS.items():
        whole = answers if denominator == "visited" else counts[denominator]
        ends = wilson_interval(min(counts[rate], whole), whole) if whole else (None, None, None)
        rates |= dict(zip((f"{rate}_share", f"{rate}_low", f"{rate}_high"), ends, strict=True))
    return rates


# --- misses: what a random sample of unlisted homes says ----------------------------------------------------

MAX_DIGESTS = (
    10_000  # homes for each of which a digest is worked out; of more, so many are chosen in a cheaper way
)


def draw_control_doors(homes: Iterable[str], night: dt.date, number: int) -> list[str]:
    """Draw a random sample of homes for checks at the desk, seeded by the night and the homes alone."""

    def digest(home: str) -> str:
        return hashlib.sha256(f"{night}\x1f{CONTROL}\x1f{home}".encode()).hexdigest()

    return sorted(_preselect(list(homes), night, max(MAX_DIGESTS, 100 * number)), key=digest)[:number]


def _preselect(homes: list[str], night: dt.date, number: int) -> list[str]:
    """Choose so many of the homes by a hash that is quick for a million of them and differs every night."""
    if len(homes) <= number:
        return homes
    checksums = np.fromiter(map(zlib.crc32, map(str.encode, homes)), np.uint64, len(homes))
    mixed = checksums * np.uint64(2 * zlib.crc32(str(night).encode()) + 1) % np.uint64(1 << 32)
    # Only the smallest need to be put in order, not all.
    smallest = np.flatnonzero(mixed <= np.partition(mixed, number)[number])
    order = np.lexsort((checksums[smallest], mixed[smallest]))[:number]
    return [homes[smallest[place]] for place in order]


def misses_table(drawn: int, answers: pl.DataFrame, unlisted: int) -> pl.DataFrame:
    """Return tables.Misses: how many unlisted homes have a surge nobody was shown, by answered control doors.

    drawn: control doors so far. answers: of ANSWER_SCHEMA. unlisted: homes judged on the latest night and not
    listed.
    """
    doors = decided_doors(answers.filter(pl.col("signature") == CONTROL))
    wrong, answered = _count_wrong(doors)
    found = answered - wrong
    share, low, high = wilson_interval(found, answered) if answered else (None, None, None)
    row = {
        "drawn": drawn,
        "answered": answered,
        "found": found,
        "share": share,
        "low": low,
        "high": high,
        "unlisted": unlisted,
        "missed": None if share is None else share * unlisted,
        "missed_low": None if low is None else low * unlisted,
        "missed_high": None if high is None else high * unlisted,
    }
    return pl.DataFrame([row], schema=dict(tables.empty(tables.Misses).schema), orient="row")
