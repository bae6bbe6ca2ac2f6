"""The frames of a night as the pages that the library renders and `pages` writes."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import __version__, cases, charts, report
from anomaly.expected import decompose, expected_frame, level_shifts, peers_frame
from pipelines.cases import outcome_journal
from pipelines.cases.build import fold, revisions_of, worded
from pipelines.cases.snapshots import frozen
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NotReported, StateError
from pipelines.ingest.loader import Inputs
from pipelines.publish.frames import evidence_with_reasons, outcome_frames
from pipelines.reporting import writer
from pipelines.runtime import process_pool
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.night import JudgedNights
from pipelines.storage.atomic_write import make_folder
from pipelines.storage.state import Store

SHOWN_DAYS = 120
SPARK_DAYS = 42
PEERS = 15  # fewer are not told
RECENT_DAYS = 28
TOLD_PAGES = 20
QUALITY = {
    "district": pl.String,
    "signal": pl.String,
    "homes": pl.Int64,
    "days": pl.Int64,
    "good": pl.Int64,
    "largest_share": pl.Float64,
}


def index(settings: Settings, night: dt.date) -> Path:
    """The page a night's report begins with."""
    return settings.reports / str(night) / "index.html"


def prepare(settings: Settings) -> None:
    """Make the folder of the reports; raises StateError where it cannot be written."""
    try:
        make_folder(settings.reports)
        probe = settings.reports / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StateError(
            f"{settings.reports}: cannot be written ({error.strerror}); give [reports] path a folder this user may write"
        ) from None


@contextlib.contextmanager
def to_be_written(settings: Settings) -> Iterator[None]:
    """Raises NotReported where the disk does not take the pages written in the block."""
    try:
        yield
    except OSError as error:
        if not Path(str(error.filename or settings.reports)).is_relative_to(settings.reports):
            raise
        raise NotReported(
            f"{settings.reports}: {error.strerror}; the file is published, its report is not: make room there and run again"
        ) from None


def tidy(settings: Settings) -> None:
    """Clear what killed runs have left among the reports; for who holds the lock."""
    writer.tidy(settings.reports)


@dataclass(frozen=True)
class Known:
    """What a night knew, for its pages. doors: its list with the case behind each and where it is; evidence, barred
    (signals that could not be judged) and flow (`freeze.FLOW`): of the homes behind them. not_judged: reason, signal, homes, of all.
    records: kind of case → what came of its doors, a row of `tables.Account`.
    run: the night's last; revisions: what it changed where it judged the night again.
    """

    settings: Settings
    inputs: Inputs
    judged_nights: JudgedNights
    night: dt.date
    folded: cases.CaseHistory
    doors: pl.DataFrame
    evidence: pl.DataFrame
    barred: pl.DataFrame
    flow: pl.DataFrame
    not_judged: pl.DataFrame
    records: dict[str, dict]
    run: dict
    revisions: pl.DataFrame


def known_on(
    settings: Settings, store: Store, inputs: Inputs, judged_nights: JudgedNights, night: dt.date
) -> Known:
    """Gather what that night knew from the store."""
    folded = fold(settings, store, night)
    doors, barred = _doors(inputs, folded, night), store.read(f"nights/{night}/not_judged.parquet")
    of_doors = (
        of_homes.join(doors, on="household", how="semi", maintain_order="left")
        for of_homes in (barred, frozen(store, night, "flow"))
    )
    seen = evidence_with_reasons(settings, store, [night], settings.site.languages[0], doors["household"])
    not_judged = barred.group_by("reason", "signal").agg(homes=pl.len().cast(pl.Int64))
    by_kind = outcome_frames(settings, store, folded)["account"].filter(
        (pl.col("grouped_by") == "signature") & (pl.col("answered") > 0)
    )
    records = {row["name"]: row | {"visited": row["answered"]} for row in by_kind.iter_rows(named=True)}
    run = _run(store, night, folded)
    revisions = revisions_of(store, night).filter(
        pl.col("revised") == run["revised"], pl.col("signature").is_in(listed_signatures(settings))
    )
    return Known(
        settings,
        inputs,
        judged_nights,
        night,
        folded,
        doors,
        seen,
        *of_doors,
        not_judged,
        records,
        run,
        revisions,
    )


def write_night(
    settings: Settings,
    inputs: Inputs,
    judged_nights: JudgedNights,
    night: dt.date,
    pool: process_pool.Pool,
    progress: ReportProgress,
) -> None:
    """The night's index and a page for every door on its list, as that night knew them."""
    store = Store(settings.store)
    known = known_on(settings, store, inputs, judged_nights, night)
    series = series_of(known, known.doors["household"].unique().to_list())
    case_pages = (
        case_page(known, row, series[row["household"]]) for row in known.doors.iter_rows(named=True)
    )
    rendered = pool.map_unordered(partial(writer.case_files, font=charts.chinese_font()), case_pages)
    page = _night_page(known, store, series)  # while the others are at work

    def told() -> Iterator[Mapping[str, bytes]]:
        for number, files in enumerate(rendered, start=1):
            yield files
            if number % TOLD_PAGES == 0:
                progress(Progress(f"writing the report of {night}", number, known.doors.height, "pages"))

    writer.write_night(settings.reports, page, told())


