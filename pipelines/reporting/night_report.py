"""Gather what a night knew into the pages that `anomaly.report` renders, and have them written.

One page for the night, one for every door on its list, and the page over all nights. The numbers on them come
from here: ratios, extra_people, chance_wrong and rarity of a case from `NightContext.doors`
(pipelines/cases/build.py), its evidence from `NightContext.evidence` (pipelines/publish/frames.py), its days
from `series_by_home`.
"""

import contextlib
import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import __version__, cases, charts, report
from anomaly.expected import decompose, level_shifts, peer_medians_frame
from pipelines.cases import outcome_journal
from pipelines.cases.build import build_cases, with_reasons
from pipelines.cases.rejudged import read_revisions
from pipelines.cases.snapshots import read_snapshot, readings_with_expected
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NotReported, StateError, WorkerFailed
from pipelines.ingest.inputs import Inputs
from pipelines.publish.frames import evidence_with_reasons, outcome_frames
from pipelines.reporting import writer
from pipelines.runtime import process_pool
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.night import JudgedNights
from pipelines.scoring.sources import degraded_sources, read_sources
from pipelines.storage.atomic_write import make_folder
from pipelines.storage.state import Store

SHOWN_DAYS = 120  # of a case's signals, at most
DRAWN_FILE = "report.json"  # of a night: the first day that its pages draw
SPARK_DAYS = 42
MIN_PEERS = 15  # the median of fewer is not shown
QUALITY_DAYS = 28
PAGES_BETWEEN_PROGRESS = 20
QUALITY_FILE = "quality.parquet"
QUALITY_SCHEMA = pl.Schema(
    {
        "district": pl.String,
        "signal": pl.String,
        "homes": pl.Int64,
        "days": pl.Int64,
        "good": pl.Int64,
        "largest_share": pl.Float64,
    }
)

SignalSeries = dict[str, pl.DataFrame]
"""Signal → day, value, expected, low, high, quality, peers of one home."""


@dataclass(frozen=True)
class NightContext:
    """What a night knew, for its pages.

    doors: its worklist with the case behind each and where it is. evidence, not_judged_signals (household,
    signal, reason) and flow (`snapshots.FLOW_SCHEMA`): of the homes behind the doors. not_judged: reason,
    signal, homes, over all homes. records: kind of case → what came of its doors so far, a row of
    tables.Account. run: the night's last line of tables.Runs. revisions: what that run changed, where it
    judged the night again.
    """

    settings: Settings
    inputs: Inputs
    judged_nights: JudgedNights
    night: dt.date
    history: cases.CaseHistory
    doors: pl.DataFrame
    evidence: pl.DataFrame
    not_judged_signals: pl.DataFrame
    flow: pl.DataFrame
    not_judged: pl.DataFrame
    records: dict[str, dict]
    run: dict
    revisions: pl.DataFrame
    sources: pl.DataFrame
    """tables.Sources of the night."""


def night_index_path(settings: Settings, night: dt.date) -> Path:
    """Return the page that a night's report begins with."""
    return settings.reports / str(night) / "index.html"


