"""The order of the night, written once: load, judge, fold into cases, publish, report."""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata

import polars as pl

from anomaly import __version__, cases, detectors, expected
from pipelines.cases import outcome_journal, rejudged
from pipelines.cases.build import fold, with_case
from pipelines.cases.snapshots import freeze
from pipelines.config.calendar import correction_files
from pipelines.config.settings import Settings, check_purpose
from pipelines.errors import NoSuchNight, NothingReadable
from pipelines.ingest import late_arrivals
from pipelines.ingest.loader import Inputs, load
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import published_frames, recent_readings
from pipelines.publish.meta_frames import meta_frames
from pipelines.reporting import night_report, writer
from pipelines.runtime import engine, process_pool
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.scoring.large import Followed, is_large, judge_large
from pipelines.scoring.night import Verdicts, judge
from pipelines.storage.audit_log import Trail
from pipelines.storage.state import RUNNING, Store

MADE_WITH = (
    "duckdb",
    "fastexcel",
    "holidays",
    "matplotlib",
    "numba",
    "numpy",
    "polars",
    "pyod",
    "scikit-learn",
    "statsmodels",
)  # what a number may hang on


@dataclass(frozen=True)
class Result:
    """What a run came to; `did` is False where there was nothing to do."""

    night: dt.date
    did: bool
    degraded: Sequence[str] = ()
    run: dict = field(default_factory=dict)
    report: str = ""
    more: Sequence[str] = ()  # nights that were skipped, what was revised, and what still could be
    stopped: Sequence[str] = ()  # sources that could not be read


def nightly(
    settings: Settings,
    night: dt.date | None = None,
    progress: ReportProgress = no_progress,
    again: bool = False,
) -> Result:
    """Load what is new, judge one night, publish the file and write its report; `again`: and what late readings touch, as well."""

    def choose(latest: dt.date) -> list[dt.date]:
        return sorted({*(_touched(settings) if again else ()), night or latest})

    return run(settings, choose, lambda night: night_report.index(settings, night).exists(), progress)


def backfill(
    settings: Settings,
    first: dt.date,
    last: dt.date,
    reports: bool,
    progress: ReportProgress = no_progress,
) -> Result:
    """Judge every night from first to last as it would have been judged then."""
    nights = [first + dt.timedelta(days=d) for d in range((last - first).days + 1)]
    return run(settings, lambda latest: nights, lambda night: reports, progress)


def run(
    settings: Settings, choose: Callable, has_page: Callable[[dt.date], bool], progress: ReportProgress
) -> Result:
    """The night. `choose` gives the nights to judge from the latest one on which the sources are whole; the last has a page anyway."""
    started = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    check_purpose(settings, started.date())
    store = Store(settings.store)
    store.prepare()
    night_report.prepare(settings)
    with (
        store.locked(),
        engine.at(settings.engine.kind, settings.engine.address) as over,
        contextlib.ExitStack() as meanwhile,
    ):
        laps = Laps()
        _make_ready(settings, store)
        inputs = load(settings, store, started.date(), progress)
        laps.end("load")
        latest = inputs.kept.latest_night()
        if latest is None:
            raise NothingReadable(
                "; ".join(inputs.failed.values()) or "no source holds a whole day; yesterday's file stands"
            )
        nights = choose(latest)
        _refuse_unread(nights, inputs)
        key = _key(settings, store, inputs)
        plan = _plan(store, inputs, nights, has_page)
        if (
            plan.nothing_left
            and all(done(store, night) == key for night in nights)
            and duckdb_file.is_readable(settings.store)
            and night_report.index(settings, nights[-1]).exists()
        ):
            more, degraded = (
                late_arrivals.told(_touched(settings)),
                inputs.degraded + parquet_export.sync_parquet_export(settings),
            )
            return Result(
                nights[-1],
                False,
                degraded,
                report=str(night_report.index(settings, nights[-1])),
                more=more,
                stopped=tuple(inputs.failed),
            )
        store.write_json(RUNNING, {"nights": plan.run, "reports": plan.reports, "runs": len(store.runs()[0])})
        rejudged.set_aside(store, plan.run)
        publication = meanwhile.enter_context(
            duckdb_file.start_publication(settings.store, partial(recent_readings, settings, inputs.kept))
        )
        verdicts = _judge(settings, inputs, store, plan.judged, over, progress)
        laps.end("judge")
        progress(Progress("publishing"))
        folded = fold(settings, store, watched=plan.judged)
        pool = meanwhile.enter_context(
            process_pool.Pool(
                folded.worklist.filter(pl.col("night").is_in(plan.reports)).height, writer.prepare
            )
        )
        freeze(settings, store, inputs, verdicts, folded, plan.judged)
        revised = rejudged.compare(store, plan.run)
        runs = _runs(settings, store, inputs, plan.run, folded, started)
        frames = published_frames(settings, store, inputs, folded, runs)
        publication.finish(frames, meta_frames(settings, verdicts.calendar))
        _record(settings, store, runs, plan.judged)
        laps.end("publish")
        with night_report.to_be_written(settings):
            for night in plan.reports:
                progress(Progress(f"writing the report of {night}"))
                night_report.write_night(settings, inputs, verdicts, night, pool, progress)
            night_report.write_overview(settings, frames)
        laps.end("report")
        _write_manifest(settings, store, inputs, verdicts.calendar, started, laps)
        degraded = inputs.degraded + parquet_export.sync_parquet_export(settings)
        for night in plan.run:
            store.write_json(f"nights/{night}/key.json", key)
        store.path(RUNNING).unlink()
        more, tonight = (
            [
                *(line for night in nights for line in skipped(store, night)),
                *revised.told(),
                *late_arrivals.told(_touched(settings)),
            ],
            runs[plan.run.index(nights[-1])],
        )
        return Result(
            nights[-1],
            True,
            degraded,
            tonight,
            str(night_report.index(settings, nights[-1])),
            more,
            tuple(inputs.failed),
        )


