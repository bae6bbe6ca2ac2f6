"""A town judged by a sample of about half its homes, and what judging its last night begins with."""

import dataclasses
import datetime as dt
from typing import NamedTuple

import pytest

from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings, load_settings
from pipelines.ingest.inputs import Inputs, stored_inputs
from pipelines.runtime.engine import LocalEngine
from pipelines.runtime.progress import ReportProgress, no_progress
from pipelines.scoring.blocks import Night, ScoredHomes, score_other_homes, score_sampled_homes
from pipelines.scoring.homes import HomeIndex, index_homes
from pipelines.scoring.sample import FirstBlockCache, FittedSample, fit_sample
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
    sample = fit_sample(settings, homes, readings, calendar, DAYS, DAYS)
    night = Night(LAST, calendar, sample.tails(LAST), homes.among({"0012"}), history_days=1)
    return FittedNight(settings, inputs, homes, sample, night)


def score_all(fitted: FittedNight, report: ReportProgress = no_progress) -> list[ScoredHomes]:
    """Score the sample, then the blocks of other homes."""
    settings, inputs, homes, sample, night = fitted
    others = score_other_homes(
        settings, inputs, homes, sample, night, FirstBlockCache(), LocalEngine(), report
    )
    return [score_sampled_homes(settings, homes, sample, night), *others]


@pytest.fixture(scope="session")
def loaded(tmp_path_factory) -> tuple[Settings, Inputs]:
    """Settings and inputs of a town that was judged once; by its settings everybody is in the sample."""
    site = town(tmp_path_factory.mktemp("loaded") / "town")
    site.nightly()
    settings = load_settings(site.settings)
    return settings, stored_inputs(settings, Store(settings.store))


def sampling(settings: Settings, homes: int, **expected: str) -> Settings:
    """The settings with a sample of about so many homes."""
    return dataclasses.replace(
        settings,
        engine=dataclasses.replace(settings.engine, sample_homes=homes),
        expected=dataclasses.replace(settings.expected, **expected),
    )
