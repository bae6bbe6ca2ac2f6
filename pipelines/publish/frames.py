"""The frames of schema `v1`, one for every table of tables.PUBLISHED, from what the store holds.

`published_frames` gives them all but the readings, `outcome_frames` those of them that a person's answer
changes, and `recent_readings` the readings. Nothing is computed here that a case or a list rests on: ratio,
score and rarity of evidence are read from the nights' own files (`nights/<night>/evidence.parquet`, written
by pipelines/scoring), and cases and lists with their chance_wrong come from pipelines/cases/build.py.
"""

import datetime as dt
from collections.abc import Collection, Sequence

import dataframely as dy
import polars as pl

from anomaly import cases, messages, outcomes, tables
from pipelines.cases import outcome_journal
from pipelines.cases.build import (
    RECENT_CASE_DAYS,
    first_listings,
    homes_with_recent_case,
    read_control_doors,
    with_reasons,
)
from pipelines.cases.rejudged import read_revisions
from pipelines.config.settings import Settings, listed_signatures
from pipelines.ingest.inputs import Inputs
from pipelines.publish.duckdb_file import NumberedReadings
from pipelines.scoring.sources import read_sources
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import StoredReadings

MAX_READINGS = 50_000_000  # beyond, only the last FEWER_DAYS are in the file
FEWER_DAYS = 14


def published_frames(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    history: cases.CaseHistory,
    new_runs: Sequence[dict] = (),
) -> dict[str, pl.DataFrame]:
    """Return a frame for every published table but the readings, its rows in the order of the table's key.

    history: the cases and lists of all judged nights. new_runs: lines of runs that are not in the journal
    yet.
    """
    nights = store.judged_nights()
    units = {name: rule.base for name, rule in settings.rules.items()}
    revisions = pl.concat([read_revisions(store, night) for night in nights])
    frames = {
        "runs": _runs([*store.runs(), *new_runs]),
        "households": inputs.register,
        "expected": _expected(settings, store, nights, history.cases).with_columns(
            unit=pl.col("signal").replace_strict(units, default=None, return_dtype=pl.String)
        ),
        "evidence": evidence_with_reasons(settings, store, nights, settings.site.languages[0]),
        "not_judged": _concat_nights(store, nights, "not_judged"),
        "rejects": inputs.rejects,
        "sources": read_sources(store, nights),
        "revisions": revisions.filter(pl.col("signature").is_in(listed_signatures(settings))),
    }
    return {
        name: _select_and_sort(tables.PUBLISHED[name], frame) for name, frame in frames.items()
    } | outcome_frames(settings, store, history)


def outcome_frames(settings: Settings, store: Store, history: cases.CaseHistory) -> dict[str, pl.DataFrame]:
    """Return the frames that an answer or an assignment changes.

    These are the cases and lists, the two journals, the account, the control doors and the estimate of
    misses.
    """
    register = outcome_journal.read_register(settings, store)
    districts = register.select("household", "district")
    doors = history.worklist.join(districts, on="household", how="left", maintain_order="left")
    assigned = outcome_journal.current_assignments(store)
    answers, control = outcome_journal.answers_frame(store), read_control_doors(store)
    latest = max(store.judged_nights())
    # what the next night will conclude from the answers given so far
    correction = outcomes.correction_for_night(answers, latest + dt.timedelta(days=1), settings.account)
    judged = store.read_json(f"nights/{latest}/done.json", {}).get("judged", 0)
    listed = doors.filter(pl.col("night") == latest)["household"].n_unique()
    sizes = register.group_by("district").len()
    small_districts = sizes.filter(pl.col("len") < outcomes.MIN_GROUP_HOMES)["district"].to_list()
    frames = {
        "cases": with_reasons(history.cases.join(districts, on="household", how="left")),
        "worklist": doors.join(assigned, on="case_id", how="left", maintain_order="left"),
        "assignments": outcome_journal.assignments_frame(store),
        "outcomes": outcome_journal.outcomes_frame(store),
        "account": outcomes.account_table(first_listings(doors), answers, correction, small_districts),
        "control": control,
        "misses": outcomes.misses_table(control.height, answers, max(judged - listed, 0)),
    }
    return {name: _select_and_sort(tables.PUBLISHED[name], frame) for name, frame in frames.items()}


