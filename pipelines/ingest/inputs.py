"""The inputs of a night, as the state holds them: readings, register, and what was refused."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath

import polars as pl

from anomaly.messages import printable
from anomaly.readings import file_sort_key
from pipelines.config.settings import Settings
from pipelines.errors import SourceError
from pipelines.ingest.incremental import StoredSignal
from pipelines.ingest.ledger import LedgerEntry, read_entries
from pipelines.ingest.signal_ids import signals_with_ids
from pipelines.storage.home_numbers import HomeNumbers
from pipelines.storage.raw_rows import RawRows
from pipelines.storage.rejects import commonest_reason, read_rejects
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import StoredReadings
from pipelines.storage.stored_register import REGISTER_SCHEMA, has_register, read_stored_register

MAX_LINES = 20
"""On refused rows, that one run prints."""


@dataclass(frozen=True)
class Inputs:
    """What a night works on."""

    stored: StoredReadings
    """The readings of the homes of the register."""
    register: pl.DataFrame
    """REGISTER_SCHEMA, sorted by household; every home seen, where the site has no register."""
    rejects: pl.DataFrame
    """tables.Rejects"""
    files: Sequence[LedgerEntry]
    failed: Mapping[str, SourceError]
    """Source → why it stopped."""
    merge_counts: Mapping[str, Mapping[str, int]]
    """Signal → how many rows this load has loaded, and how many were duplicate or restated."""
    degraded: list[str]
    """A line for each thing that is wrong with an input, for the terminal alone: it may quote cells."""
    notes: list[str] = field(default_factory=list)
    """The same lines as they may be kept: without anything that stood in a file, and without folders."""
    refused_rows: list[str] = field(default_factory=list)
    """Lines on the rows that the load before refused, with their cells, for the terminal alone."""

    @cached_property
    def readings(self) -> pl.DataFrame:
        """Every reading (READING_SCHEMA)."""
        return self.stored.read_labelled()

    def readings_of(
        self,
        homes: Collection[str] | None = None,
        first: dt.date | None = None,
        last: dt.date | None = None,
    ) -> pl.DataFrame:
        """Return the readings (READING_SCHEMA) of those homes and days; None: all."""
        numbers = None
        if homes is not None:
            known = self.stored.households.to_frame("household").with_row_index("home")
            numbers = known.filter(pl.col("household").is_in(list(homes)))["home"]
        return self.stored.read_labelled(numbers, first, last)

    @cached_property
    def dwellings(self) -> pl.DataFrame:
        """household, district of every home that may be judged."""
        is_dwelling = pl.col("class").is_null() | (pl.col("class") == "dwelling")
        return self.register.filter(~pl.col("ambiguous") & is_dwelling).select("household", "district")

    @cached_property
    def dwelling_districts(self) -> dict[str, str | None]:
        """The same: household → district."""
        return dict(self.dwellings.iter_rows())


def stored_inputs(
    settings: Settings,
    store: Store,
    failed: Mapping[str, SourceError] | None = None,
    merge_counts: Mapping[str, Mapping[str, int]] | None = None,
    refused_rows: Sequence[str] = (),
) -> Inputs:
    """Return the inputs as the state holds them; failed, merge_counts, refused_rows: how the load went."""
    failed = failed or {}
    files = [
        LedgerEntry(**{name: value for name, value in entry.items() if name != "part"})  # type: ignore[typeddict-item]
        for entry in read_entries(store)
    ]
    for entry in files:
        if entry["file"].startswith("/"):  # where this machine keeps its exports is nobody's business
            entry["file"] = PurePath(entry["file"]).name
    rejects = read_rejects(store).with_columns(file=pl.col("file").str.replace(r"^/.*/", ""))
    households = HomeNumbers(store).households
    seen = _homes_seen(settings, store, households)
    strangers = seen["home"].clear()
    if settings.households and has_register(store):
        register = read_stored_register(store)
        strangers = seen.join(register, on="household", how="anti")["home"]
        if strangers.len():
            rejects = pl.concat([rejects, *_stranger_rejects(settings, store, strangers)])
            rejects = rejects.sort("source", "file", "row")
    else:
        known = ("household", "ambiguous")
        nulls = [
            pl.lit(None, kind).alias(name) for name, kind in REGISTER_SCHEMA.items() if name not in known
        ]
        register = seen.select("household", *nulls, ambiguous=False)
    unmatched = _unmatched_lines(settings, store, strangers, households)
    degraded = _degraded_lines(settings, files, rejects)
    moved = register.filter(pl.any_horizontal(pl.col("moved_in", "moved_out").is_not_null()))
    stays = moved.select("household", "moved_in", "moved_out")
    return Inputs(
        stored=StoredReadings(store, settings.rules, households, strangers, stays),
        register=register.sort("household"),
        rejects=rejects,
        files=files,
        failed=failed,
        merge_counts=merge_counts or {},
        degraded=[*(f"{source} stopped: {error}" for source, error in failed.items()), *degraded, *unmatched],
        notes=[
            *(f"{source} stopped: {error.kept}" for source, error in failed.items()),
            *degraded,
            *unmatched.values(),
        ],
        refused_rows=_first_lines(refused_rows),
    )


def _first_lines(lines: Sequence[str]) -> list[str]:
    """Return as many of the lines as a terminal shows at once, and how many were left out."""
    left_out = len(lines) - MAX_LINES
    more = [f"{left_out:,} more lines on refused rows; see v1.rejects"] if left_out > 0 else []
    return [*lines[:MAX_LINES], *more]


def _homes_seen(settings: Settings, store: Store, households: pl.Series) -> pl.DataFrame:
    """Return household, home of every home with a row in any of the signals, sorted by number."""
    homes = [StoredSignal(store, rule).homes() for rule in settings.rules.values()]
    seen = pl.concat([pl.Series(dtype=pl.UInt32), *homes]).unique().sort()
    return pl.DataFrame({"household": households.gather(seen), "home": seen})


def _stranger_rejects(settings: Settings, store: Store, homes: pl.Series) -> list[pl.DataFrame]:
    """Return the rows of homes that the register does not have, as rejects."""
    reason = pl.lit("household not in the register")
    return [
        RawRows(store, name)
        .read(homes)
        .select(source=pl.lit(name), file=pl.col("file").str.replace(r"^/.*/", ""), row="row", reason=reason)
        for name in settings.sources
    ]


def _unmatched_lines(
    settings: Settings, store: Store, strangers: pl.Series, households: pl.Series
) -> dict[str, str]:
    """Return a line for each source of which too many ids are not in the register, and it as it may be kept.

    The line for the terminal has two examples.
    """
    lines = {}
    for name, rule in settings.rules.items() if strangers.len() else ():
        homes = StoredSignal(store, rule).homes()
        unmatched = homes.filter(homes.is_in(strangers.implode())).sort()
        if unmatched.len() <= settings.limits.rejects_share * homes.len():
            continue
        examples = [households[home].removeprefix(f"{name}:") for home in unmatched.head(2)]
        what = f"{name}: {unmatched.len()} of {homes.len()} ids are not in the register"
        if name in signals_with_ids(settings.households):
            remedy = f"complete the column that ids = {{ {name} = … }} in [households] names"
        else:
            remedy = (
                f"set ids = {{ {name} = … }} in [households] where the register has them in another column"
            )
        told = f"{what}, such as {' and '.join(map(repr, examples))}; {remedy}"
        lines[printable(told)] = f"{what}; {remedy}"
    return lines


def _degraded_lines(settings: Settings, files: Sequence[LedgerEntry], rejects: pl.DataFrame) -> list[str]:
    """Return lines on sources that sent an empty file, or had too many rows refused."""
    newest = {entry["source"]: entry for entry in sorted(files, key=lambda e: file_sort_key(e["file"]))}
    lines = [
        f"{source}: {PurePath(entry['file']).name} holds a header and no row; check that the export has run"
        for source, entry in sorted(newest.items())
        if not entry["rows"] + entry["rejects"]
    ]
    refused = dict(rejects.group_by("source").len().iter_rows())
    for source, count in sorted(refused.items()):
        of_source = [entry for entry in files if entry["source"] == source]
        rows = sum(entry.get("rows", 0) + entry.get("rejects", 0) for entry in of_source)
        if rows and count / rows > settings.limits.rejects_share:
            why = commonest_reason(rejects.filter(pl.col("source") == source))
            share = f"{count} of {rows} rows refused ({count / rows:.1%})"
            lines.append(f"{source}: {share}, mostly: {why}; see v1.rejects")
    return [printable(line) for line in lines]