def _make_ready(settings: Settings, store: Store) -> None:
    """Clear what killed runs have left, and ask now for small state that, damaged, would end the night when the file is out already."""
    store.sweep()
    night_report.tidy(settings)
    Trail(store).ready()
    _touched(settings)


def _touched(settings: Settings) -> dict[dt.date, int]:
    """Judged nights, with how many readings of the days that their expectations rest on came or changed since."""
    return late_arrivals.touched(Store(settings.store), settings.expected.reach_days)


@dataclass(frozen=True)
class Plan:
    """Nights: `run` are those asked for, `judged` those to be judged, in order, and `reports` those to get a report, tonight first."""

    run: list[dt.date]
    judged: list[dt.date]
    reports: list[dt.date]
    nothing_left: bool
    """Whether no earlier run was broken off and no night has lost a file."""


def _plan(
    store: Store, inputs: Inputs, nights: Sequence[dt.date], has_page: Callable[[dt.date], bool]
) -> Plan:
    """What is asked for, and with it what a run that was broken off had judged but not shown, and nights that lost a file."""
    first, last = inputs.kept.span()
    begun = store.read_json(RUNNING, {"nights": [], "reports": []})
    there = {str(night) for night in store.nights() if first <= night <= last}
    left, shown = (
        {dt.date.fromisoformat(night) for night in there.intersection(begun[name])}
        for name in ("nights", "reports")
    )
    broken = {night for night in store.broken_nights() if first <= night <= last}
    run, pages = sorted({*nights, *left}), {*filter(has_page, nights), *shown, nights[-1]}
    return Plan(
        run,
        sorted({*run, *broken}),
        sorted(pages, key=lambda night: (night != nights[-1], night)),
        not (left or broken),
    )


def skipped(store: Store, night: dt.date) -> list[str]:
    """A line where nights between the one judged before this night and this one were not judged."""
    before = max((known for known in store.nights() if known < night), default=night)
    first, last = before + dt.timedelta(days=1), night - dt.timedelta(days=1)
    missed = (last - first).days + 1
    if missed < 1:
        return []
    return [
        f"{missed} night{'s' * (missed > 1)} before {night} not judged: {first} … {last}; `anomaly backfill --from {first} --to {last}` judges them"
    ]


def _record(settings: Settings, store: Store, runs: Sequence[dict], judged: Sequence[dt.date]) -> None:
    """Write the runs down: only what was published has run. What all homes were expected to use is kept of the latest night alone."""
    for line in runs:
        store.append_line("runs.jsonl", line)
        Trail(store).leave(
            "run",
            **{
                name: line[name]
                for name in ("run", "night", "version", "settings_sha256", "cases_new", "notes")
            },
            control=_drawn(store, line["night"]),
        )
    for night in store.nights()[:-1]:
        store.path(f"nights/{night}/history.parquet").unlink(missing_ok=True)
    rejudged.settle(store, judged)
    late_arrivals.trim(store, settings.expected.reach_days)


def _drawn(store: Store, night: str) -> list[str]:
    """Codes of the night's control doors."""
    return store.read(f"nights/{night}/control.parquet")["case_id"].to_list()


