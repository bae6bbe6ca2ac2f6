"""Turn new rows of a signal into daily readings, without looking at the rows before them again.

Of each home a small incremental state says what its next rows need to know of all rows before. Rows that
follow a home's last ones are taken from there; where rows come late or are restated, the home is rebuilt from
all its raw rows.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from anomaly.readings import (
    CELL_SCHEMA,
    IncrementalState,
    SignalRule,
    advance,
    homes_to_rebuild,
    merge_rows,
)
from pipelines.ingest import late_arrivals
from pipelines.storage.daily_readings import STORED_CELL_SCHEMA, DailyReadings
from pipelines.storage.home_numbers import home_blocks
from pipelines.storage.raw_rows import RawRows, as_raw_rows, concat_rows, file_sort_keys
from pipelines.storage.state import Store

REBUILD_HOMES = 1 << 17
"""Homes that are rebuilt from their rows at once: all rows of all homes do not fit into memory together."""
EARLY_SHARE = 0.02
"""Share of a load's homes that may have new readings before the others; they are then counted by name."""


@dataclass
class ReadingChanges:
    """Which readings a load has changed, for what compares the signals of a home afterwards.

    since: from that day on every home may have new readings. homes: numbers of homes of which earlier ones
    changed too. everything: any reading may have changed.
    """

    since: dt.date | None = None
    homes: list[pl.Series] = field(default_factory=list)
    everything: bool = False

    def add_new_days(self, cells: pl.DataFrame) -> None:
        """Count in cells that follow earlier ones; homes that begin long before most are counted by name."""
        starts = cells.group_by("home").agg(pl.col("day").min())
        usual = starts["day"].sort()[int(EARLY_SHARE * len(starts))]
        self.since = usual if self.since is None else min(self.since, usual)
        self.homes.append(starts.filter(pl.col("day") < usual)["home"])

    def __bool__(self) -> bool:
        return self.everything or self.since is not None or bool(self.homes)


class IngestedRows(NamedTuple):
    """New rows once written: their partition (None: none was new), and how many lost to other rows."""

    partition: int | None
    duplicate: int
    restated: int


