"""Where the fifteen features of trust are tested, and those of them that belong nowhere else."""

import ast
import re
import socket
from pathlib import Path

import pytest

from tests.site import LAST, SURGED, make_site
from tests.test_loop import before, case_of, decide, log, site
from tests.test_safeguards import keyed

__all__ = ["before", "site"]
TESTED = {
    "purpose": "test_bad_input.py:test_an_expired_purpose_is_refused_and_yesterdays_file_stands test_trust.py:test_no_run_without_a_purpose_in_force test_report.py:test_every_page_carries_its_language_the_purpose_and_the_right_to_object",
    "counts only": "test_bad_input.py test_personal.py test_loop.py:test_what_cannot_be_recorded_is_refused_and_nothing_is_written",
    "no targets": "test_settings.py:test_no_setting_names_a_household_a_building_or_a_district",
    "pseudonyms": "test_safeguards.py:test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged",
    "daily grain": "test_safeguards.py:test_finer_readings_are_pruned_to_their_daily_grain_and_the_days_stay",
    "error rate first": "test_loop.py:test_outcomes_settle_the_account_correct_the_chance_and_stop_a_kind test_cases.py:test_the_cap_is_no_quota",
    "ordinary explanations first": "test_report.py",
    "a person decides": "test_loop.py:test_deciding_in_haste_or_always_alike_is_remarked",
    "explain and object": "test_loop.py:test_explain_is_byte_for_byte_what_the_night_knew test_answers.py:test_an_objection_pauses_whatever_comes_and_never_expires",
    "no averaging over gaps": "test_readings_register.py",
    "audit": "test_safeguards.py:test_a_line_changed_removed_added_or_moved_is_found",
    "fairness": "test_account.py:test_fairness_by_hand test_account.py:test_a_place_stops_only_where_it_is_wrong_far_more_often_beyond_chance",
    "control doors": "test_loop.py:test_control_doors_are_drawn_logged_and_answered",
    "retention": "test_safeguards.py:test_pruned_readings_are_gone_from_parquet_duckdb_and_drafts_and_stay_gone "
    "test_account.py:test_small_districts_are_not_told_about_and_control_doors_are_no_doors",
    "no phone-home": "test_trust.py:test_no_socket_opens test_private.py:test_no_process_of_a_night_uses_a_socket "
    "test_private.py:test_what_is_written_is_for_owner_and_group_whatever_the_umask test_watch.py:test_a_degraded_and_a_failed_night_give_notice_too",
}
HERE = Path(__file__).parent


@pytest.mark.parametrize("feature", TESTED)
def test_every_feature_has_its_test(feature):
    for place in TESTED[feature].split():
        file, _, name = place.partition(":")
        defined = {
            node.name
            for node in ast.walk(ast.parse((HERE / file).read_text(encoding="utf-8")))
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
    decide(site, "benign")
    site.run("assign", case_of(site), "--to", "team 2")
    site.run("audit fairness")
    site.run("audit record")
    files = [path for path in (site.root / "out").rglob("*") if path.is_file() and path.name != "run.lock"]
    assert len(files) > 20 and not [str(path) for path in files if path.stat().st_mode & 0o027]


def test_notices_carry_counts_and_no_ids(tmp_path):
    site = make_site(tmp_path)
    said = site.nightly().stderr
    assert "1 new case" in said and SURGED not in said and case_of(site) not in said
    assert SURGED not in site.view("runs")["notes"][0] and SURGED not in str(log(site))
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
