"""The order of the night: load, judge, build the cases, publish, report.

`run_nights` is the whole of it, a step a line; `nightly` and `backfill` say which nights it judges.
"""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import NamedTuple

import polars as pl

from anomaly import __version__, cases, detectors, expected
from anomaly.source_health import ORDINARY_AGE_DAYS
from pipelines.cases import outcome_journal, rejudged
from pipelines.cases.build import build_cases, homes_with_recent_case
from pipelines.cases.snapshots import write_snapshots
from pipelines.config.calendar import correction_files, local_now, local_today
from pipelines.config.settings import Settings, check_purpose
from pipelines.errors import AuditLogBroken, ExitCode, NoSuchNight, NothingReadable, StateDamaged
from pipelines.ingest import late_arrivals
from pipelines.ingest.inputs import Inputs
from pipelines.ingest.loader import load
from pipelines.jobs.site_places import note_site
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import published_frames, recent_readings
from pipelines.publish.meta_frames import meta_frames
from pipelines.reporting import night_report, writer
from pipelines.reporting.own_pages import refuse_foreign_nights
from pipelines.runtime import engine, process_pool
from pipelines.runtime.progress import Progress, ReportProgress, no_progress
from pipelines.scoring.night import JudgedNights, TrackedHomes, judge_nights
from pipelines.scoring.sources import (
    USUAL_AGE_NIGHTS,
    degraded_notes,
    ordinary_notes,
    read_sources,
    write_sources,
)
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import RUN_JOURNAL, RUN_LOCK_SECONDS, UNFINISHED_RUN_FILE, Store

LIVE_DAYS = 14
"""A site whose nights are usually judged within so many days is live, and waits for the next one."""
LIBRARIES = (
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
)
"""Libraries that a number may depend on; the manifest names their versions."""


