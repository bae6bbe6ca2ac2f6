import datetime as dt
from types import SimpleNamespace

import polars as pl

from anomaly.cases import CaseRules, WorklistRules
from anomaly.evidence import EVIDENCE_SCHEMA, EvidenceRules
from anomaly.outcomes import AccountRules
from anomaly.readings import SignalRule
from pipelines.cases.build import build_cases
from pipelines.storage.state import Store


def test_a_decision_takes_a_case_off_the_lists_and_a_closed_door_does_not(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")
    rules = SimpleNamespace(
        rules={
            "water": SignalRule("water", "register", "m3"),
            "power": SignalRule("power", "register", "kWh"),
        },
        purpose=SimpleNamespace(signatures=("water",)),
        evidence=EvidenceRules(),
        cases=CaseRules(),
        worklist=WorklistRules(),
        account=AccountRules(),
        households=None,
    )
    nights = [dt.date(2026, 3, d) for d in range(1, 6)]
    for night in nights:
        reason = ("0001", "alone", "water", "water", 7, 2.0, 2.0, 9e3, True, 0.2, nights[0], [], [])
        power = ("0002", "alone", "power", "power", 7, 2.0, 2.0, 9e3, True, 0.2, nights[0], [], [])
        store.write(
            f"nights/{night}/evidence.parquet",
            pl.DataFrame([reason, power], schema=EVIDENCE_SCHEMA, orient="row"),
        )
        store.write(
            f"nights/{night}/rarities.parquet", pl.DataFrame({"household": ["0001"], "rarity": [9e3]})
        )
        store.write_json(f"nights/{night}/done.json", {})
    undecided = build_cases(rules, store)
    assert undecided.cases["household"].to_list() == ["0001"]  # power is not in the purpose
    assert undecided.worklist["night"].to_list() == nights
    for day, outcome in (
        ("2026-03-02", "no_access"),
        ("2026-03-04", "contested"),
        ("2026-03-05", "confirmed"),
    ):
        store.append_line(
            "outcomes.jsonl", {"case_id": undecided.cases["case_id"][0], "day": day, "outcome": outcome}
        )
    assert build_cases(rules, store).worklist["night"].to_list() == nights[:3]
    assert build_cases(rules, store).cases["decision"].to_list() == ["confirmed"]
    assert build_cases(rules, store, until=nights[3]).cases["decision"].to_list() == ["contested"]
