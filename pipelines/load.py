"""Load what is new: changed export files into the store's rows, rows into readings.

A file is read again only when its size or time stamp and then its SHA-256 differ from what was loaded before. Rows are
merged by key, the later file name and then the later row wins, so loading a file twice, or files one by one or all at
once, gives the same readings.
"""

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anomaly import readings as room
from anomaly import tables
from pipelines.pseudonyms import coder
from pipelines.settings import Settings
from pipelines.sources import Source, SourceError, found_files, read_file, sha256
from pipelines.store import Store

ROWS = {
    "household": pl.String,
    "time": pl.Datetime("us"),
    "dated": pl.Boolean,
    "value": pl.Int64,
    "exits": pl.Int64,
    "periods": pl.Int32,
    "row": pl.Int64,
    "order": pl.String,
    "file": pl.String,
}
REGISTER = {
    "household": pl.String,
    "building": pl.String,
    "district": pl.String,
    "class": pl.String,
    "moved_in": pl.Date,
    "ambiguous": pl.Boolean,
}
READINGS = dict(tables.empty(tables.Readings).schema) | {"known_on": pl.Date, "note": pl.String}
REJECTS = dict(tables.empty(tables.Rejects).schema)


@dataclass(frozen=True)
class Inputs:
    """What a night works on: the readings, the register and what was refused or could not be read."""

    readings: pl.DataFrame
    register: pl.DataFrame
    rejects: pl.DataFrame
    files: list[dict]
    failed: dict[str, str]  # source → why it stopped
    counts: dict[str, dict[str, int]]  # signal → rows loaded, duplicate, restated
    degraded: list[str]

    @property
    def judgeable(self) -> dict[str, str | None]:
        """Household → district of every home that may be judged."""
        kept = self.register.filter(~pl.col("ambiguous") & (pl.col("class").is_null() | (pl.col("class") == "dwelling")))
        return dict(kept.select("household", "district").iter_rows())


def load(settings: Settings, store: Store, today: dt.date, tell=lambda text: None) -> Inputs:
    """Bring the store up to date with the sources and give what the night needs.

    A source that cannot be read stops with one line in `failed`; what it gave earlier stays in use.
    """
    ledger, coded = _ledger(store), coder(settings, store)
    failed, counts = {}, {}
    changed = False
    for name, source in settings.sources.items():
        tell(f"loading {name}")
        try:
            counts[name] = _load_signal(settings, store, name, ledger, today, coded)
        except SourceError as error:
            failed[name] = str(error)
            counts[name] = {"loaded": 0, "duplicate": 0, "restated": 0}
        changed |= counts[name]["loaded"] > 0
    if settings.households:
        try:
            changed |= _load_register(settings.households, settings.root, store, ledger, coded)
        except SourceError as error:
            failed["households"] = str(error)
    key = {"settings": settings.sha256, "rules": {n: dataclasses.asdict(r) for n, r in settings.rules.items()}}
    if changed or store.read_json("readings.json", None) != key or not store.path("readings.parquet").exists():
        _derive(settings, store)
        store.write_json("readings.json", key)
    files = sorted(ledger.values(), key=lambda f: (f["source"], f["file"]))
    store.write_json("files.json", files)
    return _inputs(settings, store, files, failed, counts)


def _ledger(store: Store) -> dict[tuple[str, str], dict]:
    """(source, file) → what was loaded of it. What is no longer in the store counts as never loaded."""
    files = store.read_json("files.json", [])
    if not isinstance(files, list) or not all(isinstance(f, dict) and {"source", "file", "bytes", "modified_ns", "sha256"} <= set(f) for f in files):
        raise store.damaged("files.json")
    if not store.path("rejects.parquet").exists():
        return {}
    kept = {"households": store.path("register.parquet").exists()}
    kept |= {f["source"]: store.path(f"rows/{f['source']}.parquet").exists() for f in files if f["source"] != "households"}
    return {(f["source"], f["file"]): f for f in files if kept[f["source"]]}


