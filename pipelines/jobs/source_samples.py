"""Read a sample of every source as the night will read it, and compare the sources, for `anomaly doctor`."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from anomaly.readings import (
    SignalRule,
    daily_readings,
    parse_household_register,
    parse_signal_ids,
)
from anomaly.source_health import HOME_COUNT_SCHEMA, SourceHealth, source_health
from pipelines.config.sections import Source
from pipelines.config.settings import Settings
from pipelines.errors import SourceError
from pipelines.ingest.files import file_name, find_files
from pipelines.ingest.formats import read_file
from pipelines.ingest.ledger import read_entries
from pipelines.ingest.loader import parse_file, refuse_unusable_file
from pipelines.ingest.register import OPTIONAL_COLUMNS
from pipelines.ingest.signal_ids import ROLE, SIGNAL_ID_SCHEMA, signals_with_ids, to_households
from pipelines.storage.rejects import commonest_reason
from pipelines.storage.state import Store

SAMPLE_FILES = 8
"""The newest files of a source, in the order in which they are loaded, are read."""
SAMPLE_HOMES = 2_000
"""Of so many homes days are made."""
SHOWN_DAYS = 5
SHARED_IDS = 0.5
"""Two sources that share fewer of the ids of the smaller one number homes differently."""
JUDGED = ("read", "interpolated")


@dataclass(frozen=True)
class SourceSample:
    """What the newest files of a source hold."""

    name: str
    summary: str = ""
    """How many files there are, and how large the newest is."""
    error: SourceError | None = None
    """Why the source would stop."""
    homes: frozenset[str] = frozenset()
    rows: int = 0
    refused: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"reason": pl.String}))
    latest_time: dt.datetime | None = None
    days: pl.DataFrame | None = None
    """READING_SCHEMA of some homes; None for the register."""

    def counts(self) -> pl.DataFrame:
        """Return HOME_COUNT_SCHEMA of the days."""
        if self.days is None:
            return pl.DataFrame(schema=HOME_COUNT_SCHEMA)
        quality = pl.col("quality")
        counts = self.days.group_by("day").agg(
            homes=pl.len(),
            judged=quality.is_in(JUDGED).sum(),
            estimated=(quality == "estimated").sum(),
        )
        return counts.cast(HOME_COUNT_SCHEMA).sort("day")


def sample_sources(settings: Settings, now: dt.datetime) -> list[SourceSample]:
    """Read a sample of each signal and of the register."""
    samples, ids = [], _signal_ids(settings)
    sources = dict(settings.sources)
    if settings.households:
        sources["households"] = settings.households
    for name, source in sources.items():
        try:
            files = find_files(settings.root, source)
            sampled = files[-SAMPLE_FILES:]
            rule = settings.rules.get(name)
            if rule is None:
                sample = _register_sample([read_file(path, source) for path in sampled])
            else:
                own_ids = ids.filter(pl.col("signal") == name)
                sample = _signal_sample(settings.root, source, rule, sampled, now, own_ids)
            count = f"{len(files)} file{'s' * (len(files) != 1)}"
            summary = f"{count}, {sample.pop('newest_rows')} rows in the newest ({files[-1].name})"
            samples.append(SourceSample(name, summary, **sample))
        except SourceError as error:
            samples.append(SourceSample(name, error=error))
    return samples


def _signal_ids(settings: Settings) -> pl.DataFrame:
    """Return SIGNAL_ID_SCHEMA of the signals whose own ids the register gives."""
    none, source = pl.DataFrame(schema=SIGNAL_ID_SCHEMA), settings.households
    if source is None or not (signals := signals_with_ids(source)):
        return none
    try:
        frames = [read_file(path, source) for path in find_files(settings.root, source)]
    except SourceError:  # the register's finding
        return none
    cells = _with_optional_columns(frames)
    return parse_signal_ids(cells, {signal: f"{ROLE}{signal}" for signal in signals})[0]


def _with_optional_columns(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    cells = pl.concat(frames, how="diagonal")
    absent = [name for name in OPTIONAL_COLUMNS if name not in cells.columns]
    return cells.with_columns(*(pl.lit(None, pl.String).alias(name) for name in absent), file=pl.lit(""))


def _register_sample(frames: Sequence[pl.DataFrame]) -> dict:
    cells = _with_optional_columns(frames)
    register, refused = parse_household_register(cells)
    return {
        "newest_rows": frames[-1].height,
        "homes": frozenset(register["household"]),
        "rows": cells.height,
        "refused": refused,
    }


def _signal_sample(
    root: Path, source: Source, rule: SignalRule, files: Sequence[Path], now: dt.datetime, ids: pl.DataFrame
) -> dict:
    """Parse the files, oldest first. Raises SourceError for a file that would stop the source."""
    rows, refused, heights = [], [], []
    for path in files:
        latest_day = now.date() + dt.timedelta(days=1)
        good, bad, cells = parse_file(path, source, rule, lambda frame: frame, latest_day, None)
        refuse_unusable_file(rule.name, file_name(path, root), good, bad)
        rows.append(to_households(good, ids, rule) if ids.height else good)
        refused.append(bad)
        heights.append(cells.height)
    every = pl.concat(rows, how="diagonal")
    homes = every["household"].unique(maintain_order=True)
    some = every.filter(pl.col("household").is_in(homes.head(SAMPLE_HOMES).implode()))
    keys = [name for name in ("household", "time", "dated", "meter") if name in some.columns]
    if not rule.events:  # of a log each row is a passage
        some = some.unique(keys, keep="last", maintain_order=True)
    return {
        "newest_rows": heights[-1],
        "homes": frozenset(homes),
        "rows": sum(heights),
        "refused": pl.concat(refused),
        "latest_time": every["time"].max(),
        "days": daily_readings(some, rule),
    }


def newest_night(samples: Sequence[SourceSample]) -> dt.date | None:
    """Return the latest day on which half of the homes of some signal have a usable day."""
    health = [source_health(sample.counts(), dt.date.max) for sample in samples if sample.days is not None]
    return max((one.newest_day for one in health if one.newest_day), default=None)


def health_on(sample: SourceSample, night: dt.date, usual_age: int | None) -> SourceHealth:
    """Return how whole the sample of a signal is on a night."""
    return source_health(sample.counts(), night, usual_age)


def usual_values(sample: SourceSample) -> list[int]:
    """Return the last usable daily values of the home in the middle; empty where there is none."""
    if sample.days is None:
        return []
    good = sample.days.filter(pl.col("quality").is_in(JUDGED), pl.col("value").is_not_null())
    if good.is_empty():
        return []
    medians = good.group_by("household").agg(pl.col("value").median()).sort("value", "household")
    home = medians["household"][medians.height // 2]
    return good.filter(pl.col("household") == home).sort("day")["value"].tail(SHOWN_DAYS).to_list()


def commonest_doubt(sample: SourceSample) -> str:
    """Return the quality that most of the days have which cannot be judged."""
    assert sample.days is not None
    bad = sample.days.filter(~pl.col("quality").is_in(JUDGED))["quality"]
    return bad.value_counts(sort=True)[bad.name][0] if len(bad) else ""


def refused_line(sample: SourceSample, most: float) -> str:
    """Return a line where a larger share of the rows than `most` would be refused; empty otherwise."""
    count = sample.refused.height
    if not sample.rows or count / sample.rows <= most:
        return ""
    why = commonest_reason(sample.refused)
    return f"{count} of {sample.rows} rows would be refused ({count / sample.rows:.1%}), mostly: {why}"


def unmatched_ids(samples: Sequence[SourceSample], most: float) -> list[str]:
    """Return a line for each signal whose ids the register, or where there is none another signal, lacks.

    The lines quote two ids of each: they are for the terminal alone.
    """
    by_name: Mapping[str, SourceSample] = {sample.name: sample for sample in samples if sample.homes}
    signals = [sample for name, sample in by_name.items() if name != "households"]
    lines = []
    if register := by_name.get("households"):
        for sample in signals:
            strangers = sample.homes - register.homes
            if len(strangers) > most * len(sample.homes):
                part = (
                    f"{len(strangers)} of {len(sample.homes)} homes of {sample.name} are not in the register"
                )
                lines.append(f"{part} ({_examples(strangers)}; in the register: {_examples(register.homes)})")
        return lines
    for number, one in enumerate(signals):
        for other in signals[number + 1 :]:
            shared, fewer = len(one.homes & other.homes), min(len(one.homes), len(other.homes))
            if shared < SHARED_IDS * fewer:
                part = f"{one.name} and {other.name} share {shared} of {fewer} ids"
                lines.append(f"{part} ({_examples(one.homes)}; {_examples(other.homes)})")
    return lines


def files_gone(settings: Settings, store: Store) -> list[str]:
    """Return the source and name of each file that was loaded and that its source no longer has."""
    sources = dict(settings.sources)
    if settings.households:
        sources["households"] = settings.households
    gone = []
    for entry in read_entries(store):
        if (source := sources.get(entry["source"])) is None:
            continue
        try:
            there = {file_name(path, settings.root) for path in find_files(settings.root, source)}
        except SourceError:
            there = set()
        if entry["file"] not in there and not (settings.root / entry["file"]).exists():
            gone.append(f"{entry['source']}: {entry['file']}")
    return sorted(gone)


def _examples(ids: frozenset[str]) -> str:
    return ", ".join(repr(one) for one in sorted(ids)[:2])
