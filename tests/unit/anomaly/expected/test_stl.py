import dataclasses
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly import charts, messages, report
from anomaly.expected import ExpectedRules, decompose, expect, level_shifts
from anomaly.expected.stl import FIT_DAYS, MIN_DAYS, decompose_series, forecast
from pipelines.config.settings import load_settings
from pipelines.errors import SettingsError
from pipelines.reporting import writer
from tests.support.grids import city, day, grid_of
from tests.support.report_pages import LEVELS, SHIFTS, SITE, case_page

STL = ExpectedRules(model="stl")
WEEK_SHAPE = np.array([0.0, 0.1, -0.1, 0.0, 0.1, 0.3, -0.4])  # sums to 0
GAPPY = [
    [None] * 30 + [200] * 90,
    [200 + t % 7 for t in range(120)],
    [None if t % 5 == 0 else 300 + t % 2 for t in range(120)],
]


def twin(x, lag, ordinal):
    """What `forecast` expects of each day, one day at a time and straight from the books."""
    from statsmodels.tsa.seasonal import STL as Fit

    out = np.full(x.shape, np.nan)
    for h, t in np.ndindex(x.shape):
        anchor = t - (ordinal + t) % 7
        past = [
            (u, x[h, u])
            for u in range(max(0, anchor - FIT_DAYS), anchor)
            if not np.isnan(x[h, u]) and u + lag[h, u] <= anchor
        ]
        if anchor < 0 or len(past) < MIN_DAYS:
            continue
        known, first = dict(past), past[0][0]
        weekdays = {w: [v for u, v in past if u % 7 == w] or [v for _, v in past] for w in range(7)}
        fit = Fit(
            np.array([known.get(u, np.median(weekdays[u % 7])) for u in range(first, anchor)]),
            period=7,
            robust=True,
        ).fit()
        out[h, t] = fit.trend[-1] + fit.seasonal[t - anchor - 7]
    return out


# --- taking a series apart ----------------------------------------------------------------------------------


def test_a_level_with_a_week_is_taken_apart_into_both():
    parts = decompose_series(5 + np.tile(WEEK_SHAPE, 16))
    assert parts.level == pytest.approx(np.full(112, 5.0), abs=1e-6)
    assert parts.week[-7:] == pytest.approx(WEEK_SHAPE, abs=1e-6)
    assert parts.remainder == pytest.approx(np.zeros(112), abs=1e-6)


@pytest.mark.parametrize("sloped", [True, False])
def test_parts_add_up_and_a_gap_stays_a_gap(sloped):
    x = 5 + np.tile(WEEK_SHAPE, 16) + np.random.default_rng(1).normal(0, 0.2, 112)
    x[[3, 40, 41, 42, 111]] = np.nan
    x[6::7] = np.nan  # no Tuesday at all
    parts = decompose_series(x, sloped=sloped)
    known = ~np.isnan(x)
    assert (parts.level + parts.week + parts.remainder)[known] == pytest.approx(x[known])
    assert np.isnan(parts.remainder[~known]).all() and not np.isnan(parts.level + parts.week).any()


def test_one_odd_day_is_remainder_not_level():
    x = 5 + np.tile(WEEK_SHAPE, 16)
    x[60] += 2
    assert decompose_series(x).level == pytest.approx(np.full(112, 5.0), abs=0.02)


def test_under_three_weeks_of_known_days_nothing_is_taken_apart():
    x = np.full(60, np.nan)
    x[10:30] = 5.0
    assert decompose_series(x) is None
    x[40] = 5.0
    assert decompose_series(x) is not None


# --- as an expectation --------------------------------------------------------------------------------------


def test_a_flat_series_expects_itself_from_the_first_anchor_with_three_weeks():
    e = expect(grid_of({("a", "water"): [200] * 60}), STL)
    # day 0 is a Wednesday, anchors are Thursdays (the epoch was one): 1, 8, 15, 22 …; 22 has 22 known days
    # before it
    assert np.isnan(e.expected[0, 0, :22]).all()
    assert e.expected[0, 0, 22:] == pytest.approx(200)
    assert e.surprise[0, 0, 22:] == pytest.approx(0, abs=1e-6)
    assert (e.history_days[0, 0, 21], e.history_days[0, 0, 22], e.history_days[0, 0, 59]) == (0, 22, 57)


