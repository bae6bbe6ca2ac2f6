"""A wrong clock never takes out what cannot be brought back."""

import datetime as dt
import json
import shutil

import pytest

from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store
from tests.support.site import LAST, Site, make_site


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Site:
    """A site with one judged night; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("judged"), ["power"])
    site.nightly()
    return site


@pytest.fixture
def site(judged, tmp_path, monkeypatch) -> Site:
    """A copy of `judged`, whose run and line of the audit log are of the morning after its last reading."""
    shutil.copytree(judged.root, tmp_path, dirs_exist_ok=True)
    ran = LAST + dt.timedelta(days=1)
    monkeypatch.setattr(AuditLog, "last_day", lambda log: ran)
    store = Store(tmp_path / "out" / "anomaly.duckdb")
    (line,) = store.read_lines("runs.jsonl")
    store.path("runs.jsonl").unlink()
    store.append_line("runs.jsonl", line | {"finished_utc": f"{ran}T05:30:00"})
    return Site(tmp_path)


def prune_on(monkeypatch, site: Site, today: dt.date, *args: str):
    """Run `anomaly prune` with the clock at noon of that day."""
    monkeypatch.setattr("pipelines.jobs.retention.local_today", lambda settings: today)
    return site.run("prune", *args)


def test_a_prune_twenty_years_ahead_is_refused_and_nothing_goes(site, monkeypatch):
    before = site.published()
    refused = prune_on(monkeypatch, site, LAST.replace(year=2046))
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and "2046" in refused.stderr
    assert site.published() == before
    site.change("[store]", "# the same\n[store]")
    site.nightly()
    assert site.published() == before


def test_a_dry_run_says_the_same(site, monkeypatch):
    assert prune_on(monkeypatch, site, LAST.replace(year=2046), "--dry-run").exit_code == 2


def test_a_prune_before_the_newest_reading_is_refused(site, monkeypatch):
    assert prune_on(monkeypatch, site, LAST.replace(year=2020)).exit_code == 2


def test_a_prune_that_would_empty_the_site_is_refused_even_if_the_clock_is_vouched_for(site, monkeypatch):
    late = LAST.replace(year=2046)
    refused = prune_on(monkeypatch, site, late, "--clock-is-right")
    assert refused.exit_code == 2 and "every reading" in refused.stderr
    assert site.view("readings").height


def test_a_site_that_stood_still_is_pruned_once_its_owner_vouches_for_the_clock(site, monkeypatch):
    site.change(
        "[store]", "[retention]\nreadings_days = 800\nnights_days = 400\nreports_days = 30\n\n[store]"
    )
    late = LAST + dt.timedelta(days=400)
    assert prune_on(monkeypatch, site, late).exit_code == 2
    assert prune_on(monkeypatch, site, late, "--clock-is-right").exit_code == 0


def test_a_floor_never_lies_after_the_newest_reading(site, monkeypatch):
    site.change("[store]", "[retention]\nreadings_days = 60\nnights_days = 30\nreports_days = 30\n\n[store]")
    assert prune_on(monkeypatch, site, LAST + dt.timedelta(days=20)).exit_code == 0
    floors = json.loads((site.root / "out" / "state" / "kept_from.json").read_text())
    assert floors.keys() == {"raw", "readings", "nights", "reports"}
    assert max(floors.values()) == floors["raw"] == str(LAST)
