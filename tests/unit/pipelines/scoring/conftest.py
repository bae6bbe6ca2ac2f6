"""A town judged by a sample of about half its homes, and what judging its last night begins with."""

import datetime as dt
from typing import NamedTuple

import pytest

from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, load_settings
from pipelines.ingest.inputs import Inputs, stored_inputs
from pipelines.runtime.engine import LocalEngine
from pipelines.runtime.progress import ReportProgress, no_progress
from pipelines.scoring.blocks import Night, ScoredHomes, score_other_homes, score_sample
from pipelines.scoring.sample import FirstBlockCache, FittedSample, HomeIndex, fit_sample, index_homes
from pipelines.storage.state import Store
from tests.support.site import FIRST, Site
from tests.support.town import town

DAYS = 90
LAST = FIRST + dt.timedelta(days=DAYS - 1)


class FittedNight(NamedTuple):
    """What a night is scored from."""

    settings: Settings
    inputs: Inputs
    homes: HomeIndex
    sample: FittedSample
    night: Night


@pytest.fixture(scope="session")
def sampled_town(tmp_path_factory) -> Site:
    """A town that was judged on its last night; nobody changes it."""
    site = town(tmp_path_factory.mktemp("sampled") / "town", sample=130, days=DAYS)
    site.nightly()
    return site


@pytest.fixture(scope="session")
def fitted_night(sampled_town) -> FittedNight:
    """The same night once the sample is fitted; home 0012 is tracked."""
    settings = load_settings(sampled_town.settings)
    inputs = stored_inputs(settings, Store(settings.store))
    homes, calendar = index_homes(settings, inputs), calendar_in_force(settings, FIRST, LAST)
    readings = FirstBlockCache().read_sample(inputs.stored, homes, calendar)
    sample = fit_sample(settings, homes, readings, calendar, FIRST, FIRST)
    tails = [tail_of(DAYS - 1) for tail_of in sample.tails]
    night = Night(LAST, calendar, tails, homes.among({"0012"}), with_history=True)
    return FittedNight(settings, inputs, homes, sample, night)


def score_all(fitted: FittedNight, report: ReportProgress = no_progress) -> list[ScoredHomes]:
    """Score the sample, then the blocks of other homes."""
    settings, inputs, homes, sample, night = fitted
    others = score_other_homes(
        settings, inputs, homes, sample, night, FirstBlockCache(), LocalEngine(), report
    )
    return [score_sample(settings, homes, sample, night, history_days=1), *others]
