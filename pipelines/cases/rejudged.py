"""Nights judged again: what they had said is set aside until it is published what they say now, and the difference is kept with them."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from anomaly import cases, tables
from pipelines.cases.build import revisions_of
from pipelines.cases.snapshots import frozen
from pipelines.ingest import late_arrivals
from pipelines.storage.state import Store

BEFORE = "before.parquet"
SAID = ("case_id", "household", "signature", "rarity", "rank")


@dataclass(frozen=True)
class Revised:
    """What judging nights again has changed. changes: tables.Revisions; doors: how many they listed before and list now."""

    nights: int
    changes: pl.DataFrame
    doors: tuple[int, int]

    def told(self) -> list[str]:
        """In one line, none where no night was judged again."""
        if not self.nights:
            return []
        n = {change: self.changes.filter(pl.col("change") == change).height for change in tables.CHANGES}
        what = f"{n['new']} new, {n['gone']} gone, {n['changed']} changed; {self.doors[0]} doors listed before, {self.doors[1]} now; see v1.revisions"
        return [f"{self.nights} night{'s' * (self.nights != 1)} judged again: cases {what}"]


def set_aside(store: Store, nights: Sequence[dt.date]) -> None:
    """Keep what those of the nights that were published before said of their cases; a run that was broken off has kept it already."""
    again, published = times(store), {line["night"] for line in store.unpublished_runs()}
    for night in (night for night in nights if str(night) not in published):
        said = store.path(f"nights/{night}/cases.parquet")
        if again[night] and said.exists() and not store.path(f"nights/{night}/{BEFORE}").exists():
            store.write(f"nights/{night}/{BEFORE}", frozen(store, night, "cases").select(SAID))


def compare(store: Store, nights: Sequence[dt.date]) -> Revised:
    """Write down with each night what it says otherwise than before."""
    found, doors = [pl.DataFrame(schema=tables.empty(tables.Revisions).schema)], [0, 0]
    number = times(store)
    again = [night for night in nights if store.path(f"nights/{night}/{BEFORE}").exists()]
    for night in again:
        before, after = store.read(f"nights/{night}/{BEFORE}"), frozen(store, night, "cases").select(SAID)
        doors = [n + side["rank"].count() for n, side in zip(doors, (before, after), strict=True)]
        changes = (
            cases.compare_cases(before, after)
            .with_columns(night=pl.lit(night), revised=pl.lit(number[night], pl.Int64))
            .select(found[0].columns)
        )
        store.write(
            f"nights/{night}/revised.parquet",
            pl.concat([revisions_of(store, night).filter(pl.col("revised") != number[night]), changes]),
        )
        found.append(changes)
    return Revised(len(again), pl.concat(found), (doors[0], doors[1]))


def settle(store: Store, nights: Sequence[dt.date]) -> None:
    """Let go of what was set aside: it is published what the nights say now, and they know all that was noted so far."""
    for night in nights:
        store.path(f"nights/{night}/{BEFORE}").unlink(missing_ok=True)
        late_arrivals.mark_judged(store, night)


def times(store: Store) -> Counter[dt.date]:
    """Night → how many times it has been judged and published; a run that was broken off counts once the next one is through."""
    return Counter(dt.date.fromisoformat(line["night"]) for line in store.published_runs())
