"""Fixtures for tests of the whole flow."""

import shutil

import hypothesis
import pytest

from tests.support.site import Site, day, make_site

# A busy machine may take ten times as long for an example as another time.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def judged_site(tmp_path_factory) -> Site:
    """A site with a case on its last night but one; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("judged"))
    site.nightly("--night", str(day(-2)))
    return site


@pytest.fixture
def site_with_case(judged_site, tmp_path) -> Site:
    """A copy of `judged_site` for one test, which may change it."""
    shutil.copytree(judged_site.root, tmp_path, dirs_exist_ok=True)
    return Site(tmp_path)