def days_on_page(settings: Settings) -> int:
    """Return how many days of a case's signals its page shows.

    A page goes when a reading that it draws is pruned: it shows at most half of the days that readings are
    kept, so that it can be read for the other half.
    """
    return min(SHOWN_DAYS, max(settings.retention.readings_days // 2, 1))


def first_day_drawn(store: Store, night: dt.date) -> dt.date:
    """Return the first day of which a night's pages draw a reading; of pages that draw none, the night."""
    longest = {"draws_from": night - dt.timedelta(days=SHOWN_DAYS - 1)}  # of a page of an older version
    return dt.date.fromisoformat(str(store.read_json(f"nights/{night}/{DRAWN_FILE}", longest)["draws_from"]))


def _note_first_day_drawn(store: Store, context: NightContext, series: Mapping[str, SignalSeries]) -> None:
    """Note it before the pages are written; an earlier day stands, as pages of it may."""
    frames = [context.flow, *(frame for signals in series.values() for frame in signals.values())]
    days = [day for frame in frames if frame.height for day in frame["day"]]
    name = f"nights/{context.night}/{DRAWN_FILE}"
    if night_index_path(context.settings, context.night).exists():
        days.append(first_day_drawn(store, context.night))
    store.write_json(name, {"draws_from": min(days, default=context.night)})


def report_site(settings: Settings, context: "NightContext | None" = None) -> report.Site:
    """Return what every page says of the site: its name, the purpose, languages and versions.

    context: of the night that the page is of; then the page says what was wrong with the night's data.
    """
    purpose = {
        name: getattr(settings.purpose, name)
        for name in ("name", "legal_basis", "owner", "contact", "expires")
    }
    site = report.Site(
        settings.site.name, purpose, tuple(settings.site.languages), __version__, settings.sha256
    )
    if context is None:
        return site
    bad = degraded_sources(context.sources)
    others = [note for note in context.run.get("degraded", ()) if note not in bad["note"]]
    return replace(site, degraded_sources=tuple(bad.to_dicts()), degraded_notes=tuple(others))


def prepare_reports_folder(settings: Settings) -> None:
    """Make the folder of the reports; raises StateError where it cannot be written."""
    try:
        make_folder(settings.reports)
        probe = settings.reports / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StateError(
            f"{settings.reports}: cannot be written ({error.strerror});"
            " give [reports] path a folder this user may write"
        ) from None


@contextlib.contextmanager
def disk_errors_as_not_reported(settings: Settings) -> Iterator[None]:
    """Raise NotReported where the disk does not take the pages of the block, or a worker fails to make
    one."""
    try:
        yield
    except OSError as error:
        if not Path(str(error.filename or settings.reports)).is_relative_to(settings.reports):
            raise
        raise NotReported(
            f"{settings.reports}: {error.strerror}; the file is published, its report is not:"
            " make room there and run again"
        ) from None
    except WorkerFailed as error:
        raise NotReported(f"{error}; the file is published, its report is not: run again") from error


def gather_night_context(
    settings: Settings, store: Store, inputs: Inputs, judged_nights: JudgedNights, night: dt.date
) -> NightContext:
    """Gather what that night knew from the store."""
    history = build_cases(settings, store, until=night)
    doors = _doors_with_their_cases(inputs, history, night)
    not_judged = store.read(f"nights/{night}/not_judged.parquet")
    flow = read_snapshot(store, night, "flow")
    if "day" in flow.columns:
        flow = flow.filter(pl.col("day") > night - dt.timedelta(days=days_on_page(settings)))
    account = outcome_frames(settings, store, history)["account"]
    by_kind = account.filter((pl.col("grouped_by") == "signature") & (pl.col("answered") > 0))
    run = _last_run(store, night, history)
    return NightContext(
        settings=settings,
        inputs=inputs,
        judged_nights=judged_nights,
        night=night,
        history=history,
        doors=doors,
        evidence=evidence_with_reasons(
            settings, store, [night], settings.site.languages[0], doors["household"]
        ),
        not_judged_signals=not_judged.join(doors, on="household", how="semi", maintain_order="left"),
        flow=flow.join(doors, on="household", how="semi", maintain_order="left"),
        not_judged=not_judged.group_by("reason", "signal").agg(homes=pl.len().cast(pl.Int64)),
        records={row["name"]: row | {"visited": row["answered"]} for row in by_kind.iter_rows(named=True)},
        run=run,
        revisions=read_revisions(store, night).filter(
            pl.col("revised") == run["revised"], pl.col("signature").is_in(listed_signatures(settings))
        ),
        sources=read_sources(store, [night]),
    )


def write_night_report(
    settings: Settings,
    inputs: Inputs,
    judged_nights: JudgedNights,
    night: dt.date,
    pool: process_pool.Pool,
    progress: ReportProgress,
) -> None:
    """Write the night's index and a page for every door on its list, as that night knew them."""
    store = Store(settings.store)
    context = gather_night_context(settings, store, inputs, judged_nights, night)
    series = series_by_home(context, context.doors["household"].unique().to_list())
    _note_first_day_drawn(store, context, series)
    case_pages = (
        build_case_page(context, door, series[door["household"]])
        for door in context.doors.iter_rows(named=True)
    )
    rendered = pool.map_unordered(partial(writer.render_case, font=charts.chinese_font()), case_pages)
    night_page = _build_night_page(context, store, series)  # while other processes render the cases

    def with_progress() -> Iterator[Mapping[str, bytes]]:
        for number, files in enumerate(rendered, start=1):
            yield files
            if number % PAGES_BETWEEN_PROGRESS == 0:
                progress(Progress(f"writing the report of {night}", number, context.doors.height, "pages"))

    writer.write_night_folder(settings.reports, night_page, with_progress())


def write_overview(settings: Settings, frames: Mapping[str, pl.DataFrame]) -> None:
    """Write the page over all nights. frames: of `published_frames`."""
    page = report.OverviewPage(
        report_site(settings),
        frames["runs"],
        frames["cases"],
        frames["outcomes"],
        quality=Store(settings.store).read(QUALITY_FILE, QUALITY_SCHEMA),
        account=frames["account"],
        misses=frames["misses"],
    )
    writer.write_overview_page(settings.reports, page)


def build_case_page(context: NightContext, case: dict, series: SignalSeries) -> report.CasePage:
    """Return the page of one case as the night knew it.

    case: a row of the night's doors. series: its home's, of `series_by_home`.
    """
    expected, night, household = context.judged_nights.expected, context.night, case["household"]
    grid = expected.grid
    home, day = grid.households.index(household), grid.index(night)
    levels = decompose(expected, home, day)
    days_read = (~np.isnan(grid.value[:, home, : day + 1])).sum(axis=1)
    first_shown = night - dt.timedelta(days=days_on_page(context.settings) - 1)
    return report.CasePage(
        site=report_site(context.settings, context),
        night=night,
        case=case,
        building=case["building"],
        district=case["district"],
        series=series,
        units=dict(zip(grid.signals, grid.units, strict=True)),
        calendar=context.judged_nights.calendar.filter(pl.col("day").is_between(first_shown, night)),
        evidence=context.evidence.filter(pl.col("household") == household),
        notes=_notes_against(context, household, case["building"]),
        history_days={
            signal: int(days)
            for signal, days in zip(grid.signals, days_read, strict=True)
            if signal in series
        },
        parts=levels,
        shifts=level_shifts(levels, case["onset"]),
        record=context.records.get(case["signature"]),
        flow=context.flow.filter(pl.col("household") == household),
        revised=_change_of(context, case["case_id"]),
    )


def series_by_home(context: NightContext, homes: Collection[str]) -> dict[str, SignalSeries]:
    """Return home → signal → day, value, expected, low, high, quality, peers of the last days."""
    grid = context.judged_nights.expected.grid
    neighbours = context.judged_nights.neighbours
    district_of = {home: int(grid.group[grid.households.index(home)]) for home in homes}
    peers = peer_medians_frame(
        neighbours,
        neighbours.index(context.night),
        district_of,
        days=days_on_page(context.settings),
        least=MIN_PEERS,
    )
    days = readings_with_expected(
        context.inputs,
        context.judged_nights.expected,
        homes,
        context.night,
        days=days_on_page(context.settings),
    )
    days = days.join(peers, on=["household", "signal", "day"], how="left", maintain_order="left")
    series: dict[str, SignalSeries] = {home: {} for home in homes}
    for (home, signal), frame in days.group_by("household", "signal", maintain_order=True):
        series[home][signal] = frame.select("day", "value", "expected", "low", "high", "quality", "peers")
    return series


def _build_night_page(
    context: NightContext, store: Store, series: Mapping[str, SignalSeries]
) -> report.NightPage:
    """Return the night's own page, and store the readings' quality for the page over all nights."""
    inputs, night, doors = context.inputs, context.night, context.doors
    districts = inputs.register.select("household", "district")
    weeks = _last_weeks(inputs, districts, night)
    shares = _largest_shares(weeks)
    store.write(QUALITY_FILE, _quality(weeks, shares))
    return report.NightPage(
        site=report_site(context.settings, context),
        run=context.run,
        worklist=doors,
        cases=with_reasons(context.history.cases.join(districts, on="household", how="left")),
        not_judged=context.not_judged,
        quality=inputs.stored.count_qualities(night),
        rejects=inputs.rejects.group_by("source", "reason").agg(rows=pl.len().cast(pl.Int64)),
        sparks={
            door["case_id"]: _spark(series[door["household"]], door["ratios"])
            for door in doors.iter_rows(named=True)
        },
        districts=_district_counts(shares, districts, doors),
        stopped=outcome_journal.stopped_groups(context.settings, store, night),
        revisions=context.revisions,
        ordinary_sources=context.sources.filter(pl.col("status") == "ok").to_dicts(),
    )


def _change_of(context: NightContext, case_id: str) -> dict | None:
    """Return what judging the night again changed of the case, with that run's finished_utc, or None."""
    change = context.revisions.filter(pl.col("case_id_after") == case_id)
    if change.is_empty():
        return None
    return change.row(0, named=True) | {"finished_utc": context.run["finished_utc"]}


def _notes_against(context: NightContext, home: str, building: str | None) -> list[tuple[str | None, str]]:
    """List what speaks against a case: signals not judged, coarse meters, other doors of the building."""
    expected, doors = context.judged_nights.expected, context.doors
    grid = expected.grid
    own = context.not_judged_signals.filter(pl.col("household") == home)
    notes = own.select("signal", "reason").rows()
    block_days = expected.span_days[:, grid.households.index(home), grid.index(context.night)]
    notes += [(signal, "coarse") for signal, days in zip(grid.signals, block_days, strict=True) if days > 1]
    others = doors.filter(pl.col("household") != home)["building"].to_list()
    if building is not None and building in others:
        notes.append((None, "neighbours"))
    return notes


def _doors_with_their_cases(inputs: Inputs, history: cases.CaseHistory, night: dt.date) -> pl.DataFrame:
    """Return the doors of a night, by rank, with the case behind each, its building and its district.

    rank, rarity, chance_wrong and chance_before are those of the night's worklist, made by `build_worklist`
    of anomaly/cases; ratios, extra_people, rarity_case and the reasons are the case's (`build_cases`).
    """
    case_frame = with_reasons(history.cases.rename({"rarity": "rarity_case"}))
    behind = case_frame.drop("household", "signature", "chance_wrong")
    places = inputs.register.select("household", "building", "district")
    doors = history.worklist.filter(pl.col("night") == night).join(behind, on="case_id", how="left")
    doors = doors.sort("rank").join(places, on="household", how="left", maintain_order="left")
    return doors.with_columns(first_listed=pl.col("listed") == night, rarity_night=pl.col("rarity"))


def _spark(series: SignalSeries, ratios: list[dict] | None) -> str:
    """Draw a small line of the signal that has risen most."""
    risen = {pair["key"]: pair["value"] for pair in ratios or [] if pair["key"] in series}
    if not risen:
        return ""
    frame = series[max(risen, key=risen.__getitem__)].tail(SPARK_DAYS)
    return charts.spark_svg(frame["value"].to_list(), frame["expected"].to_list())


def _last_run(store: Store, night: dt.date, history: cases.CaseHistory) -> dict:
    """Return the night's last run, with the counts as of that night."""
    line = [run for run in store.runs() if run["night"] == str(night)][-1]
    run = {"revised": 0} | line  # lines of older versions have no `revised`
    for name in ("started_utc", "finished_utc"):
        run[name] = dt.datetime.fromisoformat(line[name])
    return run | {
        "night": night,
        "cases_open": history.open_cases[night],
        "cases_new": history.new_cases[night],
    }


def _last_weeks(inputs: Inputs, districts: pl.DataFrame, night: dt.date) -> pl.DataFrame:
    """Return home, district, signal, value (sum), days and good (fit to be judged) of four weeks."""
    weeks = inputs.stored.sum_by_home(night - dt.timedelta(days=QUALITY_DAYS - 1), night)
    homes = inputs.stored.households.to_frame("household")
    district = homes.join(districts, on="household", how="left", maintain_order="left")["district"]
    # an Enum: millions of rows are then grouped by number, not by name
    names = pl.Enum(district.unique().drop_nulls().sort())
    return weeks.with_columns(district=district.cast(names).gather(weeks["home"]))


def _district_counts(
    shares: pl.DataFrame, districts: pl.DataFrame, doors: pl.DataFrame
) -> pl.DataFrame | None:
    """Return district, homes, doors, largest_share (of `_largest_shares`); None without districts."""
    homes = districts.filter(pl.col("district").is_not_null())
    if homes.is_empty():
        return None
    home_counts = homes.group_by("district").agg(homes=pl.len().cast(pl.Int64))
    door_counts = doors.group_by("district").agg(doors=pl.len().cast(pl.Int64))
    counts = home_counts.join(door_counts, on="district", how="left").join(shares, on="district", how="left")
    return counts.with_columns(pl.col("doors").fill_null(0), pl.col("largest_share").fill_null(1.0))


def _largest_shares(weeks: pl.DataFrame) -> pl.DataFrame:
    """Return district, largest_share: the largest part that one home has in any signal."""
    total = pl.max_horizontal(pl.col("value").sum(), 1)
    by_signal = weeks.drop_nulls("district").group_by("district", "signal")
    shares = by_signal.agg(share=pl.col("value").max() / total)
    largest = shares.group_by("district").agg(largest_share=pl.col("share").max())
    return largest.cast({"district": pl.String})


def _quality(weeks: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """Return QUALITY_SCHEMA: by signal, for the whole site (district null) and for each district."""
    counts = {"homes": pl.len(), "days": pl.col("days").sum(), "good": pl.col("good").sum()}
    whole = weeks.group_by("signal").agg(**counts).with_columns(district=None, largest_share=0.0)
    by_district = weeks.drop_nulls("district").group_by("district", "signal").agg(**counts)
    by_district = by_district.cast({"district": pl.String}).join(shares, on="district")
    return pl.concat(
        [frame.select(QUALITY_SCHEMA.keys()).cast(QUALITY_SCHEMA) for frame in (whole, by_district)]
    )