def _night_page(
    known: Known, store: Store, series: Mapping[str, Mapping[str, pl.DataFrame]]
) -> report.NightPage:
    """The night's own page; how good the last weeks' readings were is kept for the page over all nights."""
    settings, inputs, night, doors = known.settings, known.inputs, known.night, known.doors
    places = inputs.register.select("household", "district")
    weeks = _last_weeks(inputs, places, night)
    shares = _largest_shares(weeks)
    store.write("quality.parquet", _quality(weeks, shares))
    return report.NightPage(
        site=site_of(settings),
        run=known.run,
        worklist=doors,
        cases=worded(known.folded.cases.join(places, on="household", how="left")),
        not_judged=known.not_judged,
        quality=inputs.stored.qualities(night),
        rejects=inputs.rejects.group_by("source", "reason").agg(rows=pl.len().cast(pl.Int64)),
        sparks={
            row["case_id"]: _spark(series[row["household"]], row["ratios"])
            for row in doors.iter_rows(named=True)
        },
        districts=_districts(shares, places, doors),
        stopped=outcome_journal.stopped(settings, store, night),
        revisions=known.revisions,
    )


def write_overview(settings: Settings, frames: dict[str, pl.DataFrame]) -> None:
    """The page over all nights, from the published frames and the quality that the last night written saw."""
    quality = Store(settings.store).read("quality.parquet", QUALITY)
    page = report.OverviewPage(
        site_of(settings),
        frames["runs"],
        frames["cases"],
        frames["outcomes"],
        quality=quality,
        account=frames["account"],
        misses=frames["misses"],
    )
    writer.write_overview(settings.reports, page)


def site_of(settings: Settings) -> report.Site:
    purpose = {
        name: getattr(settings.purpose, name)
        for name in ("name", "legal_basis", "owner", "contact", "expires")
    }
    return report.Site(
        settings.site.name, purpose, tuple(settings.site.languages), __version__, settings.sha256
    )


def case_page(known: Known, case: dict, series: dict[str, pl.DataFrame]) -> report.CasePage:
    """The page of one case as a night knew it. case: a row of the night's doors; series: its home's, of `series_of`."""
    grid, night = known.judged_nights.expected.grid, known.night
    home, at = grid.households.index(case["household"]), grid.index(night)
    parts = decompose(known.judged_nights.expected, home, at)
    days = (~np.isnan(grid.value[:, home, : at + 1])).sum(axis=1)
    return report.CasePage(
        site=site_of(known.settings),
        night=night,
        case=case,
        building=case["building"],
        district=case["district"],
        series=series,
        units=dict(zip(grid.signals, grid.units)),
        calendar=known.judged_nights.calendar.filter(
            pl.col("day").is_between(night - dt.timedelta(days=SHOWN_DAYS - 1), night)
        ),
        evidence=known.evidence.filter(pl.col("household") == case["household"]),
        notes=_notes(known, case["household"], case["building"]),
        history_days={signal: int(n) for signal, n in zip(grid.signals, days) if signal in series},
        parts=parts,
        shifts=level_shifts(parts, case["onset"]),
        record=known.records.get(case["signature"]),
        flow=known.flow.filter(pl.col("household") == case["household"]),
        revised=_revised(known, case["case_id"]),
    )


def _revised(known: Known, case_id: str) -> dict | None:
    """What judging the night again changed of the case, with when that was."""
    change = known.revisions.filter(pl.col("case_id_after") == case_id)
    return change.row(0, named=True) | {"finished_utc": known.run["finished_utc"]} if change.height else None


def _notes(known: Known, home: str, building: str | None) -> list[tuple[str | None, str]]:
    """What speaks against a case: signals not judged, meters in coarse steps, other doors of the building."""
    seen, at = known.judged_nights.expected, known.judged_nights.expected.grid.index(known.night)
    block = seen.block[:, seen.grid.households.index(home), at]
    notes = known.barred.filter(pl.col("household") == home).select("signal", "reason").rows()
    notes += [(signal, "coarse") for signal, days in zip(seen.grid.signals, block) if days > 1]
    if (
        building is not None
        and known.doors.filter((pl.col("building") == building) & (pl.col("household") != home)).height
    ):
        notes.append((None, "neighbours"))
    return notes


def _doors(inputs: Inputs, folded: cases.CaseHistory, night: dt.date) -> pl.DataFrame:
    """The doors of a night with the case behind each."""
    behind = worded(folded.cases.rename({"rarity": "rarity_case"})).drop(
        "household", "signature", "chance_wrong"
    )
    doors = (
        folded.worklist.filter(pl.col("night") == night).join(behind, on="case_id", how="left").sort("rank")
    )
    doors = doors.join(
        inputs.register.select("household", "building", "district"),
        on="household",
        how="left",
        maintain_order="left",
    )
    return doors.with_columns(first_listed=pl.col("listed") == night, rarity_night=pl.col("rarity"))


