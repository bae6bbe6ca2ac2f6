"""Where the fifteen features of trust are tested, and those of them that belong nowhere else."""

import ast
import socket

import pytest

from tests.support.paths import ROOT
from tests.support.site import LAST, SURGED, make_site, with_pseudonyms

TESTED = {
    "purpose": (
        "test_an_expired_purpose_is_refused_and_yesterdays_file_stands",
        "test_no_run_without_a_purpose_in_force",
        "test_every_page_carries_its_language_the_purpose_and_the_right_to_object",
    ),
    "counts only": (
        "test_bad_input",
        "test_pii",
        "test_what_cannot_be_recorded_is_refused_and_nothing_is_written",
    ),
    "no targets": ("test_no_setting_names_a_household_a_building_or_a_district",),
    "pseudonyms": ("test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged",),
    "daily grain": ("test_finer_readings_are_pruned_to_their_daily_grain_and_the_days_stay",),
    "error rate first": (
        "test_answers_fill_the_account_correct_the_chance_and_stop_a_kind",
        "test_the_cap_is_no_quota",
    ),
    "ordinary explanations first": ("test_case",),
    "a person decides": ("test_deciding_in_haste_or_always_alike_is_remarked",),
    "explain and object": (
        "test_explain_is_byte_for_byte_what_the_night_knew",
        "test_an_objection_pauses_whatever_comes_and_never_expires",
    ),
    "no averaging over gaps": ("test_register_cleaning",),
    "audit": ("test_a_line_changed_removed_added_or_moved_is_found",),
    "fairness": (
        "test_fairness_by_hand",
        "test_a_place_stops_only_where_it_is_wrong_far_more_often_beyond_chance",
    ),
    "control doors": ("test_control_doors_are_drawn_logged_and_answered",),
    "retention": (
        "test_pruned_readings_are_gone_from_parquet_duckdb_and_drafts_and_stay_gone",
        "test_small_districts_are_not_told_about_and_control_doors_are_no_doors",
    ),
    "no phone-home": (
        "test_no_socket_opens",
        "test_no_process_of_a_night_uses_a_socket",
        "test_what_is_written_is_for_owner_and_group_whatever_the_umask",
        "test_a_degraded_and_a_failed_night_give_notice_too",
    ),
}
"""Feature of trust → the tests, or whole test modules, that hold it."""


def defined_tests() -> set[str]:
    """Return the names of all test modules and test functions."""
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        names |= {path.stem} | {name for name in functions if name.startswith("test_")}
    return names


def test_every_feature_has_its_tests():
    named = {name for names in TESTED.values() for name in names}
    assert sorted(named - defined_tests()) == []


def test_no_socket_opens(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a socket was opened")

    class Refused(socket.socket):  # a class still, which others may build on
        __init__ = refused

    monkeypatch.setattr(socket, "socket", Refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    site = make_site(tmp_path, ["power"])
    site.nightly()
    commands = ("worklist", "status", "doctor", "audit fairness", "audit record", "audit verify", "prune")
    for command in commands:
        assert site.run(command).exit_code in (0, 3), command


def test_what_answers_write_is_for_owner_and_group_only(site):
    site.decide("benign")
    site.run("assign", site.case_id(), "--to", "team 2")
    site.run("audit fairness")
    site.run("audit record")
    files = [path for path in (site.root / "out").rglob("*") if path.is_file() and path.name != "run.lock"]
    assert len(files) > 20 and not [str(path) for path in files if path.stat().st_mode & 0o027]


def test_notices_carry_counts_and_no_ids(tmp_path):
    site = make_site(tmp_path)
    notice = site.nightly().stderr
    assert "1 new case" in notice and SURGED not in notice and site.case_id() not in notice
    assert SURGED not in site.view("runs")["notes"][0] and SURGED not in str(site.audit_lines())
    assert str(LAST) in notice


@pytest.mark.parametrize("command", ["nightly", "backfill"])
def test_no_run_without_a_purpose_in_force(tmp_path, command):
    site = with_pseudonyms(make_site(tmp_path, ["power"]))
    site.change("2099-12-31", "2020-01-01")
    nights = ["--from", str(LAST), "--to", str(LAST)] if command == "backfill" else []
    result = site.run(command, *nights)
    assert result.exit_code == 2 and "[purpose] expired on 2020-01-01" in result.stderr
    assert not (tmp_path / "private" / "map.csv").exists()
