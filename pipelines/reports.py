"""The frames of a night as the pages that the library renders and `pages` writes."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import __version__, cases, charts, report
from anomaly.evidence import case_rarity
from anomaly.expected import decompose, expected_frame, level_shifts
from pipelines import pages
from pipelines.collect import evidence_of, fold, worded
from pipelines.judge import Verdicts, kinds
from pipelines.load import Inputs
from pipelines.settings import Settings
from pipelines.store import StateError, Store

SHOWN_DAYS = 120
SPARK_DAYS = 42


def index(settings: Settings, night: dt.date) -> Path:
    """The page a night's report begins with."""
    return settings.reports / str(night) / "index.html"


def prepare(settings: Settings) -> None:
    """Make the folder of the reports; raises StateError where it cannot be written."""
    try:
        settings.reports.mkdir(parents=True, exist_ok=True, mode=pages.FOLDER_MODE)
        probe = settings.reports / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StateError(f"{settings.reports}: cannot be written ({error.strerror}); give [reports] path a folder this user may write") from None


def write_night(settings: Settings, store: Store, inputs: Inputs, verdicts: Verdicts, night: dt.date) -> None:
    """The night's index and a page for every door on its list, as that night knew them."""
    folded = fold(settings, store, night)
    doors = _doors(inputs, folded, night)
    series = _series(inputs, verdicts, doors["household"].unique().to_list(), night)
    site = site_of(settings)
    case_pages = [case_page(settings, store, inputs, verdicts, row, night, series) for row in doors.iter_rows(named=True)]
    page = report.NightPage(
        site=site,
        run=_run(store, night, folded),
        worklist=doors,
        cases=worded(folded.cases.join(inputs.register.select("household", "district"), on="household", how="left")),
        not_judged=store.read(f"nights/{night}/not_judged.parquet").group_by("reason", "signal").agg(homes=pl.len().cast(pl.Int64)),
        quality=inputs.of(first=night, last=night).group_by("signal", "quality").agg(days=pl.len().cast(pl.Int64)),
        rejects=inputs.rejects.group_by("source", "reason").agg(rows=pl.len().cast(pl.Int64)),
        sparks={row["case_id"]: _spark(series[row["household"]], row["ratios"]) for row in doors.iter_rows(named=True)},
        districts=_districts(inputs, doors, night),
    )
    pages.write_night(settings.reports, page, case_pages, charts.chinese_font())


def write_overview(settings: Settings, frames: dict[str, pl.DataFrame]) -> None:
    """The page over all nights."""
    pages.write_overview(settings.reports, report.OverviewPage(site_of(settings), frames["runs"], frames["cases"]))


def site_of(settings: Settings) -> report.Site:
    purpose = {name: getattr(settings.purpose, name) for name in ("name", "legal_basis", "owner", "contact", "expires")}
    return report.Site(settings.site.name, purpose, tuple(settings.site.languages), __version__, settings.sha256)


def case_page(settings, store, inputs: Inputs, verdicts: Verdicts, case: dict, night: dt.date, series=None) -> report.CasePage:
    """The page of one case as a night knew it. case: a row of the night's doors (`_doors`)."""
    home = case["household"]
    series = series or _series(inputs, verdicts, [home], night)
    place = inputs.register.row(by_predicate=pl.col("household") == home, named=True)
    seen = evidence_of(settings, store, [night], settings.site.languages[0]).filter(pl.col("household") == home)
    grid, at = verdicts.expected.grid, verdicts.expected.grid.index(night)
    known = ~np.isnan(grid.value[:, grid.households.index(home), : at + 1])
    first = night - dt.timedelta(days=SHOWN_DAYS - 1)
    units = {name: rule.base for name, rule in settings.rules.items() if name in series[home]}
    parts = decompose(verdicts.expected, grid.households.index(home), at)
    return report.CasePage(
        site=site_of(settings),
        night=night,
        case=case,
        building=place["building"],
        district=place["district"],
        series=series[home],
        units=units,
        calendar=verdicts.calendar.filter(pl.col("day").is_between(first, night)),
        evidence=seen,
        notes=store.read(f"nights/{night}/not_judged.parquet").filter(pl.col("household") == home)["reason"].to_list(),
        history_days={signal: int(known[s].sum()) for s, signal in enumerate(grid.signals) if signal in series[home]},
        parts=parts,
        shifts=level_shifts(parts, case["onset"]),
    )


