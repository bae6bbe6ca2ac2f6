"""Statistics of the peers are computed once, and looked up for days that they are known of."""

import numpy as np
import pytest

from anomaly.peer_stats import PeerStats


def test_a_statistic_is_computed_once_and_given_for_the_days_asked():
    peers = PeerStats()
    level = peers.get_or_compute("level", lambda: np.arange(5.0), first_day=100, days=5)
    assert level.tolist() == [0, 1, 2, 3, 4]
    assert peers.get_or_compute("level", lambda: 1 / 0, first_day=102, days=2).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("name", "first_day", "days", "why"),
    [
        ("spread", 100, 1, "nothing is known of spread among the peers"),
        ("level", 99, 2, "nothing is known of level among the peers before day 100"),
        ("level", 103, 3, "nothing is known of level among the peers from day 105 on"),
    ],
)
def test_days_that_nothing_is_known_of_are_refused(name, first_day, days, why):
    peers = PeerStats()
    peers.get_or_compute("level", lambda: np.arange(5.0), first_day=100, days=5)
    with pytest.raises(LookupError, match=f"^{why}$"):
        peers.get(name, first_day, days)
