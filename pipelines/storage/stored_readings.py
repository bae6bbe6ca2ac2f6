"""The readings a night works on: of the homes that count, from the day they moved in, in words, in numbers or as arrays."""

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import readings as room
from anomaly.tables import QUALITIES
from pipelines.storage.daily_readings import DailyReadings, to_labelled_frame, with_effective_quality
from pipelines.storage.home_numbers import HOMES_PER_BLOCK
from pipelines.storage.state import Store

TOGETHER = 4 * HOMES_PER_BLOCK  # homes whose readings are added up at once
RECENT_DAYS = (35, 100)  # looked at first for the latest night
JUDGED = (QUALITIES.index("read"), QUALITIES.index("interpolated"))


@dataclass(frozen=True)
class StoredReadings:
    """The readings of the homes that count: those of the register, where there is one, from the day they moved in."""

    store: Store
    rules: Mapping[str, room.SignalRule]
    names: pl.Series
    strangers: pl.Series
    """Numbers of the homes that the register does not have."""
    moved: pl.DataFrame
    """household, moved_in of the homes whose earlier history is not theirs."""

    @property
    def height(self) -> int:
        """How many cells there are; one that was said twice may count twice."""
        return sum(DailyReadings(self.store, name).height for name in self.rules)

    def homes(self) -> pl.DataFrame:
        """home, household of the homes that count."""
        return (
            self.names.to_frame("household")
            .with_row_index("home")
            .filter(~pl.col("home").is_in(self.strangers.implode()))
        )

    def cells(self, first: dt.date | None = None, last: dt.date | None = None) -> pl.DataFrame:
        """home, signal (its place in the rules), day, value, quality: the readings of those days in numbers."""
        told = [
            pl.DataFrame(
                schema={
                    "home": pl.UInt32,
                    "signal": pl.UInt8,
                    "day": pl.Date,
                    "value": pl.Int64,
                    "quality": pl.UInt8,
                }
            )
        ]
        for number, name in enumerate(sorted(self.rules)):
            cells = DailyReadings(self.store, name).read(
                first, last, columns=("home", "day", "value", "quality", "mark")
            )
            told.append(
                with_effective_quality(cells).select(
                    "home", pl.lit(number, pl.UInt8).alias("signal"), "day", "value", "quality"
                )
            )
        return self._of_homes(pl.concat(told))

    def span(self) -> tuple[dt.date, dt.date] | None:
        """The first and the last day of any reading."""
        parts = [part for name in self.rules for part in DailyReadings(self.store, name).partitions()]
        return (min(part.first for part in parts), max(part.last for part in parts)) if parts else None

    def latest_night(self) -> dt.date | None:
        """See anomaly.readings.latest_night; the last weeks are asked first."""
        last = max(
            (part.last for name in self.rules for part in DailyReadings(self.store, name).partitions()),
            default=None,
        )
        for days in (*RECENT_DAYS, None):
            first = last and days and last - dt.timedelta(days=days - 1)
            counts = [self._whole_days(name, first) for name in sorted(self.rules)]
            found = room.latest_night_from_counts(pl.concat(counts))
            if found and (first is None or found >= first + dt.timedelta(days=room.USUAL_HOMES_DAYS)):
                return found
        return None

    def _whole_days(self, name: str, first: dt.date | None) -> pl.DataFrame:
        all_count = (
            self.strangers.is_empty() and self.moved.is_empty()
        )  # then nobody asks whose they are, which takes longest to read
        columns = ("day", "quality", "mark") if all_count else ("home", "day", "quality", "mark")
        cells = with_effective_quality(
            self._of_homes(DailyReadings(self.store, name).read(first, columns=columns))
        )
        return (
            cells.filter(pl.col("quality").is_in(JUDGED))
            .group_by("day")
            .agg(homes=pl.len())
            .select(pl.lit(name).alias("signal"), "day", "homes")
        )

    def arrays(self, homes: np.ndarray, first: dt.date, days: int) -> room.ReadingArrays:
        """The readings of those homes (numbers in order) on `days` days from `first` on, the signals in the order of their names."""
        row = np.full(len(self.names), -1, np.int32)
        row[homes] = np.arange(len(homes), dtype=np.int32)
        place = room.ArrayLayout(row, self.since, first)
        for kind in (np.int32, np.int64):  # the second where a value does not fit into the first
            laid = room.ReadingArrays.unknown(len(self.rules), len(homes), days, kind)
            # one signal after the other: side by side they are hardly sooner there and take half as much memory again
            if all(self._laid(name, homes, place, (laid, s)) for s, name in enumerate(sorted(self.rules))):
                return laid
        raise AssertionError("a reading is a whole number of 64 bits")

    def _laid(
        self, name: str, homes: np.ndarray, place: room.ArrayLayout, where: tuple[room.ReadingArrays, int]
    ) -> bool:
        laid, s = where
        last = place.first_day + dt.timedelta(days=laid.value.shape[2] - 1)
        for block in (
            np.split(homes, np.flatnonzero(np.diff(homes // HOMES_PER_BLOCK)) + 1) if len(homes) else ()
        ):
            asked = range(int(block[0]), int(block[-1]) + 1)
            for cells in DailyReadings(self.store, name).read_in_batches(
                place.first_day, last, asked, ("home", "day", "value", "quality", "lag", "mark")
            ):
                if not room.write_cells(cells, place, laid, s):
                    return False
        return True

    @functools.cached_property
    def since(self) -> np.ndarray:
        """(homes,) days since 1970 from which on each home's readings count."""
        since = np.full(len(self.names), room.COUNTS_ALWAYS, np.int32)
        moved = self.moved.join(self.names.to_frame("household").with_row_index("home"), on="household")
        since[moved["home"].to_numpy()] = moved["moved_in"].to_physical().to_numpy()
        since[self.strangers.to_numpy()] = room.COUNTS_NEVER
        return since

    def qualities(self, day: dt.date) -> pl.DataFrame:
        """signal, quality, days: how many readings of the day are of each quality."""
        told = [pl.DataFrame(schema={"signal": pl.String, "quality": pl.String, "days": pl.Int64})]
        for name in sorted(self.rules):
            cells = with_effective_quality(
                self._of_homes(
                    DailyReadings(self.store, name).read(day, day, columns=("home", "day", "quality", "mark"))
                )
            )
            counts = cells.group_by("quality").agg(days=pl.len().cast(pl.Int64))
            words = pl.col("quality").replace_strict(range(len(QUALITIES)), QUALITIES, return_dtype=pl.String)
            told.append(counts.select(pl.lit(name).alias("signal"), words, "days"))
        return pl.concat(told)

    def sums(self, first: dt.date, last: dt.date) -> pl.DataFrame:
        """home, signal, value (what is known, in all), days and good, the days fit to be judged, of each home on those days."""
        told = [
            pl.DataFrame(
                schema={
                    "home": pl.UInt32,
                    "signal": pl.String,
                    "value": pl.Int64,
                    "days": pl.Int64,
                    "good": pl.Int64,
                }
            )
        ]
        for name in sorted(self.rules):
            sums = np.zeros((len(self.names), 3), np.int64)
            for start in range(0, len(self.names), TOGETHER):  # what one block has needed serves the next
                cells = DailyReadings(self.store, name).read(
                    first, last, range(start, start + TOGETHER), ("home", "day", "value", "quality", "mark")
                )
                room.add_home_totals(self._of_homes(cells), sums)
            value, days, good = sums.T
            there = np.flatnonzero(days).astype(np.uint32)
            numbers = {"value": value[there], "days": days[there], "good": good[there]}
            told.append(pl.DataFrame({"home": there, "signal": name} | numbers))
        return pl.concat(told)

    def _of_homes(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Without strangers, and without what was before a home moved in."""
        if self.strangers.len():
            cells = cells.filter(~pl.col("home").is_in(self.strangers.implode()))
        if self.moved.is_empty():
            return cells
        moved = self.moved.join(
            self.names.to_frame("household").with_row_index("home"), on="household"
        ).select("home", "moved_in")
        since = cells.join(moved, on="home", how="left", maintain_order="left")
        return since.filter(pl.col("moved_in").is_null() | (pl.col("day") >= pl.col("moved_in"))).drop(
            "moved_in"
        )

    def readings(
        self, homes: pl.Series | None = None, first: dt.date | None = None, last: dt.date | None = None
    ) -> pl.DataFrame:
        """room.READING_SCHEMA of those homes (numbers; None: all) and days, sorted by signal, household and day."""
        asked = np.arange(len(self.names), dtype=np.uint32) if homes is None else homes.to_numpy()
        ranks = np.zeros(len(self.names), np.int64)
        ranks[asked] = self.names.gather(asked).rank("ordinal").to_numpy()
        place, told = pl.Series(ranks), []
        for name, rule in sorted(self.rules.items()):
            cells = self._of_homes(DailyReadings(self.store, name).read(first, last, homes))
            told.append(
                to_labelled_frame(
                    cells.sort(place.gather(cells["home"]) * (1 << 32) + cells["day"].to_physical()),
                    self.names,
                    rule,
                )
            )
        return pl.concat([pl.DataFrame(schema=room.READING_SCHEMA), *told])
