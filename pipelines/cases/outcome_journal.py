"""What people have told: the journals of outcomes and assignments, and what the fold makes of them.

A line of the outcomes journal keeps what was promised of its door when it was answered, so that the account stands whatever
becomes of the nights behind it. Lines are added, never changed.
"""

import contextlib
import datetime as dt
import functools
from collections.abc import Iterator

import polars as pl

from anomaly import cases, outcomes, tables
from pipelines.config.settings import Settings
from pipelines.ingest.loader import REGISTER_SCHEMA
from pipelines.storage.state import Store

OUTCOMES, ASSIGNMENTS = "outcomes.jsonl", "assignments.jsonl"
_DATES = ("day", "since", "listed")


@contextlib.contextmanager
def writing(store: Store) -> Iterator[None]:
    """Hold the journals: one writer at a time, beside a run that only reads them."""
    with store.short_lock("journals.lock"):
        yield


def read_outcomes(store: Store) -> list[dict]:
    """Every line of the outcomes journal, dates as dates; a line without `since` counts from its day on."""
    lines = []
    for line in store.read_lines(OUTCOMES):
        line = {"since": line["day"]} | line
        lines.append(line | {name: dt.date.fromisoformat(line[name]) for name in _DATES if line.get(name)})
    return lines


def answers(store: Store) -> pl.DataFrame:
    """The outcomes as account.ANSWERS, in the order in which they were recorded."""
    rows = [{name: line.get(name) for name in outcomes.ANSWER_SCHEMA} for line in read_outcomes(store)]
    return pl.DataFrame(rows, schema=outcomes.ANSWER_SCHEMA, orient="row")


def register(settings: Settings, store: Store) -> pl.DataFrame:
    """The stored register, empty where the site has none."""
    return store.read("register.parquet", REGISTER_SCHEMA) if settings.households else pl.DataFrame(schema=REGISTER_SCHEMA)


def told(settings: Settings, store: Store, homes: pl.Series, until: dt.date | None = None) -> cases.Feedback:
    """What people have answered, as far as night `until` knows, and the districts of those homes, for the fold."""
    lines = [
        cases.Answer(
            line["case_id"],
            line.get("household") or "",
            line.get("signature") or "",
            line["outcome"],
            line["day"],
            line["since"],
        )
        for line in read_outcomes(store)
        if until is None or line["since"] <= until
    ]
    districts = _districts(settings, store, homes)
    if not lines:
        return cases.Feedback(districts=districts)
    known = answers(store)
    return cases.Feedback(
        lines,
        districts,
        functools.cache(lambda night: outcomes.correction_for_night(known, night, settings.account)),
    )


def standing(settings: Settings, store: Store, night: dt.date) -> outcomes.OutcomeCorrection:
    """What the outcomes known by a night amount to."""
    return outcomes.correction_for_night(answers(store), night, settings.account)


def stopped(settings: Settings, store: Store, night: dt.date) -> list[tuple[str, int, int]]:
    """(kind or place, wrong, answered) of what a night no longer lists because its doors were wrong too often."""
    now = standing(settings, store, night)
    return [
        (name, wrong, n)
        for name, (wrong, n) in [*now.stopped_kinds.items(), *now.stopped_districts.items()]
    ]


def _districts(settings: Settings, store: Store, homes: pl.Series) -> dict[str, str | None]:
    places = register(settings, store).filter(pl.col("household").is_in(homes.implode()))
    return dict(places.select("household", "district").iter_rows())


def outcomes_frame(store: Store) -> pl.DataFrame:
    """tables.Outcomes."""
    schema = dict(tables.empty(tables.Outcomes).schema)
    return pl.DataFrame(
        [{name: line.get(name) for name in schema} for line in read_outcomes(store)],
        schema=schema,
        orient="row",
    )


def assignments_frame(store: Store) -> pl.DataFrame:
    """tables.Assignments, in the order in which they were recorded."""
    schema = dict(tables.empty(tables.Assignments).schema)
    rows = [
        {name: line.get(name) for name in schema} | {"day": dt.date.fromisoformat(line["day"])}
        for line in store.read_lines(ASSIGNMENTS)
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def assigned(store: Store) -> pl.DataFrame:
    """case_id, assigned: to whom each case is assigned now."""
    last = assignments_frame(store).unique("case_id", keep="last", maintain_order=True)
    return last.select("case_id", assigned="to")
