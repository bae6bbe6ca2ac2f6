"""The page of an evaluation, read back."""

import pytest

from anomaly import messages, report
from tests.support.html_reader import table_cells
from tests.support.report_pages import CARD, GROUPS, SHAPES, evaluation_page

IMAGES = ("a.png", "b.png")


@pytest.mark.parametrize("language", messages.languages())
def test_it_tells_what_was_measured(language):
    html = report.evaluation_html(evaluation_page(), language, IMAGES)
    for words in ("×2", "84", "North &lt;1&gt;", "×2.5", 'src="a.png"', 'src="b.png"'):
        assert words in html
    assert messages.message(language, "evaluation.none_up_to", size="×5") in html


def test_it_links_the_overview_where_there_is_one():
    assert "../index" not in report.evaluation_html(evaluation_page(), "en", IMAGES)
    assert "../index" in report.evaluation_html(evaluation_page(overview=True), "en", IMAGES)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "readings of 5,000 of 1,000,000 homes"),
        ("en", "in 1.5 % of these homes"),
        ("zh", "在1,000,000户中的5,000户"),
        ("zh", "每次涉及其中1.5%的住户"),
    ],
)
def test_the_page_of_a_large_site_says_of_which_homes(language, words):
    page = evaluation_page(homes=5_000, site_homes=1_000_000, share=0.015)
    assert words in report.evaluation_html(page, language, IMAGES)


def test_without_surges_or_groups_it_says_so():
    page = evaluation_page(card=CARD.clear(), shapes=SHAPES.clear(), groups=GROUPS.clear())
    html = report.evaluation_html(page, "en", IMAGES)
    assert messages.message("en", "evaluation.none") in html
    assert messages.message("en", "evaluation.tonight_none") in html
    assert "<img" not in html


def test_groups_by_number_of_signals_stand_before_districts():
    caption = messages.message("en", "evaluation.tonight_caption")
    rows = table_cells(report.evaluation_html(evaluation_page(), "en", IMAGES), caption)[1:]
    assert rows == [
        ["with 1 signal", "20", "none up to ×5"],
        ["with 3 signals", "60", "×2"],
        ["North <1>", "40", "×2.5"],
    ]