def test_the_trend_swallows_a_surge_within_two_weeks():
    values = [200] * 112 + [600] * 28
    seen = expect(grid_of({("a", "water"): values}), STL)
    usual = expect(grid_of({("a", "water"): values}), ExpectedRules())
    assert seen.expected[0, 0, 112] == pytest.approx(200)
    assert seen.expected[0, 0, 139] > 500 and usual.expected[0, 0, 125] == pytest.approx(200)


def test_nothing_known_expects_nothing():
    for series in ({}, {("a", "water"): []}, {("a", "water"): [None] * 80}, {("a", "water"): [0] * 15}):
        e = expect(grid_of(series), STL)
        assert np.isnan(e.expected).all() and np.isnan(e.surprise).all() and not e.history_days.any()


def test_gaps_never_become_a_value():
    e = expect(grid_of({(str(n), "water"): values for n, values in enumerate(GAPPY)}), STL)
    assert (
        not np.isnan(e.expected[0, 1:, 29:]).any()
        and not np.isnan(e.low[0, 1:, 29:] + e.high[0, 1:, 29:]).any()
    )
    assert (np.isnan(e.surprise) >= np.isnan(e.grid.value)).all()
    assert np.isnan(e.surprise[0, 2, 30:]).sum() == 18  # every fifth of 90 days


@settings(max_examples=8, deadline=None)
@given(data=st.data(), ordinal=st.integers(0, 6), late=st.integers(0, 9))
def test_forecast(data, ordinal, late):
    values = data.draw(
        st.lists(st.one_of(st.floats(0, 9), st.floats(0, 9), st.just(np.nan)), min_size=40, max_size=48)
    )
    x, lag = np.array([values]), np.zeros((1, len(values)), dtype=np.int16)
    lag[0, 30] = late
    centre, spread, count = forecast(x, lag, ordinal)
    np.testing.assert_allclose(centre, twin(x, lag, ordinal), atol=1e-9)
    assert (np.isnan(centre) == np.isnan(spread)).all() and (np.isnan(centre) == (count == 0)).all()


@pytest.mark.parametrize("night", [30, 47, 64])
def test_a_night_knows_what_it_would_have_known_alone(night):
    series = {
        key: [None if t % 11 == 4 else v for t, v in enumerate(values)] for key, values in city(2, 75).items()
    }
    late = {("0000", "water", 60): 3, ("0001", "power", 62): 9}
    whole = expect(grid_of(series, late), STL)
    cut = {
        key: [v if t + late.get((*key, t), 0) <= night else None for t, v in enumerate(values[: night + 1])]
        for key, values in series.items()
    }
    alone = expect(
        grid_of(cut, {place: days for place, days in late.items() if place[2] + days <= night}), STL
    )
    np.testing.assert_array_equal(alone.expected[:, :, night], whole.expected[:, :, night])
    np.testing.assert_array_equal(alone.high[:, :, night], whole.high[:, :, night])


def test_the_model_is_chosen_in_the_settings_and_an_unknown_one_refused(tmp_path):
    with pytest.raises(ValueError, match="model = 'slt' is not known; choose usual or stl"):
        ExpectedRules(model="slt")
    text = """[purpose]\nname = "n"\nlegal_basis = "l"\nowner = "o"\ncontact = "c"\nexpires = 2099-01-01\nsignatures = ["water"]
[store]\npath = "s/a.duckdb"\n[signals.water]\nfiles = "w.csv"\nkind = "usage"\nunit = "litre"
columns = { household = "h", time = "t", value = "v" }\n[expected]\nmodel = "NAME"\n"""
    path = tmp_path / "anomaly.toml"
    path.write_text(text.replace("NAME", "stl"), encoding="utf-8")
    assert load_settings(path).expected.model == "stl"
    path.write_text(text.replace("NAME", "slt"), encoding="utf-8")
    with pytest.raises(SettingsError, match="choose usual or stl") as refused:
        load_settings(path)
    assert "\n" not in str(refused.value)


# --- for a person to see ------------------------------------------------------------------------------------


