"""The stored readings of the homes that count, from the day their people moved in: as cells, arrays or
labelled."""

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from anomaly import readings
from anomaly.source_health import HOME_COUNT_SCHEMA
from anomaly.tables import JUDGED_QUALITY_CODES, QUALITIES
from pipelines.storage.daily_readings import DailyReadings, to_labelled_frame, with_effective_quality
from pipelines.storage.home_numbers import HOMES_PER_BLOCK
from pipelines.storage.state import Store

HOMES_PER_SUM = 4 * HOMES_PER_BLOCK
"""Homes whose readings are added up at once."""
LATEST_NIGHT_DAYS = (35, 100)
"""The latest night is looked for among so many last days first, then among more, then among all."""
_CELL_COLUMNS = ("home", "day", "value", "quality", "mark")


class DaySpan(NamedTuple):
    """The first and the last of some days."""

    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class StoredReadings:
    """The readings that count: of the register's homes, if there is one, while their people live there."""

    store: Store
    rules: Mapping[str, readings.SignalRule]
    """Signal → how it is read."""
    households: pl.Series
    """(N,) ids of all homes seen, by number."""
    unregistered: pl.Series
    """Numbers of the homes that the register lacks; they do not count."""
    stays: pl.DataFrame
    """household, moved_in, moved_out of the homes whose other readings are other people's: from the day they
    moved in to the day before they moved out, without an end where that is null."""
    _home_counts: dict[tuple[str, dt.date | None], pl.DataFrame] = field(
        default_factory=dict, repr=False, compare=False
    )

    def count_cells(self) -> int:
        """Count the stored cells; a home and day that was stored twice may count twice."""
        return sum(DailyReadings(self.store, name).height for name in self.rules)

    def home_numbers(self) -> pl.DataFrame:
        """Return home, household of the homes that count."""
        homes = self.households.to_frame("household").with_row_index("home")
        return homes.filter(~pl.col("home").is_in(self.unregistered.implode()))

    def find_span(self) -> DaySpan | None:
        """Return the first and the last day of any reading, None where there is none."""
        parts = [part for name in self.rules for part in DailyReadings(self.store, name).partitions()]
        if not parts:
            return None
        return DaySpan(min(part.first for part in parts), max(part.last for part in parts))

    def span(self) -> DaySpan:
        """Return the first and the last day of any reading; raises ValueError where there is none."""
        span = self.find_span()
        if span is None:
            raise ValueError(f"{self.store.state} holds no readings")
        return span

    def find_latest_night(self) -> dt.date | None:
        """Return the latest night on which the sources are whole (`anomaly.readings.find_latest_night`)."""
        span = self.find_span()
        if span is None:
            return None
        for days in LATEST_NIGHT_DAYS:
            first = span.last - dt.timedelta(days=days - 1)
            night = self._latest_night_since(first)
            if night and night >= first + dt.timedelta(days=readings.USUAL_HOMES_DAYS):
                return night
        return self._latest_night_since(None)

    def _latest_night_since(self, first: dt.date | None) -> dt.date | None:
        counts = [
            self.count_homes(name, first)
            .filter(pl.col("judged") > 0)
            .select(pl.lit(name).alias("signal"), "day", homes="judged")
            for name in sorted(self.rules)
        ]
        return readings.latest_night_from_counts(pl.concat(counts))

    def count_homes(self, signal: str, first: dt.date | None) -> pl.DataFrame:
        """Return HOME_COUNT_SCHEMA of the days from `first` on (None: all): how many homes have each.

        What was counted once is remembered: a run asks several times for the same days.
        """
        key = (signal, first)
        if key not in self._home_counts:
            self._home_counts[key] = self._count_homes(signal, first)
        return self._home_counts[key]

    def _count_homes(self, signal: str, first: dt.date | None) -> pl.DataFrame:
        # whose the readings are takes longest to read: not asked where all of them count
        all_count = self.unregistered.is_empty() and self.stays.is_empty()
        columns = ("day", "quality", "mark") if all_count else ("home", "day", "quality", "mark")
        cells = self._that_count(DailyReadings(self.store, signal).read(first, columns=columns))
        estimated = [code for code, name in enumerate(QUALITIES) if name == "estimated"]
        quality = pl.col("quality")
        return (
            with_effective_quality(cells)
            .group_by("day")
            .agg(
                homes=pl.len(),
                judged=quality.is_in(JUDGED_QUALITY_CODES).sum(),
                estimated=quality.is_in(estimated).sum(),
            )
            .cast(HOME_COUNT_SCHEMA)
        )

    def cells(self, first: dt.date | None = None, last: dt.date | None = None) -> pl.DataFrame:
        """Return home, signal (its place by name), day, value, quality: the readings of those days."""
        schema = {
            "home": pl.UInt32,
            "signal": pl.UInt8,
            "day": pl.Date,
            "value": pl.Int64,
            "quality": pl.UInt8,
        }
        frames = [pl.DataFrame(schema=schema)]
        for number, name in enumerate(sorted(self.rules)):
            cells = DailyReadings(self.store, name).read(first, last, columns=_CELL_COLUMNS)
            signal = pl.lit(number, pl.UInt8).alias("signal")
            frames.append(with_effective_quality(cells).select("home", signal, "day", "value", "quality"))
        return self._that_count(pl.concat(frames))

    def read_arrays(self, homes: np.ndarray, first: dt.date, days: int) -> readings.ReadingArrays:
        """Return the readings of those homes (numbers, in any order) on `days` days; signals are in order of
        name."""
        row_of_home = np.full(len(self.households), -1, np.int32)
        row_of_home[homes] = np.arange(len(homes), dtype=np.int32)
        layout = readings.ArrayLayout(row_of_home, self._counts_from, first, self._counts_until)
        for dtype in (np.int32, np.int64):  # the second where a value does not fit into the first
            arrays = readings.ReadingArrays.unknown(len(self.rules), len(homes), days, dtype)
            # side by side the signals are hardly sooner there, and take half as much memory again
            if all(self._fill_arrays(arrays, s, homes, layout) for s in range(len(self.rules))):
                return arrays
        raise AssertionError("a reading is a whole number of 64 bits")

    def _fill_arrays(
        self, arrays: readings.ReadingArrays, signal: int, homes: np.ndarray, layout: readings.ArrayLayout
    ) -> bool:
        """Write the readings of one signal into the arrays; return False where a value does not fit."""
        stored = DailyReadings(self.store, sorted(self.rules)[signal])
        last = layout.first_day + dt.timedelta(days=arrays.days - 1)
        block_of_home = homes // HOMES_PER_BLOCK
        for block in np.unique(block_of_home):
            inside = homes[block_of_home == block]
            asked = range(int(inside.min()), int(inside.max()) + 1)
            columns = ("home", "day", "value", "quality", "lag", "mark")
            for cells in stored.read_in_batches(layout.first_day, last, asked, columns):
                if not readings.write_cells(cells, layout, arrays, signal):
                    return False
        return True

    @functools.cached_property
    def _counts_from(self) -> np.ndarray:
        """(N,) days since 1970 from which on each home's readings count: see
        `anomaly.readings.ArrayLayout`."""
        counts_from = np.full(len(self.households), readings.COUNTS_ALWAYS, np.int32)
        moved = self._stays_by_home.drop_nulls("moved_in")
        counts_from[moved["home"].to_numpy()] = moved["moved_in"].to_physical().to_numpy()
        counts_from[self.unregistered.to_numpy()] = readings.COUNTS_NEVER
        return counts_from

    @functools.cached_property
    def _counts_until(self) -> np.ndarray:
        """(N,) days since 1970 from which on each home's readings count no more."""
        counts_until = np.full(len(self.households), readings.COUNTS_NEVER, np.int32)
        moved = self._stays_by_home.drop_nulls("moved_out")
        counts_until[moved["home"].to_numpy()] = moved["moved_out"].to_physical().to_numpy()
        return counts_until

    @functools.cached_property
    def _stays_by_home(self) -> pl.DataFrame:
        """home, moved_in, moved_out of `stays`."""
        homes = self.households.to_frame("household").with_row_index("home")
        return self.stays.join(homes, on="household").select("home", "moved_in", "moved_out")

    def count_qualities(self, day: dt.date) -> pl.DataFrame:
        """Return signal, quality, days: how many readings of the day are of each quality."""
        frames = [pl.DataFrame(schema={"signal": pl.String, "quality": pl.String, "days": pl.Int64})]
        label = pl.col("quality").replace_strict(range(len(QUALITIES)), QUALITIES, return_dtype=pl.String)
        for name in sorted(self.rules):
            cells = DailyReadings(self.store, name).read(day, day, columns=("home", "day", "quality", "mark"))
            effective = with_effective_quality(self._that_count(cells))
            counts = effective.group_by("quality").agg(days=pl.len().cast(pl.Int64))
            frames.append(counts.select(pl.lit(name).alias("signal"), label, "days"))
        return pl.concat(frames)

    def sum_by_home(self, first: dt.date, last: dt.date) -> pl.DataFrame:
        """Return home, signal, value, days, good of each home on those days.

        value: the sum of what is known; days: those with a reading; good: those of them fit to be judged.
        """
        schema = {
            "home": pl.UInt32,
            "signal": pl.String,
            "value": pl.Int64,
            "days": pl.Int64,
            "good": pl.Int64,
        }
        frames = [pl.DataFrame(schema=schema)]
        for name in sorted(self.rules):
            totals = np.zeros((len(self.households), 3), np.int64)
            # some homes at a time: the memory that these have needed serves the next
            for start in range(0, len(self.households), HOMES_PER_SUM):
                homes = range(start, start + HOMES_PER_SUM)
                cells = DailyReadings(self.store, name).read(first, last, homes, _CELL_COLUMNS)
                readings.add_home_totals(self._that_count(cells), totals)
            value, days, good = totals.T
            home = np.flatnonzero(days).astype(np.uint32)
            columns = {"value": value[home], "days": days[home], "good": good[home]}
            frames.append(pl.DataFrame({"home": home, "signal": name} | columns))
        return pl.concat(frames)

    def _that_count(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Leave out homes that do not count, and what was before a home moved in or after it moved out."""
        if self.unregistered.len():
            cells = cells.filter(~pl.col("home").is_in(self.unregistered.implode()))
        if self.stays.is_empty():
            return cells
        stays = cells.join(self._stays_by_home, on="home", how="left", maintain_order="left")
        is_before = (pl.col("day") < pl.col("moved_in")).fill_null(False)
        is_after = (pl.col("day") >= pl.col("moved_out")).fill_null(False)
        return stays.filter(~is_before & ~is_after).drop("moved_in", "moved_out")

    def read_labelled(
        self, homes: pl.Series | None = None, first: dt.date | None = None, last: dt.date | None = None
    ) -> pl.DataFrame:
        """Return READING_SCHEMA of those homes (None: all) and days, by signal, household and day."""
        asked = np.arange(len(self.households), dtype=np.uint32) if homes is None else homes.to_numpy()
        ranks = np.zeros(len(self.households), np.int64)
        ranks[asked] = self.households.gather(asked).rank("ordinal").to_numpy()
        rank_of_home, frames = pl.Series(ranks), [pl.DataFrame(schema=readings.READING_SCHEMA)]
        for name, rule in sorted(self.rules.items()):
            cells = self._that_count(DailyReadings(self.store, name).read(first, last, homes))
            order = rank_of_home.gather(cells["home"]) * (1 << 32) + cells["day"].to_physical()
            frames.append(to_labelled_frame(cells.sort(order), self.households, rule))
        return pl.concat(frames)
