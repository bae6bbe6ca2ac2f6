"""Rates by district, their text, and the two pages."""

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.errors import NotFound
from pipelines.reporting.fairness import (
    fairness_rates,
    fairness_text,
    write_fairness_page,
    write_record_page,
)
from pipelines.storage.state import Store
from pipelines.storage.stored_register import REGISTER_SCHEMA
from tests.support.judged_store import NIGHTS, answer_line, evidence_row, settings_for, write_night


@pytest.fixture
def store(tmp_path) -> Store:
    """Two districts of 20 homes; two homes of North were listed, and one of them was answered."""
    store = Store(tmp_path / "anomaly.duckdb")
    homes = [(f"{home:04}", "North" if home < 20 else "South", None, False) for home in range(40)]
    homes += [("0090", "North", "shop", False), ("0091", "North", None, True)]  # neither may be judged
    rows = [(home, None, district, kind, None, None, twice) for home, district, kind, twice in homes]
    store.write("register.parquet", pl.DataFrame(rows, schema=REGISTER_SCHEMA, orient="row"))
    write_night(store, NIGHTS[0], evidence_row("0001"), evidence_row("0002"))
    store.append_line("outcomes.jsonl", answer_line("c1", "benign", NIGHTS[1], district="North"))
    return store


def test_rates_are_of_the_dwellings_of_each_district(store):
    rates = fairness_rates(settings_for(households=object()), store)
    counts = rates.select("name", "homes", "listed", "visited", "confirmed", "wrong")
    assert counts.rows() == [("North", 20, 2, 1, 0, 1), ("South", 20, 0, 0, 0, 0)]
    assert rates["listed_share"].to_list() == [0.1, 0.0] and rates["stop"].to_list() == [False, False]


def test_before_the_first_night_there_are_no_rates(tmp_path):
    with pytest.raises(NotFound, match="no night has been judged; run `anomaly nightly"):
        fairness_rates(settings_for(), Store(tmp_path / "anomaly.duckdb"))


def test_the_text_has_a_row_for_each_group_and_says_whether_one_stopped(store):
    lines = fairness_text(fairness_rates(settings_for(households=object()), store)).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["North", "South"] or "North" in lines[1]
    assert lines[-1].startswith("No group has false alarms far more often")


def test_the_pages_are_written_in_every_language(site_with_case):
    site_with_case.change('languages = ["en"]', 'languages = ["en", "zh"]')
    settings = load_settings(site_with_case.settings)
    page = write_fairness_page(settings, fairness_rates(settings, Store(settings.store)))
    assert page == settings.reports / "fairness" / "index.html"
    record = write_record_page(settings)
    assert record == settings.reports / "record" / "index.html"
    assert "Draft impact assessment" in record.read_text("utf-8")
    assert "影响评估草稿" in record.with_name("index.zh.html").read_text("utf-8")
    assert page.with_name("index.zh.html").exists()
