"""The page of rates by group, read back."""

import dataclasses

import polars as pl

from anomaly import report
from tests.support.all_pages import FAIRNESS, RATES
from tests.support.html_reader import text_of


def test_a_group_without_answers_has_a_dash_and_one_that_stops_is_named():
    text = text_of(report.fairness_html(FAIRNESS, "en"))
    assert "Stop: in North, false alarms among results are 2 of 2, far more often than elsewhere." in text
    assert "0: 0 % (0–9) – – –" in text


def test_where_nothing_stops_it_says_so():
    fine = dataclasses.replace(FAIRNESS, groups=RATES.filter(~pl.col("stop")))
    assert "No group has false alarms far more often" in text_of(report.fairness_html(fine, "en"))


def test_the_table_as_it_is_printed():
    view = report.fairness_view(RATES, "en")
    assert len(view["heads"]) == len(view["rows"][0]) == 6
    assert view["rows"][0][1:3] == ["20", "2: 10 % (3–30)"]
