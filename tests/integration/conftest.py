import pytest

from tests.support.site import Site


@pytest.fixture
def site(site_with_case) -> Site:
    """A site with a case on its last night but one, which the test may change."""
    return site_with_case