def _judge(
    settings: Settings,
    inputs: Inputs,
    store: Store,
    nights: Sequence[dt.date],
    over: engine.Over,
    progress: ReportProgress,
) -> Verdicts:
    """Judge the nights; at a large site the homes with a case are followed by name."""
    process_pool.meanwhile(partial(_prepare, settings))
    if not is_large(settings, inputs):
        return judge(settings, inputs, store, nights, progress)
    return judge_large(settings, inputs, nights, _followed(settings, store, nights), over, progress)


def _prepare(settings: Settings) -> None:
    """Import what takes seconds to import and is needed later: detectors, then what takes a page's series apart."""
    detectors.prepare(settings.detectors)
    expected.prepare()


def _followed(settings: Settings, store: Store, nights: Sequence[dt.date]) -> Followed:
    """Homes with a case open on one of the nights, or on a list of theirs, and homes whose case is not long over on the last."""
    if not store.nights():
        return Followed()
    known = fold(settings, store)
    still = known.cases.filter(
        pl.col("last_seen") > nights[0] - dt.timedelta(days=settings.cases.quiet_days)
    )["household"]
    listed = known.worklist.filter(pl.col("night").is_in(nights))["household"]
    return Followed(frozenset(still) | frozenset(listed), frozenset(with_case(known.cases, nights[-1])))


def _refuse_unread(nights: Sequence[dt.date], inputs: Inputs) -> None:
    """A night outside the readings would only say that nobody can be judged."""
    first, last = inputs.kept.span()
    for night in nights:
        if not first <= night <= last:
            raise NoSuchNight(
                f"{night} lies {'before the first' if night < first else 'after the last'} reading ({first} … {last}); ask for a night between"
            )


def done(store: Store, night: dt.date) -> str | None:
    """The key under which a night was last judged, published and reported."""
    return store.read_json(f"nights/{night}/key.json", None)


def _key(settings: Settings, store: Store, inputs: Inputs) -> str:
    """What a night's result depends on: inputs, settings with the calendar's corrections, version and decisions."""
    files = [(f["source"], f["file"], f["sha256"], f["rejects"]) for f in inputs.files]
    corrections = [path.read_text(encoding="utf-8") for path in correction_files(settings)]
    text = json.dumps(
        [
            files,
            settings.sha256,
            corrections,
            __version__,
            sorted(inputs.failed),
            *(store.read_lines(name) for name in (outcome_journal.OUTCOMES, outcome_journal.ASSIGNMENTS)),
        ],
        default=str,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _runs(
    settings: Settings, store: Store, inputs: Inputs, nights, folded: cases.CaseHistory, started: dt.datetime
) -> list[dict]:
    """A line for the journal of runs for every night judged."""
    finished = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    rows, before = [], rejudged.times(store)
    for night in nights:
        seen = store.read_json(f"nights/{night}/done.json", {})
        rows.append(
            {
                "run": f"{night}-{started:%Y%m%dT%H%M%S.%fZ}",
                "night": str(night),
                "started_utc": started.isoformat(timespec="seconds"),
                "finished_utc": finished.isoformat(timespec="seconds"),
                "version": __version__,
                "settings_sha256": settings.sha256,
                "judged": seen["judged"],
                "not_judged": seen["not_judged"],
                "cases_open": folded.open_cases[night],
                "cases_new": folded.new_cases[night],
                "expected_wrong_doors": folded.expected_wrong[night],
                "notes": "; ".join([*inputs.degraded, *skipped(store, night)]),
                "revised": before[night],
                "stopped": [
                    f"{name} not listed: {wrong} of its {n} answered doors were wrong"
                    for name, wrong, n in outcome_journal.stopped(settings, store, night)
                ],
            }
        )
    return rows


class Laps:
    """How long each step of a run took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, step: str) -> None:
        """The step that has been under way ends here."""
        before, self._last = self._last, time.monotonic()
        self.seconds[step] = round(self._last - before, 1)


def _write_manifest(
    settings: Settings, store: Store, inputs: Inputs, days: pl.DataFrame, started: dt.datetime, laps: Laps
) -> None:
    rejects = inputs.rejects.group_by("source", "reason").len("rows").sort("source", "reason")
    manifest = {
        "version": __version__,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in MADE_WITH},
        },
        "settings_sha256": settings.sha256,
        "started_utc": started.isoformat(timespec="seconds"),
        "seconds": round((dt.datetime.now(dt.UTC).replace(tzinfo=None) - started).total_seconds(), 1),
        "steps": laps.seconds,
        "inputs": inputs.files,
        "failed": inputs.failed,
        "merged": inputs.counts,
        "rejects": rejects.to_dicts(),
        "calendar": "provisional" if days["provisional"].any() else "official",
        "rules": {name: dataclasses.asdict(rule) for name, rule in settings.rules.items()},
    }
    store.write_json("../manifest.json", manifest)