def taken_apart(values, night=None, late=None, signal="water"):
    seen = expect(grid_of({("a", signal): values}, late))
    return decompose(seen, 0, len(values) - 1 if night is None else night)


def test_a_home_is_told_by_level_week_and_remainder_in_its_own_units():
    weekly = [round(300 * np.exp(WEEK_SHAPE[t % 7])) for t in range(200)]
    parts = taken_apart(weekly)
    assert parts.height == 180 and parts["day"].max() == day(199)
    assert parts["level"].to_list() == pytest.approx([300] * 180, rel=0.02)
    told = parts.select(
        ((pl.col("level") + 20) * pl.col("week") * pl.col("remainder") - 20 - pl.col("value")).abs().max()
    ).item()
    assert told == pytest.approx(0, abs=1e-6)  # 20 L: where litres near zero stop being told apart


def test_filled_days_and_days_not_known_by_the_night_have_no_row():
    values = [None if 50 <= t < 60 else 200 + t % 2 for t in range(100)]
    parts = taken_apart(values, night=90, late={("a", "water", 88): 5})
    days = {(d - day(0)).days for d in parts["day"]}
    assert days == set(range(91)) - set(range(50, 60)) - {88}
    assert parts.null_count().sum_horizontal().item() == 0 and not parts["level"].is_nan().any()


def test_the_picture_knows_only_what_the_night_knew():
    values = city(1, 120)["0000", "water"].tolist()
    assert taken_apart(values, night=99).equals(taken_apart(values[:100]))


def test_the_level_never_leaves_what_was_seen():
    values = [200 + t % 3 for t in range(150)] + [600] * 5
    assert taken_apart(values)["level"].max() <= 600


def test_a_coarse_register_is_told_by_weekly_means():
    parts = taken_apart([1000 if t % 4 == 0 else 0 for t in range(120)])
    assert parts["day"].min() == day(6) and parts["value"].min() > 0
    assert parts["level"].to_list() == pytest.approx([250] * 114, rel=0.2)


def test_a_short_history_is_not_taken_apart():
    assert taken_apart([200] * 20).is_empty()
    assert level_shifts(taken_apart([200] * 20), day(10)).is_empty()


def test_a_level_shift_is_told_without_the_week():
    weekly = [round((250 if t < 100 else 610) * np.exp(WEEK_SHAPE[t % 7])) for t in range(109)]
    (shift,) = level_shifts(taken_apart(weekly), day(100)).rows(named=True)
    assert shift["signal"] == "water"
    assert shift["before"] == pytest.approx(250, rel=0.05) and shift["after"] == pytest.approx(610, rel=0.1)
    assert level_shifts(taken_apart(weekly), day(200)).is_empty()  # no day since


# --- on the page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_it_in_words_and_as_one_drawing(language):
    page = case_page()
    written = writer.render_case(page, charts.chinese_font())
    html = written[report.file_name(page.case["case_id"], language, SITE.languages)].decode()
    (alt,) = re.findall(r'<div role="img" aria-label="([^"]+)"><svg', html)
    assert messages.message(language, "level.title") in html and len(alt) > 20
    assert sum(map(len, written.values())) <= 150_000
    told = {
        "en": "Water: the trend rises from about 300 to 720 L a day around 6 Mar.",
        "zh": "用水：3月6日前后，趋势由每日约300升升至约720升。",
    }
    assert told[language] in html


def test_levels_that_stay_or_fall_are_told_so():
    moved = SHIFTS.with_columns(before=pl.Series([6.0, 9000.0, 400.0]), after=pl.Series([6.3, 9100.0, 200.0]))
    html = report.case_html(dataclasses.replace(case_page(), shifts=moved), "en", "a.png", "<svg></svg>")
    assert "Entries: the trend holds at about 6.3 passages a day." in html
    assert "Water: the trend falls from about 400 to 200 L a day around 6 Mar." in html


def test_a_page_without_a_decomposition_has_no_such_section():
    page = dataclasses.replace(case_page(), parts=LEVELS.clear(), shifts=SHIFTS.clear())
    written = writer.render_case(page, None)
    assert messages.message("en", "level.title") not in written[page.case["case_id"] + ".en.html"].decode()