@dataclass(frozen=True)
class Result:
    """What a run came to, for its last night."""

    night: dt.date
    did: bool
    """False where there was nothing to do."""
    degraded: Sequence[str] = ()
    """Lines on inputs that were degraded, for the terminal alone: they may quote cells."""
    run: dict = field(default_factory=dict)
    """The night's line in the journal of runs; empty where there was nothing to do."""
    report: str = ""
    remarks: Sequence[str] = ()
    """Lines on nights that were missed, what was revised, and what still could be."""
    stopped: Sequence[str] = ()
    """Sources that could not be read."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return ExitCode.DEGRADED if self.degraded else ExitCode.DONE


def nightly(
    settings: Settings,
    night: dt.date | None = None,
    progress: ReportProgress = no_progress,
    revise: bool = False,
) -> Result:
    """Load what is new, judge one night, publish the file and write the night's report.

    The night is the latest one on which the sources are whole, unless it is given. With `revise`, the nights
    that late readings touch are judged again first.
    """

    def choose_nights(latest: dt.date) -> list[dt.date]:
        return sorted({*(_touched_nights(settings) if revise else ()), night or latest})

    def wants_report(judged: dt.date) -> bool:
        return judged == night or night_report.night_index_path(settings, judged).exists()

    return run_nights(settings, choose_nights, wants_report, progress)


def backfill(
    settings: Settings,
    first: dt.date,
    last: dt.date,
    reports: bool,
    progress: ReportProgress = no_progress,
) -> Result:
    """Judge every night from first to last as it would have been judged then.

    Only the last night's report is written unless `reports` is true.
    """
    nights = [first + dt.timedelta(days=d) for d in range((last - first).days + 1)]
    return run_nights(settings, lambda latest: nights, lambda night: reports, progress)


def run_nights(
    settings: Settings,
    choose_nights: Callable[[dt.date], list[dt.date]],
    wants_report: Callable[[dt.date], bool],
    progress: ReportProgress = no_progress,
) -> Result:
    """Judge nights, publish the file and write the reports: every step of a run in its order.

    `choose_nights` gives the nights to judge, in order, from the latest one on which the sources are whole.
    `wants_report` says of a night whether its report is written; the last night's always is.
    """
    started = _utc_now()
    check_purpose(settings, local_today(settings))
    store = Store(settings.store)
    store.prepare()
    night_report.prepare_reports_folder(settings)
    with (
        store.locked(RUN_LOCK_SECONDS, lambda holder: progress(Progress(f"waiting for {holder}"))),
        engine.open_engine(settings.engine.kind, settings.engine.address) as block_engine,
        contextlib.ExitStack() as background,
    ):
        timer = StepTimer()
        state_check = check_state(settings, store)
        note_site(settings, store)
        inputs = load(settings, store, started.date(), progress, local_now(settings))
        timer.end("load")

        latest = _latest_night(inputs)
        nights = choose_nights(latest)
        _refuse_nights_without_readings(inputs, nights)
        overdue = overdue_notes(store.runs(), latest, local_today(settings)) if nights[-1] == latest else []
        inputs.degraded.extend(overdue)
        inputs.notes.extend(overdue)
        plan = make_plan(store, inputs, nights, wants_report)
        key = _inputs_key(settings, store, inputs)
        if not plan.mends and _all_done(settings, store, nights, key):
            return _nothing_to_do(settings, inputs, store, nights[-1], state_check)
        refuse_foreign_nights(settings.reports, plan.reports)
        _note_begun(store, plan)
        rejudged.keep_previous_cases(store, plan.nights)

        # the recent readings, most of the file, are written while the nights are judged
        readings = partial(recent_readings, settings, inputs.stored)
        publication = background.enter_context(duckdb_file.start_publication(settings.store, readings))
        judged_nights = _judge(settings, inputs, store, plan.judge, block_engine, progress)
        write_sources(settings, inputs, store, plan.judge)
        timer.end("judge")

        progress(Progress("publishing"))
        history = build_cases(settings, store, snapshot_nights=plan.judge)
        page_makers = background.enter_context(_page_makers(history, plan))
        published = _publish(
            settings, store, inputs, judged_nights, history, plan, publication=publication, started=started
        )
        timer.end("publish")

        _write_reports(settings, inputs, judged_nights, plan, published.frames, page_makers, progress)
        timer.end("report")

        _write_manifest(settings, store, inputs, judged_nights.calendar, started, timer)
        sources = read_sources(store, nights[-1:])
        degraded = [
            *inputs.degraded,
            *degraded_notes(sources, inputs.notes),
            *state_check.broken,
            *parquet_export.sync_parquet_export(settings),
        ]
        _note_done(store, plan, key)
        return Result(
            night=nights[-1],
            did=True,
            degraded=degraded,
            run=published.runs[plan.nights.index(nights[-1])],
            report=str(night_report.night_index_path(settings, nights[-1])),
            remarks=[
                *ordinary_notes(sources),
                *inputs.refused_rows,
                *state_check.remarks,
                *published.put_aside,
                *(line for night in nights for line in missed_nights(store, night)),
                *published.rejudging.lines(),
                *late_arrivals.describe_touched_nights(_touched_nights(settings)),
            ],
            stopped=tuple(inputs.failed),
        )


# before the night


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


class StepTimer:
    """How long each step of a run took, in seconds to one decimal."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, step: str) -> None:
        """Note that the step has taken the time since the one before it ended."""
        before, self._last = self._last, time.monotonic()
        self.seconds[step] = round(self._last - before, 1)


class StateCheck(NamedTuple):
    """What a run has found of its state before anything else: lines for people."""

    remarks: list[str]
    """On damaged files that are made anew, and logs of other programs beside the published file."""
    broken: list[str]
    """On what nothing can make anew, and a night can do without."""


def check_state(settings: Settings, store: Store) -> StateCheck:
    """Remove what killed runs have left, and find out now whether every file of the state can be used.

    Raises StateDamaged, before anything is written, for what can neither be made anew nor done without.
    """
    audit_log = AuditLog(store)
    try:
        audit_log.head()
    except AuditLogBroken as error:
        raise StateDamaged(str(error)) from None
    broken = []
    try:
        audit_log.verify()
    except AuditLogBroken as error:  # then nothing can be compared with it
        broken.append(str(error))
    else:
        outcome_journal.check_against_audit_log(store)
        runs = {line["run"] for line in audit_log.lines("run")}
        if lost := len(runs - {line.get("run") for line in store.runs()}):
            remedy = f"lacks {lost} of the runs that the audit log has; put it back from a copy"
            broken.append(f"{store.path(RUN_JOURNAL)}: {remedy}")
    store.remove_leftovers()
    writer.clear_leftovers(settings.reports, store.known_nights())
    made_anew = store.check_files(mend=True)
    _touched_nights(settings)
    put_aside = duckdb_file.put_logs_aside(settings.store)
    return StateCheck([*made_anew, *put_aside], broken)


def _touched_nights(settings: Settings) -> dict[dt.date, int]:
    """Return the judged nights of which readings in reach came or changed since, with how many."""
    return late_arrivals.touched_nights(Store(settings.store), settings.expected.reach_days)


