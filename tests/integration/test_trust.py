"""Where the fifteen features of trust are tested, and those of them that belong nowhere else."""

import ast
import re
import socket

import pytest

from tests.integration.test_safeguards import keyed
from tests.support.paths import ROOT
from tests.support.site import LAST, SURGED, Site, make_site

TESTED = {
    "purpose": "robustness/test_bad_input.py:test_an_expired_purpose_is_refused_and_yesterdays_file_stands integration/test_trust.py:test_no_run_without_a_purpose_in_force unit/anomaly/report/test_page.py:test_every_page_carries_its_language_the_purpose_and_the_right_to_object",
    "counts only": "robustness/test_bad_input.py unit/anomaly/test_pii.py unit/pipelines/cli/test_review_commands.py:test_what_cannot_be_recorded_is_refused_and_nothing_is_written",
    "no targets": "unit/pipelines/config/test_sections.py:test_no_setting_names_a_household_a_building_or_a_district",
    "pseudonyms": "integration/test_safeguards.py:test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged",
    "daily grain": "unit/pipelines/jobs/test_retention.py:test_finer_readings_are_pruned_to_their_daily_grain_and_the_days_stay",
    "error rate first": "integration/test_decisions.py:test_outcomes_settle_the_account_correct_the_chance_and_stop_a_kind unit/anomaly/cases/test_worklist.py:test_the_cap_is_no_quota",
    "ordinary explanations first": "unit/anomaly/report/test_case.py",
    "a person decides": "unit/pipelines/jobs/test_record_outcome.py:test_deciding_in_haste_or_always_alike_is_remarked",
    "explain and object": "integration/test_decisions.py:test_explain_is_byte_for_byte_what_the_night_knew unit/anomaly/cases/test_feedback.py:test_an_objection_pauses_whatever_comes_and_never_expires",
    "no averaging over gaps": "unit/anomaly/readings/test_register_cleaning.py",
    "audit": "integration/test_safeguards.py:test_a_line_changed_removed_added_or_moved_is_found",
    "fairness": "unit/anomaly/test_outcomes.py:test_fairness_by_hand unit/anomaly/test_outcomes.py:test_a_place_stops_only_where_it_is_wrong_far_more_often_beyond_chance",
    "control doors": "integration/test_decisions.py:test_control_doors_are_drawn_logged_and_answered",
    "retention": "unit/pipelines/jobs/test_retention.py:test_pruned_readings_are_gone_from_parquet_duckdb_and_drafts_and_stay_gone "
    "unit/anomaly/test_outcomes.py:test_small_districts_are_not_told_about_and_control_doors_are_no_doors",
    "no phone-home": "integration/test_trust.py:test_no_socket_opens robustness/test_private_files.py:test_no_process_of_a_night_uses_a_socket "
    "robustness/test_private_files.py:test_what_is_written_is_for_owner_and_group_whatever_the_umask unit/pipelines/jobs/test_notices.py:test_a_degraded_and_a_failed_night_give_notice_too",
}
TESTS = ROOT / "tests"


@pytest.fixture
def site(site_with_case) -> Site:
    return site_with_case


@pytest.mark.parametrize("feature", TESTED)
def test_every_feature_has_its_test(feature):
    for place in TESTED[feature].split():
        file, _, name = place.partition(":")
        defined = {
            node.name
            for node in ast.walk(ast.parse((TESTS / file).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert name in defined if name else defined, place


def test_no_socket_opens(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a socket was opened")

    class Refused(socket.socket):  # a class still, which others may build on
        __init__ = refused

    monkeypatch.setattr(socket, "socket", Refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    site = make_site(tmp_path, ["power"])
    site.nightly()
    for command in (
        "worklist",
        "status",
        "doctor",
        "audit fairness",
        "audit record",
        "audit verify",
        "prune",
    ):
        assert site.run(command).exit_code in (0, 3), command


def test_what_the_loop_writes_is_for_owner_and_group_only(site):
    site.decide("benign")
    site.run("assign", site.case_id(), "--to", "team 2")
    site.run("audit fairness")
    site.run("audit record")
    files = [path for path in (site.root / "out").rglob("*") if path.is_file() and path.name != "run.lock"]
    assert len(files) > 20 and not [str(path) for path in files if path.stat().st_mode & 0o027]


def test_notices_carry_counts_and_no_ids(tmp_path):
    site = make_site(tmp_path)
    said = site.nightly().stderr
    assert "1 new case" in said and SURGED not in said and site.case_id() not in said
    assert SURGED not in site.view("runs")["notes"][0] and SURGED not in str(site.audit_lines())
    assert str(LAST) in said


@pytest.mark.parametrize("command", ["nightly", "backfill"])
def test_no_run_without_a_purpose_in_force(tmp_path, command):
    site = keyed(make_site(tmp_path, ["power"]))
    site.change("2099-12-31", "2020-01-01")
    nights = ["--from", str(LAST), "--to", str(LAST)] if command == "backfill" else []
    result = site.run(command, *nights)
    assert (
        result.exit_code == 2
        and re.search(r"\[purpose\] expired on 2020-01-01", result.stderr)
        and not (tmp_path / "private" / "map.csv").exists()
    )
