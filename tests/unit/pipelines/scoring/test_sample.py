"""The sample: from which day on it is scored, what it gives, and how often its readings are read."""

import datetime as dt
import pickle

import numpy as np
import pytest

from anomaly.readings import ReadingArrays
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import load_settings
from pipelines.jobs import nightly as flow
from pipelines.scoring import night, sample
from pipelines.scoring.homes import index_homes
from pipelines.storage.stored_readings import DaySpan, StoredReadings
from tests.support.site import FIRST, Site
from tests.support.town import HOMES, town
from tests.unit.pipelines.scoring.conftest import sampling

DAYS, LAST = 90, FIRST + dt.timedelta(days=89)
NIGHTS = [LAST - dt.timedelta(days=ago) for ago in (13, 9, 2, 0)]
TABLES = ("evidence", "cases", "worklist", "not_judged", "households", "expected")


# from which day on


def test_the_nights_of_a_period_score_the_sample_from_the_same_day_on():
    since = [sample.sample_since(FIRST + dt.timedelta(days=k)) for k in range(400)]
    assert all(
        sample.SCORED_DAYS
        <= (FIRST + dt.timedelta(days=k) - day).days + 1
        < sample.SCORED_DAYS + sample.PERIOD_DAYS
        for k, day in enumerate(since)
    )
    starts = sorted(set(since))
    assert {(b - a).days for a, b in zip(starts, starts[1:], strict=False)} == {sample.PERIOD_DAYS}


def test_where_everybody_is_sampled_days_older_than_readings_are_kept_have_no_say(loaded, monkeypatch):
    """So one row with a wrong year does not lay out decades of all homes."""
    settings, inputs = loaded
    kept = settings.retention.readings_days
    since = [sample.everybody_since(settings, LAST + dt.timedelta(days=k)) for k in range(60)]
    ages = [(LAST + dt.timedelta(days=k) - day).days + 1 for k, day in enumerate(since)]
    assert min(ages) == kept and max(ages) == kept + sample.PERIOD_DAYS - 1 and len(set(since)) <= 4

    (period,) = night._periods(settings, inputs, [LAST])
    assert period.calendar.height == period.scored_days == DAYS
    monkeypatch.setattr(StoredReadings, "span", lambda _: DaySpan(dt.date(2001, 1, 1), LAST))
    (period,) = night._periods(settings, inputs, [LAST])
    assert period.calendar.height == period.scored_days == ages[0]


def test_days_before_the_first_reading_are_not_scored():
    since = sample.sample_since(LAST)
    assert sample.sample_days(since, since - dt.timedelta(days=9)) == sample.SCORED_DAYS
    assert sample.sample_days(since, since) == sample.SCORED_DAYS
    assert sample.sample_days(since, since + dt.timedelta(days=9)) == sample.SCORED_DAYS - 9


@pytest.fixture
def short(monkeypatch):
    """Weeks in place of months, so that ninety days are a long past."""
    for name, days in (("SCORED_DAYS", 40), ("PERIOD_DAYS", 7), ("STEADY_DAYS", 10)):
        monkeypatch.setattr(sample, name, days)


def judged(root, *runs: list[dt.date]) -> Site:
    site = town(root, sample=130)
    for nights in runs:
        flow.run_nights(
            load_settings(site.settings), lambda latest, nights=nights: nights, lambda night: True
        )
    return site


def rarities(site: Site) -> list[tuple]:
    rows = site.view("evidence").sort("night", "household", "detector", "signal")
    return rows.select("night", "household", "rarity").rows()


@pytest.mark.long
def test_a_night_is_the_same_alone_and_among_others(tmp_path, short, monkeypatch):
    together = judged(tmp_path / "together", NIGHTS)
    alone = judged(tmp_path / "alone", *([night] for night in NIGHTS))
    assert rarities(together) == rarities(alone) and len({night for night, _, _ in rarities(alone)}) >= 3
    for table in ("cases", "worklist", "not_judged", "households"):
        assert together.published([table]) == alone.published([table])
    assert len({sample.sample_since(night) for night in NIGHTS}) == 3
    # all of the past would say something else
    monkeypatch.setattr(sample, "SCORED_DAYS", 400)
    assert rarities(judged(tmp_path / "whole", NIGHTS)) != rarities(together)


# what it gives


@pytest.mark.parametrize("scored_days", [DAYS, 60])
def test_scores_of_the_first_weeks_do_not_count_where_the_sample_has_a_longer_past(loaded, scored_days):
    """The night's spread and the scale rest on some weeks; without a longer past they begin with what there
    is."""
    settings, inputs = loaded
    homes, calendar = index_homes(settings, inputs), calendar_in_force(settings, FIRST, LAST)
    readings = sample.FirstBlockCache().read_sample(inputs.stored, homes, calendar)
    fitted = sample.fit_sample(settings, homes, readings, calendar, scored_days, DAYS)
    for scores in (one for one in fitted.scores if one.detector == "alone"):
        known = np.flatnonzero(~np.isnan(scores.score).all(axis=0))
        assert scores.score.shape[1] == DAYS and known.max() == DAYS - 1
        if scored_days < DAYS:
            assert known.min() == DAYS - scored_days + sample.STEADY_DAYS
        else:
            assert known.min() < sample.STEADY_DAYS


# how often it is read


def reads(monkeypatch) -> list[tuple[int, int]]:
    """(homes, days) of all that is read as arrays from now on."""
    noted, arrays = [], StoredReadings.read_arrays

    def note(stored, homes, first, days) -> ReadingArrays:
        noted.append((len(homes), days))
        return arrays(stored, homes, first, days)

    monkeypatch.setattr(StoredReadings, "read_arrays", note)
    return noted


@pytest.mark.parametrize("homes", [None, 130])
def test_the_first_block_is_read_once_for_the_sample_and_for_its_homes(tmp_path, monkeypatch, homes):
    noted = reads(monkeypatch)
    town(tmp_path / "town", sample=homes).nightly()
    assert [one for one in noted if one[1] == DAYS] == [(HOMES - 1, DAYS)]


def test_a_sample_that_lies_elsewhere_is_read_by_itself(tmp_path, monkeypatch):
    whole = town(tmp_path / "whole", sample=130)
    whole.nightly()
    noted = reads(monkeypatch)
    monkeypatch.setattr(sample, "HOMES_PER_BLOCK", 70)
    site = town(tmp_path / "town", sample=130)
    site.nightly()
    assert [one for one in noted if one[1] == DAYS] == [(131, DAYS), (HOMES - 1, DAYS)]
    assert site.published(TABLES) == whole.published(TABLES)


def test_nothing_of_what_is_held_goes_to_another_machine(loaded):
    settings, inputs = sampling(loaded[0], 100), loaded[1]
    homes, calendar = index_homes(settings, inputs), calendar_in_force(settings, FIRST, LAST)
    cache = sample.FirstBlockCache()
    cache.read_sample(inputs.stored, homes, calendar)
    assert len(pickle.dumps(cache)) < 200


def test_the_first_night_of_a_backfill_looks_back_as_far_as_the_last(tmp_path, short, monkeypatch):
    noted = reads(monkeypatch)
    monkeypatch.setattr(night, "LOOK_BACK_DAYS", 60)
    judged(tmp_path / "town", [LAST - dt.timedelta(days=25), LAST])
    # and as far as the page of a case
    assert [days for homes, days in noted if homes == HOMES - 1] == [DAYS - 25, DAYS]
