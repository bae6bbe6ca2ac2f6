"""The benchmark's own arithmetic, on series short enough to count by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from anomaly.expected import Grid
from tests.benchmarks import cards, ours, peers, planting, quality, scoring, worlds
from tests.benchmarks.bootstrap import recall_errors

NAN = np.nan
NONE = np.array([], dtype=np.int64)
NO_EPISODES = scoring.Episodes(NONE, NONE, NONE, NONE.astype(float), NONE.astype(bool))


def grid(value: np.ndarray, units: tuple[str, ...] = ("Wh",)) -> Grid:
    homes, days = value.shape[1:]
    return Grid(
        households=tuple(f"h{h}" for h in range(homes)),
        signals=tuple(f"s{s}" for s in range(len(units))),
        units=units,
        first=date(2024, 1, 1),
        value=value,
        lag=np.zeros(value.shape, dtype=np.int16),
        weekday=(np.arange(days) % 7).astype(np.int8),
        group=np.zeros(homes, dtype=np.int32),
        resolution=np.ones(value.shape),
    )


def episodes(*rows: tuple[int, int, int, float, bool]) -> scoring.Episodes:
    home, first, last, size, asked = (np.array(column) for column in zip(*rows, strict=True))
    return scoring.Episodes(home, first, last, size, asked)


def trial(
    score: np.ndarray, truth: scoring.Episodes = NO_EPISODES, nights: tuple[int, int] | None = None
) -> scoring.Trial:
    return scoring.trial(score, np.ones(score.shape, dtype=bool), truth, nights or (0, score.shape[1]))


def peaks(days: int, *at: tuple[int, float]) -> np.ndarray:
    score = np.zeros(days)
    for day, height in at:
        score[day] = height
    return score


def test_an_alarm_begins_after_fourteen_quiet_nights():
    score = np.stack([peaks(60, (5, 3.0), (6, 3.0), (19, 3.0), (34, 3.0)), peaks(60, (0, 3.0))])
    #   night 6 goes on with 5; 19 comes 13 nights after 6; 34 comes 15 nights after 19
    assert [np.flatnonzero(row).tolist() for row in scoring.alarms(trial(score), 3.0)] == [[5, 34], [0]]


def test_what_runs_when_the_judged_nights_begin_is_no_new_alarm():
    score = peaks(60, (28, 3.0), (31, 3.0), (50, 3.0))[None]
    assert np.flatnonzero(scoring.alarms(trial(score, nights=(30, 60)), 3.0)).tolist() == [20]


def test_nights_without_a_score_raise_nothing():
    assert not scoring.alarms(trial(np.full((2, 30), NAN)), 1.0).any()
    assert scoring.curve([trial(np.full((2, 30), NAN))]).threshold(5) == np.inf


def test_the_threshold_is_the_lowest_from_which_on_the_allowance_holds():
    # 1,000 home-nights: one alarm is 30 a unit. One home reaches 4, two reach 3, three reach 2.
    score = np.zeros((10, 100))
    score[0, 20], score[1, 40], score[2, 60] = 4.0, 3.0, 2.0
    curve = scoring.curve([trial(score)])
    assert [curve.threshold(n) for n in (29, 30, 60, 90)] == [np.inf, 4.0, 3.0, 2.0]


def test_a_dip_of_the_rate_at_common_scores_does_not_lower_the_threshold():
    # both homes pass 1 twice but stay above 0 all the time: at 0 one alarm each, at 1 two each
    score = np.where(np.isin(np.arange(100), (20, 60)), 1.0, 0.5)[None].repeat(2, axis=0)
    curve = scoring.curve([trial(score)])
    assert curve.score.tolist() == [0.5, 1.0]
    assert curve.rate.tolist() == [2 * 150.0, 4 * 150.0]
    assert curve.threshold(300) == np.inf


def test_homes_with_an_episode_have_no_say_in_the_threshold_unless_asked():
    score = np.zeros((2, 150))
    score[0, 30], score[1, 30] = 9.0, 2.0
    one = trial(score, episodes((0, 25, 35, 2.0, True)))
    assert scoring.curve([one]).score.tolist() == [0.0, 2.0]
    assert scoring.curve([one], unplanted_only=False).score.tolist() == [0.0, 2.0, 9.0]


def test_found_from_the_first_day_to_a_week_after_the_last():
    truth = episodes(
        (0, 30, 40, 2.0, True), (1, 30, 40, 2.0, True), (2, 30, 40, 3.0, True), (3, 30, 40, 3.0, True)
    )
    score = np.stack([peaks(80, (30, 3.0)), peaks(80, (47, 3.0)), peaks(80, (48, 3.0)), peaks(80, (29, 3.0))])
    reached = scoring.point([trial(score, truth)], 3.0)
    assert reached.found.tolist() == [True, True, False, False]
    assert reached.delay.tolist() == [0, 17]
    assert (reached.alarms, reached.right, reached.recall, reached.precision) == (4, 2, 0.5, 0.5)


def test_a_leak_is_right_to_alarm_on_but_not_asked():
    reached = scoring.point([trial(peaks(80, (30, 3.0))[None], episodes((0, 30, 40, 400.0, False)))], 3.0)
    assert (reached.found.size, reached.right) == (0, 1)


def test_a_sampled_home_counts_for_those_it_stands_for():
    score = np.stack([peaks(80, (30, 3.0), (60, 3.0)), peaks(80, (30, 3.0))])
    one = replace(trial(score, episodes((0, 25, 35, 2.0, True))), stands_for=3.0)
    # one right and one wrong on the home with the surge, one wrong that stands for three
    reached = scoring.point([one], 3.0)
    assert (reached.alarms, reached.right) == (5.0, 1)


def test_episode_days_move_with_the_judged_nights():
    one = trial(peaks(80, (50, 3.0))[None], episodes((0, 48, 55, 2.0, True)), nights=(40, 80))
    assert scoring.point([one], 3.0).delay.tolist() == [2]


def test_rate_at_counts_only_homes_without_an_episode():
    score = np.stack([peaks(100, (30, 3.0)), peaks(100, (30, 3.0)), np.zeros(100)])
    assert scoring.rate_at([trial(score, episodes((0, 25, 35, 2.0, True)))], 3.0) == pytest.approx(
        1 / 200 * 30_000
    )


def test_errors():
    assert scoring.binomial_error(0.5, 100) == pytest.approx(0.05)
    assert scoring.error_of_mean([0.8, 0.9, 1.0]) == pytest.approx(0.1 / np.sqrt(3))
    assert np.isnan(scoring.error_of_mean([0.8]))


def test_planting_multiplies_the_days_of_the_surge_and_nothing_else():
    plain = grid(np.full((1, 40, 200), 1001.0))
    plan = planting.Plan(nights=(100, 200), a_size=4)
    made = list(planting.rounds(plain, plan, seed=3))
    truth = [e for _, e in made]
    assert all(e.home.size == 2 for e in truth)  # 5 % of 40
    assert {float(s): sum((e.size == s).sum() for e in truth) for s in plan.sizes} == {1.5: 4, 2.0: 4, 3.0: 4}
    for planted, e in made:
        wanted = plain.value.copy()
        for h, a, z, size in zip(e.home, e.first, e.last, e.size, strict=True):
            wanted[0, h, a : z + 1] = np.rint(1001 * size)
            assert a >= 100 and z < 200 and 10 <= z - a + 1 <= 40
        assert (planted.value == wanted).all()
    assert (plain.value == 1001).all()


def test_copies_stand_after_the_untouched_homes():
    made = list(
        planting.rounds(
            grid(np.full((1, 40, 200), 1000.0)), planting.Plan(nights=(100, 200), a_size=2), seed=3
        )
    )
    both, truth, copied = planting.copies(grid(np.full((1, 40, 200), 1000.0)), made)
    assert both.value.shape == (1, 46, 200) and len(both.households) == len(set(both.households)) == 46
    assert (both.value[:, :40] == 1000).all()
    assert truth.home.tolist() == list(range(40, 46)) and copied[40:].tolist() == [
        h for _, e in made for h in e.home
    ]
    assert all(both.value[0, h, a] > 1000 for h, a in zip(truth.home, truth.first, strict=True))


def test_drawn_errors_are_none_where_all_is_found_and_large_where_one_home_decides():
    truth = episodes(*((h, 30, 40, 2.0, True) for h in range(20)))
    every = np.zeros((60, 100))
    every[:20, 32] = 5.0
    assert recall_errors([trial(every, truth)], (5.0,), (2.0,)).tolist() == [[0.0]]
    one_loud = every.copy()
    one_loud[25, 60] = (
        6.0  # drawn: no threshold finds any surge; not drawn (about a third of the time): all are found
    )
    assert recall_errors([trial(one_loud, truth)], (5.0,), (2.0,))[0, 0] > 0.4


def test_rolling_sums_fills_and_robust_z_of_the_peers():
    x = np.array([1.0, 2.0, NAN, 4.0])
    assert np.allclose(peers.rolling(x, 2)[0], [1.0, 1.5, 2.0, 4.0])
    assert np.allclose(peers.rolling(x, 2, skip=1)[0], [NAN, 1.0, 1.5, 2.0], equal_nan=True)
    assert np.allclose(
        peers.filled(np.array([NAN, 1.0, NAN, 3.0, 4.0, 5.0, 6.0, 7.0, NAN]))[2:],
        [1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1.0],
    )
    past = np.tile([1.0, 2.0, 3.0], 7)
    assert np.allclose(peers._robust(np.array([2.0, 2.0 + 1.4826]), past), [0.0, 1.0])


def test_the_ten_day_sum_needs_half_of_its_days_and_adds_up_signals():
    z = np.full((2, 1, 20), NAN)
    z[0, 0, :10] = 1.0
    z[1, 0, :4] = 1.0
    total = peers.summed(z)[0]
    assert np.isnan(total[3]) and total[9] == pytest.approx(10 / np.sqrt(10))
    assert total[14] == pytest.approx(5 / np.sqrt(5)) and np.isnan(total[15])


@pytest.mark.parametrize("peer", [peers.trailing_median, peers.forest])
def test_peers_see_no_later_day(peer):
    rng = np.random.default_rng(0)
    value = np.rint(rng.gamma(20, 400, (1, 12, 160)))
    later = value.copy()
    later[:, :, 140:] *= 3
    one, other = (peer(grid(v), grid(v)) for v in (value, later))
    assert np.array_equal(one[:, :140], other[:, :140], equal_nan=True)
    assert not np.array_equal(one[:, 140:], other[:, 140:], equal_nan=True)


def test_area_under_the_curve():
    assert cards.auc(np.array([3.0, 2.0, 1.0, 2.0]), np.array([True, True, False, False]))[
        0
    ] == pytest.approx(3.5 / 4)


def test_cells_and_tables_are_plain():
    assert [cards.share(v) for v in (0.834, 0.999, NAN)] == [".83", "1.0", "–"]
    assert cards.share(0.5, 0.049) == ".50±.05"
    assert cards.table(["a", "b"], [["long name", "1"]]) == "a          b\nlong name  1\n"


def test_a_small_city_has_its_surges_where_the_truth_says():
    world = worlds.city("mixed", 1, homes=60, days=260)
    assert world.grid.value.shape[0] == 3 and len(world.grid.households) >= 55
    part = world.part(10)
    before = [world.grid.households[h] for h in world.truth.home]
    assert [part.grid.households[h] for h in part.truth.home] == before
    others = len(world.grid.households) - len(set(before))
    assert len(part.grid.households) == len(set(before)) + 10 and part.stands_for == others / 10
    assert set(ours.scores(world.grid)) == {"joint", "cases"}


def test_every_ablation_changes_something_it_is_named_for():
    plain = ours.Variant()
    assert [name for name, variant in ours.ABLATIONS.items() if variant == plain] == ["the whole tool"]


def test_the_command_line():
    given = quality.parsed(["--quick", "--city", "mixed", "--peers", "none"])
    assert (given.quick, given.city, given.peers, given.seeds) == (True, ["mixed"], ["none"], None)