def doors_of(settings: Settings, store: Store, inputs: Inputs, night: dt.date) -> pl.DataFrame:
    """The doors of a night with the case behind each, as that night knew them."""
    return _doors(inputs, fold(settings, store, night), night)


def _doors(inputs: Inputs, folded: cases.Fold, night: dt.date) -> pl.DataFrame:
    behind = worded(folded.cases.rename({"rarity": "rarity_case"})).drop("household", "signature", "chance_wrong")
    doors = folded.worklist.filter(pl.col("night") == night).join(behind, on="case_id", how="left").sort("rank")
    doors = doors.join(inputs.register.select("household", "district"), on="household", how="left", maintain_order="left")
    return doors.with_columns(first_listed=pl.col("listed") == night, rarity_night=pl.col("rarity"))


def _series(inputs: Inputs, verdicts: Verdicts, homes: list[str], night: dt.date) -> dict[str, dict[str, pl.DataFrame]]:
    """home → signal → day, value, expected, low, high, quality of the last days."""
    grid = verdicts.expected.grid
    at = np.flatnonzero(np.isin(np.array(grid.households, dtype=str), homes))
    told = expected_frame(verdicts.expected, grid.index(night), at, SHOWN_DAYS).drop("value", "surprise")
    first = night - dt.timedelta(days=SHOWN_DAYS - 1)
    read = inputs.of(homes, first, night)
    unknown = pl.col("known_on") > night  # what had not been confirmed by then is not shown as if it had
    read = read.with_columns(value=pl.when(~unknown).then("value"), quality=pl.when(unknown).then(pl.lit("doubtful")).otherwise("quality"))
    both = read.join(told, on=["household", "signal", "day"], how="left").sort("household", "signal", "day")
    columns = ("day", "value", "expected", "low", "high", "quality")
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


def _run(store: Store, night: dt.date, folded: cases.Fold) -> dict:
    """The night's last run, with the counts as of that night."""
    line = [run for run in store.read_lines("runs.jsonl") if run["night"] == str(night)][-1]
    times = {name: dt.datetime.fromisoformat(line[name]) for name in ("started_utc", "finished_utc")}
    return line | times | {"night": night, "cases_open": folded.open[night], "cases_new": folded.opened[night]}


def _districts(inputs: Inputs, doors: pl.DataFrame, night: dt.date) -> pl.DataFrame | None:
    """district, homes, doors, largest_share: the largest part one home has in any signal of its district."""
    homes = inputs.register.filter(pl.col("district").is_not_null())
    if homes.is_empty():
        return None
    cells = inputs.kept.cells(first=night - dt.timedelta(days=27), last=night)
    parts = cells.group_by("home", "signal").agg(pl.col("value").sum()).join(inputs.kept.homes(), on="home").join(homes.select("household", "district"), on="household")
    share = parts.group_by("district", "signal").agg(share=pl.col("value").max() / pl.max_horizontal(pl.col("value").sum(), 1))
    largest = share.group_by("district").agg(largest_share=pl.col("share").max())
    counted = homes.group_by("district").agg(homes=pl.len().cast(pl.Int64)).join(doors.group_by("district").agg(doors=pl.len().cast(pl.Int64)), on="district", how="left")
    return counted.join(largest, on="district", how="left").with_columns(pl.col("doors").fill_null(0), pl.col("largest_share").fill_null(1.0))
