from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import ROW_SCHEMA, SignalRule, daily_readings, parse_rows
from anomaly.readings.period_days import cadence_seconds
from tests.support import naive

DAY = 86_400_000_000
LONDON = SignalRule("power", "usage", "kWh", periods_per_day=48, timezone="Europe/London")
DOOR = SignalRule("entries", "count")


def stamped(rows, home="a"):
    """(time, value) …"""
    told = [(home, time, False, value, None, None, n) for n, (time, value) in enumerate(rows)]
    return pl.DataFrame(told, schema=ROW_SCHEMA, orient="row")


def every(minutes, start, end, value=1):
    step = timedelta(minutes=minutes)
    return [(start + n * step, value) for n in range((end - start) // step)]


def told(days):
    return [(d.day, v, q, n) for d, v, q, n in days.select("day", "value", "quality", "note").iter_rows()]


def test_london_rows():
    cells = [
        ("MAC000004", "2012-05-08", "0.725", "22"), ("MAC000004", "2012-05-09", "1.407", "48"), ("MAC000004", "2012-05-10", "1.59", "48"),
        ("MAC005550", "2014-02-27", "4.874", "48"), ("MAC005550", "2014-02-28", "0.057", "1"),
    ]  # fmt: skip
    raw = pl.DataFrame(cells, schema=["household", "time", "value", "periods"], orient="row").with_row_index(
        "row", 1
    )
    rows, rejects = parse_rows(raw, LONDON, date(2014, 2, 28))
    assert rejects.is_empty()
    assert told(daily_readings(rows, LONDON)) == [
        (8, 725, "partial", "partial"), (9, 1407, "read", None), (10, 1590, "read", None), (27, 4874, "read", None), (28, 57, "partial", "partial"),
    ]  # fmt: skip


def test_a_day_of_the_clock_change_is_whole_with_the_periods_it_holds():
    def quality(day, periods):
        rows = pl.DataFrame([("a", day, True, 5, None, periods, 1)], schema=ROW_SCHEMA, orient="row")
        return daily_readings(rows, LONDON)["quality"][0]

    spring, autumn, plain = datetime(2013, 3, 31), datetime(2013, 10, 27), datetime(2013, 6, 1)
    assert [quality(spring, 46), quality(spring, 45), quality(autumn, 48), quality(plain, 47), quality(plain, None)] == [
        "read", "partial", "read", "partial", "read",
    ]  # fmt: skip


def test_missing_days_have_rows():
    rows = pl.DataFrame(
        [("a", datetime(2026, 1, d), True, d, None, None, d) for d in (1, 4)], schema=ROW_SCHEMA, orient="row"
    )
    days = daily_readings(rows, SignalRule("charges", "usage", "cent"))
    assert told(days) == [
        (1, 1, "read", None),
        (2, None, "missing", "gap"),
        (3, None, "missing", "gap"),
        (4, 4, "read", None),
    ]
    assert (days["known_on"] == days["day"]).all() and days["unit"].unique().to_list() == ["cent"]


def test_which_end_of_its_period_a_row_names():
    rows = stamped(every(60, datetime(2026, 1, 1), datetime(2026, 1, 4)))
    assert [d[1] for d in told(daily_readings(rows, DOOR))] == [24, 24, 24]
    # as ends: the first row closes 31 December, and the last hour of 3 January has not come
    ends = daily_readings(rows, SignalRule("entries", "count", stamp="end"))
    assert told(ends) == [
        (31, 1, "read", None),
        (1, 24, "read", None),
        (2, 24, "read", None),
        (3, 23, "partial", "partial"),
    ]


def test_a_day_short_of_periods_is_partial():
    rows = every(30, datetime(2026, 1, 1), datetime(2026, 1, 4))
    assert [d[1:] for d in told(daily_readings(stamped(rows[:-1]), DOOR))][1:] == [
        (48, "read", None),
        (47, "partial", "partial"),
    ]


def test_hourly_days_of_the_clock_change():
    # London 2025: 26 October has 25 hours, 30 March 23; stamps in UTC
    rule = SignalRule("power", "usage", "Wh", timezone="Europe/London")

    def around(start, hours):
        times = [start + timedelta(hours=n) for n in range(hours)]
        raw = pl.DataFrame(
            {"household": "a", "time": [f"{t.isoformat()}Z" for t in times], "value": "1"}
        ).with_row_index("row")
        return [d[1:3] for d in told(daily_readings(parse_rows(raw, rule)[0], rule))]

    assert around(datetime(2025, 10, 24, 23), 25 + 48) == [(24, "read"), (25, "read"), (24, "read")]
    assert around(datetime(2025, 3, 29), 24 + 23 + 24) == [(24, "read"), (23, "read"), (24, "read")]


def test_irregular_rows_make_whole_days():
    minutes = (3, 500, 512, 700, 1500, 1511, 1900, 2900, 3000, 4000)
    rows = stamped([(datetime(2026, 1, 1) + timedelta(minutes=m), 1) for m in minutes])
    assert told(daily_readings(rows, DOOR)) == [
        (1, 4, "read", None),
        (2, 3, "read", None),
        (3, 3, "read", None),
    ]


def test_a_week_in_one_row_is_no_day():
    rows = stamped([(datetime(2026, 1, 5) + timedelta(weeks=n), 700) for n in range(4)])
    assert [d[1] for d in told(daily_readings(rows, SignalRule("water", "usage", "litre")))][1:] == [
        None
    ] * 21


def test_more_than_a_day_can_hold():
    rows = pl.DataFrame(
        [("a", datetime(2026, 1, d), True, v, None, None, d) for d, v in ((1, 5_000), (2, 5_001))],
        schema=ROW_SCHEMA,
        orient="row",
    )
    assert told(daily_readings(rows, DOOR)) == [(1, 5_000, "read", None), (2, 5_001, "doubtful", "glitch")]


def door(pairs):
    rows = [("a", datetime(2026, 1, 1) + timedelta(n), True, e, x, None, n) for n, (e, x) in enumerate(pairs)]
    return daily_readings(pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row"), DOOR)


def test_entries_without_exits():
    usual = [(12, 11)] * 14
    assert [q for _, _, q, _ in told(door([*usual, (30, 0), (40, 10), (41, 10), (15, 1), (0, 30), (12, 12)]))[14:]] == [
        "doubtful", "read", "doubtful", "read", "doubtful", "read",
    ]  # fmt: skip
    # exits that never agreed with entries say nothing, nor do too few days
    assert set(door([(12, 2)] * 14 + [(30, 0)])["quality"]) == {"read"}
    assert set(door([(12, 11)] * 13 + [(30, 0)])["quality"]) == {"read"}
    assert set(door([(12, None)] * 20)["quality"]) == {"read"}


STEPS = st.lists(
    st.tuples(st.sampled_from([30, 30, 30, 60, 17, 1440, 0]), st.integers(1, 60)), min_size=1, max_size=12
)


def times_of(steps):
    minutes = np.cumsum([step for step, n in steps for _ in range(n)])
    return np.asarray(minutes * 60_000_000, np.int64)


@settings(deadline=None, max_examples=150)
@given(STEPS, STEPS)
def test_cadence_seconds_agree_with_the_slow_twin(one, two):
    a, b = times_of(one), times_of(two)
    both = cadence_seconds(
        np.concatenate([a, b]), np.concatenate([a, b]) // DAY, np.array([0, len(a), len(a) + len(b)])
    )
    for fast, times in ((both[: len(a)], a), (both[len(a) :], b)):
        assert fast.tolist() == naive.cadence_seconds(times.tolist(), (times // DAY).tolist())


@settings(deadline=None, max_examples=60)
@given(STEPS, STEPS, st.sampled_from(["start", "end"]), st.randoms())
def test_no_night_sees_what_comes_later(one, two, stamp, random):
    rule = SignalRule("water", "usage", "litre", stamp=stamp, timezone="Europe/Madrid")
    begin = datetime(2026, 3, 20)
    parts = [
        stamped([(begin + timedelta(microseconds=int(t)), 7) for t in np.unique(times_of(steps))], home)
        for steps, home in ((one, "b"), (two, "a"))
    ]
    rows = pl.concat(parts)
    order = list(range(len(rows)))
    random.shuffle(order)
    full = daily_readings(rows[order], rule)
    assert full.equals(daily_readings(rows, rule))
    for day in full["day"].unique().sort().to_list()[::5]:
        at = pl.col("time") - pl.duration(microseconds=stamp == "end")
        then = daily_readings(rows.filter(at.dt.date() <= day), rule)
        seen = full.filter(pl.col("day") <= day)
        assert then.filter(pl.col("quality") != "missing").equals(seen.filter(pl.col("quality") != "missing"))


def test_small_periods_are_summed_exactly_and_rounded_once():
    power = SignalRule("power", "usage", "kWh")
    start = datetime(2026, 6, 1)
    cells = [("a", str(time), value) for time, value in every(5, start, datetime(2026, 6, 3), "0.0004")]
    raw = pl.DataFrame(cells, schema=["household", "time", "value"], orient="row").with_row_index("row", 1)
    rows, _ = parse_rows(raw, power)
    assert told(daily_readings(rows, power)) == [(1, 115, "read", None), (2, 115, "read", None)]
    dated, _ = parse_rows(raw.head(1).with_columns(time=pl.lit("2026-06-01")), power)
    assert dated["value"].to_list() == [0], "a row of a whole day is the day"
