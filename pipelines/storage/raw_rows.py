"""Keep the rows of every export as they came: from them readings are made again when something comes late."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from anomaly.readings import EXTRA_COLUMNS, file_sort_key, is_whole_row
from pipelines.storage.partitions import Partition, PartitionedTable, collect, scan
from pipelines.storage.state import Store

RAW_ROW_SCHEMA = pl.Schema(
    {
        "home": pl.UInt32,
        "time": pl.Datetime("us"),
        "dated": pl.Boolean,
        "value": pl.Float64,
        "exits": pl.Int64,
        "periods": pl.Int32,
        "row": pl.Int64,
        "file": pl.String,
    }
)
"""Of rows in memory; a partition whose values are all whole holds them as Int64. Rows of a signal whose files
name meters or kinds of reading have EXTRA_COLUMNS too."""
RAW_ROW_KEY = ("home", "time", "dated")
_ABSENT = {"meter": 0, "estimated": False}
"""What a row has in an extra column that its partition was written without."""


@dataclass(frozen=True)
class RawRows:
    """The raw rows of one signal; of two with one key see `read`."""

    store: Store
    signal: str

    @property
    def table(self) -> PartitionedTable:
        """The partitions that hold the rows."""
        return PartitionedTable(self.store.path(f"rows/{self.signal}"))

    def partitions(self) -> list[Partition]:
        """Return the partitions in the order in which they were written."""
        return self.table.partitions()

    def add(self, rows: pl.DataFrame) -> Partition:
        """Write more rows (RAW_ROW_SCHEMA, at least one) as a partition of their own."""
        rows = as_raw_rows(rows).sort("home", maintain_order=True)
        return self.table.append(as_stored(rows), rows["time"].min().date(), rows["time"].max().date())

    def read(self, homes: range | pl.Series | None = None) -> pl.DataFrame:
        """Read the rows of some homes (None: all), one a key, with `order`, the sort key of their file.

        Of two with one key that counts which was read when its day was over, then that of the later file,
        then the later one.
        """
        frames = [
            collect(scan_rows(one, homes).with_columns(partition=pl.lit(one.number, pl.Int64)), [one])
            for one in self.partitions()
        ]
        rows = concat_rows([pl.DataFrame(schema=RAW_ROW_SCHEMA | {"partition": pl.Int64}), *frames])
        rows = rows.with_columns(order=file_sort_keys(rows["file"]))
        key = (*RAW_ROW_KEY, "meter") if "meter" in rows.columns else RAW_ROW_KEY
        rows = rows.sort(*key, is_whole_row(), "order", "partition", "row")
        return rows.unique(key, keep="last", maintain_order=True).drop("partition")

    def homes_added_after(self, number: int) -> pl.Series:
        """Return the homes with rows in a partition of a later number."""
        later = [
            collect(scan([one]).select("home").unique(), [one])
            for one in self.partitions()
            if one.number > number
        ]
        return pl.concat([pl.DataFrame(schema={"home": pl.UInt32}), *later])["home"].unique()

    def remove_files(self, files: Collection[str]) -> None:
        """Remove every row that came from those files."""
        for partition in self.partitions():
            rows = collect(scan([partition]), [partition])
            kept = rows.filter(~pl.col("file").is_in(files))
            if kept.height == rows.height:
                continue
            if kept.height:
                self.table.replace(partition, kept)
            else:
                partition.path.unlink()


def scan_rows(partition: Partition, homes: range | pl.Series | None = None) -> pl.LazyFrame:
    """Scan the rows of some homes (None: all) in a partition as RAW_ROW_SCHEMA."""
    return scan([partition], homes).with_columns(pl.col("value").cast(pl.Float64))


def as_raw_rows(rows: pl.DataFrame, files: pl.Enum | None = None) -> pl.DataFrame:
    """Return rows as RAW_ROW_SCHEMA, with those of EXTRA_COLUMNS that they have; files: the type of
    `file`."""
    extras = {name: kind for name, kind in EXTRA_COLUMNS.items() if name in rows.columns}
    schema = pl.Schema(RAW_ROW_SCHEMA | extras | ({"file": files} if files else {}))
    return rows.select(schema.keys()).cast(schema)


def concat_rows(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all frames; a row has 0 or false in an extra column that its frame lacks."""
    extras = [name for name in EXTRA_COLUMNS if any(name in frame.columns for frame in frames)]
    if not extras:
        return pl.concat(frames)
    whole = [
        frame.with_columns(
            pl.lit(_ABSENT[name], EXTRA_COLUMNS[name]).alias(name)
            for name in extras
            if name not in frame.columns
        )
        for frame in frames
    ]
    return pl.concat([frame.select(whole[0].columns) for frame in whole])


def as_stored(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as they are written: whole values take a third of the room as integers."""
    is_whole = (rows["value"].round(0) == rows["value"]).all()
    return rows.with_columns(pl.col("value").cast(pl.Int64)) if is_whole else rows


def file_sort_keys(files: pl.Series) -> pl.Series:
    """Return texts that sort rows by their files, numbers in names by size; an Enum where `files` is one."""
    if isinstance(files.dtype, pl.Enum):
        keys = [file_sort_key(name) for name in files.dtype.categories]
        return pl.Series(keys, dtype=pl.Enum(sorted(set(keys)))).gather(files.to_physical())
    names = files.unique().to_list()
    return files.replace_strict(names, [file_sort_key(name) for name in names], return_dtype=pl.String)
