"""Keep a table as numbered Parquet files of a folder, which are added and never changed by a row.

A partition's name tells its number, the first and the last day it touches, and the checksum of its bytes:
`000007_2026-03-01_2026-03-31_9f3c01aa.parquet`. Where two partitions speak of the same row, the later number
counts. Every partition is checked against its checksum once a run before it is read.
"""

import datetime as dt
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from pipelines.errors import StateDamaged
from pipelines.storage.atomic_write import commit, draft_file
from pipelines.storage.checksums import file_checksum

ROW_GROUP = 1 << 17
"""Rows written as one group; a reader of some homes passes over the groups that hold none of them."""


@dataclass(frozen=True)
class Partition:
    """One of the numbered Parquet files of a table.

    checksum: CRC-32 of its bytes when it was written, in hexadecimal; empty in the name of one written before
    there were any.
    """

    path: Path
    number: int
    first: dt.date
    last: dt.date
    checksum: str = ""


class Month(NamedTuple):
    """First and last day of a calendar month."""

    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class PartitionedTable:
    """A table kept as the numbered partitions of one folder."""

    folder: Path

    def partitions(self) -> list[Partition]:
        """Return the partitions in the order in which they were written."""
        found = []
        for path in self.folder.glob("??????_*_*.parquet"):
            number, first, last, *checksum = path.stem.split("_")
            days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
            found.append(Partition(path, int(number), *days, *checksum))
        return sorted(found, key=lambda partition: partition.number)

    def append(self, frame: pl.DataFrame, first: dt.date, last: dt.date) -> Partition:
        """Write a frame, which touches the days first … last, as the next partition."""
        number = max((partition.number for partition in self.partitions()), default=0) + 1
        return self._write(frame, number, first, last)

    def replace(self, partition: Partition, frame: pl.DataFrame) -> Partition:
        """Write a frame in the place of a partition's content; its number and days stay."""
        written = self._write(frame, partition.number, partition.first, partition.last)
        # of each number there is one file, whatever an earlier run that was killed may have left
        for other in self.folder.glob(f"{partition.number:06}_*.parquet"):
            if other != written.path:
                other.unlink()
        return written

    def _write(self, frame: pl.DataFrame, number: int, first: dt.date, last: dt.date) -> Partition:
        with draft_file(self.folder / f"{number:06}.parquet") as draft:
            frame.write_parquet(draft, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
            checksum = file_checksum(draft)
            path = self.folder / f"{number:06}_{first}_{last}_{checksum}.parquet"
            commit(draft, path)
        return Partition(path, number, first, last, checksum)


def check_partitions(partitions: Sequence[Partition]) -> None:
    """Raise StateDamaged where one of the partitions fails its checksum."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(_check, partitions))


def scan(partitions: Sequence[Partition], homes: range | pl.Series | None = None) -> pl.LazyFrame:
    """Scan the rows of some homes (numbers; None: all); StateDamaged where a partition fails its checksum.

    Groups of rows that hold no home of a range are not read. Collect with `collect`, which names the damaged
    file.
    """
    check_partitions(partitions)
    # of a range most rows of a group are wanted: looking at `home` first would cost a tenth more
    parallel: Literal["row_groups", "auto"] = "row_groups" if isinstance(homes, range) else "auto"
    frame = pl.scan_parquet([partition.path for partition in partitions], glob=False, parallel=parallel)
    if isinstance(homes, range):
        return frame.filter(pl.col("home").is_between(homes.start, homes.stop - 1))
    return frame if homes is None else frame.filter(pl.col("home").is_in(homes.implode()))


def collect(frame: pl.LazyFrame, partitions: Sequence[Partition]) -> pl.DataFrame:
    """Collect what was scanned of some partitions; StateDamaged names the one that cannot be read."""
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if len(partitions) > 1:
            for partition in partitions:
                collect(pl.scan_parquet(partition.path, glob=False), [partition])
        raise unreadable_table(partitions[0].path, error) from None


def count_rows(partitions: Sequence[Partition]) -> int:
    """Count the rows of some partitions; raises StateDamaged."""
    return sum(collect(scan([one]).select(pl.len()), [one]).item() for one in partitions)


def in_days(
    frame: pl.LazyFrame, partition: Partition, first: dt.date | None, last: dt.date | None
) -> pl.LazyFrame:
    """Filter a partition's rows to the days first … last (None: no bound), only where it holds others."""
    if first is not None and partition.first < first:
        frame = frame.filter(pl.col("day") >= first)
    if last is not None and partition.last > last:
        frame = frame.filter(pl.col("day") <= last)
    return frame


def touching(partitions: Sequence[Partition], first: dt.date | None, last: dt.date | None) -> list[Partition]:
    """Return the partitions that may hold rows of the days first … last (None: no bound)."""
    return [
        partition
        for partition in partitions
        if (first is None or partition.last >= first) and (last is None or partition.first <= last)
    ]


def group_overlapping(partitions: Sequence[Partition]) -> list[list[Partition]]:
    """Group partitions whose days overlap, directly or through others; each group in the order of writing."""
    groups: list[list[Partition]] = []
    reached = dt.date.min
    for partition in sorted(partitions, key=lambda partition: partition.first):
        if partition.first > reached:
            groups.append([])
        groups[-1].append(partition)
        reached = max(reached, partition.last)
    return [sorted(group, key=lambda partition: partition.number) for group in groups]


def months_touched(partitions: Sequence[Partition]) -> list[Month]:
    """Return the calendar months that any of the partitions touches, in order."""
    found = set()
    for partition in partitions:
        month = month_of(partition.first)
        while month.first <= partition.last:
            found.add(month)
            month = month_of(month.last + dt.timedelta(days=1))
    return sorted(found)


def month_of(day: dt.date) -> Month:
    """Return the month that a day lies in."""
    first = day.replace(day=1)
    return Month(first, (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1))


def unreadable_table(path: Path, error: Exception | str) -> StateDamaged:
    """Return the error for a Parquet file of the state that cannot be read."""
    why = str(error).splitlines()[0]
    return StateDamaged(f"{path}: cannot be read ({why}); remove that file and run again: it is made anew")


def _check(partition: Partition) -> None:
    stat = partition.path.stat()
    if not partition.checksum:
        return
    if partition.checksum != _checksum_once(partition.path, stat.st_size, stat.st_mtime_ns):
        raise unreadable_table(partition.path, "its bytes are not those that were written")


@functools.cache
def _checksum_once(path: Path, size: int, modified_ns: int) -> str:
    """Return a file's checksum, worked out once a run as long as its size and time stay."""
    return file_checksum(path)
