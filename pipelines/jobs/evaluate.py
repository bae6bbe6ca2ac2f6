"""`anomaly evaluate`: surges planted into copies of the site's own readings, judged as the night would."""

import dataclasses
import datetime as dt
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import charts, detectors, evidence, expected, report
from anomaly import evaluation as planting
from anomaly.expected.model import OFFSETS
from anomaly.readings import find_latest_night
from pipelines.config.settings import Settings, listed_signatures
from pipelines.errors import NothingToPlant
from pipelines.ingest.loader import Inputs, load
from pipelines.reporting import night_report, writer
from pipelines.runtime.progress import Progress, ReportProgress
from pipelines.scoring.night import expect_all
from pipelines.scoring.sample import index_homes
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import ReadingsInMemory

CAPACITIES = (2.0, 5.0, 10.0, 20.0)  # wrong doors per 1,000 homes and 30 days
CURVE = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0, 40.0)
SURGES = 120  # planted, where the number of rounds is left open
MOST_ROUNDS = 8
TONIGHT_SIZES = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
TONIGHT_DAYS = 14
GROUP_HOMES = 20  # asked at most of each group, drawn at random
# Raised at once, so that it is not a night on which everybody is odd, which the detectors calm down: of the homes that would make it one.
BATCH_SHARE, PLANTED_SHARE = 0.3, 0.75  # a planted surge is there on less than half of the nights
PAST_DAYS = 300  # what the detectors and the tail look back on


@dataclass(frozen=True)
class Measured:
    """What came out. homes: looked at, of site_homes; share: of them into which each copy has surges planted. card: capacity
    (null for the settings' own threshold), threshold, wrong, wrong_low, wrong_high and the columns of
    anomaly.evaluate.score_card, of surges that last (steps and ramps). shapes: the same by size and shape, by_day: size, day,
    share, both at the settings' own threshold. groups: as anomaly.evaluate.smallest_surges gives them."""

    first: dt.date
    last: dt.date
    homes: int
    site_homes: int
    rounds: int
    share: float
    card: pl.DataFrame
    shapes: pl.DataFrame
    by_day: pl.DataFrame
    groups: pl.DataFrame


def evaluate_site(
    settings: Settings, seed: int, nights: int, rounds: int | None, progress: ReportProgress
) -> Measured:
    """Everything measured on copies of the last `nights` nights; the site's own store is left alone."""
    with tempfile.TemporaryDirectory(prefix="anomaly-evaluate-") as folder:
        store = Store(Path(folder) / "anomaly.duckdb")
        store.prepare()
        inputs = load(settings, store, dt.date.today(), progress)
        site_homes, inputs = (
            len(inputs.dwelling_districts),
            _in_hand(settings, inputs),
        )  # the store goes with its folder
    last = find_latest_night(inputs.readings)
    if last is None:
        raise NothingToPlant("no source holds a whole day; run `anomaly doctor` to see why")
    first = last - dt.timedelta(days=nights - 1)
    homes = len(inputs.dwelling_districts)
    plan = plan_of(homes)
    days = inputs.readings.filter(pl.col("value").is_not_null())["day"].n_unique()
    if days <= plan.min_history_days:
        raise NothingToPlant(
            f"the sources hold {days} days; a surge is planted after {plan.min_history_days} ordinary ones: ask again when there are more"
        )
    rounds = rounds or int(np.clip(np.ceil(SURGES / max(1.0, plan.share * homes)), 2, MOST_ROUNDS))
    asked = 0

    def judge(planted: pl.DataFrame) -> tuple[tuple[str, ...], np.ndarray]:
        nonlocal asked
        asked += 1
        progress(
            Progress(
                "judging copies with surges in them",
                asked - 1,
                rounds,
                "rounds",
                text=f"round {asked} of {rounds}: judging a copy with surges in it",
            )
        )
        return _rarities(settings, dataclasses.replace(inputs, stored=ReadingsInMemory(planted)), (first, last))

    dwelling = inputs.readings.filter(pl.col("household").is_in(list(inputs.dwelling_districts)))
    made = list(planting.plant_and_judge(dwelling, judge, first, last, range(seed, seed + rounds), plan))
    progress(Progress("working out what tonight could show"))
    groups = _tonight(settings, inputs, last, seed, progress)
    return Measured(
        first, last, homes, site_homes, rounds, plan.share, *_cards(made, _needed(settings)), groups
    )


