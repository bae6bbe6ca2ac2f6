"""Rarities of a night: which are written down, and from when on they are evidence."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from anomaly.detectors import Scores
from anomaly.detectors.scores import ALL
from anomaly.evidence import RatedScores
from anomaly.tail_model import TailModel
from pipelines.config.settings import load_settings
from pipelines.scoring.rarity import (
    evidence_rarity,
    largest_rarity,
    opening_rarity,
    rarity_table,
    rate_scores,
)
from tests.support.site import make_site


@pytest.fixture
def settings(tmp_path):
    """Three signals, all four kinds of case listed."""
    return load_settings(make_site(tmp_path).settings)


def rated(*rarities: float, opens: bool = True, signal: str = "water") -> RatedScores:
    """One night of a score of as many homes."""
    rarity = np.array(rarities)
    scores = Scores("spike", signal, rarity[:, None], np.ones((len(rarity), 1), np.int16))
    return RatedScores(scores, {0: rarity}, {0: np.ones(len(rarity))}, opens)


def test_a_case_needs_the_rarity_that_its_share_of_the_allowed_chance_cases_leaves(settings):
    # 30,000 home-nights over 5 chance cases, for each of four kinds
    assert opening_rarity(settings) == 24_000
    assert evidence_rarity(settings) == pytest.approx(2_400)


def test_the_largest_known_rarity_of_a_home_counts_and_none_is_nothing_rare():
    scores = [rated(5.0, np.nan, 2.0), rated(3.0, np.nan, 40.0)]
    assert largest_rarity(scores, 0, 3).tolist() == [5.0, 1.0, 40.0]
    assert largest_rarity([], 0, 2).tolist() == [1.0, 1.0]


def test_only_rarities_out_of_the_ordinary_that_may_open_a_case_are_written_down(settings):
    scores = [rated(9.9, 10.0, np.nan, 700.0), rated(900.0, 1.0, 1.0, 1.0, opens=False)]
    table = rarity_table(settings, ["a", "b", "c", "d"], scores, 0)
    assert table.rows() == [("b", 10.0), ("d", 700.0)]
    assert rarity_table(settings, [], [], 0).schema == {"household": pl.String, "rarity": pl.Float64}


def test_a_home_is_not_ranked_by_a_kind_that_the_purpose_does_not_list(settings):
    water_alone = dataclasses.replace(
        settings, purpose=dataclasses.replace(settings.purpose, signatures=("water",))
    )
    scores = [rated(50.0), rated(900.0, signal="power"), rated(70.0, signal=ALL)]
    assert rarity_table(settings, ["a"], scores, 0).rows() == [("a", 900.0)]
    assert rarity_table(water_alone, ["a"], scores, 0).rows() == [("a", 70.0)]
    assert rarity_table(water_alone, ["a"], scores[:2], 0).rows() == [("a", 50.0)]


def test_scores_are_rated_by_the_tail_that_is_given(settings):
    """On the standard line a score of 1.1 is reached once in 200 household-nights, and 0.3 more is e times
    rarer."""
    tail = TailModel(0.0, np.empty(0), np.empty(0))
    scores = Scores("together", "all", np.array([[0.0, 1.1], [0.0, 1.4]]), np.ones((2, 2), np.int16))
    (night,) = rate_scores(settings, [scores], 1, [tail])
    assert night.rarity[1] == pytest.approx([200.0, 200.0 * np.e]) and night.opens
