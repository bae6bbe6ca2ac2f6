"""`anomaly evaluate`: surges planted into copies of the site's own readings, judged as the night would."""

import dataclasses
import datetime as dt
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from anomaly.evaluate import Plan, plant, score_card
from anomaly.readings import latest_night
from pipelines.collect import fold
from pipelines.judge import judge
from pipelines.load import Inputs, load
from pipelines.settings import Settings
from pipelines.store import Store

PLAN = Plan(share=0.05)  # few enough that the peers stay ordinary


def evaluate_site(settings: Settings, seed: int, nights: int, rounds: int, tell: Callable[[str], None]) -> pl.DataFrame:
    """The score card over `rounds` copies of the last `nights` nights; the site's own store is left alone.

    Columns as anomaly.evaluate.score_card gives them.
    """
    with tempfile.TemporaryDirectory(prefix="anomaly-evaluate-") as folder:
        here = Path(folder)
        inputs = load(settings, _prepared(here / "site"), dt.date.today(), tell)
        last = latest_night(inputs.readings)
        if last is None:
            raise NothingToPlant("no source holds a whole day; run `anomaly doctor` to see why")
        span = (last - dt.timedelta(days=nights - 1), last)
        found, truth = [], []
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            planted, told = plant(inputs.readings, span, seed + number, PLAN)
            cases = _cases(settings, dataclasses.replace(inputs, readings=planted), _prepared(here / str(number)), span)
            name = pl.format("{}#{}", "household", pl.lit(number))  # a home of each round is a home of its own
            found.append(cases.with_columns(household=name))
            truth.append(told.with_columns(household=name))
    homes = len(inputs.judgeable) * rounds
    return score_card(pl.concat(found), pl.concat(truth), homes * nights)


class NothingToPlant(Exception):
    """The site has no readings to plant into."""


def _prepared(folder: Path) -> Store:
    store = Store(folder / "anomaly.duckdb")
    store.prepare()
    return store


def _cases(settings: Settings, inputs: Inputs, store: Store, span: tuple[dt.date, dt.date]) -> pl.DataFrame:
    nights = [span[0] + dt.timedelta(days=d) for d in range((span[1] - span[0]).days + 1)]
    judge(settings, inputs, store, nights)
    return fold(settings, store).cases.select("household", "signature", "onset", "opened", "last_seen")


def card_text(card: pl.DataFrame) -> str:
    """The score card as people read it."""
    lines = ["size  planted  found  share  (95 %)        median delay"]
    for row in card.iter_rows(named=True):
        if row["size"] is None:
            return "no home has enough history to plant a surge into\n"
        delay = "-" if row["median_delay"] is None else f"{row['median_delay']:.0f} days"
        lines.append(f"×{row['size']:<5g}{row['planted']:>7}{row['found']:>7}  {row['share']:>5.0%}  ({row['low']:.0%}–{row['high']:.0%})".ljust(44) + delay)
    lines.append(f"cases with no planted surge: {card['wrong_cases'][0]}, that is {card['wrong_doors'][0]:.1f} per 1,000 homes and 30 days (the site's own surges among them)")
    return "\n".join(lines) + "\n"


def card_json(card: pl.DataFrame) -> str:
    rows = [{"message_type": "size", **row} for row in card.iter_rows(named=True)]
    wrong = card["wrong_doors"][0] if card.height else None
    return "".join(json.dumps(row) + "\n" for row in [*rows, {"message_type": "summary", "sizes": card.height, "wrong_doors": wrong}])