def _load_signal(settings: Settings, store: Store, name: str, ledger: dict, today: dt.date, coded: Callable) -> dict[str, int]:
    source, rule = settings.sources[name], settings.rules[name]
    new = _changed_files(source, settings.root, ledger, _read_as(source, rule))
    parts, rejects = [], []
    for stamp, path in new:
        rows, refused = room.parse_rows(coded(read_file(path, source)), rule, today + dt.timedelta(days=1))
        rows = rows.filter(pl.col("time") >= store.kept_from("readings"))
        if refused.height and not rows.height and _column_is_wrong(refused):
            raise SourceError(name, stamp["file"], f"has no row that can be used ({_commonest(refused)})", f"check columns, unit and time_format in [signals.{name}]")
        parts.append(rows.with_columns(file=pl.lit(stamp["file"]), order=pl.lit(room.file_order(stamp["file"]))))
        rejects.append((stamp, refused))
        stamp |= {"rows": rows.height, "rejects": refused.height}
    if not new:
        return {"loaded": 0, "duplicate": 0, "restated": 0}
    stored = store.read(f"rows/{name}.parquet", ROWS)
    # what the same file gave under other settings is void: its days or units may have been others
    void = [s["file"] for s, _ in new if ledger.get((name, s["file"]), s).get("read_as") != s["read_as"]]
    stored = stored.filter(~pl.col("file").is_in(void))
    merged, counts = room.merge_rows(stored, pl.concat(parts).select(ROWS.keys()).cast(ROWS))
    store.write(f"rows/{name}.parquet", merged)
    _keep_rejects(store, name, rejects)
    for stamp, _ in new:
        ledger[name, stamp["file"]] = stamp
    return {"loaded": sum(p.height for p in parts) or 1, **counts}


def _read_as(source: Source, rule: object = None) -> str:
    """A mark of all that says how a file's cells are read: under another one the file must be read again."""
    how = dataclasses.asdict(source) | {"rule": rule and dataclasses.asdict(rule) | {"max_per_day": None, "boundary_hours": None}}
    return hashlib.sha256(json.dumps(how | {"files": None}, sort_keys=True, default=sorted).encode()).hexdigest()[:16]


def _changed_files(source: Source, root: Path, ledger: dict, read_as: str) -> list[tuple[dict, Path]]:
    """Files that are new, or whose contents or reading differ from what was loaded."""
    new = []
    for path in found_files(root, source):
        name, stat = _relative(path, root), path.stat()
        known = ledger.get((source.name, name))
        if known and known.get("read_as") != read_as:
            known = None
        if known and (known["bytes"], known["modified_ns"]) == (stat.st_size, stat.st_mtime_ns):
            continue
        digest = sha256(path)
        stamp = {"source": source.name, "file": name, "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": digest, "read_as": read_as}
        if known and known["sha256"] == digest:
            ledger[source.name, name] = known | stamp
        else:
            new.append((stamp, path))
    return new


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _column_is_wrong(refused: pl.DataFrame) -> bool:
    return refused["reason"].is_in(["value not a number", "time not readable", "no value", "no time"]).all()


def _commonest(refused: pl.DataFrame) -> str:
    return refused["reason"].value_counts(sort=True)["reason"][0]


def _keep_rejects(store: Store, source: str, rejects: list[tuple[dict, pl.DataFrame]]) -> None:
    """Replace the rejects of the files just read."""
    files = [stamp["file"] for stamp, _ in rejects]
    kept = store.read("rejects.parquet", REJECTS).filter((pl.col("source") != source) | ~pl.col("file").is_in(files))
    fresh = [r.select(source=pl.lit(source), file=pl.lit(s["file"]), row="row", reason="reason") for s, r in rejects]
    store.write("rejects.parquet", pl.concat([kept, *fresh]).sort("source", "file", "row"))