def evidence_with_reasons(
    settings: Settings,
    store: Store,
    nights: Sequence[dt.date],
    language: str,
    homes: Collection[str] | None = None,
) -> pl.DataFrame:
    """Return the evidence of those nights, each row with its reason in words in a column `because`.

    homes: of these alone, None for all. Only what the purpose allows now. ratio, score and rarity are those
    that the night wrote down when it was judged: by pipelines/scoring, from anomaly/evidence.py.
    """
    found = _concat_nights(store, nights, "evidence").filter(
        pl.col("signature").is_in(listed_signatures(settings))
    )
    if homes is not None:
        found = found.filter(pl.col("household").is_in(list(homes)))
    rows = found.select("ratios", "signal", "ratio", "signature", "window_days").to_dicts()
    reasons = [_evidence_reason(language, row) for row in rows]
    return found.with_columns(pl.Series("because", reasons, pl.String))


def recent_readings(settings: Settings, stored: StoredReadings) -> NumberedReadings:
    """Return the readings of the last `[publish] readings_days`.

    Without that setting they are all, or the last FEWER_DAYS where there are more than MAX_READINGS.
    """
    days = settings.publish.readings_days
    if days is None and stored.count_cells() > MAX_READINGS:
        days = FEWER_DAYS
    span = stored.find_span()
    first = span.last - dt.timedelta(days=days - 1) if span and days else None
    signals = pl.DataFrame(
        [(number, name, rule.base) for number, (name, rule) in enumerate(sorted(stored.rules.items()))],
        schema={"signal": pl.UInt8, "name": pl.String, "unit": pl.String},
        orient="row",
    )
    return NumberedReadings(stored.cells(first), stored.home_numbers(), signals)


def _runs(lines: Sequence[dict]) -> pl.DataFrame:
    """Return lines of the journal of runs as tables.Runs; what is no longer listed is in the notes."""
    rows = [
        line
        | {
            "notes": "; ".join(filter(None, [line["notes"], *line.get("stopped", ())])),
            "stopped": None,
            "degraded": None,
            "audit": None,
            "revised": line.get("revised", 0),
        }
        for line in lines
    ]
    frame = pl.DataFrame(rows, schema_overrides={"night": pl.String})
    return frame.with_columns(
        pl.col("night").str.to_date(), pl.col("started_utc", "finished_utc").str.to_datetime(time_unit="us")
    )


def _expected(
    settings: Settings, store: Store, nights: Sequence[dt.date], case_frame: pl.DataFrame
) -> pl.DataFrame:
    """Return the latest night for every judged home, and 120 nights for homes with a recent case."""
    latest = nights[-1]
    homes = homes_with_recent_case(settings, case_frame, latest).to_frame()
    parts = [store.read(f"nights/{latest}/history.parquet").with_columns(night=pl.lit(latest))]
    for night in nights[:-1]:
        if (latest - night).days < RECENT_CASE_DAYS:
            own = store.read(f"nights/{night}/expected.parquet").filter(pl.col("day") == night)
            parts.append(own.join(homes, on="household", how="semi").with_columns(night=pl.lit(night)))
    return pl.concat(parts)


def _concat_nights(store: Store, nights: Sequence[dt.date], name: str) -> pl.DataFrame:
    """Return the nights' files of that name, one below the other, with a column `night`."""
    frames = [
        store.read(f"nights/{night}/{name}.parquet").with_columns(night=pl.lit(night)) for night in nights
    ]
    return pl.concat(frames, how="diagonal")  # a column that came later is empty on the nights judged before


def _select_and_sort(table: type[dy.Schema], frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table's own columns, in the order of its key, or of all columns where it has none."""
    keys = table.primary_key() or table.column_names()
    return frame.select(table.column_names()).sort(keys, nulls_last=True)


def _evidence_reason(language: str, row: dict) -> str:
    ratios = {row["signal"]: row["ratio"]}
    if row["signal"] == "all":
        ratios = {pair["key"]: pair["value"] for pair in row["ratios"]}
    return messages.because_sentence(language, ratios, row["signature"], row["window_days"])
