import re
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly import messages
from anomaly.expected import (
    ExpectedRules,
    expect,
    expected_frame,
    judgeable_signals,
    make_grid,
    not_judged_frame,
)
from tests.support.grids import calendar, city, day, grid_of, readings

nan = np.nan
FLAT = [200] + [
    199
] * 199  # the first day makes it a fine register: 199 throughout would be one that moves in steps of 199
DOUBLE = 418  # log(418 + 20) = log(199 + 20) + log 2


def water(**homes):
    return grid_of({(name, "water"): values for name, values in homes.items()})


# the grid


def test_readings_become_arrays():
    rows = readings(
        {("b", "water"): [5, None, 7], ("a", "entries"): [None, 3], ("x", "water"): [9]},
        late={("b", "water", 2): 2},
    )
    partial = readings({("a", "water"): [4]}).with_columns(quality=pl.lit("partial"))
    grid = make_grid(pl.concat([rows, partial]), calendar(3), {"b": "south", "a": None})
    assert (grid.households, grid.signals, grid.units, grid.days) == (
        ("a", "b"),
        ("entries", "water"),
        ("count", "litre"),
        3,
    )
    np.testing.assert_array_equal(grid.value, [[[nan, 3, nan], [nan] * 3], [[nan] * 3, [5, nan, 7]]])
    assert grid.lag[1, 1].tolist() == [0, 0, 2]
    assert grid.group.tolist() == [0, 1]
    assert grid.weekday.tolist() == [2, 3, 4]  # Wednesday, Thursday, Friday
    assert (grid.day(2), grid.index(date(2025, 1, 5))) == (date(2025, 1, 3), 4)


def test_a_register_shows_its_step_after_a_week():
    values = [4000, 6000, 0, None, 9000, 1, 5, 5, 5, 5, 5, 5, 5]
    assert water(a=values).resolution[0, 0].tolist() == [1] * 7 + [4000, 2000, 2000, 2000, 1000, 1]


def test_what_became_known_late_has_no_say_in_the_step():
    grid = grid_of({("a", "water"): [4000, 3] + [2000] * 12}, late={("a", "water", 1): 7})
    assert grid.resolution[0, 0, -1] == 2000


@pytest.mark.parametrize(("homes", "days"), [(0, 0), (0, 30), (3, 0), (3, 30)])
def test_an_empty_grid_expects_nothing(homes, days):
    seen = expect(make_grid(readings({}), calendar(days), dict.fromkeys(f"{h}" for h in range(homes))))
    assert seen.surprise.shape == (0, homes, days)
    assert not seen.vacant.any()
    if days:
        assert not_judged_frame(seen, days - 1, ExpectedRules()).is_empty()
        assert expected_frame(seen, days - 1, np.arange(homes), 5).is_empty()


# the expectation


def test_a_flat_series_expects_itself():
    seen = expect(water(a=FLAT[:60] + [DOUBLE]))
    # spread: the least, .1 → 219 · exp(± .1645) − 20
    assert seen.expected[0, 0, -1] == pytest.approx(199)
    assert [seen.low[0, 0, -1], seen.high[0, 0, -1]] == pytest.approx([165.8, 238.2], abs=0.1)
    assert seen.log_ratio[0, 0, -1] == pytest.approx(np.log(2))
    assert seen.surprise[0, 0, -1] == pytest.approx(np.log(2) / 0.1, rel=1e-3)
    assert seen.surprise[0, 0, -2] == pytest.approx(0, abs=1e-9)


def test_a_weekday_of_its_own_is_shrunk():
    sundays = [DOUBLE if day(t).weekday() == 6 else value for t, value in enumerate(FLAT[:120])]
    seen = expect(water(a=sundays))
    # 84 days hold 12 Sundays, each log 2 above the level: 12 / (12 + 3) of it is believed
    assert {day(t).weekday(): seen.expected[0, 0, t] for t in range(112, 119)} == pytest.approx(
        {weekday: 219 * 2 ** (0.8 * (weekday == 6)) - 20 for weekday in range(7)}
    )


@pytest.mark.parametrize(("homes", "there"), [(16, 418), (15, 199)])
def test_what_fifteen_peers_did_that_day_is_expected(homes, there):
    seen = expect(water(**{f"{h:02d}": FLAT[:60] + [DOUBLE] for h in range(homes)}))
    assert seen.expected[0, :, -1] == pytest.approx([there] * homes)


