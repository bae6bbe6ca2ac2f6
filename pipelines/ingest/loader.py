"""Load what is new: changed export files into the store's rows, rows into readings.

A file is read again only when its size or time stamp and then its SHA-256 differ from what was loaded before. Rows are
merged by key, the later file name and then the later row wins, so loading a file twice, or files one by one or all at
once, gives the same readings. Many files are taken in batch by batch; a load that was broken off goes on after the last.
"""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from anomaly import readings as room
from anomaly import tables
from anomaly.messages import printable
from pipelines.config.sections import Source
from pipelines.config.settings import Settings
from pipelines.errors import SourceError, StateDamaged
from pipelines.ingest.files import find_files, opening, read_file, sha256
from pipelines.ingest.incremental import Changes, Signal, compare_signals
from pipelines.ingest.pseudonyms import coder
from pipelines.runtime.process_pool import prefetch, prefetch_map
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.storage.daily_readings import DailyReadings
from pipelines.storage.home_numbers import HOMES_FILE, HomeNumbers
from pipelines.storage.raw_rows import RAW_ROW_SCHEMA, RawRows
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import ReadingsInMemory, StoredReadings

BATCH_ROWS = 4_000_000  # rows read before they are kept
REGISTER_SCHEMA = {
    "household": pl.String,
    "building": pl.String,
    "district": pl.String,
    "class": pl.String,
    "moved_in": pl.Date,
    "ambiguous": pl.Boolean,
}
READINGS_FILE, UNFINISHED = "readings.json", "loading.json"
REJECTS = dict(tables.empty(tables.Rejects).schema)


@dataclass(frozen=True)
class Inputs:
    """What a night works on: the readings, the register and what was refused or could not be read."""

    stored: StoredReadings | ReadingsInMemory
    register: pl.DataFrame
    rejects: pl.DataFrame
    files: list[dict]
    failed: dict[str, str]  # source → why it stopped
    merge_counts: dict[str, dict[str, int]]  # signal → rows loaded, duplicate, restated
    degraded: list[str]

    @cached_property
    def readings(self) -> pl.DataFrame:
        """Every reading, in words."""
        return self.stored.readings()

    def readings_of(
        self, homes: Sequence[str] | None = None, first: dt.date | None = None, last: dt.date | None = None
    ) -> pl.DataFrame:
        """The readings of those homes and days, in words."""
        numbers = None
        if homes is not None:
            numbers = (
                self.stored.names.to_frame("household")
                .with_row_index("home")
                .filter(pl.col("household").is_in(list(homes)))["home"]
            )
        return self.stored.readings(numbers, first, last)

    @cached_property
    def dwellings(self) -> pl.DataFrame:
        """household, district of every home that may be judged."""
        kept = self.register.filter(
            ~pl.col("ambiguous") & (pl.col("class").is_null() | (pl.col("class") == "dwelling"))
        )
        return kept.select("household", "district")

    @cached_property
    def dwelling_districts(self) -> dict[str, str | None]:
        """The same: household → district."""
        return dict(self.dwellings.iter_rows())


def load(settings: Settings, store: Store, today: dt.date, progress: ReportProgress = no_progress) -> Inputs:
    """Bring the store up to date with the sources and give what the night needs.

    A source that cannot be read stops with one line in `failed`; what it gave earlier stays in use.
    """
    _begin_anew_without_homes(settings, store)
    ledger, coded = _ledger(store), coder(settings, store)
    failed, counts = {}, {}
    changes = _resumed(settings, store, ledger, progress)
    now = Loading(settings, store, ledger, changes, HomeNumbers(store), today, progress, coded)
    names = iter(settings.sources)
    progress(Progress(f"loading {next(names)}"))
    with contextlib.closing(
        prefetch(_batches(now))
    ) as batches:  # nothing is read any more once this load has failed
        for batch in batches:
            told = counts.setdefault(batch.source, {"loaded": 0, "duplicate": 0, "restated": 0})
            if batch.files:
                _take_in(now, batch, told)
                progress(Progress(f"loading {batch.source}", batch.read, batch.of, "files"))
            if batch.error:
                failed[batch.source] = batch.error
            if batch.last and (name := next(names, None)):
                progress(Progress(f"loading {name}"))
    if settings.households:
        try:
            _load_register(settings.households, settings.root, store, ledger, coded)
        except SourceError as error:
            failed["households"] = str(error)
    if changes:
        progress(Progress("comparing doors and meters"))
        compare_signals(store, settings.rules, changes)
        for name in settings.rules:
            DailyReadings(store, name).compact()
    store.write_json(READINGS_FILE, _made_of(settings, store))
    _keep_ledger(store, ledger)
    store.path(UNFINISHED).unlink(missing_ok=True)
    return _inputs(settings, store, _files(ledger), failed, counts)


