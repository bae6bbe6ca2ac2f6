"""What the store holds, as the frames of the published tables."""

import datetime as dt
from collections.abc import Collection, Sequence

import polars as pl

from anomaly import cases, outcomes, tables
from anomaly.messages import because_sentence
from pipelines.cases import outcome_journal
from pipelines.cases.build import control_doors, first_listings, revisions_of, with_case, worded
from pipelines.config.settings import Settings, listed_signatures
from pipelines.ingest.loader import Inputs
from pipelines.publish.duckdb_file import Numbered
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import Kept


def collect(
    settings: Settings, store: Store, inputs: Inputs, folded: cases.Fold, runs: Sequence[dict] = ()
) -> dict[str, pl.DataFrame]:
    """A frame for every published table but the readings (`recent_readings`), rows in the order of its key; `runs` are those not in the journal yet."""
    nights = store.nights()
    places = inputs.register.select("household", "building", "district")
    units = {name: rule.base for name, rule in settings.rules.items()}
    frames = {
        "runs": _runs([*store.read_lines("runs.jsonl"), *runs]),
        "households": places,
        "expected": _expected(store, nights, folded.cases).with_columns(
            unit=pl.col("signal").replace_strict(units, default=None, return_dtype=pl.String)
        ),
        "evidence": evidence_of(settings, store, nights, settings.site.languages[0]),
        **loop(settings, store, folded),
        "not_judged": _per_night(store, nights, "not_judged"),
        "rejects": inputs.rejects,
        "revisions": pl.concat([revisions_of(store, night) for night in nights]).filter(
            pl.col("signature").is_in(listed_signatures(settings))
        ),
    }
    return {name: _tidy(tables.PUBLISHED[name], frame) for name, frame in frames.items()}


def _runs(lines: Sequence[dict]) -> pl.DataFrame:
    """The journal of runs as tables.Runs: what was degraded and what has stopped listing itself in one note."""
    rows = [
        line
        | {
            "notes": "; ".join(filter(None, [line["notes"], *line.get("stopped", ())])),
            "stopped": None,
            "revised": line.get("revised", 0),
        }
        for line in lines
    ]
    frame = pl.DataFrame(rows, schema_overrides={"night": pl.String})
    return frame.with_columns(
        pl.col("night").str.to_date(), pl.col("started_utc", "finished_utc").str.to_datetime(time_unit="us")
    )


def loop(settings: Settings, store: Store, folded: cases.Fold) -> dict[str, pl.DataFrame]:
    """The frames that an answer or an assignment changes: cases, lists, journals and the account."""
    places = outcome_journal.register(settings, store)
    districts = places.select("household", "district")
    doors = folded.worklist.join(districts, on="household", how="left", maintain_order="left")
    answers, drawn = outcome_journal.answers(store), control_doors(store)
    latest = max(store.nights())
    now = outcomes.standing(answers, latest + dt.timedelta(days=1), settings.account)
    unlisted = (
        store.read_json(f"nights/{latest}/done.json", {}).get("judged", 0)
        - doors.filter(pl.col("night") == latest)["household"].n_unique()
    )
    small = (
        places.group_by("district").len().filter(pl.col("len") < outcomes.SMALL_GROUP)["district"].to_list()
    )
    frames = {
        "cases": worded(folded.cases.join(districts, on="household", how="left")),
        "worklist": doors.join(
            outcome_journal.assigned(store), on="case_id", how="left", maintain_order="left"
        ),
        "assignments": outcome_journal.assignments_frame(store),
        "outcomes": outcome_journal.outcomes_frame(store),
        "account": outcomes.account(first_listings(doors), answers, now, small),
        "control": drawn,
        "misses": outcomes.misses(drawn.height, answers, max(unlisted, 0)),
    }
    return {name: _tidy(tables.PUBLISHED[name], frame) for name, frame in frames.items()}


def evidence_of(
    settings: Settings,
    store: Store,
    nights: Sequence[dt.date],
    language: str,
    homes: Collection[str] | None = None,
) -> pl.DataFrame:
    """The evidence of those nights (and of those homes) that the purpose allows now, each with its reason in words."""
    found = _per_night(store, nights, "evidence").filter(pl.col("signature").is_in(listed_signatures(settings)))
    if homes is not None:
        found = found.filter(pl.col("household").is_in(list(homes)))
    rows = found.select("ratios", "signal", "ratio", "signature", "window_days").to_dicts()
    return found.with_columns(pl.Series("because", [_because(language, row) for row in rows], pl.String))


def _tidy(table, frame: pl.DataFrame) -> pl.DataFrame:
    keys = table.primary_key() or table.column_names()
    return frame.select(table.column_names()).sort(keys, nulls_last=True)


def _per_night(store: Store, nights: Sequence[dt.date], name: str) -> pl.DataFrame:
    # diagonal: a column that came later is empty on the nights judged before
    return pl.concat(
        [store.read(f"nights/{n}/{name}.parquet").with_columns(night=pl.lit(n)) for n in nights],
        how="diagonal",
    )


MOST_READINGS = 50_000_000
FEWER_DAYS = 14


def recent_readings(settings: Settings, kept: Kept) -> Numbered:
    """The readings of the last days, in numbers: all, where the settings do not say and there are not too many."""
    days = settings.publish.readings_days
    if days is None and kept.height > MOST_READINGS:
        days = FEWER_DAYS
    span = kept.span()
    cells = kept.cells(span and days and span[1] - dt.timedelta(days=days - 1))
    units = [(number, name, rule.base) for number, (name, rule) in enumerate(sorted(kept.rules.items()))]
    signals = pl.DataFrame(
        units, schema={"signal": pl.UInt8, "name": pl.String, "unit": pl.String}, orient="row"
    )
    return Numbered(cells, kept.homes(), signals)


def _expected(store: Store, nights: Sequence[dt.date], found: pl.DataFrame) -> pl.DataFrame:
    """The latest night for every judged home, with the last 120 days of homes with a case not long closed."""
    latest = nights[-1]
    homes = with_case(found, latest).to_frame()
    parts = [store.read(f"nights/{latest}/history.parquet").with_columns(night=pl.lit(latest))]
    for night in nights[:-1]:
        if (latest - night).days < 120:
            own = store.read(f"nights/{night}/expected.parquet").filter(pl.col("day") == night)
            parts.append(own.join(homes, on="household", how="semi").with_columns(night=pl.lit(night)))
    return pl.concat(parts)


def _because(language: str, row: dict) -> str:
    ratios = (
        {r["key"]: r["value"] for r in row["ratios"]}
        if row["signal"] == "all"
        else {row["signal"]: row["ratio"]}
    )
    return because_sentence(language, ratios, row["signature"], row["window_days"])
