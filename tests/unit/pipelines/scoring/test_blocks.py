"""Parts of a site: the sample and the blocks of other homes, each home in one of them."""

import numpy as np

from pipelines.runtime.engine import LocalEngine
from pipelines.runtime.progress import Progress
from pipelines.scoring import blocks
from pipelines.scoring.homes import HomeIndex
from pipelines.scoring.sample import FirstBlockCache
from pipelines.storage.home_numbers import home_blocks
from tests.support.site import SURGED
from tests.support.town import HOMES
from tests.unit.pipelines.scoring.conftest import DAYS, score_all


def test_every_home_is_in_one_part_and_the_parts_together_are_the_night(
    fitted_night, sampled_town, monkeypatch
):
    monkeypatch.setattr(blocks, "home_blocks", lambda homes: home_blocks(homes, 70))
    events: list[Progress] = []
    parts = score_all(fitted_night, events.append)
    homes = fitted_night.homes
    # the sample lies first: the first 70 homes are all in it
    assert [event.done for event in events] == [140, 210, HOMES - 1]
    assert sorted(np.concatenate([part.homes for part in parts])) == [*range(len(homes))]
    assert sum(int(part.judged.sum()) for part in parts) == sampled_town.view("runs")["judged"].item()
    reasons = sum(part.not_judged.height for part in parts)
    assert 0 < reasons <= sampled_town.view("not_judged").height
    history = {home for part in parts for home in part.history["household"]}
    assert history == set(sampled_town.view("expected")["household"])


def test_homes_with_a_case_and_homes_that_surge_stand_out_with_their_readings(fitted_night):
    homes = fitted_night.homes
    in_sample, others = score_all(fitted_night)
    numbers = {home: homes.names.tolist().index(home) for home in ("0012", SURGED)}
    for number in numbers.values():
        (part,) = (part for part in (in_sample, others) if number in part.homes)
        assert number in part.standing_out
    assert in_sample.readings is None
    assert others.readings.value.shape == (3, len(others.standing_out), DAYS)


def test_where_everybody_is_in_the_sample_there_are_no_blocks(fitted_night):
    settings, inputs, homes, one, night = fitted_night
    everybody = HomeIndex(
        homes.names, homes.judgeable, homes.district, homes.district_count, np.arange(len(homes))
    )
    cache, engine = FirstBlockCache(), LocalEngine()
    parts = blocks.score_other_homes(
        settings, inputs, everybody, one, night, cache, engine, lambda event: None
    )
    assert list(parts) == []