def _begin_anew_without_homes(settings: Settings, store: Store) -> None:
    """Without the list of homes no kept number says whose it is: all is loaded again, where every export is still there."""
    kept = [store.path(folder) for folder in ("rows", "days", "carry")]
    if store.path(HOMES_FILE).exists() or not any(folder.exists() for folder in kept):
        return
    if gone := sorted(
        f["file"] for f in store.read_json("files.json", []) if not (settings.root / f["file"]).exists()
    ):
        raise StateDamaged(
            f"{store.path(HOMES_FILE)}: is lost, and with it which home is which; put it back from a copy, or {gone[0]} to be loaded again"
        )
    for folder in kept:
        shutil.rmtree(folder, ignore_errors=True)


def _resumed(settings: Settings, store: Store, ledger: dict, progress: ReportProgress) -> Changes:
    """Make good what an earlier load, or other rules, or a lost file have left undone."""
    changes = Changes()
    made = store.read_json(READINGS_FILE, None)
    if store.path(UNFINISHED).exists():
        done = sum(f["source"] != "households" for f in ledger.values())
        progress(Progress(f"the last load was broken off: going on after {done} files"))
        changes.everything = True
        for rule in settings.rules.values():
            Signal(store, rule).catch_up(changes)
    now = _made_of(settings, store)
    made = made if isinstance(made, dict) and {"rules", "parts"} <= set(made) else {"rules": {}, "parts": {}}
    for name, rule in settings.rules.items():
        lost = {part[:6] for part in made["parts"].get(name, [])} - {part[:6] for part in now["parts"][name]}
        if RawRows(store, name).partitions() and (
            lost or made["rules"].get(name) != now["rules"][name] or not Signal(store, rule).whole()
        ):
            _begin(store)
            Signal(store, rule).make_again(len(HomeNumbers(store)))
            changes.everything = True
    changes.everything |= set(made["rules"]) != set(now["rules"])
    return changes


def _made_of(settings: Settings, store: Store) -> dict:
    """What the kept readings were made with, and where they lie."""
    rules = {name: json.loads(json.dumps(dataclasses.asdict(rule))) for name, rule in settings.rules.items()}
    return {
        "rules": rules,
        "parts": {
            name: [part.path.name for part in DailyReadings(store, name).partitions()] for name in rules
        },
    }


def _begin(store: Store) -> None:
    """Mark that readings are being changed, until the load is through."""
    store.write_json(UNFINISHED, {})


def _ledger(store: Store) -> dict[tuple[str, str], dict]:
    """(source, file) → what was loaded of it. What is no longer in the store counts as never loaded."""
    files = store.read_json("files.json", [])
    if not isinstance(files, list) or not all(
        isinstance(f, dict) and {"source", "file", "bytes", "modified_ns", "sha256"} <= set(f) for f in files
    ):
        raise store.damaged("files.json")
    if not store.path("rejects.parquet").exists() or not store.path(HOMES_FILE).exists():
        return {}
    there = {("households", None)} if store.path("register.parquet").exists() else set()
    for source in {f["source"] for f in files} - {"households"}:
        there |= {(source, part.number) for part in RawRows(store, source).partitions()}
    return {
        (f["source"], f["file"]): f
        for f in files
        if (f["source"], f.get("part")) in there or f.get("part") == 0
    }


def _files(ledger: dict) -> list[dict]:
    return sorted(
        ({k: v for k, v in f.items() if k != "part"} for f in ledger.values()),
        key=lambda f: (f["source"], f["file"]),
    )


def _keep_ledger(store: Store, ledger: dict) -> None:
    store.write_json("files.json", sorted(ledger.values(), key=lambda f: (f["source"], f["file"])))


@dataclass(frozen=True)
class Loading:
    """One load under way."""

    settings: Settings
    store: Store
    ledger: dict
    changes: Changes
    homes: HomeNumbers
    today: dt.date
    progress: ReportProgress
    coded: Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Batch:
    """Files of a source read but not kept yet: stamp, rows (RAW_ROW_SCHEMA but `file`) and rejects of each. The last one of a source may be empty."""

    source: str
    files: list[tuple[dict, pl.DataFrame, pl.DataFrame]]
    read: int = 0
    of: int = 0
    error: str = ""  # why the source stopped

    @property
    def last(self) -> bool:
        return self.read == self.of


def _batches(now: Loading) -> Iterator[Batch]:
    """What is new of every source, one after another."""
    for name in now.settings.sources:
        try:
            yield from _read_signal(now, name)
        except SourceError as error:
            yield Batch(name, [], error=str(error))


