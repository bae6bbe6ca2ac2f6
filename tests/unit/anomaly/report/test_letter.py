"""The letter to a resident."""

import pytest

from anomaly import messages, report
from tests.support.report_pages import SITE, case, case_page


@pytest.mark.parametrize("language", messages.languages())
def test_it_is_one_plain_page(language):
    letter = report.resident_letter(case_page(household="A & B"), language)
    seen = {
        "en": "comings and goings at 3.1 times and water at 2.4 times",
        "zh": "与您家同期的正常水平相比，进出约为3.1倍、用水约为2.4倍",
    }
    assert seen[language] in letter and "×" not in letter
    assert "A & B" in letter and "<" not in letter  # text, so nothing is escaped
    assert SITE.purpose["contact"] in letter and case()["case_id"] in letter
    letters_a_line = 40 if language == "zh" else 80
    assert sum(1 + len(line) // letters_a_line for line in letter.splitlines()) <= 55


def test_it_says_how_many_people_the_rise_is_like_where_that_is_known():
    like = "roughly what 4 more people would use; it could be 2 to 7."
    assert like in report.resident_letter(case_page(), "en")
    assert "more people" not in report.resident_letter(case_page(extra_people=None), "en")
    one = case_page(extra_people=1.2, extra_people_low=0.3, extra_people_high=2.3)
    assert "what one more person would use; it could be 0 to 2." in report.resident_letter(one, "en")


def test_it_says_how_often_such_a_door_is_wrong_or_that_this_is_not_known():
    measured, unknown = (report.resident_letter(case_page(chance_wrong=c), "en") for c in (0.08, None))
    assert messages.message("en", "letter.wrong", number="8") in measured
    assert messages.message("en", "letter.wrong_unknown") in unknown


def test_what_did_not_rise_is_not_named_unless_nothing_did():
    assert "at 1.0 times" not in report.resident_letter(case_page(), "en")
    flat = report.resident_letter(case_page(ratios={"water": 1.0}), "en")
    assert "water at 1.0 times" in flat
