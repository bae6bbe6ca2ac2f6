"""Rows to readings: a home's new rows are taken on from where its last ones left off; what comes late is made from its rows again."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from anomaly import readings as room
from anomaly.readings import SignalRule
from anomaly.tables import UNKNOWN
from pipelines.ingest import late_arrivals
from pipelines.storage.daily_readings import STORED_CELL_SCHEMA, DailyReadings
from pipelines.storage.home_numbers import HomeNumbers, home_blocks
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA, RawRows, file_sort_keys
from pipelines.storage.state import Store

CHUNK = 1 << 17  # homes that are made from their rows again at once
APART = 0.02  # share of the homes of a load that may begin before the others
CAME = {name: STORED_CELL_SCHEMA[name] for name in ("day", "quality", "lag")} | {
    "quality_before": STORED_CELL_SCHEMA["quality"],
    "lag_before": STORED_CELL_SCHEMA["lag"],
}
NUMBERED = {"household": "home"}  # a home's number stands for its id


@dataclass
class Changes:
    """What a load has changed: from which day on all homes have new cells, and homes whose older ones changed too."""

    since: dt.date | None = None
    homes: list[pl.Series] = field(default_factory=list)
    everything: bool = False

    def taken_on(self, days: pl.DataFrame) -> None:
        """Count in cells that follow earlier ones. The few homes that begin long before the others are looked at apart."""
        starts = days.group_by("home").agg(pl.col("day").min())
        usual = starts["day"].sort()[int(APART * len(starts))]
        self.since = min(filter(None, (self.since, usual)))
        self.homes.append(starts.filter(pl.col("day") < usual)["home"])

    def __bool__(self) -> bool:
        return self.everything or self.since is not None or bool(self.homes)


@dataclass(frozen=True)
class Signal:
    """Rows, cells and carry of one signal in the store."""

    store: Store
    rule: SignalRule

    @property
    def rows(self) -> RawRows:
        return RawRows(self.store, self.rule.name)

    @property
    def days(self) -> DailyReadings:
        return DailyReadings(self.store, self.rule.name)

    def take_in(self, new: pl.DataFrame, changes: Changes) -> tuple[int, dict[str, int]]:
        """Keep new rows (RAW_ROW_SCHEMA, `file` as an Enum: ten million texts take longer to move than all else) and add the cells they make.

        Returns the part that holds them, and how many were duplicate or restated.
        """
        new = new.with_columns(order=file_sort_keys(new["file"]))
        carry = self._carry()
        behind = room.homes_to_rebuild(_named(new), self.rule, carry)
        came_late = pl.col("home").is_in(behind.implode())
        on_time, counts = _merged(new.clear(), new.filter(~came_late))
        fresh, cells = [on_time], []
        for homes in _chunks(behind):
            kept = self.rows.read(homes)
            rows, more = _merged(
                kept,
                new.filter(pl.col("home").is_in(homes.implode())).cast(
                    {"file": pl.String, "order": pl.String}
                ),
            )
            counts = {name: n + more[name] for name, n in counts.items()}
            fresh.append(rows.join(kept, on=list(RAW_ROW_SCHEMA), how="anti", nulls_equal=True))
        fresh = pl.concat([frame.select(RAW_ROW_SCHEMA.keys()).cast(RAW_ROW_SCHEMA) for frame in fresh])
        part = self.rows.add(fresh).number if fresh.height else None
        days, carry = self._go_on(on_time, carry)
        came = [days]
        if days.height:
            cells.append(days)
            changes.taken_on(days)
        carry = _without(carry, behind)
        for homes in _chunks(
            behind
        ):  # read anew: where a day of every home is restated, their rows do not fit into memory together
            days, carry = self._go_on(self.rows.read(homes), carry)
            old = self.days.read(homes=homes)
            days = days.join(old, on=["home", *room.CELL_SCHEMA], how="anti", nulls_equal=True)
            cells.append(days)
            before = old.select("home", "day", quality_before="quality", lag_before="lag")
            came.append(days.join(before, on=["home", "day"], how="left"))
            changes.homes.append(days["home"].unique())
        late_arrivals.note_changes(
            self.store,
            self.rule.name,
            pl.concat([pl.DataFrame(schema=CAME), *came], how="diagonal").select(CAME.keys()),
        )
        self.days.add(pl.concat([pl.DataFrame(schema=STORED_CELL_SCHEMA), *cells]))
        self._keep(carry)
        return part, counts

    def make_again(self, homes_known: int) -> None:
        """All cells from all rows, block by block."""
        self.days.clear()
        carry = room.IncrementalState.initial(pl.UInt32)
        for homes in home_blocks(homes_known, CHUNK):
            days, carry = self._go_on(self.rows.read(homes), carry)
            self.days.add(days)
        self._keep(carry)

    def catch_up(self, changes: Changes) -> None:
        """Where a load was broken off between keeping rows and their cells, make these homes' cells again."""
        for homes in _chunks(self.rows.homes_added_after(self._carried())):
            days, carry = self._go_on(self.rows.read(homes), _without(self._carry(), homes))
            self.days.add(days)
            self._keep(carry)
            changes.homes.append(homes)

    def _go_on(
        self, rows: pl.DataFrame, carry: room.IncrementalState
    ) -> tuple[pl.DataFrame, room.IncrementalState]:
        if rows.is_empty():
            return pl.DataFrame(schema=STORED_CELL_SCHEMA), carry
        days, carry = room.advance(_named(rows), self.rule, carry)
        return days.rename(NUMBERED).with_columns(mark=pl.lit(0, pl.UInt8)).select(
            STORED_CELL_SCHEMA.keys()
        ).cast(STORED_CELL_SCHEMA), carry

    def homes(self) -> pl.Series:
        """Numbers of the homes that have a row."""
        return self._carry().homes["household"]

    def whole(self) -> bool:
        """Whether rows and carry are there."""
        return bool(self.rows.partitions()) and self._carried() >= 0

    def _carried(self) -> int:
        """The last part of rows that the kept carry knows; -1 where there is none."""
        kept = self.store.path(f"carry/{self.rule.name}").glob("??????.parquet")
        return max(
            (int(path.stem) for path in kept if path.with_suffix(".rows.parquet").exists()), default=-1
        )

    def _carry(self) -> room.IncrementalState:
        empty, number = room.IncrementalState.initial(pl.UInt32), self._carried()
        if number < 0:
            return empty
        name = f"carry/{self.rule.name}/{number:06}"
        return room.IncrementalState(
            self.store.read(f"{name}.parquet"), self.store.read(f"{name}.rows.parquet")
        )

    def _keep(self, carry: room.IncrementalState) -> None:
        """The carry after all rows kept so far; the one before is there until this one is whole."""
        number = max((part.number for part in self.rows.partitions()), default=0)
        name = f"carry/{self.rule.name}/{number:06}"
        self.store.write(f"{name}.rows.parquet", carry.rows)
        self.store.write(f"{name}.parquet", carry.homes)
        for path in self.store.path(f"carry/{self.rule.name}").glob("*.parquet"):
            if not path.name.startswith(f"{number:06}"):
                path.unlink()


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.rename({"home": "household"})