# which nights


@dataclass(frozen=True)
class Plan:
    """The nights of a run, each list without repeats."""

    nights: list[dt.date]
    """Those asked for, and those that a run that was broken off had begun, in order; each gets a run."""
    judge: list[dt.date]
    """These, and judged nights that have lost a file; in order."""
    reports: list[dt.date]
    """Those that get a report, the last one asked for first."""
    mends: bool
    """Whether an earlier run was broken off, or a night has lost a file."""


def make_plan(
    store: Store, inputs: Inputs, nights: Sequence[dt.date], wants_report: Callable[[dt.date], bool]
) -> Plan:
    """Plan the nights asked for, in order, and what a run that was broken off had judged but not shown."""
    first, last = _first_and_last_day(inputs)
    judged_before = [night for night in store.judged_nights() if first <= night <= last]
    begun = store.read_json(UNFINISHED_RUN_FILE, {"nights": [], "reports": []})
    left = {night for night in judged_before if str(night) in begun["nights"]}
    left_reports = {night for night in judged_before if str(night) in begun["reports"]}
    broken = {night for night in store.incomplete_nights() if first <= night <= last}
    tonight = nights[-1]
    reports = {*filter(wants_report, nights), *left_reports, tonight}
    return Plan(
        nights=sorted({*nights, *left}),
        judge=sorted({*nights, *left, *broken}),
        reports=sorted(reports, key=lambda night: (night != tonight, night)),
        mends=bool(left or broken),
    )


def _latest_night(inputs: Inputs) -> dt.date:
    """Return the latest night on which the sources are whole; raises NothingReadable where there is none."""
    latest = inputs.stored.find_latest_night()
    if latest is None:
        why = "; ".join(map(str, inputs.failed.values()))
        raise NothingReadable(why or "no source holds a whole day; yesterday's file stands")
    return latest


def _first_and_last_day(inputs: Inputs) -> tuple[dt.date, dt.date]:
    span = inputs.stored.span()
    assert span is not None, "where there is a latest night there are readings"
    return span


def _refuse_nights_without_readings(inputs: Inputs, nights: Sequence[dt.date]) -> None:
    """Raise NoSuchNight for a night outside the readings: it would only say that nobody can be judged."""
    first, last = _first_and_last_day(inputs)
    for night in nights:
        if not first <= night <= last:
            where = "before the first" if night < first else "after the last"
            raise NoSuchNight(f"{night} lies {where} reading ({first} … {last}); ask for a night between")


def overdue_notes(runs: Sequence[Mapping], latest: dt.date, today: dt.date) -> list[str]:
    """Return a line where the latest night lies longer ago than it used to when the site was run.

    runs: lines of the journal of runs. A site whose runs usually come more than LIVE_DAYS after their nights,
    such as a study of old data, waits for nothing.
    """
    newest: dict[dt.date, int] = {}
    for run in runs:
        started = dt.datetime.fromisoformat(run["started_utc"]).date()
        age = (started - dt.date.fromisoformat(run["night"])).days
        newest[started] = min(age, newest.get(started, age))
    if not newest:
        return []
    ages = [newest[started] for started in sorted(newest)]
    usual = max(0, statistics.median_low(ages[-USUAL_AGE_NIGHTS:]))
    age = (today - latest).days
    if usual > LIVE_DAYS or age <= usual + max(usual, ORDINARY_AGE_DAYS):
        return []
    since = f"no source has a whole day since {latest}, {age} days ago (usually {usual})"
    return [f"{since}; see whether the exports have run"]


def missed_nights(store: Store, night: dt.date) -> list[str]:
    """Return a line on the nights between this one and the one judged before it, if there are any."""
    before = max((judged for judged in store.judged_nights() if judged < night), default=night)
    first, last = before + dt.timedelta(days=1), night - dt.timedelta(days=1)
    missed = (last - first).days + 1
    if missed < 1:
        return []
    count = f"{missed} night{'s' * (missed > 1)} before {night} not judged: {first} … {last}"
    return [f"{count}; `anomaly backfill --from {first} --to {last}` judges them"]


# what was done already