def test_a_surge_is_no_shock_to_itself():
    homes = {f"{h:02d}": FLAT[:61] for h in range(20)} | {"zz": FLAT[:60] + [DOUBLE]}
    seen = expect(water(**homes))
    assert seen.surprise[0, -1, -1] == pytest.approx(np.log(2) / 0.1, rel=1e-3)
    assert seen.surprise[0, :-1, -1] == pytest.approx(0, abs=1e-9)


def test_a_day_is_vacant_where_every_present_signal_is_low():
    entries = [7, 8] * 30 + [0, 0, 0, 7]
    use = [200] + [199] * 59 + [0, None, 199, 0]
    seen = expect(grid_of({("a", "entries"): entries, ("a", "water"): use}))
    # both low, the missing one agrees, the water runs, the door is used
    assert seen.vacant[0, 57:].tolist() == [False, False, False, True, True, False, False]


def test_vacant_days_stay_out_of_the_baseline_and_coming_home_is_no_surge():
    seen = expect(water(a=FLAT[:60] + [0] * 40 + [199] * 20))
    assert seen.expected[0, 0, 60:] == pytest.approx(199)
    assert seen.surprise[0, 0, 100:] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("lived", "surprise"), [(70, 0.35), (20, np.log(2) / 0.1)])
def test_a_level_lived_at_before_is_not_a_surge(lived, surprise):
    series = FLAT[:60] + [DOUBLE] * lived + [199] * 150 + [DOUBLE] * 5
    # 70 days fill two of the year's blocks of 28 days, less the luck of the second-highest; 20 days fill one,
    # and one is not living there
    assert expect(water(a=series)).surprise[0, 0, -1] == pytest.approx(surprise, rel=1e-3)


def test_a_young_home_borrows_the_shape_of_the_week_from_its_peers():
    # 30 peers at 199 L, twice as much at weekends; the young home has given 24 days, at half of that
    weekend = [(t + 2) % 7 >= 5 for t in range(120)]  # day 0 is a Wednesday
    homes = {f"{h:02d}": [DOUBLE if w else 199 for w in weekend] for h in range(30)}
    homes["young"] = [None] * 96 + [179 if w else 89 for w in weekend[96:]]
    seen = expect(water(**homes))
    young = seen.grid.households.index("young")
    assert seen.history_days[0, young, 115] == 13
    assert abs(seen.log_ratio[0, young, 113:]).max() < 0.1
    # its own days alone do not yet tell it of a weekend
    alone = expect(water(young=homes["young"]))
    assert alone.log_ratio[0, 0, 115] > 0.2


@pytest.mark.parametrize(("lasted", "learnt"), [(14, 0.0), (28, 0.0), (42, 0.0), (66, np.log(2))])
def test_a_running_rise_is_not_learnt_and_a_lasting_one_is_accepted_after_eight_weeks(lasted, learnt):
    # the median of 84 days, the last 11 to 17 left out, goes over when more than half of each weekday's are
    # new: 17 + 49 days at most
    series = FLAT[:200] + [DOUBLE] * lasted
    assert np.log(expect(water(a=series)).expected[0, 0, -1] / 199) == pytest.approx(learnt, abs=0.1)


def test_without_the_rule_a_level_lived_at_before_is_one():
    series = FLAT[:60] + [DOUBLE] * 70 + [199] * 150 + [DOUBLE] * 5
    seen = expect(water(a=series), ExpectedRules(past_level=False))
    assert seen.surprise[0, 0, -1] == pytest.approx(np.log(2) / 0.1, rel=1e-3)


def test_near_empty_homes_expect_a_fifth_of_the_peers_level():
    homes = {f"{h:02d}": FLAT[:61] for h in range(16)} | {"zz": [1, 2] + [1] * 59}
    seen = expect(water(**homes))
    # a fifth of 219, over the offset of 20
    assert seen.expected[0, -1, -1] == pytest.approx(0.2 * 219)
    assert np.isnan(expect(water(zz=[1, 2] + [None] * 59)).expected[0, 0, -1])


def test_a_coarse_register_is_judged_on_whole_weeks():
    coarse = [0, 0, 1000] * 30
    seen = expect(water(a=coarse, b=FLAT[:90], c=[*coarse[:-3], None, 0, 1000]))
    assert seen.span_days[0, :, -1].tolist() == [7, 1, 7]
    # a week holds two or three steps
    assert np.isin(
        np.round(np.exp(seen.log_ratio[0, 0, -1]) * (seen.expected[0, 0, -1] + 100) - 100), [286, 429]
    )
    assert 285 < seen.expected[0, 0, -1] < 429
    assert np.isnan(seen.surprise[0, 2, -3:]).all() and not np.isnan(seen.surprise[0, 2, -4])


