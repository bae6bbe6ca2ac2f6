"""Homes that are looked at closely: with as many days as asked, and the same in the sample and outside it."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from anomaly.sensor_faults import DOOR_SILENT, GATEWAY_SILENT, METER_REPEATS, METER_STUCK
from pipelines.scoring.blocks import WINDOW_DAYS
from pipelines.scoring.details import (
    expect_others,
    expected_of,
    find_evidence,
    look_closely,
    select_sampled,
    with_all_days,
)
from pipelines.scoring.rarity import evidence_rarity, rate_scores, score_homes
from tests.unit.pipelines.scoring.conftest import DAYS, LAST, score_all

SHOWN = 40
SENSOR_REASONS = (DOOR_SILENT, GATEWAY_SILENT, METER_STUCK, METER_REPEATS)


@pytest.fixture
def detailed(fitted_night):
    """Two homes of the sample and two others, looked at closely."""
    settings, inputs, homes, one, night = fitted_night
    others = np.setdiff1d(np.flatnonzero(homes.judgeable), homes.sample)[:2]
    readings = inputs.stored.read_arrays(others, night.calendar["day"][0], DAYS)
    return homes, [
        select_sampled(homes, one, LAST, homes.sample[[5, 3]]),
        expect_others(settings, homes, one, night.calendar, others, readings, SHOWN),
    ]


def test_homes_of_the_sample_are_as_it_was_fitted_and_others_have_the_days_that_are_asked(
    fitted_night, detailed
):
    sample, (homes, (sampled, others)) = fitted_night.sample, detailed
    assert sampled.grid.households == tuple(homes.names[homes.sample[[5, 3]]])
    assert np.array_equal(sampled.expected.surprise, sample.expected.surprise[:, [5, 3]], equal_nan=True)
    assert others.expected.grid.days == SHOWN and others.grid.days == DAYS


def test_what_was_expected_of_some_homes_is_told_of_their_last_days_or_of_all(detailed):
    _, (sampled, others) = detailed
    homes = [sampled.grid.households[0], others.grid.households[1]]
    frame = expected_of([sampled, others], homes, days=3)
    assert set(frame["household"]) == set(homes) and (LAST - frame["day"].min()).days == 2
    seen = with_all_days([sampled, others], homes)
    assert seen.grid.households == tuple(homes) and seen.expected.shape == (3, 2, DAYS)
    # of the other home nothing was expected before the days that were asked
    assert np.isnan(seen.expected[:, 1, : DAYS - SHOWN]).all()
    assert not np.isnan(seen.expected[:, 1, DAYS - SHOWN :]).any()
    assert not np.isnan(seen.grid.value[:, 1]).all()


def test_homes_that_stand_out_give_the_evidence_of_the_night(fitted_night, sampled_town):
    settings, _, homes, sample, night = fitted_night
    closely = look_closely(settings, homes, sample, night, score_all(fitted_night), SHOWN)
    assert len(closely) == 2
    for one in closely:
        assert {scores.score.shape for scores in one.scores} == {(len(one.grid.households), 1)}
    not_judged = sampled_town.view("not_judged").select("household", "signal", "reason")
    failed = not_judged.filter(pl.col("reason").is_in(SENSOR_REASONS))
    found, rarities = find_evidence(settings, closely, night, sample.peers, failed)
    keys = ["household", "detector", "signal", "score", "rarity"]
    of_night = sampled_town.view("evidence").sort("household", "detector", "signal")
    assert found.select(keys).rows() == of_night.select(keys).rows() and found.height > 5
    assert set(rarities["household"]) <= set(failed["household"])


def test_what_a_failed_sensor_gave_has_no_part_in_any_evidence_of_its_home(fitted_night):
    """Each home that stands out loses a signal of its evidence: as if its expectation had never been."""
    settings, _, homes, sample, night = fitted_night
    closely = look_closely(settings, homes, sample, night, score_all(fitted_night), SHOWN)
    none = pl.DataFrame(schema={"household": pl.String, "signal": pl.String})
    before, no_rarities = find_evidence(settings, closely, night, sample.peers, none)
    assert no_rarities.is_empty()
    loud = before.filter(pl.col("signal") != "all").sort("rarity").unique("household", keep="last")
    after, rarities = find_evidence(settings, closely, night, sample.peers, loud)
    assert before.join(loud, on="household").filter(pl.col("signal") == "all").height
    failed = loud.select("household", "signal")
    assert after.join(failed, on=["household", "signal"]).is_empty()
    for home, signal in failed.iter_rows():
        (seen,) = [one.expected for one in closely if home in one.grid.households]
        alone = seen.select(np.array([seen.grid.households.index(home)]), seen.grid.days)
        alone.surprise[alone.grid.signals.index(signal)] = np.nan
        alone = dataclasses.replace(alone.last_days(WINDOW_DAYS), scored_nights=1)
        scores = score_homes(settings, alone, sample.peers)
        rated = rate_scores(settings, scores, -1, night.tails)
        expected = {
            (one.scores.detector, one.scores.signal): one.rarity[-1][0]
            for one in rated
            if one.rarity[-1][0] >= evidence_rarity(settings)
        }
        of_home = after.filter(pl.col("household") == home)
        assert {
            (d, s): r for d, s, r in of_home.select("detector", "signal", "rarity").iter_rows()
        } == expected
        largest = max(
            (one.rarity[-1][0] for one in rated if one.opens and one.rarity[-1][0] >= 10), default=None
        )
        told = dict(rarities.iter_rows()).get(home)
        assert told == largest
    healthy = ~pl.col("household").is_in(failed["household"].implode())
    assert after.filter(healthy).equals(before.filter(healthy))