def _in_hand(settings: Settings, inputs: Inputs) -> Inputs:
    """The inputs with all readings in memory; of a large site those of the homes of its sample, as if there were no others."""
    if inputs.dwellings.height <= settings.engine.sample_homes:
        return dataclasses.replace(inputs, stored=ReadingsInMemory(inputs.readings))
    site = index_homes(settings, inputs)
    drawn = pl.Series("household", site.names[site.sample], pl.String)
    few = inputs.register.join(drawn.to_frame(), on="household", how="semi", maintain_order="left")
    return dataclasses.replace(inputs, stored=ReadingsInMemory(inputs.readings_of(drawn)), register=few)


def plan_of(homes: int) -> planting.SurgePlan:
    """What is planted into a site of so many homes."""
    plan = planting.SurgePlan()
    return dataclasses.replace(
        plan, share=min(plan.share, float(PLANTED_SHARE * detectors.share_above(homes)))
    )


def _needed(settings: Settings) -> float:
    return evidence.case_rarity(settings.evidence, len(listed_signatures(settings)))


def _cards(
    made: list[planting.JudgedRound], needed: float
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    ordinary = planting.collect_alarms(made)
    parts = []
    for capacity in (None, *sorted({*CAPACITIES, *CURVE})):
        level = needed if capacity is None else ordinary.threshold(capacity)
        wrong, low, high = ordinary.rate(level)
        surges = planting.detection_delays(made, level)
        if capacity is None:
            own = surges
        card = planting.score_card(surges.filter(pl.col("shape") != "spike"))
        head = {
            "capacity": capacity,
            "threshold": level,
            "wrong": wrong,
            "wrong_low": low,
            "wrong_high": high,
        }
        parts.append(card.select(*(pl.lit(v, pl.Float64).alias(n) for n, v in head.items()), pl.all()))
    lasting = own.filter(pl.col("shape") != "spike")
    return pl.concat(parts), planting.score_card(own, ("size", "shape")), planting.share_found_by_day(lasting)


def _scores(settings: Settings, seen: expected.Expected) -> list:
    """Scores of the detectors that open cases, of the kinds the purpose lists."""
    listed, seconds = listed_signatures(settings), settings.detectors.seconds
    asked = [d for d in detectors.chosen(settings.detectors) if d.name not in seconds]
    return [
        one for detector in asked for one in detector(seen) if evidence.signature_of(one.signal) in listed
    ]


def _largest(rated: list[evidence.Rated], night: int, homes: int) -> np.ndarray:
    largest = np.full(homes, np.nan)
    for one in rated:
        largest = np.fmax(largest, one.rarity[night])
    return largest


def _rarities(
    settings: Settings, inputs: Inputs, span: tuple[dt.date, dt.date]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Households, and (H, 14 + N) their largest rarity on each night of the span and the fortnight before it."""
    seen = expect_all(settings, inputs, span[1]).expected
    homes, stop = seen.grid.households, seen.grid.index(span[1]) + 1
    start = seen.grid.index(span[0]) - planting.QUIET_NIGHTS
    rated = evidence.rate(_scores(settings, seen), range(max(0, start), stop), _needed(settings))
    out = np.full((len(homes), stop - start), np.nan)
    for night in range(max(0, start), stop):
        out[:, night - start] = _largest(rated, night, len(homes))
    return homes, out


def _tonight(
    settings: Settings, inputs: Inputs, night: dt.date, seed: int, progress: ReportProgress
) -> pl.DataFrame:
    """The smallest surge of the last 14 days that half of the homes of each group would show on that night."""
    seen = _recent(expect_all(settings, inputs, night).expected, PAST_DAYS)
    at, needed = seen.grid.days - 1, _needed(settings)
    signals = expected.judged(seen, at).sum(axis=0)
    open_already = _largest(evidence.rate(_scores(settings, seen), [at], needed), at, len(signals)) >= needed
    homes = np.flatnonzero((signals > 0) & ~open_already)
    names = [seen.grid.households[h] for h in homes]
    groups = pl.DataFrame(
        {
            "home": homes,
            "signals": signals[homes].astype(str),
            "district": [inputs.dwelling_districts[name] for name in names],
        },
        schema={"home": pl.Int64, "signals": pl.String, "district": pl.String},
    )
    asked = groups.sample(fraction=1.0, shuffle=True, seed=seed)
    asked = asked.filter(
        pl.any_horizontal(
            pl.int_range(pl.len()).over(group) < GROUP_HOMES for group in ("signals", "district")
        )
    )
    asked = asked.filter(at >= TONIGHT_DAYS)
    least = _least_shown(settings, seen, asked["home"].to_numpy(), progress)
    size = pl.Series("size", np.array([*TONIGHT_SIZES, np.nan])[least], nan_to_null=True)
    rows = asked.with_columns(size).unpivot(
        on=["signals", "district"], index="size", variable_name="group", value_name="name"
    )
    return planting.smallest_surges_shown(rows.drop_nulls("name"), TONIGHT_SIZES)


def _recent(seen: expected.Expected, days: int) -> expected.Expected:
    """The last days alone: the detectors look no further back."""
    drop = max(0, seen.grid.days - days)
    grid = seen.grid
    cut = {name: getattr(grid, name)[..., drop:] for name in ("value", "lag", "weekday", "resolution")}
    arrays = {
        f.name: getattr(seen, f.name)[..., drop:]
        for f in dataclasses.fields(seen)
        if isinstance(getattr(seen, f.name), np.ndarray)
    }
    return dataclasses.replace(seen, grid=dataclasses.replace(grid, first=grid.day(drop), **cut), **arrays)


def _least_shown(
    settings: Settings, seen: expected.Expected, homes: np.ndarray, progress: ReportProgress
) -> np.ndarray:
    """(n,) place of the smallest of TONIGHT_SIZES that each of the homes would show on the last night; their number where none does.

    By halving: a larger surge is shown where a smaller one is.
    """
    at, needed = seen.grid.days - 1, _needed(settings)
    every = len(seen.grid.households)
    together = max(1.0, BATCH_SHARE * detectors.share_above(every) * every)
    batches = np.array_split(np.arange(homes.size), max(1, int(np.ceil(homes.size / together))))
    low, high = np.zeros(homes.size, dtype=int), np.full(homes.size, len(TONIGHT_SIZES))
    step = 0
    while (low < high).any():
        step += 1
        middle = (low + high) // 2
        for number, batch in enumerate(batches):
            step_text = f"what tonight could show: step {step}"
            asked_homes = f"homes {batch[0] + 1} to {batch[-1] + 1} of {homes.size}"
            progress(Progress(step_text, text=f"{step_text}, {asked_homes}"))
            open_ = low[batch] < high[batch]
            asked = homes[batch][open_]
            if not asked.size:
                continue
            raised = _raised(seen, asked, np.array(TONIGHT_SIZES)[middle[batch][open_]])
            shown = (
                _largest(
                    evidence.rate(_scores(settings, raised), [at], needed), at, len(seen.grid.households)
                )[asked]
                >= needed
            )
            high[batch[open_]] = np.where(shown, middle[batch][open_], high[batch[open_]])
            low[batch[open_]] = np.where(shown, low[batch[open_]], middle[batch][open_] + 1)
    return low


def _raised(seen: expected.Expected, homes: np.ndarray, size: np.ndarray) -> expected.Expected:
    """What would have been seen had those homes' last 14 days been `size` (n,) times as lively."""
    grid, days = seen.grid, slice(seen.grid.days - TONIGHT_DAYS, seen.grid.days)

    def part(array: np.ndarray) -> np.ndarray:
        return array[:, homes, days]

    block = part(seen.block).astype(float)
    least = np.array([OFFSETS.get(unit, 1.0) for unit in grid.units])[:, None, None]
    course = planting.RecentDays(
        part(seen.surprise),
        part(seen.log_ratio),
        part(seen.expected),
        np.maximum(least, 0.7 * part(grid.resolution) / block),
        block,
    )
    alone = (~np.isnan(course.surprise).all(axis=2)).sum(axis=0) == 1
    exponent = np.array([planting.EXPONENTS.get(unit, 1.0) for unit in grid.units])[:, None]
    surprise = seen.surprise.copy()
    surprise[:, homes, days] = planting.raise_surprise(
        course, size[None, :] ** np.where(alone[None, :], 1.0, exponent)
    )
    return dataclasses.replace(seen, surprise=surprise)


def write(settings: Settings, measured: Measured) -> Path:
    """The page, in every language, below the reports' folder; returns the first one."""
    languages = tuple(settings.site.languages)
    font = charts.chinese_font() if "zh" in languages else None
    shown = measured.card.filter(pl.col("capacity").is_null() | pl.col("capacity").is_in(CAPACITIES))
    page = report.EvaluationPage(
        night_report.site_of(settings), measured.first, measured.last, measured.homes, measured.site_homes, measured.rounds, measured.share, shown, measured.shapes, measured.groups,
        TONIGHT_SIZES[-1], overview=(settings.reports / "index.html").exists(),
    )  # fmt: skip
    by_capacity = _curves(measured.card.drop_nulls("capacity"), "capacity")
    by_day = _curves(measured.by_day, "day")
    curves = {}
    for language in languages:
        capacity, day = writer.evaluation_images(language, languages)
        curves[capacity] = charts.share_figure(by_capacity, "capacity", (1, *CAPACITIES, 40), language, font)
        curves[day] = charts.share_figure(by_day, "day", range(0, 31, 5), language, font)
    return writer.write_evaluation(settings.reports, page, curves)


def _curves(frame: pl.DataFrame, along: str) -> dict[float, tuple[list[float], list[float]]]:
    parts = frame.sort("size", along).partition_by("size", as_dict=True, maintain_order=True)
    return {size: (part[along].to_list(), part["share"].to_list()) for (size,), part in parts.items()}


def card_text(measured: Measured) -> str:
    """What came out as people read it."""
    if not measured.card.height:
        return "no surge of 10 to 40 days was planted: too little history, or too few homes for so few rounds; try --rounds 20\n"
    shown = measured.card.filter(pl.col("capacity").is_null() | pl.col("capacity").is_in(CAPACITIES))
    columns = shown["capacity"].unique(maintain_order=True).to_list()
    of = f" of {measured.site_homes}" if measured.site_homes > measured.homes else ""
    lines = [
        f"{measured.homes}{of} homes, {measured.first} to {measured.last}, surges planted into {measured.rounds} copies",
        "",
        "surges of 10 to 40 days: share found (95 %) and median delay, by wrong doors allowed per 1,000 homes and 30 days",
        "size   planted  " + "".join(f"{'as set' if c is None else f'{c:g}':<20}" for c in columns).rstrip(),
    ]
    for part in shown.partition_by("size", maintain_order=True):
        lines.append(
            (
                f"×{part['size'][0]:<6g}{part['planted'][0]:>7}  "
                + "".join(f"{_share(row):<20}" for row in part.iter_rows(named=True))
            ).rstrip()
        )
    came = shown.unique("capacity", maintain_order=True)
    lines.append(
        (
            f"{'wrong doors':<16}"
            + "".join(
                f"{f'{wrong:.1f} ({low:.0f}–{high:.0f})':<20}"
                for wrong, low, high in came.select("wrong", "wrong_low", "wrong_high").iter_rows()
            )
        ).rstrip()
    )
    lines += [
        "(a real site has surges of its own: they count as wrong here)",
        "",
        "share found by shape, as set",
    ]
    for part in measured.shapes.sort("shape", "size", descending=[True, False]).partition_by(
        "shape", maintain_order=True
    ):
        lines.append(
            f"{part['shape'][0]:<8}"
            + "   ".join(
                f"×{row['size']:g} {row['share']:.0%} of {row['planted']}"
                for row in part.iter_rows(named=True)
            )
        )
    lines += ["", "smallest surge that half of a group's homes would show tonight, had it begun 14 days ago"]
    for group, name, homes, size in measured.groups.sort(
        "group", "name", descending=[True, False]
    ).iter_rows():
        told = f"{name} signal{'s' * (name != '1')}" if group == "signals" else name
        lines.append(
            f"{told:<24}{'none up to ×%g' % TONIGHT_SIZES[-1] if size is None else f'×{size:g}':<14}({homes} homes asked)"
        )
    return (
        "\n".join(lines if measured.groups.height else [*lines, "no group has 15 homes that could be judged"])
        + "\n"
    )


def _share(row: dict) -> str:
    delay = f", {row['median_delay']:.0f} d" if row["found"] else ""
    return f"{row['share']:.0%} ({100 * row['low']:.0f}–{100 * row['high']:.0f}){delay}"


def card_json(measured: Measured, page: Path) -> str:
    """JSON lines: sizes by capacity, shapes, groups and the summary, which has the settings' own threshold."""
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
    return "".join(json.dumps(_finite(row)) + "\n" for row in [*rows, summary])


def _finite(row: dict) -> dict:
    """JSON knows neither NaN nor infinity."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in row.items()
    }