def test_what_became_known_late_makes_no_register_coarse():
    # steps of 1,000 are not coarse at 4,333 a day, but would be at the 2,167 that three late zeros make of it
    values = [0, 0, 0] + [4000, 5000] * 20
    assert (
        expect(grid_of({("a", "water"): values}, late={("a", "water", t): 8 for t in range(3)})).span_days[
            0, 0, 12:
        ]
        == 1
    ).all()
    assert expect(grid_of({("a", "water"): values})).span_days[0, 0, 12] == 7


def test_a_count_is_never_coarse():
    seen = expect(grid_of({("a", "entries"): [0, 0, 4] * 30}))
    assert (seen.span_days == 1).all()


def test_a_short_history_rests_on_the_short_baseline():
    seen = expect(water(a=FLAT[:60]))
    assert np.isnan(seen.surprise[0, 0, :16]).all() and not np.isnan(seen.surprise[0, 0, 16:]).any()
    # 10 days at least 7 old; 26 of them; those up to the last Thursday at least 11 days ago, day 22; a week
    # later 7 more
    assert seen.history_days[0, 0, [15, 16, 32, 33, 39, 40]].tolist() == [0, 10, 26, 23, 23, 30]


# which homes a night judges


def test_half_of_the_last_week_is_needed():
    seen = expect(
        water(a=FLAT[:60], b=FLAT[:53] + [None, 199] * 3 + [199], c=FLAT[:53] + [199, None] * 3 + [None])
    )
    assert judgeable_signals(seen, 59)[0].tolist() == [True, True, False]  # 7, 4 and 3 of 7
    assert [judgeable_signals(seen, t)[0, 0] for t in (18, 19)] == [
        False,
        True,
    ]  # day 16 is the first with an expectation


def reason(series, night, unit="water", late=None):
    seen = expect(grid_of({("a", unit): series}, late))
    told = not_judged_frame(seen, night, ExpectedRules())
    return told["reason"].to_list()


def test_a_home_that_cannot_be_judged_is_told_why():
    assert reason([None] * 30 + [199], 29) == ["no whole day yet"]
    assert reason(FLAT[:60], 59) == []
    assert reason([*FLAT[:55], None, None, None, None, 199], 59) == [
        "3 whole days in the last 7, half are needed"
    ]
    assert reason(FLAT[:15], 14) == ["8 whole days between 7 and 258 days old, 10 are needed"]
    assert reason(FLAT[:18], 17) == [
        "2 of the last 7 days are whole and have enough history, half are needed"
    ]
    # long, but interrupted: ten months of history that ended too long ago
    assert reason(FLAT * 2 + [None] * 255 + [199] * 10, 664) == [
        "3 whole days between 7 and 258 days old, 10 are needed"
    ]
    # a month of life, then eight of absence, with the home just taken up again
    assert reason(FLAT[:30] + [0] * 250 + [199] * 8, 287) == [
        "2 occupied days between 7 and 258 days old, 10 are needed"
    ]
    assert reason([0, 0, 1000] * 30 + [0, None, 1000, 0, 0, 1000, 0], 96) == [
        "coarse register: 1 of the last 7 days end a week without a gap, half are needed"
    ]


def test_every_reason_is_in_both_catalogues():
    texts = {
        *reason([None] * 30 + [199], 29),
        *reason([*FLAT[:55], None, None, None, None, 199], 59),
        *reason(FLAT[:15], 14),
        *reason(FLAT[:18], 17),
        *reason(FLAT[:30] + [0] * 250 + [199] * 8, 287),
        *reason([0, 0, 1000] * 30 + [0, None, 1000, 0, 0, 1000, 0], 96),
    }
    assert len(texts) == 6
    for text in texts:
        numbers = sorted(re.findall(r"\d+", text))
        for language in ("en", "zh"):
            told = messages.translate_reason(language, text)
            assert told != text and sorted(re.findall(r"\d+", told)) == numbers


def test_a_late_value_waits_for_its_night():
    series = {("a", "water"): FLAT[:60]}
    seen = expect(grid_of(series, late={("a", "water", t): 3 for t in range(56, 60)}))
    assert [judgeable_signals(seen, night)[0, 0] for night in (58, 59)] == [True, True]
    late = expect(grid_of(series, late={("a", "water", t): 5 for t in range(55, 60)}))
    assert not judgeable_signals(late, 59)[0, 0]
    assert not_judged_frame(late, 59, ExpectedRules())["reason"].to_list() == [
        "2 whole days in the last 7, half are needed"
    ]
    frame = expected_frame(late, 59, np.array([0]), 7)
    assert frame["value"].to_list() == [199, 199, None, None, None, None, None]
    assert frame["surprise"].is_null().to_list() == [False] * 2 + [True] * 5
    assert frame["expected"].to_list() == [199.0] * 7
    assert frame["day"].to_list() == [day(t) for t in range(53, 60)]


