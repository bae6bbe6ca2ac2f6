"""Explaining a case or a home, and the letter, from what a night wrote down."""

import datetime as dt
import re

import pytest

from anomaly import __version__
from anomaly.messages import message, message_list, translate
from pipelines.config.settings import load_settings
from pipelines.errors import NotFound
from pipelines.reporting.explain import explain, resident_letter
from tests.support.site import HOMES, SURGED, daily, day


@pytest.fixture(scope="module")
def settings(judged_site):
    return load_settings(judged_site.settings)


@pytest.fixture(scope="module")
def case(judged_site) -> dict:
    """The one case of the site, as it is published."""
    (case,) = judged_site.view("cases").to_dicts()
    return case


def test_a_case_with_its_evidence_and_every_day(judged_site, settings, case):
    text = explain(settings, case["case_id"], None, "en")
    lines = text.splitlines()
    assert lines[0] == f"home {SURGED}, night {day(-2)}"
    assert lines[1].startswith(f"case {case['case_id']}: more people than usual, onset {case['onset']}, ")
    assert lines[2].startswith(case["because_en"])
    for row in judged_site.view("evidence").to_dicts():
        printed = (
            f"×{row['ratio']:.2f}",
            f"{row['score']:.2f}",
            f"1 in {row['rarity']:,.0f} household-nights",
        )
        detector = translate("en", "detectors", row["detector"])
        assert any(detector in line and all(part in line for part in printed) for line in lines)
    entries = daily()["entries"][int(SURGED)]
    at = lines.index("entries, passages a day")
    assert lines[at + 29].split()[:2] == [str(day(-2)), f"{entries[-2]}"]
    assert all(line in lines for line in message_list("en", "explained.method"))
    made = f"frozen with the night: version {__version__}, settings {settings.sha256[:12]}"
    assert lines[-2:] == [made, message("en", "page.reason_to_look")]


def test_in_chinese_it_is_chinese_but_for_names_and_numbers(settings, case):
    codes = (case["case_id"], settings.sha256[:12], __version__)
    for name in (case["case_id"], "0003"):
        text = explain(settings, name, None, "zh")
        for code in codes:
            text = text.replace(code, "")
        assert not re.findall("[A-Za-z]+", text)


def test_the_home_of_a_case_is_explained_like_its_case(settings, case):
    assert explain(settings, SURGED, None, "en") == explain(settings, case["case_id"], None, "en")


def test_a_home_without_a_case_is_worked_out_now(settings):
    text = explain(settings, "0003", None, "en")
    assert "\n  none\n" in text and "no case that night: worked out now from the readings" in text
    entries = daily()["entries"][3]
    assert re.search(rf"  {day(-2)} +{entries[-2]} ", text)


def test_a_name_that_is_neither_a_case_nor_a_home(settings):
    assert f"{HOMES:04}" not in (SURGED, "0003")
    with pytest.raises(NotFound, match=f"{HOMES:04}: neither a case nor a household of this site"):
        explain(settings, f"{HOMES:04}", None, "en")


def test_a_case_that_was_not_open_on_the_night_says_when_it_was(judged_site, site_with_case, case):
    site_with_case.run("backfill", "--from", str(day(-30)), "--to", str(day(-30)))
    settings = load_settings(site_with_case.settings)
    with pytest.raises(NotFound, match=f"was not open on the night of {day(-30)}, last on {day(-2)}"):
        explain(settings, case["case_id"], day(-30), "en")


def test_the_letter_names_the_signals_and_no_neighbour(settings, case):
    letter = resident_letter(settings, case["case_id"], None, "en")
    assert case["case_id"] in letter and "objections@example.org" in letter
    assert all(word in letter for word in ("water", "power"))
    assert "0003" not in letter


def test_there_is_no_letter_without_a_case(settings):
    with pytest.raises(NotFound, match=f"0003 has no case on the night of {day(-2)}"):
        resident_letter(settings, "0003", None, "en")


def test_a_night_that_was_not_judged_is_refused(settings, case):
    with pytest.raises(NotFound, match="was not judged"):
        explain(settings, case["case_id"], day(-1) + dt.timedelta(days=1), "en")
