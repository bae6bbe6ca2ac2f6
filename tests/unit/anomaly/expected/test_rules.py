import numpy as np
import pytest

from anomaly.expected import ExpectedRules
from anomaly.expected.kernels import BLOCK_DAYS, BLOCKS_PER_YEAR, kernel_params, mix_spread_and_past
from anomaly.expected.rules import PAST_LEVEL_DAYS


def test_the_longest_baseline_is_how_far_a_day_reaches_back():
    rules = ExpectedRules()
    assert rules.short_baseline_reach == 7 + 3 * 84 - 1
    assert rules.reach_days == 11 + 6 + 12 * 28  # the past year's level
    assert ExpectedRules(past_level=False).reach_days == 11 + 6 + 3 * 84  # the full baseline
    assert ExpectedRules(past_level=False, baseline_days=21).reach_days == 240 + 6 + 1  # vacancy
    assert PAST_LEVEL_DAYS == BLOCK_DAYS * BLOCKS_PER_YEAR


@pytest.mark.parametrize(("days_back", "changes"), [(352, True), (353, False)])
def test_the_past_level_reaches_as_far_back_as_it_says(days_back, changes):
    """The last of the twelve blocks of 28 days has 13 readings of a higher level; a 14th makes it count.

    The last day lies as long as can be, six days and the guard, after the end of the first block.
    """
    rules = ExpectedRules()
    y = np.zeros((1, 400))
    last = y.shape[1] - 1
    y[:, last - 40 : last - 12] = 5.0
    usual, spread, count = np.zeros((1, 1)), np.full((1, 1), 0.1), np.full((1, 1), 84, np.int16)
    ordinal = next(n for n in range(7) if (n + last - rules.guard_days) % 7 == 6)
    params = kernel_params(rules, np.zeros(y.shape[1], np.int8), ordinal, 1)

    def raised(readings: np.ndarray) -> float:
        given = usual.copy()
        mix_spread_and_past(readings, given, spread.copy(), count, np.full(1, np.nan), params)
        return given[0, 0]

    y[:, last - 352 : last - 324] = np.nan
    y[:, last - 351 : last - 351 + 13] = 5.0  # one day fewer than a block needs to count
    with_one_more = y.copy()
    with_one_more[:, last - days_back] = 5.0
    assert (raised(with_one_more) != raised(y)) == changes