# what holds for every site


@st.composite
def sites(draw):
    """A small site with gaps, absences, a coarse register and values that became known late: (series,
    late)."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    made, late = {}, {}
    for (home, signal), values in city(18, 70, rng.integers(10**6), ("entries", "water")).items():
        values = np.where(rng.random() < 0.3 and signal == "water", values // 300 * 1000, values)
        start, length = rng.integers(10, 60), rng.integers(0, 20)
        values[start : start + length] = 0
        gaps = rng.random(70) < rng.choice([0, 0.05, 0.4])
        made[home, signal] = [None if gap else int(v) for v, gap in zip(values, gaps, strict=True)]
        late |= {
            (home, signal, t): int(rng.integers(1, 20))
            for t in np.flatnonzero(rng.random(70) < rng.choice([0, 0.1]))
        }
    return made, late


@settings(max_examples=15, deadline=None)
@given(sites(), st.integers(20, 69))
def test_a_night_knows_what_it_would_have_known_alone(site, night):
    made, late = site
    rows = readings(made, late)
    homes = dict.fromkeys(home for home, _ in made)
    whole = expect(make_grid(rows, calendar(70), homes))
    then = expect(make_grid(rows.filter(pl.col("known_on") <= day(night)), calendar(night + 1), homes))
    np.testing.assert_array_equal(whole.expected[:, :, : night + 1], then.expected)
    np.testing.assert_array_equal(whole.high[:, :, : night + 1], then.high)
    np.testing.assert_array_equal(judgeable_signals(whole, night), judgeable_signals(then, night))
    assert not_judged_frame(whole, night, ExpectedRules()).equals(
        not_judged_frame(then, night, ExpectedRules())
    )
    everyone = np.arange(len(homes))
    assert expected_frame(whole, night, everyone, 30).equals(expected_frame(then, night, everyone, 30))


@settings(max_examples=15, deadline=None)
@given(sites(), st.integers(0, 17), st.integers(0, 69), st.integers(0, 100_000))
def test_a_day_never_moves_its_own_expectation_nor_an_earlier_one(site, home, t, value):
    grid = grid_of(*site)
    made, late = site
    changed = made | {
        (f"{home:04d}", s): [value if u == t else v for u, v in enumerate(made[f"{home:04d}", s])]
        for s in grid.signals
    }
    before, after = expect(grid), expect(grid_of(changed, late))
    np.testing.assert_array_equal(after.expected[:, home, : t + 1], before.expected[:, home, : t + 1])
    np.testing.assert_array_equal(after.expected[:, :, :t], before.expected[:, :, :t])


@settings(max_examples=10, deadline=None)
@given(sites(), st.randoms(use_true_random=False))
def test_order_and_names_change_nothing(site, random):
    made, late = site
    rows, homes = readings(made, late), list(dict.fromkeys(home for home, _ in made))
    seen = expect(make_grid(rows, calendar(70), dict.fromkeys(homes)))
    shuffled = expect(
        make_grid(rows.sample(fraction=1, shuffle=True, seed=1), calendar(70), dict.fromkeys(reversed(homes)))
    )
    np.testing.assert_array_equal(shuffled.surprise, seen.surprise)
    names = random.sample(homes, len(homes))
    renamed = rows.with_columns(pl.col("household").replace_strict(dict(zip(homes, names, strict=True))))
    other = expect(make_grid(renamed, calendar(70), dict.fromkeys(homes)))
    np.testing.assert_array_equal(other.surprise[:, [int(name) for name in names]], seen.surprise)


@settings(max_examples=10, deadline=None)
@given(sites())
def test_nothing_known_is_never_a_surprise(site):
    grid = grid_of(*site)
    copy = replace(grid, value=grid.value.copy(), lag=grid.lag.copy())
    seen = expect(grid)
    assert np.isnan(seen.surprise[np.isnan(grid.value)]).all()
    assert np.isfinite(seen.surprise[~np.isnan(seen.surprise)]).all() and (~np.isnan(seen.surprise)).any()
    np.testing.assert_array_equal(grid.value, copy.value)
    np.testing.assert_array_equal(grid.lag, copy.lag)
