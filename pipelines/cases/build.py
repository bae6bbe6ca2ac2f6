"""Build the cases and lists from the evidence of the judged nights and what people have answered.

The work is done by `anomaly.cases.build_case_history`; here the nights' files are read for it and what the
pages and tables need is added to its cases: further people, and the reason in a sentence.
"""

import dataclasses
import datetime as dt
from collections.abc import Collection

import polars as pl

from anomaly import cases, evidence, household_size, tables
from anomaly.messages import because_sentence
from pipelines.cases import outcome_journal
from pipelines.config.settings import Settings, listed_signatures
from pipelines.storage.state import Store

EXTRA_PEOPLE_COLUMNS = ("extra_people", "extra_people_low", "extra_people_high")
RECENT_CASE_DAYS = 120
"""So long after a case was closed, its home's expectations stay published."""


def build_cases(
    settings: Settings,
    store: Store,
    until: dt.date | None = None,
    snapshot_nights: Collection[dt.date] = (),
    without: Collection[dt.date] = (),
) -> cases.CaseHistory:
    """Build the cases and lists of the judged nights, those up to `until` where it is given.

    snapshot_nights: nights whose cases are to be given as each of them saw them. without: nights that are
    left out, because they are about to be judged again. Only kinds of case that the purpose allows now.

    A case's ratios, rarity and chance_wrong grow from its evidence (`nights/<night>/evidence.parquet`) by
    `anomaly.cases`, extra_people comes from its ratios by `anomaly.household_size`.
    """
    kinds = listed_signatures(settings)
    nights = {
        night: cases.JudgedNight(
            evidence=store.read(f"nights/{night}/evidence.parquet").filter(pl.col("signature").is_in(kinds)),
            rarities=store.read(f"nights/{night}/rarities.parquet"),
        )
        for night in store.judged_nights()
        if night not in without and (until is None or night <= until)
    }
    no_home = pl.Series(dtype=pl.String)
    homes = pl.concat([no_home, *(night.evidence["household"] for night in nights.values())]).unique()
    history = cases.build_case_history(
        nights,
        evidence.opening_rarity(settings.evidence, len(kinds)),
        outcome_journal.read_feedback(settings, store, homes, until),
        settings.cases,
        settings.worklist,
        snapshot_nights,
    )
    return dataclasses.replace(
        history,
        cases=_with_extra_people(settings, history.cases),
        snapshots={
            night: _with_extra_people(settings, case_frame) for night, case_frame in history.snapshots.items()
        },
    )


def with_reasons(case_frame: pl.DataFrame) -> pl.DataFrame:
    """Add because_en and because_zh: each case's reason in a sentence of each language."""
    rows = case_frame.select("ratios", "signature", "onset", "last_seen").to_dicts()
    return case_frame.with_columns(
        pl.Series(f"because_{language}", [_case_reason(language, row) for row in rows], pl.String)
        for language in ("en", "zh")
    )


def homes_with_recent_case(settings: Settings, case_frame: pl.DataFrame, night: dt.date) -> pl.Series:
    """Return the household of every case open on the night or closed within RECENT_CASE_DAYS before it."""
    first = night - dt.timedelta(days=RECENT_CASE_DAYS + settings.cases.quiet_days)
    return case_frame.filter(pl.col("last_seen") > first)["household"]


def first_listings(doors: pl.DataFrame) -> pl.DataFrame:
    """Return household, case_id, signature, district, listed of every door at each first listing."""
    return doors.filter("first_listed").select(
        "household", "case_id", "signature", "district", listed="night"
    )


def read_control_doors(store: Store) -> pl.DataFrame:
    """Read the control doors of all nights (tables.Control)."""
    schema = tables.empty(tables.Control).schema
    drawn = [store.read(f"nights/{night}/control.parquet", schema) for night in store.judged_nights()]
    return pl.concat([pl.DataFrame(schema=schema), *drawn])


def _with_extra_people(settings: Settings, case_frame: pl.DataFrame) -> pl.DataFrame:
    """Add how many further people each people case is like, with its range; null for other kinds."""
    units = {name: rule.base for name, rule in settings.rules.items()}
    rows = []
    for kind, ratio_pairs, usual_pairs in case_frame.select("signature", "ratios", "usual").iter_rows():
        extra = None
        if kind == "people":
            extra = household_size.extra_people(
                _pairs_to_dict(ratio_pairs), units, _pairs_to_dict(usual_pairs)
            )
        rows.append(extra or (None, None, None))
    schema = dict.fromkeys(EXTRA_PEOPLE_COLUMNS, pl.Float64)
    return case_frame.hstack(pl.DataFrame(rows, schema=schema, orient="row"))


def _case_reason(language: str, row: dict) -> str:
    days = (row["last_seen"] - row["onset"]).days + 1
    return because_sentence(language, _pairs_to_dict(row["ratios"]), row["signature"], days)


def _pairs_to_dict(pairs: list[dict] | None) -> dict[str, float]:
    """Return [{"key": signal, "value": number}] as signal → number; empty for None."""
    return {pair["key"]: pair["value"] for pair in pairs or ()}