def _read_signal(now: Loading, name: str) -> Iterator[Batch]:
    """The signal's new files, read."""
    source, rule = now.settings.sources[name], now.settings.rules[name]
    new = _changed_files(source, now.settings.root, now.ledger, _read_as(source, rule), now.today)
    files, number = [], 0

    def read(found: tuple[dict, Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
        return room.parse_rows(now.coded(read_file(found[1], source)), rule, now.today + dt.timedelta(days=1))

    for number, ((stamp, _), (rows, refused)) in enumerate(
        zip(new, prefetch_map(read, new), strict=True), start=1
    ):
        rows = rows.filter(pl.col("time") >= now.store.first_kept_day("readings"))
        if refused.height and not rows.height and _column_is_wrong(refused):
            raise SourceError(
                name,
                stamp["file"],
                f"has no row that can be used ({_commonest(refused)})",
                f"check columns, unit and time_format in [signals.{name}]",
            )
        stamp |= {"rows": rows.height, "rejects": refused.height}
        if (
            refused["reason"].is_in(["in the future"]).any()
        ):  # or the clock is behind: they count once their day has come
            stamp["read_on"] = str(now.today)
        files.append((stamp, now.homes.replace_ids(rows), refused))
        if number < len(new) and sum(stamp["rows"] for stamp, _, _ in files) >= BATCH_ROWS:
            yield Batch(name, files, number, len(new))
            files = []
    yield Batch(name, files, number, len(new))


def _take_in(now: Loading, batch: Batch, counts: dict[str, int]) -> None:
    """Keep a batch of files: their rows, the readings these make, their rejects, and last that they are loaded."""
    name, stamps = batch.source, [stamp for stamp, _, _ in batch.files]
    signal = Signal(now.store, now.settings.rules[name])
    _begin(now.store)
    # what the same file gave under other settings is void: its days or units may have been others
    void = [s["file"] for s in stamps if now.ledger.get((name, s["file"]), s).get("read_as") != s["read_as"]]
    if void:
        signal.rows.remove_files(void)
    files = pl.Enum([stamp["file"] for stamp in stamps])
    # in one piece they are sorted five times as fast
    rows = pl.concat(
        [frame.with_columns(file=pl.lit(stamp["file"], files)) for stamp, frame, _ in batch.files],
        rechunk=True,
    )
    part, merged = signal.take_in(rows.select(RAW_ROW_SCHEMA.keys()), now.changes)
    if void:
        signal.make_again(len(now.homes))
        now.changes.everything = True
    for told, n in (merged | {"loaded": rows.height}).items():
        counts[told] += n
    _keep_rejects(now.store, name, [(stamp, refused) for stamp, _, refused in batch.files])
    for stamp in stamps:
        now.ledger[name, stamp["file"]] = stamp | {"part": part or 0}
    _keep_ledger(now.store, now.ledger)


def _read_as(source: Source, rule: object = None) -> str:
    """A mark of all that says how a file's cells are read: under another one the file must be read again."""
    how = {name: value for name, value in dataclasses.asdict(source).items() if name != "max_bytes"} | {
        "rule": rule and dataclasses.asdict(rule) | {"max_per_day": None, "boundary_hours": None}
    }
    return hashlib.sha256(
        json.dumps(how | {"files": None}, sort_keys=True, default=sorted).encode()
    ).hexdigest()[:16]


def _changed_files(
    source: Source, root: Path, ledger: dict, read_as: str, today: dt.date = dt.date.min
) -> list[tuple[dict, Path]]:
    """Files that are new, or whose contents or reading differ from what was loaded."""
    new = []
    for path in find_files(root, source):
        name = _relative(path, root)
        with opening(path, source):
            stat = path.stat()
        known = ledger.get((source.name, name))
        if known and (known.get("read_as") != read_as or known.get("read_on", str(today)) < str(today)):
            known = None
        if known and (known["bytes"], known["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
            continue
        with opening(path, source):
            digest = sha256(path)
        stamp = {
            "source": source.name,
            "file": name,
            "bytes": stat.st_size,
            "modified_ns": stat.st_mtime_ns,
            "sha256": digest,
            "read_as": read_as,
        }
        if known and known["sha256"] == digest:
            ledger[source.name, name] = known | stamp
        else:
            new.append((stamp, path))
    return new


def _relative(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")  # a name need not be text


def _column_is_wrong(refused: pl.DataFrame) -> bool:
    return refused["reason"].is_in(["value not a number", "time not readable", "no value", "no time"]).all()


def _commonest(refused: pl.DataFrame) -> str:
    return refused["reason"].value_counts(sort=True)["reason"][0]


def _keep_rejects(store: Store, source: str, rejects: list[tuple[dict, pl.DataFrame]]) -> None:
    """Replace the rejects of the files just read."""
    files = [stamp["file"] for stamp, _ in rejects]
    kept = store.read("rejects.parquet", REJECTS).filter(
        (pl.col("source") != source) | ~pl.col("file").is_in(files)
    )
    fresh = [
        r.select(source=pl.lit(source), file=pl.lit(s["file"]), row="row", reason="reason")
        for s, r in rejects
    ]
    store.write("rejects.parquet", pl.concat([kept, *fresh]).sort("source", "file", "row"))


def _load_register(source: Source, root: Path, store: Store, ledger: dict, coded: Callable) -> None:
    """The household register is small and read whole: when any of its files has changed, all are read again."""
    new = _changed_files(source, root, ledger, _read_as(source))
    if not new and store.path("register.parquet").exists():
        return
    frames, rejects = [], []
    for path in find_files(root, source):
        raw = coded(read_file(path, source))
        for column in ("building", "district", "class", "moved_in", "broken"):
            if column not in raw.columns:
                raw = raw.with_columns(pl.lit(None, pl.String).alias(column))
        frames.append(raw.with_columns(file=pl.lit(_relative(path, root))))
    good, refused = room.parse_household_register(pl.concat(frames, how="diagonal"))
    for stamp, _ in new:
        mine = refused.filter(pl.col("file") == stamp["file"])
        rejects.append((stamp, mine))
        stamp |= {
            "rows": int(pl.concat(frames, how="diagonal").filter(pl.col("file") == stamp["file"]).height)
            - mine.height,
            "rejects": mine.height,
        }
        ledger[source.name, stamp["file"]] = stamp
    store.write("register.parquet", good.select(REGISTER_SCHEMA.keys()).cast(REGISTER_SCHEMA))
    _keep_rejects(store, source.name, rejects)


def stored_inputs(settings: Settings, store: Store) -> Inputs:
    """What the store holds, without a look at the sources."""
    return _inputs(settings, store, store.read_json("files.json", []), {}, {})


def _inputs(settings: Settings, store: Store, files, failed, counts) -> Inputs:
    rejects = store.read("rejects.parquet", REJECTS)
    names = HomeNumbers(store).households
    seen = (
        pl.concat(
            [pl.Series(dtype=pl.UInt32), *(Signal(store, rule).homes() for rule in settings.rules.values())]
        )
        .unique()
        .sort()
    )
    homes = pl.DataFrame({"household": names.gather(seen), "home": seen})
    if settings.households and store.path("register.parquet").exists():
        register = store.read("register.parquet")
        strangers = homes.join(register, on="household", how="anti")["home"]
        if strangers.len():
            rejects = pl.concat([rejects, *_strangers(settings, store, strangers)]).sort(
                "source", "file", "row"
            )
    else:
        strangers = seen.clear()
        register = homes.select(
            "household",
            *(
                pl.lit(None, REGISTER_SCHEMA[c]).alias(c)
                for c in ("building", "district", "class", "moved_in")
            ),
            ambiguous=False,
        )
    moved = register.filter(pl.col("moved_in").is_not_null()).select("household", "moved_in")
    kept = StoredReadings(store, settings.rules, names, strangers, moved)
    return Inputs(
        kept,
        register.sort("household"),
        rejects,
        files,
        failed,
        counts,
        _degraded(settings, files, rejects, failed),
    )


def _strangers(settings: Settings, store: Store, homes: pl.Series) -> list[pl.DataFrame]:
    """Rows of ids that the register does not have, as rejects."""
    reason = pl.lit("household not in the register")
    return [
        RawRows(store, name).read(homes).select(source=pl.lit(name), file="file", row="row", reason=reason)
        for name in settings.sources
    ]


def _degraded(settings: Settings, files, rejects: pl.DataFrame, failed) -> list[str]:
    """Lines that say which inputs were degraded: sources that stopped, and those with too many rejects."""
    lines = [f"{source} stopped: {why}" for source, why in failed.items()]
    newest = {f["source"]: f for f in sorted(files, key=lambda f: room.file_sort_key(f["file"]))}
    lines += [
        f"{source}: {f['file']} holds a header and no row; check that the export has run"
        for source, f in sorted(newest.items())
        if not f["rows"] + f["rejects"]
    ]
    refused = dict(rejects.group_by("source").len().iter_rows())
    for source, n in sorted(refused.items()):
        rows = sum(f.get("rows", 0) + f.get("rejects", 0) for f in files if f["source"] == source)
        if rows and n / rows > settings.limits.rejects_share:
            why = _commonest(rejects.filter(pl.col("source") == source))
            lines.append(
                f"{source}: {n} of {rows} rows refused ({n / rows:.1%}), mostly: {why}; see v1.rejects"
            )
    return [printable(line) for line in lines]