def series_of(known: Known, homes: list[str]) -> dict[str, dict[str, pl.DataFrame]]:
    """home → signal → day, value, expected, low, high, quality, peers of the last days."""
    inputs, judged_nights, night, grid = (
        known.inputs,
        known.judged_nights,
        known.night,
        known.judged_nights.expected.grid,
    )
    at = np.flatnonzero(np.isin(np.array(grid.households, dtype=str), homes))
    told = expected_frame(judged_nights.expected, grid.index(night), at, SHOWN_DAYS).drop("value", "surprise")
    first = night - dt.timedelta(days=SHOWN_DAYS - 1)
    read = inputs.readings_of(homes, first, night)
    unknown = pl.col("known_on") > night  # what had not been confirmed by then is not shown as if it had
    read = read.with_columns(
        value=pl.when(~unknown).then("value"),
        quality=pl.when(unknown).then(pl.lit("doubtful")).otherwise("quality"),
    )
    whole = (
        len(grid.households) == inputs.dwellings.height
    )  # else the grid holds only homes that stand out, which are nobody's peers
    peers = peers_frame(grid, grid.index(night), at, SHOWN_DAYS, PEERS if whole else len(grid.households) + 1)
    both = read.join(told, on=["household", "signal", "day"], how="left").join(
        peers, on=["household", "signal", "day"], how="left"
    )
    both = both.sort("household", "signal", "day")
    columns = ("day", "value", "expected", "low", "high", "quality", "peers")
    out: dict[str, dict[str, pl.DataFrame]] = {home: {} for home in homes}
    for (home, signal), frame in both.group_by("household", "signal", maintain_order=True):
        out[home][signal] = frame.select(columns)
    return out


def _spark(series: dict[str, pl.DataFrame], ratios: list[dict]) -> str:
    """A small line of the signal that has risen most."""
    risen = {pair["key"]: pair["value"] for pair in ratios or [] if pair["key"] in series}
    if not risen:
        return ""
    frame = series[max(risen, key=risen.get)].tail(SPARK_DAYS)
    return charts.spark_svg(frame["value"].to_list(), frame["expected"].to_list())


def _run(store: Store, night: dt.date, folded: cases.CaseHistory) -> dict:
    """The night's last run, with the counts as of that night."""
    line = [run for run in store.read_lines("runs.jsonl") if run["night"] == str(night)][-1]
    times = {name: dt.datetime.fromisoformat(line[name]) for name in ("started_utc", "finished_utc")}
    return (
        {"revised": 0}
        | line
        | times
        | {"night": night, "cases_open": folded.open_cases[night], "cases_new": folded.new_cases[night]}
    )


def _last_weeks(inputs: Inputs, places: pl.DataFrame, night: dt.date) -> pl.DataFrame:
    """home, district, signal, value (in all), days and good, the days fit to be judged, of every home's last four weeks."""
    weeks = inputs.stored.sums(night - dt.timedelta(days=RECENT_DAYS - 1), night)
    district = inputs.stored.names.to_frame("household").join(
        places, on="household", how="left", maintain_order="left"
    )["district"]
    names = pl.Enum(
        district.unique().drop_nulls().sort()
    )  # millions of rows are put together by number, not by name
    return weeks.with_columns(district=district.cast(names).gather(weeks["home"]))


def _districts(shares: pl.DataFrame, places: pl.DataFrame, doors: pl.DataFrame) -> pl.DataFrame | None:
    """district, homes, doors, largest_share: the largest part one home has in any signal of its district."""
    homes = places.filter(pl.col("district").is_not_null())
    if homes.is_empty():
        return None
    counted = homes.group_by("district").agg(homes=pl.len().cast(pl.Int64))
    counted = counted.join(
        doors.group_by("district").agg(doors=pl.len().cast(pl.Int64)), on="district", how="left"
    )
    counted = counted.join(shares, on="district", how="left")
    return counted.with_columns(pl.col("doors").fill_null(0), pl.col("largest_share").fill_null(1.0))


def _largest_shares(weeks: pl.DataFrame) -> pl.DataFrame:
    """district, largest_share."""
    share = (
        weeks.drop_nulls("district")
        .group_by("district", "signal")
        .agg(share=pl.col("value").max() / pl.max_horizontal(pl.col("value").sum(), 1))
    )
    return share.group_by("district").agg(largest_share=pl.col("share").max()).cast({"district": pl.String})


def _quality(weeks: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """district (null: all), signal, homes, largest_share, days and good, the days fit to be judged, of the last four weeks."""
    counts = {"homes": pl.len(), "days": pl.col("days").sum(), "good": pl.col("good").sum()}
    whole = weeks.group_by("signal").agg(**counts).with_columns(district=None, largest_share=0.0)
    areas = (
        weeks.drop_nulls("district")
        .group_by("district", "signal")
        .agg(**counts)
        .cast({"district": pl.String})
        .join(shares, on="district")
    )
    return pl.concat([frame.select(QUALITY.keys()).cast(QUALITY) for frame in (whole, areas)])