def _merged(kept: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    rows, counts = room.merge_rows(_named(kept), _named(new))
    return rows.rename(NUMBERED), counts


def _without(carry: room.IncrementalState, homes: pl.Series) -> room.IncrementalState:
    there = ~pl.col("household").is_in(homes.implode())
    return room.IncrementalState(carry.homes.filter(there), carry.rows.filter(there))


def _chunks(homes: pl.Series) -> Iterator[pl.Series]:
    homes = homes.sort()
    for start in range(0, len(homes), CHUNK):
        yield homes.slice(start, CHUNK)


def compare_signals(store: Store, rules: Mapping[str, SignalRule], changes: Changes) -> None:
    """Say anew what the doors say of the meters' days, where a load has changed either (`anomaly.readings.doors_and_meters`)."""
    homes = len(HomeNumbers(store))
    if changes.everything:
        for block in home_blocks(homes):
            _compare(store, rules, block, None)
        return
    apart = list(changes.homes)
    if changes.since is not None:
        for block in home_blocks(homes):
            apart.append(_compare(store, rules, block, changes.since))
    if apart:
        for some in _chunks(pl.concat(apart).unique()):
            _compare(store, rules, some, None)


def _compare(
    store: Store, rules: Mapping[str, SignalRule], homes: range | pl.Series, since: dt.date | None
) -> pl.Series:
    """Write what changes from day `since` on (None: every day); the homes of which more days must be seen to tell."""
    start = since and since - dt.timedelta(days=room.CROSS_CHECK_DAYS)
    days = {name: DailyReadings(store, name) for name in rules}
    cells = {name: days[name].read(first=start, homes=homes) for name in rules}
    some = [frame for frame in cells.values() if frame.height]
    apart = pl.Series(dtype=pl.UInt32)
    if not some:
        return apart
    first = start or min(frame["day"].min() for frame in some)
    numbers = np.arange(homes.start, homes.stop) if isinstance(homes, range) else homes.to_numpy()
    shape = len(numbers), (max(frame["day"].max() for frame in some) - first).days + 1
    begin = (since - first).days if since else 0
    doors = np.full(shape, UNKNOWN)
    for name in (name for name in rules if rules[name].kind == "count"):
        box, value, known = _placed(cells[name].filter(pl.col("quality") == 0), numbers, first)
        doors[box] = np.maximum(doors[box], 0) + value
    for name in (name for name in rules if rules[name].kind != "count"):
        box, value, known = _placed(cells[name], numbers, first)
        meter, before = np.full(shape, UNKNOWN), np.zeros(shape, np.uint8)
        meter[box], before[box] = np.where(known, value, UNKNOWN), cells[name]["mark"].to_numpy()
        said = room.mark_contradictions(meter, doors, before, begin)[box]
        changed = (
            cells[name]
            .with_columns(mark=pl.Series(said))
            .filter(pl.Series(said != cells[name]["mark"].to_numpy()))
        )
        days[name].add(changed)
        if since:
            unseen = (meter[:, :begin] == UNKNOWN).all(axis=1) & (meter[:, begin:] != UNKNOWN).any(axis=1)
            apart = pl.concat(
                [apart, days[name].homes_seen_before(start, pl.Series(numbers[unseen].astype(np.uint32)))]
            )
    return apart


def _placed(
    cells: pl.DataFrame, numbers: np.ndarray, first: dt.date
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Place of each cell (home, day), its value, and whether it is known."""
    home = cells["home"].to_numpy()
    home = (
        home - numbers[0] if numbers[-1] - numbers[0] == len(numbers) - 1 else np.searchsorted(numbers, home)
    )
    day = cells.select((pl.col("day") - first).dt.total_days()).to_series().to_numpy()
    known = cells.select((pl.col("quality") <= 1) & pl.col("value").is_not_null()).to_series().to_numpy()
    return (home, day), cells["value"].fill_null(UNKNOWN).to_numpy(), known