def _load_register(source: Source, root: Path, store: Store, ledger: dict, coded: Callable) -> bool:
    """The household register is small and read whole: when any of its files has changed, all are read again."""
    new = _changed_files(source, root, ledger, _read_as(source))
    if not new and store.path("register.parquet").exists():
        return False
    frames, rejects = [], []
    for path in found_files(root, source):
        raw = coded(read_file(path, source))
        for column in ("building", "district", "class", "moved_in", "broken"):
            if column not in raw.columns:
                raw = raw.with_columns(pl.lit(None, pl.String).alias(column))
        frames.append(raw.with_columns(file=pl.lit(_relative(path, root))))
    good, refused = room.parse_register(pl.concat(frames, how="diagonal"))
    for stamp, _ in new:
        mine = refused.filter(pl.col("file") == stamp["file"])
        rejects.append((stamp, mine))
        stamp |= {"rows": int(pl.concat(frames, how="diagonal").filter(pl.col("file") == stamp["file"]).height) - mine.height, "rejects": mine.height}
        ledger[source.name, stamp["file"]] = stamp
    store.write("register.parquet", good.select(REGISTER.keys()).cast(REGISTER))
    _keep_rejects(store, source.name, rejects)
    return True


def _derive(settings: Settings, store: Store) -> None:
    """Rows to readings, for all signals; what one signal says of another is settled here too."""
    parts = []
    for name, rule in settings.rules.items():
        rows = store.read(f"rows/{name}.parquet", ROWS)
        if rows.height:
            parts.append(room.daily_readings(rows, rule).select(READINGS.keys()).cast(READINGS))
    daily = pl.concat(parts) if parts else pl.DataFrame(schema=READINGS)
    daily = room.cross_check(daily, settings.kinds) if daily.height else daily
    store.write("readings.parquet", daily.sort("signal", "household", "day"))


def stored_inputs(settings: Settings, store: Store) -> Inputs:
    """What the store holds, without a look at the sources."""
    return _inputs(settings, store, store.read_json("files.json", []), {}, {})


def _inputs(settings: Settings, store: Store, files, failed, counts) -> Inputs:
    daily = store.read("readings.parquet", READINGS)
    rejects = store.read("rejects.parquet", REJECTS)
    seen = daily.select("household").unique()
    if settings.households and store.path("register.parquet").exists():
        register = store.read("register.parquet")
        strangers = seen.join(register, on="household", how="anti")
        if strangers.height:
            rejects = pl.concat([rejects, *_strangers(settings, store, strangers)]).sort("source", "file", "row")
            daily = daily.join(strangers, on="household", how="anti", maintain_order="left")
        moved = register.filter(pl.col("moved_in").is_not_null()).select("household", "moved_in")
        if moved.height:
            daily = (
                daily.join(moved, on="household", how="left", maintain_order="left")
                .filter(pl.col("moved_in").is_null() | (pl.col("day") >= pl.col("moved_in")))
                .drop("moved_in")
            )
    else:
        register = seen.with_columns(*(pl.lit(None, REGISTER[c]).alias(c) for c in ("building", "district", "class", "moved_in")), ambiguous=False)
    return Inputs(daily, register.sort("household"), rejects, files, failed, counts, _degraded(settings, files, rejects, failed))


def _strangers(settings: Settings, store: Store, strangers: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows of ids that the register does not have, as rejects."""
    return [
        store.read(f"rows/{name}.parquet", ROWS)
        .join(strangers, on="household", how="semi")
        .select(source=pl.lit(name), file="file", row="row", reason=pl.lit("household not in the register"))
        for name in settings.sources
    ]


def _degraded(settings: Settings, files, rejects: pl.DataFrame, failed) -> list[str]:
    """Lines that say which inputs were degraded: sources that stopped, and those with too many rejects."""
    lines = [f"{source} stopped: {why}" for source, why in failed.items()]
    newest = {f["source"]: f for f in sorted(files, key=lambda f: room.file_order(f["file"]))}
    lines += [f"{source}: {f['file']} holds a header and no row; check that the export has run" for source, f in sorted(newest.items()) if not f["rows"] + f["rejects"]]
    refused = dict(rejects.group_by("source").len().iter_rows())
    for source, n in sorted(refused.items()):
        rows = sum(f.get("rows", 0) + f.get("rejects", 0) for f in files if f["source"] == source)
        if rows and n / rows > settings.limits.rejects_share:
            why = _commonest(rejects.filter(pl.col("source") == source))
            lines.append(f"{source}: {n} of {rows} rows refused ({n / rows:.1%}), mostly: {why}; see v1.rejects")
    return lines
