"""A store whose nights were judged by hand: a test writes what each night is to have found."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import polars as pl

from anomaly.cases import CaseRules, WorklistRules
from anomaly.evidence import EVIDENCE_SCHEMA, EvidenceRules
from anomaly.outcomes import AccountRules
from anomaly.readings import SignalRule
from pipelines.scoring.night import NOT_JUDGED_SCHEMA
from pipelines.storage.state import Store

NIGHTS = [dt.date(2026, 3, day) for day in range(1, 6)]
EXPECTED_SCHEMA = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "expected": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "surprise": pl.Float64,
}


def settings_for(
    signatures: tuple[str, ...] = ("people", "power", "water"), **changed: Any
) -> SimpleNamespace:
    """Return what cases and frames ask of the settings: water and power, every rule at its default."""
    parts = {
        "rules": {
            "water": SignalRule("water", "register", "m3"),
            "power": SignalRule("power", "register", "kWh"),
        },
        "site": SimpleNamespace(languages=("en",)),
        "purpose": SimpleNamespace(signatures=signatures),
        "evidence": EvidenceRules(),
        "cases": CaseRules(),
        "worklist": WorklistRules(),
        "account": AccountRules(),
        "households": None,
    }
    return SimpleNamespace(**parts | changed)


def evidence_row(household: str, signature: str = "water", rarity: float = 1e5, **changed: Any) -> dict:
    """Return a reason to look at a home (EVIDENCE_SCHEMA), strong enough to open a case."""
    is_people = signature == "people"
    row = {
        "household": household,
        "detector": "together" if is_people else "alone",
        "signal": "all" if is_people else signature,
        "signature": signature,
        "window_days": 7,
        "ratio": 2.0,
        "score": 2.0,
        "rarity": rarity,
        "opens": True,
        "chance_wrong": 0.2,
        "onset": NIGHTS[0],
        "ratios": [{"key": "water", "value": 2.0}],
        "usual": [{"key": "water", "value": 250.0}],
    }
    return row | changed


def write_night(store: Store, night: dt.date, *evidence: dict, judged: int = 2) -> None:
    """Write a night's folder as judging leaves it; no home is without a verdict and no day is expected."""
    frame = pl.DataFrame(evidence, schema=EVIDENCE_SCHEMA, orient="row")
    rarities = frame.group_by("household").agg(pl.col("rarity").max())
    store.write(f"nights/{night}/evidence.parquet", frame)
    store.write(f"nights/{night}/rarities.parquet", rarities)
    store.write(f"nights/{night}/not_judged.parquet", pl.DataFrame(schema=NOT_JUDGED_SCHEMA))
    store.write(f"nights/{night}/expected.parquet", pl.DataFrame(schema=EXPECTED_SCHEMA))
    store.write(f"nights/{night}/history.parquet", pl.DataFrame(schema=EXPECTED_SCHEMA))
    store.write_json(f"nights/{night}/done.json", {"night": night, "judged": judged, "not_judged": 0})


def answer_line(case_id: str, outcome: str, day: dt.date, **changed: Any) -> dict:
    """Return a line of the outcomes journal, of a water door listed on the first night."""
    line = {
        "case_id": case_id,
        "day": str(day),
        "outcome": outcome,
        "reason": "seen",
        "by": None,
        "minutes": None,
        "household": "0001",
        "signature": "water",
        "district": None,
        "class": None,
        "listed": str(NIGHTS[0]),
        "since": str(day),
        "chance_before": 0.2,
        "chance_wrong": 0.2,
    }
    return line | changed
