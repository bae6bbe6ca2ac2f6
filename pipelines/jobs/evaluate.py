"""`anomaly evaluate`: plant surges into copies of the site's own readings and judge them as the night would.

`evaluate_site` measures; `write_evaluation_page`, `card_text` and `card_json` show what came out. The method
is that of `anomaly.evaluation`; here the site's readings are loaded, judged and shown.
"""

import dataclasses
import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import charts, detectors, evaluation, evidence, expected, report
from anomaly.readings import find_latest_night
from pipelines.config.calendar import calendar_in_force, local_now
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NothingToPlant
from pipelines.ingest.inputs import Inputs
from pipelines.ingest.loader import load
from pipelines.reporting import night_report, writer
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.homes import index_homes, samples_everybody
from pipelines.scoring.rarity import opening_rarity
from pipelines.scoring.sample import everybody_since
from pipelines.storage.state import Store

CAPACITIES = (2.0, 5.0, 10.0, 20.0)  # wrong doors per 1,000 homes and 30 days
CURVE_CAPACITIES = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0, 40.0)  # of the chart
SURGES = 120  # planted at least, where the number of rounds is left open
MIN_ROUNDS, MAX_ROUNDS = 2, 8
TONIGHT_SIZES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
TONIGHT_DAYS = 14
GROUP_HOMES = 20  # looked at in each group at most, drawn at random
# Detectors scale a night on which many homes are odd back to normal. What is raised at once stays below that
# number of homes: these are shares of it. Planted surges may be more, since each is there on less than half
# of the nights.
BATCH_SHARE, PLANTED_SHARE = 0.3, 0.75
PAST_DAYS = 300  # what the detectors and the tail look back on


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation measured."""

    first: dt.date
    last: dt.date
    homes: int
    """Homes that were looked at, of `site_homes`."""
    site_homes: int
    rounds: int
    share: float
    """Share of the homes into which each copy has surges planted."""
    card: pl.DataFrame
    """Score cards of surges that last (steps and ramps), one below the other.

    capacity (null: the settings' own threshold), threshold, wrong, wrong_low, wrong_high, and the columns of
    `anomaly.evaluation.score_card`.
    """
    shapes: pl.DataFrame
    """The score card by size and shape, at the settings' own threshold."""
    by_day: pl.DataFrame
    """size, day, share: of lasting surges found by that day, at the settings' own threshold."""
    groups: pl.DataFrame
    """The smallest surges shown tonight, as `anomaly.evaluation.smallest_surges_shown` gives them."""


@dataclass(frozen=True)
class MeasuredHomes:
    """Homes into which surges are planted."""

    readings: pl.DataFrame
    """READING_SCHEMA"""
    districts: Mapping[str, str | None]
    """Household → district, of the dwellings."""


def evaluate_site(
    settings: Settings, seed: int, nights: int, rounds: int | None, progress: ReportProgress
) -> Evaluation:
    """Measure on copies of the last `nights` nights what share of surges is found.

    The site's own store is left alone. Raises NothingToPlant where there is too little history.
    """
    # the store goes with its folder, so that all readings are taken into memory
    with tempfile.TemporaryDirectory(prefix="anomaly-evaluate-") as folder:
        store = Store(Path(folder) / "anomaly.duckdb")
        store.prepare()
        stored = load(settings, store, dt.date.today(), progress, local_now(settings))
        homes = _homes_in_memory(settings, stored)
    last = find_latest_night(homes.readings)
    if last is None:
        raise NothingToPlant("no source holds a whole day; run `anomaly doctor` to see why")
    first = last - dt.timedelta(days=nights - 1)
    plan = surge_plan(len(homes.districts))
    days = homes.readings.filter(pl.col("value").is_not_null())["day"].n_unique()
    if days <= plan.min_history_days:
        needs = f"a surge is planted after {plan.min_history_days} ordinary ones"
        raise NothingToPlant(f"the sources hold {days} days; {needs}: ask again when there are more")
    if rounds is None:
        surges_a_round = max(1.0, plan.share * len(homes.districts))
        rounds = int(np.clip(np.ceil(SURGES / surges_a_round), MIN_ROUNDS, MAX_ROUNDS))
    begun = 0

    def judge(readings: pl.DataFrame) -> tuple[tuple[str, ...], np.ndarray]:
        nonlocal begun
        begun += 1
        step = "judging copies with surges in them"
        text = f"round {begun} of {rounds}: judging a copy with surges in it"
        progress(Progress(step, begun - 1, rounds, "rounds", text=text))
        return _largest_rarities(settings, MeasuredHomes(readings, homes.districts), first, last)

    of_dwellings = homes.readings.filter(pl.col("household").is_in(list(homes.districts)))
    seeds = range(seed, seed + rounds)
    judged = list(evaluation.plant_and_judge(of_dwellings, judge, first, last, seeds, plan))
    progress(Progress("working out what tonight could show"))
    return Evaluation(
        first=first,
        last=last,
        homes=len(homes.districts),
        site_homes=len(stored.dwelling_districts),
        rounds=rounds,
        share=plan.share,
        card=_card_by_capacity(judged, opening_rarity(settings)),
        shapes=evaluation.score_card(
            evaluation.detection_delays(judged, opening_rarity(settings)), ("size", "shape")
        ),
        by_day=evaluation.share_found_by_day(_lasting_surges(judged, opening_rarity(settings))),
        groups=_smallest_surges_tonight(settings, homes, last, seed, progress),
    )


def _homes_in_memory(settings: Settings, inputs: Inputs) -> MeasuredHomes:
    """Read the homes that are measured: of a large site those of its sample, as if there were no others."""
    if samples_everybody(settings, inputs):
        return MeasuredHomes(inputs.readings, inputs.dwelling_districts)
    site = index_homes(settings, inputs)
    sample = site.names[site.sample].tolist()
    return MeasuredHomes(
        inputs.readings_of(sample), {home: inputs.dwelling_districts[home] for home in sample}
    )


def surge_plan(homes: int) -> evaluation.SurgePlan:
    """Return what to plant into a site of so many homes: in a larger one into a smaller share of them."""
    plan = evaluation.SurgePlan()
    ordinary_share = float(PLANTED_SHARE * detectors.upper_tail_share(homes))
    return dataclasses.replace(plan, share=min(plan.share, ordinary_share))


# what was found


def _lasting_surges(judged: list[evaluation.JudgedRound], threshold: float) -> pl.DataFrame:
    """Return the delays of all surges but spikes at a threshold."""
    return evaluation.detection_delays(judged, threshold).filter(pl.col("shape") != "spike")


def _card_by_capacity(judged: list[evaluation.JudgedRound], own_threshold: float) -> pl.DataFrame:
    """Return score cards at the settings' own threshold and at the one that each capacity affords."""
    alarms = evaluation.collect_alarms(judged)
    parts = []
    for capacity in (None, *sorted({*CAPACITIES, *CURVE_CAPACITIES})):
        threshold = own_threshold if capacity is None else alarms.threshold(capacity)
        wrong, low, high = alarms.rate(threshold)
        head = {
            "capacity": capacity,
            "threshold": threshold,
            "wrong": wrong,
            "wrong_low": low,
            "wrong_high": high,
        }
        card = evaluation.score_card(_lasting_surges(judged, threshold))
        columns = (pl.lit(value, pl.Float64).alias(name) for name, value in head.items())
        parts.append(card.select(*columns, pl.all()))
    return pl.concat(parts)


def _expect_all(settings: Settings, measured: MeasuredHomes, last: dt.date) -> expected.Expectation:
    """Return what was to be expected of every home on all days up to `last`."""
    days = measured.readings["day"].unique().sort().to_list()
    first = max(days[0], everybody_since(settings, last)) if days else last
    calendar = calendar_in_force(settings, first, last)
    grid = expected.make_grid(measured.readings, calendar, measured.districts)
    return expected.expect(grid, settings.expected)


def _largest_rarities(
    settings: Settings, measured: MeasuredHomes, first: dt.date, last: dt.date
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the H households and (H, 14 + N) their largest rarities, of the fortnight before `first` too.

    NaN where a home was not judged, and before the readings begin.
    """
    seen = _expect_all(settings, measured, last)
    homes, stop = seen.grid.households, seen.grid.index(last) + 1
    start = seen.grid.index(first) - evaluation.QUIET_NIGHTS
    nights = range(max(0, start), stop)
    rated = evidence.rate_scores(_case_scores(settings, seen), nights, opening_rarity(settings))
    rarity = np.full((len(homes), stop - start), np.nan)
    for night in nights:
        rarity[:, night - start] = _largest_rarity(rated, night, len(homes))
    return homes, rarity


def _case_scores(settings: Settings, seen: expected.Expectation) -> list:
    """Return the scores that may open a case: no second opinions, and of kinds that the purpose lists."""
    listed, seconds = listed_signatures(settings), settings.detectors.second_opinions
    opening = [one for one in detectors.chosen_detectors(settings.detectors) if one.name not in seconds]
    return [
        score
        for detector in opening
        for score in detector(seen)
        if evidence.signature_of(score.signal) in listed
    ]


def _largest_rarity(rated: list[evidence.RatedScores], night: int, homes: int) -> np.ndarray:
    """Return (homes,) the largest rarity of each home on a night; NaN where it was not judged."""
    largest = np.full(homes, np.nan)
    for one in rated:
        largest = np.fmax(largest, one.rarity[night])
    return largest


# what tonight could show


def _smallest_surges_tonight(
    settings: Settings, measured: MeasuredHomes, night: dt.date, seed: int, progress: ReportProgress
) -> pl.DataFrame:
    """Return the smallest surge of the last 14 days that half of each group's homes would show."""
    seen = _expect_all(settings, measured, night).last_days(PAST_DAYS)
    at = seen.grid.days - 1
    signals = expected.judgeable_signals(seen, at).sum(axis=0)
    homes = np.flatnonzero((signals > 0) & ~_opens_case(settings, seen, at))
    names = [seen.grid.households[home] for home in homes]
    groups = pl.DataFrame(
        {
            "home": homes,
            "signals": signals[homes].astype(str),
            "district": [measured.districts[name] for name in names],
        },
        schema={"home": pl.Int64, "signals": pl.String, "district": pl.String},
    )
    shuffled = groups.sample(fraction=1.0, shuffle=True, seed=seed)
    number_in_group = {group: pl.int_range(pl.len()).over(group) for group in ("signals", "district")}
    asked = shuffled.filter(
        pl.any_horizontal(number < GROUP_HOMES for number in number_in_group.values())
    ).filter(at >= TONIGHT_DAYS)
    place = _smallest_size_shown(settings, seen, asked["home"].to_numpy(), progress)
    size = pl.Series("size", np.array([*TONIGHT_SIZES, np.nan])[place], nan_to_null=True)
    home_sizes = asked.with_columns(size).unpivot(
        on=["signals", "district"], index="size", variable_name="group", value_name="name"
    )
    return evaluation.smallest_surges_shown(home_sizes.drop_nulls("name"), TONIGHT_SIZES)


def _opens_case(settings: Settings, seen: expected.Expectation, night: int) -> np.ndarray:
    """Return (H,) whether each home's rarity on the night is enough for a case."""
    rated = evidence.rate_scores(_case_scores(settings, seen), [night], opening_rarity(settings))
    return _largest_rarity(rated, night, len(seen.grid.households)) >= opening_rarity(settings)


def _smallest_size_shown(
    settings: Settings, seen: expected.Expectation, homes: np.ndarray, progress: ReportProgress
) -> np.ndarray:
    """Return (n,) the place in TONIGHT_SIZES of the smallest size that each home would show last night.

    The number of sizes where it would show none. Found by halving: a larger surge is shown where a smaller
    one is.
    """
    site_homes = len(seen.grid.households)
    homes_at_once = max(1.0, BATCH_SHARE * float(detectors.upper_tail_share(site_homes)) * site_homes)
    batch_count = max(1, int(np.ceil(homes.size / homes_at_once)))
    batches = np.array_split(np.arange(homes.size), batch_count)
    low, high = np.zeros(homes.size, dtype=int), np.full(homes.size, len(TONIGHT_SIZES))
    halving = 0
    while (low < high).any():
        halving += 1
        middle = (low + high) // 2
        for batch in batches:
            step = f"what tonight could show: step {halving}"
            of_homes = f"homes {batch[0] + 1} to {batch[-1] + 1} of {homes.size}"
            progress(Progress(step, text=f"{step}, {of_homes}"))
            undecided = batch[low[batch] < high[batch]]
            if not undecided.size:
                continue
            asked, tried = homes[undecided], middle[undecided]
            raised = _raise_last_days(seen, asked, np.array(TONIGHT_SIZES)[tried])
            shown = _opens_case(settings, raised, seen.grid.days - 1)[asked]
            high[undecided] = np.where(shown, tried, high[undecided])
            low[undecided] = np.where(shown, low[undecided], tried + 1)
    return low


def _raise_last_days(seen: expected.Expectation, homes: np.ndarray, size: np.ndarray) -> expected.Expectation:
    """Return what would have been seen, had `size` (n,) times as many people lived there for 14 days."""
    grid, days = seen.grid, slice(seen.grid.days - TONIGHT_DAYS, seen.grid.days)

    def of_homes_and_days(array: np.ndarray) -> np.ndarray:
        return array[:, homes, days]

    block = of_homes_and_days(seen.span_days).astype(float)
    step = of_homes_and_days(grid.resolution) / block
    last_days = evaluation.RecentDays(
        surprise=of_homes_and_days(seen.surprise),
        log_ratio=of_homes_and_days(seen.log_ratio),
        expected=of_homes_and_days(seen.expected),
        offset=np.stack([expected.log_offset(unit, step[s]) for s, unit in enumerate(grid.units)]),
        block=block,
    )
    has_signal = ~np.isnan(last_days.surprise).all(axis=2)
    only_signal = has_signal.sum(axis=0) == 1
    by_unit = np.array([evaluation.EXPONENTS.get(unit, 1.0) for unit in grid.units])[:, None]
    factor = size[None, :] ** np.where(only_signal[None, :], 1.0, by_unit)
    surprise = seen.surprise.copy()
    surprise[:, homes, days] = evaluation.raise_surprise(last_days, factor)
    return dataclasses.replace(seen, surprise=surprise)


# as a page, as text and as JSON


def write_evaluation_page(settings: Settings, measured: Evaluation) -> Path:
    """Write the page in every language below the reports' folder, and return the first language's."""
    languages = tuple(settings.site.languages)
    font = charts.chinese_font() if "zh" in languages else None
    page = report.EvaluationPage(
        site=night_report.report_site(settings),
        first=measured.first,
        last=measured.last,
        homes=measured.homes,
        site_homes=measured.site_homes,
        rounds=measured.rounds,
        share=measured.share,
        card=_shown_card(measured),
        shapes=measured.shapes,
        groups=measured.groups,
        largest=TONIGHT_SIZES[-1],
        overview=(settings.reports / "index.html").exists(),
    )
    by_capacity = _curves(measured.card.drop_nulls("capacity"), "capacity")
    by_day = _curves(measured.by_day, "day")
    capacity_ticks, day_ticks = (1, *CAPACITIES, 40), range(0, 31, 5)
    figures = {}
    for language in languages:
        capacity, day = writer.evaluation_image_names(language, languages)
        figures[capacity] = charts.detection_rates_figure(
            by_capacity, "capacity", capacity_ticks, language, font
        )
        figures[day] = charts.detection_rates_figure(by_day, "day", day_ticks, language, font)
    return writer.write_evaluation_pages(settings.reports, page, figures)


def _shown_card(measured: Evaluation) -> pl.DataFrame:
    """Return the card at the settings' own threshold and at CAPACITIES; the others are the chart's."""
    capacity = pl.col("capacity")
    return measured.card.filter(capacity.is_null() | capacity.is_in(CAPACITIES))


def _curves(frame: pl.DataFrame, along: str) -> dict[float, tuple[list[float], list[float]]]:
    """Return size → (values of the column `along`, share found)."""
    parts = frame.sort("size", along).partition_by("size", as_dict=True, maintain_order=True)
    return {size: (part[along].to_list(), part["share"].to_list()) for (size,), part in parts.items()}


def card_text(measured: Evaluation) -> str:
    """Return what was measured as people read it."""
    if not measured.card.height:
        why = "too little history, or too few homes for so few rounds"
        return f"no surge of 10 to 40 days was planted: {why}; try --rounds 20\n"
    of_all = f" of {measured.site_homes}" if measured.site_homes > measured.homes else ""
    lines = [
        f"{measured.homes}{of_all} homes, {measured.first} to {measured.last},"
        f" surges planted into {measured.rounds} copies",
        "",
        *_card_lines(_shown_card(measured)),
        "(a real site has surges of its own: they count as wrong here)",
        "",
        "share found by shape, as set",
        *_shape_lines(measured.shapes),
        "",
        "smallest surge that half of a group's homes would show tonight, had it begun 14 days ago",
        *_group_lines(measured.groups),
    ]
    return "\n".join(lines) + "\n"


def _card_lines(card: pl.DataFrame) -> list[str]:
    """Return the share found by size (rows) and capacity (columns)."""
    capacities = card["capacity"].unique(maintain_order=True).to_list()
    heads = ["as set" if capacity is None else f"{capacity:g}" for capacity in capacities]
    lines = [
        "surges of 10 to 40 days: share found (95 %) and median delay,"
        " by wrong doors allowed per 1,000 homes and 30 days",
        "size   planted  " + _columns(heads),
    ]
    for part in card.partition_by("size", maintain_order=True):
        head = f"×{part['size'][0]:<6g}{part['planted'][0]:>7}  "
        lines.append(head + _columns([_share(row) for row in part.iter_rows(named=True)]))
    rates = card.unique("capacity", maintain_order=True).select("wrong", "wrong_low", "wrong_high")
    wrong = [f"{rate:.1f} ({low:.0f}–{high:.0f})" for rate, low, high in rates.iter_rows()]
    return [*lines, f"{'wrong doors':<16}" + _columns(wrong)]


def _columns(cells: list[str]) -> str:
    return "".join(f"{cell:<20}" for cell in cells).rstrip()


def _share(row: dict) -> str:
    delay = f", {row['median_delay']:.0f} d" if row["found"] else ""
    return f"{row['share']:.0%} ({100 * row['low']:.0f}–{100 * row['high']:.0f}){delay}"


def _shape_lines(shapes: pl.DataFrame) -> list[str]:
    ordered = shapes.sort("shape", "size", descending=[True, False])
    lines = []
    for part in ordered.partition_by("shape", maintain_order=True):
        rows = part.iter_rows(named=True)
        cells = [f"×{row['size']:g} {row['share']:.0%} of {row['planted']}" for row in rows]
        lines.append(f"{part['shape'][0]:<8}" + "   ".join(cells))
    return lines


def _group_lines(groups: pl.DataFrame) -> list[str]:
    lines = []
    for group, name, homes, size in groups.sort("group", "name", descending=[True, False]).iter_rows():
        label = f"{name} signal{'s' * (name != '1')}" if group == "signals" else name
        smallest = f"none up to ×{TONIGHT_SIZES[-1]:g}" if size is None else f"×{size:g}"
        lines.append(f"{label:<24}{smallest:<14}({homes} homes asked)")
    return lines or ["no group has 15 homes that could be judged"]


def card_json(measured: Evaluation, page: Path) -> str:
    """Return what was measured as JSON lines, the last one a summary at the settings' own threshold."""
    frames = {
        "size": measured.card,
        "shape": measured.shapes,
        "day": measured.by_day,
        "group": measured.groups,
    }
    rows = [
        {"message_type": kind, **row} for kind, frame in frames.items() for row in frame.iter_rows(named=True)
    ]
    own = measured.card.filter(pl.col("capacity").is_null())
    summary = {
        "message_type": "summary",
        "first": str(measured.first),
        "last": str(measured.last),
        "homes": measured.homes,
        "site_homes": measured.site_homes,
        "rounds": measured.rounds,
        "wrong_doors": own["wrong"][0] if own.height else None,
        "page": str(page),
    }
    return "".join(json.dumps(_nulls_for_infinite(row)) + "\n" for row in [*rows, summary])


def _nulls_for_infinite(row: dict) -> dict:
    """Return the row with null for NaN and infinity, which JSON does not know."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in row.items()
    }
