"""The homes of a site: by number, which of them are the sample, and as grids."""

import numpy as np

from pipelines.config.calendar import calendar_in_force
from pipelines.scoring import homes as home_index
from pipelines.scoring.sample import FirstBlockCache
from tests.support.site import FIRST
from tests.support.town import HOMES
from tests.unit.pipelines.scoring.conftest import LAST, sampling


def test_everybody_is_in_the_sample_of_a_small_site_and_where_no_sample_can_speak_for_others(loaded):
    settings, inputs = loaded
    for everybody in (settings, sampling(settings, 100, model="stl")):
        homes = home_index.index_homes(everybody, inputs)
        assert homes.everybody_sampled and len(homes.sample) == len(homes) == HOMES - 1
    # the shop is among them, and is never judged
    shop = homes.names.tolist().index("0009")
    assert not homes.judgeable[shop] and homes.judgeable.sum() == HOMES - 2
    assert homes.names[homes.sample].tolist() == sorted(homes.names)
    assert not home_index.index_homes(sampling(settings, 100), inputs).everybody_sampled


def test_a_sample_is_drawn_over_all_districts_and_is_the_same_every_time(loaded):
    settings, inputs = loaded
    homes = home_index.index_homes(sampling(settings, 100), inputs)
    assert (np.bincount(homes.district[homes.sample])[1:] >= 33).all() and len(homes.sample) <= 110
    assert "0009" not in homes.names[homes.sample]
    again = home_index.index_homes(sampling(settings, 100), inputs)
    assert (again.sample == homes.sample).all()


def test_the_more_days_are_scored_the_fewer_homes_are_asked(loaded):
    """So many home-nights, whatever the history: of a hundred homes at 240 days fifty are left at 480."""
    settings, inputs = sampling(loaded[0], 100), loaded[1]
    many, few = (home_index.index_homes(settings, inputs, days).sample for days in (240, 480))
    assert (home_index.index_homes(settings, inputs, 30).sample == many).all() and len(many) in range(
        100, 104
    )
    # three districts of twenty homes at least
    assert len(few) == 60 and set(few) < set(many)


def test_homes_are_found_by_number_block_and_id():
    names = np.array(["d", "b", "a", "c"], dtype=object)
    homes = home_index.HomeIndex(
        names, np.array([True, True, False, True]), np.array([1, 2, 0, 1]), 3, np.array([1, 3])
    )
    assert homes.rows_in_sample(np.array([3, 0, 1])).tolist() == [1, -1, 0]
    assert homes.among({"a", "d", "nobody"}).tolist() == [True, False, True, False]
    block = homes.block(range(2, 4))
    assert block.names.tolist() == ["a", "c"] and block.sample.tolist() == [1] and len(block) == 2
    assert (
        block.judgeable.tolist() == [False, True]
        and block.district.tolist() == [0, 1]
        and block.district_count == 3
    )


def test_homes_that_are_never_judged_are_empty_in_the_grid_of_the_sample(loaded):
    settings, inputs = loaded
    homes, calendar = home_index.index_homes(settings, inputs), calendar_in_force(settings, FIRST, LAST)
    readings = FirstBlockCache().read_sample(inputs.stored, homes, calendar)
    grid = home_index.make_float_grid(settings, homes, homes.sample, readings, calendar)
    shop, dwelling = (grid.households.index(home) for home in ("0009", "0010"))
    assert readings.has_readings[:, shop].all() and np.isnan(grid.value[:, shop]).all()
    assert not np.isnan(grid.value[:, dwelling]).all(axis=1).any()
    assert grid.units == ("count", "Wh", "litre") and grid.resolution.shape == grid.value.shape