@dataclass(frozen=True)
class StoredSignal:
    """One signal in the state: its raw rows, the daily readings of them, the incremental state after them."""

    store: Store
    rule: SignalRule

    @property
    def rows(self) -> RawRows:
        """The raw rows."""
        return RawRows(self.store, self.rule.name)

    @property
    def readings(self) -> DailyReadings:
        """The daily readings."""
        return DailyReadings(self.store, self.rule.name)

    def ingest(self, new: pl.DataFrame, changes: ReadingChanges) -> IngestedRows:
        """Write new rows (RAW_ROW_SCHEMA, EXTRA_COLUMNS) and the readings that come of them, and count these
        in `changes`.

        `file` is an Enum, because ten million texts take longer to move than all else. Written in this order,
        so that a load that is broken off can be mended: rows, notes of late arrivals, readings, incremental
        state.
        """
        new = new.with_columns(pl.col("value").cast(pl.Float64), order=file_sort_keys(new["file"]))
        state = self._read_state()
        late_homes = homes_to_rebuild(_as_library_rows(new), self.rule, state)
        is_late = pl.col("home").is_in(late_homes.implode())

        on_time, counts = _merge(new.clear(), new.filter(~is_late))
        added = [on_time]
        for homes in _chunks(late_homes):
            stored = self.rows.read(homes)
            of_homes = new.filter(pl.col("home").is_in(homes.implode()))
            of_homes = of_homes.cast({"file": pl.String, "order": pl.String})
            stored, of_homes = _with_same_columns(stored, of_homes)
            merged, more = _merge(stored, of_homes)
            counts = {name: count + more[name] for name, count in counts.items()}
            added.append(merged.join(stored, on=as_raw_rows(stored).columns, how="anti", nulls_equal=True))
        partition = self._add_rows(added)

        cells, state = self._advance(on_time, state)
        written = [cells]
        if cells.height:
            changes.add_new_days(cells)
        state = _without_homes(state, late_homes)
        for homes in _chunks(late_homes):
            cells, state = self._advance(self.rows.read(homes), state)
            cells = self._changed_cells(cells, homes)
            written.append(cells)
            changes.homes.append(cells["home"].unique())
        self._note_late_arrivals(written)
        cell_columns = list(STORED_CELL_SCHEMA)
        self.readings.add(pl.concat([cells.select(cell_columns) for cells in written]))
        self.write_state(state)
        return IngestedRows(partition, **counts)

    def rebuild(self, homes_known: int) -> None:
        """Make all daily readings from all rows again, block by block of the homes 0 … `homes_known` - 1.

        Where it is broken off the readings are part old, part gone, and nothing here says so: the caller
        marks that beforehand (`loader.MADE_WITH_FILE`).
        """
        self.readings.clear()
        state = IncrementalState.initial(pl.UInt32)
        for homes in home_blocks(homes_known, REBUILD_HOMES):
            cells, state = self._advance(self.rows.read(homes), state)
            self.readings.add(cells)
        self.write_state(state)

    def repair(self, changes: ReadingChanges) -> None:
        """Make readings, and note late ones, of rows that a load wrote before it was broken off."""
        added = self.rows.homes_added_after(self._state_number())
        if added.is_empty():
            return
        state = self._read_state()
        for homes in _chunks(added):
            cells, state = self._advance(self.rows.read(homes), _without_homes(state, homes))
            cells = self._changed_cells(cells, homes)
            self._note_late_arrivals([cells])
            self.readings.add(cells)
            changes.homes.append(homes)
        # last: a repair that is broken off begins anew, and the same readings twice are the same readings
        self.write_state(state)

    def homes(self) -> pl.Series:
        """Return the numbers of the homes that have a row."""
        return self._read_state().homes["household"]

    def is_whole(self) -> bool:
        """Return whether rows and incremental state are there."""
        return bool(self.rows.partitions()) and self._state_number() >= 0

    def write_state(self, state: IncrementalState) -> None:
        """Write the state after all rows written so far; the one before is there until this one is whole."""
        number = max((partition.number for partition in self.rows.partitions()), default=0)
        name = f"{self._state_folder}/{number:06}"
        self.store.write(f"{name}.rows.parquet", state.rows)
        self.store.write(f"{name}.parquet", state.homes)
        for path in self.store.path(self._state_folder).glob("*.parquet"):
            if not path.name.startswith(f"{number:06}"):
                path.unlink()

    @property
    def _state_folder(self) -> str:
        return f"carry/{self.rule.name}"

    def _state_number(self) -> int:
        """Return the number of the last partition of rows that the state knows; -1 where it is lacking."""
        whole = (
            path
            for path in self.store.path(self._state_folder).glob("??????.parquet")
            if path.with_suffix(".rows.parquet").exists()
        )
        return max((int(path.stem) for path in whole), default=-1)

    def _read_state(self) -> IncrementalState:
        number = self._state_number()
        if number < 0:
            return IncrementalState.initial(pl.UInt32)
        name = f"{self._state_folder}/{number:06}"
        homes, rows = self.store.read(f"{name}.parquet"), self.store.read(f"{name}.rows.parquet")
        return IncrementalState.of_stored(homes, rows)

    def _add_rows(self, frames: Sequence[pl.DataFrame]) -> int | None:
        """Write rows as one partition and return its number; None where there is no row."""
        rows = concat_rows([as_raw_rows(frame) for frame in frames])
        return self.rows.add(rows).number if rows.height else None

    def _advance(self, rows: pl.DataFrame, state: IncrementalState) -> tuple[pl.DataFrame, IncrementalState]:
        """Return the cells (STORED_CELL_SCHEMA) that rows make after `state`, and the state after them."""
        if rows.is_empty():
            return pl.DataFrame(schema=STORED_CELL_SCHEMA), state
        cells, state = advance(_as_library_rows(rows), self.rule, state)
        cells = cells.rename({"household": "home"}).with_columns(mark=pl.lit(0, pl.UInt8))
        return cells.select(STORED_CELL_SCHEMA.keys()).cast(STORED_CELL_SCHEMA), state

    def _changed_cells(self, cells: pl.DataFrame, homes: pl.Series) -> pl.DataFrame:
        """Return those of the homes' new cells that differ from the stored ones, with what these were.

        Beside the columns of a cell: quality_before, lag_before, null where no cell of that day was stored.
        """
        before = self.readings.read(homes=homes)
        changed = cells.join(before, on=["home", *CELL_SCHEMA], how="anti", nulls_equal=True)
        replaced = before.select("home", "day", quality_before="quality", lag_before="lag")
        return changed.join(replaced, on=["home", "day"], how="left")

    def _note_late_arrivals(self, changes: Sequence[pl.DataFrame]) -> None:
        schema = late_arrivals.CHANGE_SCHEMA
        noted = pl.concat([pl.DataFrame(schema=schema), *changes], how="diagonal").select(schema.keys())
        late_arrivals.note_changes(self.store, self.rule.name, noted)


def _as_library_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as the library names them: there a home's number stands for its id."""
    return rows.rename({"home": "household"})


def _with_same_columns(stored: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both frames with the extra columns that either has."""
    both = concat_rows([stored, new])
    return both[: len(stored)], both[len(stored) :]


def _merge(stored: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return one row for each key, and how many rows were duplicate and restated."""
    rows, counts = merge_rows(_as_library_rows(stored), _as_library_rows(new))
    return rows.rename({"household": "home"}), counts


def _without_homes(state: IncrementalState, homes: pl.Series) -> IncrementalState:
    others = ~pl.col("household").is_in(homes.implode())
    return IncrementalState(state.homes.filter(others), state.rows.filter(others))


def _chunks(homes: pl.Series) -> Iterator[pl.Series]:
    """Yield the homes in order, as many at once as are rebuilt together."""
    homes = homes.sort()
    for start in range(0, len(homes), REBUILD_HOMES):
        yield homes.slice(start, REBUILD_HOMES)