def _inputs_key(settings: Settings, store: Store, inputs: Inputs) -> str:
    """Return a hash of all a night's result depends on: inputs, settings, calendar, version, decisions."""
    parts = [
        [(f["source"], f["file"], f["sha256"], f["rejects"]) for f in inputs.files],
        settings.sha256,
        [path.read_text(encoding="utf-8") for path in correction_files(settings)],
        __version__,
        sorted(inputs.failed),
        store.read_lines(outcome_journal.OUTCOMES),
        store.read_lines(outcome_journal.ASSIGNMENTS),
    ]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def done_key(store: Store, night: dt.date) -> str | None:
    """Return the inputs key under which a night was last judged, published and reported."""
    return store.read_json(f"nights/{night}/key.json", None)


def _all_done(settings: Settings, store: Store, nights: Sequence[dt.date], key: str) -> bool:
    """Return whether the nights were judged from the same inputs, and file and last report are there."""
    return (
        all(done_key(store, night) == key for night in nights)
        and duckdb_file.is_readable(settings.store)
        and night_report.night_index_path(settings, nights[-1]).exists()
    )


def _nothing_to_do(
    settings: Settings, inputs: Inputs, store: Store, night: dt.date, state_check: StateCheck
) -> Result:
    sources = read_sources(store, [night])
    return Result(
        night=night,
        did=False,
        degraded=[
            *inputs.degraded,
            *degraded_notes(sources, inputs.notes),
            *state_check.broken,
            *parquet_export.sync_parquet_export(settings),
        ],
        report=str(night_report.night_index_path(settings, night)),
        remarks=[
            *ordinary_notes(sources),
            *inputs.refused_rows,
            *state_check.remarks,
            *late_arrivals.describe_touched_nights(_touched_nights(settings)),
        ],
        stopped=tuple(inputs.failed),
    )


def _note_begun(store: Store, plan: Plan) -> None:
    """Note which nights are under way: a run that is broken off is made good by the next one."""
    begun = {"nights": plan.nights, "reports": plan.reports, "runs": len(store.published_runs())}
    store.write_json(UNFINISHED_RUN_FILE, begun)


def _note_done(store: Store, plan: Plan, key: str) -> None:
    for night in plan.nights:
        store.write_json(f"nights/{night}/key.json", key)
    store.path(UNFINISHED_RUN_FILE).unlink()


# judge


def _judge(
    settings: Settings,
    inputs: Inputs,
    store: Store,
    nights: Sequence[dt.date],
    block_engine: engine.Engine,
    progress: ReportProgress,
) -> JudgedNights:
    """Judge the nights; homes with a case are looked at closely whatever a night says of them."""
    process_pool.run_in_background(partial(_import_slow_modules, settings))
    tracked = _homes_with_cases(settings, store, nights)
    return judge_nights(settings, inputs, nights, tracked, block_engine, progress)


def _import_slow_modules(settings: Settings) -> None:
    """Import what takes seconds to import and is needed later: for the detectors, then for the pages."""
    detectors.preload(settings.detectors)
    expected.preload_stl()


def _homes_with_cases(settings: Settings, store: Store, nights: Sequence[dt.date]) -> TrackedHomes:
    """Return the homes that the nights' pages may show: with a case that is open, listed or not long over."""
    # the nights themselves may be judged again because a file of theirs was lost; their new cases are added
    # then
    history = build_cases(settings, store, without=nights)
    quiet_since = nights[0] - dt.timedelta(days=settings.cases.quiet_days)
    still_open = history.cases.filter(pl.col("last_seen") > quiet_since)["household"]
    listed = history.worklist.filter(pl.col("night").is_in(nights))["household"]
    return TrackedHomes(
        frozenset(still_open) | frozenset(listed),
        frozenset(homes_with_recent_case(settings, history.cases, nights[-1])),
    )


# publish and report


def _page_makers(history: cases.CaseHistory, plan: Plan) -> process_pool.Pool:
    """Return processes that render the case pages; they start at once, while the file is being published."""
    pages = history.worklist.filter(pl.col("night").is_in(plan.reports)).height
    return process_pool.Pool(pages, writer.warm_up)


@dataclass(frozen=True)
class _Published:
    """What the published file was made of."""

    runs: list[dict]
    """The lines in the journal of runs, one for each night of the plan, in order."""
    frames: dict[str, pl.DataFrame]
    rejudging: rejudged.RejudgingSummary
    put_aside: list[str]
    """A line for each log of another program that was in the way of the file."""


