"""Nights that are judged again: keep what they had found, compare, and write down what has changed.

What a published night said of its cases is kept beside it until what it says now is published, so that a run
that is broken off and started anew still compares with what readers had seen.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from anomaly import cases, tables
from pipelines.cases.snapshots import read_snapshot
from pipelines.ingest import late_arrivals
from pipelines.storage.state import Store

PREVIOUS_CASES = "before.parquet"
COMPARED_COLUMNS = ("case_id", "household", "signature", "rarity", "rank")


@dataclass(frozen=True)
class RejudgingSummary:
    """What judging nights again has changed.

    nights: how many they were. changes: tables.Revisions. doors_before, doors_after: how many doors they
    listed.
    """

    nights: int
    changes: pl.DataFrame
    doors_before: int
    doors_after: int

    def lines(self) -> list[str]:
        """Return a line that says so, none where no night was judged again."""
        if not self.nights:
            return []
        counts = {change: self.changes.filter(pl.col("change") == change).height for change in tables.CHANGES}
        return [
            f"{self.nights} night{'s' * (self.nights != 1)} judged again:"
            f" cases {counts['new']} new, {counts['gone']} gone, {counts['changed']} changed;"
            f" {self.doors_before} doors listed before, {self.doors_after} now; see v1.revisions"
        ]


def keep_previous_cases(store: Store, nights: Sequence[dt.date]) -> None:
    """Keep the cases of those of the nights that were published before.

    Where a run was broken off, what it had kept stands.
    """
    times = times_judged(store)
    published_by_broken_run = {line["night"] for line in store.unpublished_runs()}
    for night in nights:
        if str(night) in published_by_broken_run or not times[night]:
            continue
        previous = store.path(f"nights/{night}/{PREVIOUS_CASES}")
        if store.path(f"nights/{night}/cases.parquet").exists() and not previous.exists():
            store.write(
                f"nights/{night}/{PREVIOUS_CASES}",
                read_snapshot(store, night, "cases").select(COMPARED_COLUMNS),
            )


def record_changes(store: Store, nights: Sequence[dt.date]) -> RejudgingSummary:
    """Compare each night with what was kept of it and write the differences to its revised.parquet."""
    times = times_judged(store)
    rejudged = [night for night in nights if store.path(f"nights/{night}/{PREVIOUS_CASES}").exists()]
    all_changes = [tables.empty(tables.Revisions)]
    doors_before = doors_after = 0
    for night in rejudged:
        before = store.read(f"nights/{night}/{PREVIOUS_CASES}")
        after = read_snapshot(store, night, "cases").select(COMPARED_COLUMNS)
        doors_before += before["rank"].count()
        doors_after += after["rank"].count()
        changes = (
            cases.compare_cases(before, after)
            .with_columns(night=pl.lit(night), revised=pl.lit(times[night], pl.Int64))
            .select(tables.Revisions.column_names())
        )
        earlier = read_revisions(store, night).filter(pl.col("revised") != times[night])
        store.write(f"nights/{night}/revised.parquet", pl.concat([earlier, changes]))
        all_changes.append(changes)
    return RejudgingSummary(len(rejudged), pl.concat(all_changes), doors_before, doors_after)


def finish_rejudging(store: Store, nights: Sequence[dt.date]) -> None:
    """Drop what was kept of the nights: they are published, and know all late readings noted so far."""
    for night in nights:
        store.path(f"nights/{night}/{PREVIOUS_CASES}").unlink(missing_ok=True)
        late_arrivals.mark_judged(store, night)


def read_revisions(store: Store, night: dt.date) -> pl.DataFrame:
    """Read what judging the night again has changed (tables.Revisions), every time it was."""
    return store.read(f"nights/{night}/revised.parquet", tables.empty(tables.Revisions).schema)


def times_judged(store: Store) -> Counter[dt.date]:
    """Return night → how many times it was judged and published.

    A run that was broken off counts once the next one is through.
    """
    return Counter(dt.date.fromisoformat(line["night"]) for line in store.published_runs())
