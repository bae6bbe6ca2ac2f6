"""Build the cases and lists from the evidence of the judged nights."""

import dataclasses
import datetime as dt
from collections.abc import Collection

import polars as pl

from anomaly import cases, evidence, household_size, tables
from anomaly.messages import because_sentence
from pipelines.cases import outcome_journal
from pipelines.config.settings import Settings, listed_signatures
from pipelines.storage.state import Store


def fold(
    settings: Settings, store: Store, until: dt.date | None = None, watched: Collection[dt.date] = ()
) -> cases.CaseHistory:
    """The judged nights (up to `until`) to cases and lists."""
    kept = listed_signatures(settings)
    nights = {
        night: cases.JudgedNight(
            evidence=store.read(f"nights/{night}/evidence.parquet").filter(pl.col("signature").is_in(kept)),
            rarities=store.read(f"nights/{night}/rarities.parquet"),
        )
        for night in store.judged_nights()
        if until is None or night <= until
    }
    needed = evidence.case_rarity(settings.evidence, len(kept))
    homes = pl.concat(
        [pl.Series(dtype=pl.String), *(found["household"] for found, _ in nights.values())]
    ).unique()
    folded = cases.build_case_history(
        nights,
        needed,
        outcome_journal.told(settings, store, homes, until),
        settings.cases,
        settings.worklist,
        watched,
    )
    then = {night: _in_people(settings, found) for night, found in folded.snapshots.items()}
    return dataclasses.replace(folded, cases=_in_people(settings, folded.cases), snapshots=then)


EXTRA_PEOPLE = ("extra_people", "extra_people_low", "extra_people_high")


def _in_people(settings: Settings, found: pl.DataFrame) -> pl.DataFrame:
    """Cases with how many further people those of that kind are like."""
    units = {name: rule.base for name, rule in settings.rules.items()}
    told = []
    for kind, *pairs in found.select("signature", "ratios", "usual").iter_rows():
        ratios, usual = ({pair["key"]: pair["value"] for pair in given or ()} for given in pairs)
        told.append(
            (household_size.extra_people(ratios, units, usual) if kind == "people" else None)
            or (None, None, None)
        )
    return found.hstack(pl.DataFrame(told, schema=dict.fromkeys(EXTRA_PEOPLE, pl.Float64), orient="row"))


def revisions_of(store: Store, night: dt.date) -> pl.DataFrame:
    """tables.Revisions of one night."""
    return store.read(f"nights/{night}/revised.parquet", tables.empty(tables.Revisions).schema)


def first_listings(doors: pl.DataFrame) -> pl.DataFrame:
    """household, case_id, listed, signature, district of every door at each first listing."""
    return doors.filter("first_listed").select(
        "household", "case_id", "signature", "district", listed="night"
    )


def control_doors(store: Store) -> pl.DataFrame:
    """tables.Control of every night that drew some."""
    schema = tables.empty(tables.Control).schema
    drawn = [store.read(f"nights/{night}/control.parquet", schema) for night in store.judged_nights()]
    return pl.concat([pl.DataFrame(schema=schema), *drawn])


def worded(found: pl.DataFrame) -> pl.DataFrame:
    """Cases with their reason in a sentence of each language."""
    rows = found.select("ratios", "signature", "onset", "last_seen").to_dicts()
    return found.with_columns(
        pl.Series(f"because_{language}", [_case_because(language, row) for row in rows], pl.String)
        for language in ("en", "zh")
    )


def with_case(found: pl.DataFrame, night: dt.date) -> pl.Series:
    """household of every case open on the night, or closed within 120 days before; found: the cases."""
    return found.filter(pl.col("last_seen") > night - dt.timedelta(days=120 + 14))["household"]


def _case_because(language: str, row: dict) -> str:
    days = (row["last_seen"] - row["onset"]).days + 1
    return because_sentence(language, {r["key"]: r["value"] for r in row["ratios"]}, row["signature"], days)