def _publish(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    judged_nights: JudgedNights,
    history: cases.CaseHistory,
    plan: Plan,
    *,
    publication: duckdb_file.Publication,
    started: dt.datetime,
) -> _Published:
    """Keep what the nights knew, swap the published file in, and record the runs."""
    write_snapshots(settings, store, inputs, judged_nights, history, plan.judge)
    rejudging = rejudged.record_changes(store, plan.nights)
    runs = _run_lines(settings, store, inputs, history, plan.nights, started)
    frames = published_frames(settings, store, inputs, history, runs)
    put_aside = publication.finish(frames, meta_frames(settings, judged_nights.calendar))
    _record_runs(settings, store, runs, plan.judge)
    return _Published(runs, frames, rejudging, put_aside)


def _write_reports(
    settings: Settings,
    inputs: Inputs,
    judged_nights: JudgedNights,
    plan: Plan,
    frames: dict[str, pl.DataFrame],
    page_makers: process_pool.Pool,
    progress: ReportProgress,
) -> None:
    """Write the report of each planned night, and the page over all nights."""
    with night_report.disk_errors_as_not_reported(settings):
        for night in plan.reports:
            progress(Progress(f"writing the report of {night}"))
            night_report.write_night_report(settings, inputs, judged_nights, night, page_makers, progress)
        night_report.write_overview(settings, frames)


def _run_lines(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    history: cases.CaseHistory,
    nights: Sequence[dt.date],
    started: dt.datetime,
) -> list[dict]:
    """Return a line for the journal of runs for each of the nights."""
    finished = _utc_now()
    lines, judged_before = [], rejudged.times_judged(store)
    for night in nights:
        counts = store.read_json(f"nights/{night}/done.json", {})
        degraded = [*inputs.notes, *degraded_notes(read_sources(store, [night]), inputs.notes)]
        lines.append(
            {
                "run": f"{night}-{started:%Y%m%dT%H%M%S.%fZ}",
                "night": str(night),
                "started_utc": started.isoformat(timespec="seconds"),
                "finished_utc": finished.isoformat(timespec="seconds"),
                "version": __version__,
                "settings_sha256": settings.sha256,
                "judged": counts["judged"],
                "not_judged": counts["not_judged"],
                "cases_open": history.open_cases[night],
                "cases_new": history.new_cases[night],
                "expected_wrong_doors": history.expected_wrong[night],
                "notes": "; ".join([*degraded, *missed_nights(store, night)]),
                "degraded": degraded,
                "revised": judged_before[night],
                "stopped": [
                    f"{name} not listed: {wrong} of its {n} answered doors were wrong"
                    for name, wrong, n in outcome_journal.stopped_groups(settings, store, night)
                ],
            }
        )
    return lines


def _record_runs(settings: Settings, store: Store, runs: Sequence[dict], judged: Sequence[dt.date]) -> None:
    """Append the runs to the journal and the audit log, and drop what they made obsolete.

    To be called after publication: only what was published has run.
    """
    in_audit_log = ("run", "night", "version", "settings_sha256", "cases_new", "notes")
    audit_log = AuditLog(store)
    for line in runs:
        store.append_line(RUN_JOURNAL, line | {"audit": audit_log.head()._asdict()})
        facts = {name: line[name] for name in in_audit_log}
        control_doors = store.read(f"nights/{line['night']}/control.parquet")["case_id"].to_list()
        audit_log.append("run", **facts, control=control_doors)
    # what all homes were expected to use is kept of the latest night alone
    for night in store.judged_nights()[:-1]:
        store.path(f"nights/{night}/history.parquet").unlink(missing_ok=True)
    rejudged.finish_rejudging(store, judged)
    late_arrivals.trim_notes(store, settings.expected.reach_days)


def _write_manifest(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    calendar: pl.DataFrame,
    started: dt.datetime,
    timer: StepTimer,
) -> None:
    """Write manifest.json: what the night was made of, and how long each step took."""
    rejects = inputs.rejects.group_by("source", "reason").len("rows").sort("source", "reason")
    versions = {name: metadata.version(name) for name in LIBRARIES}
    manifest = {
        "version": __version__,
        "versions": {"python": platform.python_version(), **versions},
        "settings_sha256": settings.sha256,
        "started_utc": started.isoformat(timespec="seconds"),
        "seconds": round((_utc_now() - started).total_seconds(), 1),
        "steps": timer.seconds,
        "inputs": inputs.files,
        "failed": {source: error.kept for source, error in inputs.failed.items()},
        "merged": inputs.merge_counts,
        "rejects": rejects.to_dicts(),
        "calendar": "provisional" if calendar["provisional"].any() else "official",
        "rules": {name: dataclasses.asdict(rule) for name, rule in settings.rules.items()},
    }
    store.write_json("../manifest.json", manifest)
