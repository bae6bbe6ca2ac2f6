"""The sample of a large site: from which day on it is heard, and its readings, read once with the first block."""

import datetime as dt
import pickle

import numpy as np
import pytest

from pipelines.config.settings import load_settings
from pipelines.ingest.inputs import stored_inputs
from pipelines.jobs import nightly as flow
from pipelines.scoring import large, sample
from pipelines.storage.state import Store
from pipelines.storage.stored_readings import StoredReadings
from tests.support.site import FIRST, Site
from tests.unit.pipelines.scoring.test_large import town

DAYS, LAST = 90, FIRST + dt.timedelta(days=89)
NIGHTS = [LAST - dt.timedelta(days=ago) for ago in (13, 9, 2, 0)]
TABLES = ("evidence", "cases", "worklist", "not_judged", "households", "expected")


def test_the_nights_of_a_period_hear_the_sample_from_the_same_day_on():
    since = [sample.sample_since(FIRST + dt.timedelta(days=k)) for k in range(400)]
    assert all(
        sample.SCORED_DAYS
        <= (FIRST + dt.timedelta(days=k) - day).days + 1
        < sample.SCORED_DAYS + sample.PERIOD_DAYS
        for k, day in enumerate(since)
    )
    assert {(b - a).days for a, b in zip(sorted(set(since)), sorted(set(since))[1:], strict=False)} == {
        sample.PERIOD_DAYS
    }


def test_the_longer_the_sample_is_heard_the_fewer_homes_are_asked(tmp_path):
    """So many home-nights, whatever the history: of a hundred homes heard for 240 days fifty are left for 480, drawn from the same."""
    site = town(tmp_path / "town", sample=100)
    site.nightly()
    settings = load_settings(site.settings)
    inputs = stored_inputs(settings, Store(settings.store))
    many, few = (sample.index_homes(settings, inputs, days).sample for days in (240, 480))
    assert (sample.index_homes(settings, inputs, 30).sample == many).all() and len(many) in range(100, 104)
    # three districts of twenty homes at least
    assert len(few) == 60 and set(few) < set(many)
    heard = sample.sample_since(LAST)
    assert (
        sample.sample_days(heard, heard - dt.timedelta(days=9))
        == sample.sample_days(heard, heard)
        == sample.SCORED_DAYS
    )
    assert sample.sample_days(heard, heard + dt.timedelta(days=9)) == sample.SCORED_DAYS - 9


@pytest.fixture
def short(monkeypatch):
    """Weeks in place of months, so that ninety days are a long past."""
    for name, days in (("SCORED_DAYS", 40), ("PERIOD_DAYS", 7), ("STEADY_DAYS", 10)):
        monkeypatch.setattr(sample, name, days)


def judged(root, *runs: list[dt.date]) -> Site:
    site = town(root, sample=130)
    for nights in runs:
        flow.run_nights(
            load_settings(site.settings),
            lambda latest, nights=nights: nights,
            lambda night: True,
            lambda text: None,
        )
    return site


def rarities(site: Site) -> list[tuple]:
    return (
        site.view("evidence")
        .sort("night", "household", "detector", "signal")
        .select("night", "household", "rarity")
        .rows()
    )


@pytest.mark.long
def test_a_night_is_the_same_alone_and_among_others(tmp_path, short, monkeypatch):
    together = judged(tmp_path / "together", NIGHTS)
    alone = judged(tmp_path / "alone", *([night] for night in NIGHTS))
    assert rarities(together) == rarities(alone) and len({night for night, _, _ in rarities(alone)}) >= 3
    assert together.published(("cases", "worklist", "not_judged", "households")) == alone.published(
        ("cases", "worklist", "not_judged", "households")
    )
    assert len({sample.sample_since(night) for night in NIGHTS}) == 3
    # all of the past would say something else
    monkeypatch.setattr(sample, "SCORED_DAYS", 400)
    assert rarities(judged(tmp_path / "whole", NIGHTS)) != rarities(together)


def test_scores_of_the_first_weeks_do_not_count(tmp_path, short, monkeypatch):
    heard, fit_sample = [], large.fit_sample
    monkeypatch.setattr(large, "fit_sample", lambda *asked: heard.append(fit_sample(*asked)) or heard[-1])
    judged(tmp_path / "town", [LAST])
    since = (LAST - sample.sample_since(LAST)).days + 1
    for one in (one for one in heard[0].scores if one.detector != "forest"):  # which learns for longer
        known = np.flatnonzero(~np.isnan(one.score).all(axis=0)) - one.score.shape[1] + since
        assert known.min() == sample.STEADY_DAYS and known.max() == since - 1


def read(monkeypatch) -> list[tuple[int, int]]:
    """(homes, days) of all that is read as arrays from now on."""
    read, arrays = [], StoredReadings.arrays

    def noted(kept, homes, first, days):
        read.append((len(homes), days))
        return arrays(kept, homes, first, days)

    monkeypatch.setattr(StoredReadings, "arrays", noted)
    return read


def test_the_first_block_is_read_once_for_the_sample_and_for_its_homes(tmp_path, monkeypatch):
    asked = read(monkeypatch)
    site = town(tmp_path / "town", sample=130)
    site.nightly()
    assert [one for one in asked if one[1] == DAYS] == [(259, DAYS)]


def test_a_sample_that_lies_elsewhere_is_read_by_itself(tmp_path, monkeypatch):
    whole = town(tmp_path / "whole", sample=130)
    whole.nightly()
    asked = read(monkeypatch)
    monkeypatch.setattr(sample, "HOMES_PER_BLOCK", 70)
    site = town(tmp_path / "town", sample=130)
    site.nightly()
    assert [one for one in asked if one[1] == DAYS] == [(131, DAYS), (259, DAYS)]
    assert site.published(TABLES) == whole.published(TABLES)


def test_nothing_of_what_is_at_hand_goes_to_another_machine():
    hand = sample.FirstBlockCache()
    hand._held = "what", np.zeros(1_000_000)
    assert len(pickle.dumps(hand)) < 200 and pickle.loads(pickle.dumps(hand))._held is None


def test_the_first_night_of_a_backfill_looks_back_as_far_as_the_last(tmp_path, short, monkeypatch):
    asked = read(monkeypatch)
    monkeypatch.setattr(large, "LOOK_BACK", 60)
    judged(tmp_path / "town", [LAST - dt.timedelta(days=25), LAST])
    assert [days for homes, days in asked if homes == 259] == [
        DAYS - 25,
        DAYS,
    ]  # and as far as the page of a case
