"""The public record, read back."""

import dataclasses

from anomaly import report
from tests.support.all_pages import RECORD
from tests.support.html_reader import text_of


def test_it_says_what_it_rests_on_and_that_it_is_a_draft():
    text = text_of(report.record_html(RECORD, "en"))
    for words in (
        "Draft, generated from the settings",
        "Night 14 Mar 2026, version 0.1.0",
        "water: meter readings, in m³",
        "HMAC-SHA-256",
        "At most 5.0 new cases by chance",
        "more people than usual and more water than usual",
        "Remaining risk, to be completed",
    ):
        assert words in text, words


def test_without_pseudonyms_it_says_that_ids_are_kept_as_they_are():
    plain = dataclasses.replace(RECORD, has_pseudonyms=False)
    assert "HMAC-SHA-256" not in text_of(report.record_html(plain, "en"))
