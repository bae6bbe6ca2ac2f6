from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import ROW_SCHEMA, SignalRule, daily_readings, parse_rows
from anomaly.readings.register_cleaning import READING_NOTES, RegisterLimits, clean, initial_states
from tests.support import naive

WATER = SignalRule("water", "register", "litre")
DAY = 86_400_000_000
NIGHT = datetime(2026, 1, 1)


def dated(*values, home="a", start=date(2026, 1, 1)):
    """A register read at the end of each day; None: no reading."""
    rows = [
        (home, datetime.combine(start + timedelta(n), datetime.min.time()), True, v, None, None, n)
        for n, v in enumerate(values)
        if v is not None
    ]
    return pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row")


def stamped(*rows, home="a"):
    """("01-17 08:37:09", reading) …, in 2017."""
    told = [
        (home, datetime.fromisoformat(f"2017-{time}"), False, v, None, None, n)
        for n, (time, v) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=ROW_SCHEMA, orient="row")


def told(rows, rule=WATER):
    """(day of the month, value, quality, note, days until it was known)."""
    days = daily_readings(rows, rule)
    return [
        (d.day, v, q, n, (k - d).days) for d, v, q, n, k in days.select("day", "value", "quality", "note", "known_on").iter_rows()
    ]  # fmt: skip


GAP = (None, "missing", "gap", 0)


def test_dated_days():
    assert told(dated(100, 350, 350, None, 900, 1000)) == [
        (1, *GAP), (2, 250, "read", None, 0), (3, 0, "read", None, 0), (4, *GAP), (5, *GAP), (6, 100, "read", None, 0),
    ]  # fmt: skip


def test_a_catch_up_over_a_gap_is_no_day():
    days = told(dated(100, 300, *[None] * 9, 26_300, 26_500))
    assert [day for day in days if day[1] is not None] == [
        (2, 200, "read", None, 0),
        (13, 200, "read", None, 0),
    ]


def test_midnight_between_two_stamps():
    # 23:00 → 01:00 uses 20: 10 on each side; the last midnight has no reading after it
    rows = stamped(
        ("01-01 23:00", 100),
        ("01-02 01:00", 120),
        ("01-02 12:00", 200),
        ("01-02 22:00", 300),
        ("01-03 02:00", 340),
        ("01-03 23:00", 400),
    )
    assert told(rows) == [(1, *GAP), (2, 210, "interpolated", None, 0), (3, *GAP)]


def test_a_stamp_at_midnight_is_read():
    rows = stamped(("01-01 00:00", 100), ("01-02 00:00", 150), ("01-03 00:00", 250))
    assert told(rows) == [(31, *GAP), (1, 50, "read", None, 0), (2, 100, "read", None, 0)]


def test_a_stamp_too_far_from_midnight_closes_no_day():
    near = stamped(("01-01 21:00", 100), ("01-02 03:00", 100), ("01-02 21:00", 200), ("01-03 03:00", 300))
    assert told(near)[1] == (2, 150, "interpolated", None, 0)
    far = stamped(("01-01 20:59", 100), ("01-02 03:00", 100), ("01-02 21:00", 200), ("01-03 03:00", 300))
    assert told(far)[1] == (2, *GAP)
    assert told(far, SignalRule("water", "register", "litre", boundary_hours=4))[1][1] == 150


def test_a_row_of_the_day_outranks_a_stamp_at_its_midnight():
    rows = pl.concat([stamped(("01-03 00:00", 180)), dated(100, 200, 300, start=date(2017, 1, 1))])
    assert told(rows)[1:] == [(2, 100, "read", None, 0), (3, 100, "read", None, 0)]


def test_a_glitch_waits_for_the_next_reading():
    assert told(dated(100_000, 100_200, 3, 100_600, 100_800)) == [
        (1, *GAP), (2, 200, "read", None, 0), (3, None, "doubtful", "glitch", 1), (4, None, "doubtful", "glitch", 0), (5, 200, "read", None, 0),
    ]  # fmt: skip
    up = told(dated(100_000, 100_200, 900_000, 100_600, 100_800))
    assert [day[1:] for day in up[2:]] == [
        (None, "doubtful", "glitch", 1),
        (None, "doubtful", "glitch", 0),
        (200, "read", None, 0),
    ]


def test_a_midnight_between_readings_not_believed_is_unknown():
    rows = stamped(
        ("01-01 23:00", 100_000), ("01-02 01:00", 100_020), ("01-02 12:00", 100_100), ("01-02 23:00", 900_000), ("01-03 01:00", 100_200),
        ("01-03 23:00", 100_300), ("01-04 01:00", 100_300),
    )  # fmt: skip
    assert told(rows)[1:3] == [(2, None, "doubtful", "glitch", 0), (3, None, "doubtful", "glitch", 0)]


def test_an_exchange_at_midnight_spoils_both_days():
    rows = stamped(
        ("01-01 23:00", 100_000), ("01-02 01:00", 100_020), ("01-02 23:00", 100_100), ("01-03 01:00", 10), ("01-03 12:00", 200),
        ("01-03 23:00", 300), ("01-04 01:00", 320), ("01-04 23:00", 400), ("01-05 01:00", 400),
    )  # fmt: skip
    assert told(rows)[1:4] == [
        (2, None, "doubtful", "reset", 1),
        (3, None, "doubtful", "reset", 0),
        (4, 90, "interpolated", None, 0),
    ]


def test_not_yet_decided():
    assert told(dated(100_000, 100_200, 3))[2] == (3, None, "doubtful", "unconfirmed", 0)


def test_zeros_while_the_gateway_is_down_are_no_new_meter():
    days = told(dated(100_000, 100_200, 0, 0, 0, 0, 101_400, 101_600))
    assert [day[1] for day in days] == [None, 200, None, None, None, None, None, 200]
    assert {day[3] for day in days[2:7]} == {"glitch"}


def test_exchange():
    days = told(dated(100_000, 100_200, 50, 250, 400, 700))
    assert days[2:] == [
        (3, None, "doubtful", "reset", 2),
        (4, 200, "read", None, 1),
        (5, 150, "read", None, 0),
        (6, 300, "read", None, 0),
    ]


def test_exchange_for_a_used_meter():
    days = told(dated(100_000, 100_200, 700_000, 700_150, 700_300, 700_500))
    assert days[2:] == [
        (3, None, "doubtful", "reset", 2),
        (4, 150, "read", None, 1),
        (5, 150, "read", None, 0),
        (6, 200, "read", None, 0),
    ]


def test_roll_over():
    days = told(dated(9_999_600, 9_999_800, 30, 250, 400))
    assert days[2:] == [(3, 230, "read", "rollover", 2), (4, 220, "read", None, 1), (5, 150, "read", None, 0)]
    # an electricity meter of five digits in whole kWh
    power = told(dated(99_988_000, 99_994_000, 2_000, 9_000, 15_000), SignalRule("power", "register", "kWh"))
    assert power[2:] == [
        (3, 8_000, "read", "rollover", 2),
        (4, 7_000, "read", None, 1),
        (5, 6_000, "read", None, 0),
    ]
    # from the middle of the dial it is an exchange
    assert told(dated(5_959_600, 5_959_800, 30, 250, 400))[2][1:4] == (None, "doubtful", "reset")
    # no household meter has a dial of a hundred cubic metres, nor one of ten kilowatt hours
    assert told(dated(99_600, 99_800, 30, 250, 400))[2][1:4] == (None, "doubtful", "reset")
    # a dial that counts cubic feet ends at a power of ten of these
    feet = SignalRule("gas", "register", "ft3")
    dial = 28.316846592 * 1e6
    over = told(dated(dial - 400, dial - 200, 30, 250, 400), feet)
    assert over[2] == (3, 231, "read", "rollover", 2)


def test_rollback_is_held():
    assert told(dated(1000, 1200, 1195, 1300)) == [
        (1, *GAP), (2, 200, "read", None, 0), (3, 0, "read", "rollback", 0), (4, 100, "read", None, 0),
    ]  # fmt: skip
    # a step of a cubic metre back is jitter to a meter that counts in cubic metres
    coarse = [1000 * n for n in (*range(100, 112), 111, 110, 112)]
    assert [day[1] for day in told(dated(*coarse))[-3:]] == [0, 0, 1000]


def test_a_rise_far_above_all_days_waits_for_one_reading():
    usual = [10_000 + 200 * n for n in range(20)]
    days = told(dated(*usual, usual[-1] + 5_000, usual[-1] + 10_000, usual[-1] + 10_200))
    assert [day[1:] for day in days[-3:]] == [
        (5_000, "read", None, 1),
        (5_000, "read", None, 0),
        (200, "read", None, 0),
    ]
    # contradicted
    back = told(dated(*usual, usual[-1] + 5_000, usual[-1] + 400, usual[-1] + 600))
    assert [day[1:] for day in back[-3:]] == [
        (None, "doubtful", "glitch", 1),
        (None, "doubtful", "glitch", 0),
        (200, "read", None, 0),
    ]
    # within three times its largest day nothing waits
    assert told(dated(*usual, usual[-1] + 1_900, usual[-1] + 2_000))[-2][1:] == (1_900, "read", None, 0)


def test_a_unit_without_a_floor_asks_the_home_itself():
    gas = SignalRule("charges", "register", "cent")
    assert told(dated(0, 10, 100_000, 100_010), gas)[2][1:] == (99_990, "read", None, 0)
    assert told(dated(*range(0, 200, 10), 100_000, 100_010), gas)[-2][1:] == (99_810, "read", None, 1)


def test_the_cap():
    spring = SignalRule("water", "register", "litre", max_per_day=1_000)
    assert told(dated(0, 500, 5_000, 5_100, 5_200, 5_300), spring)[2:4] == [
        (3, None, "doubtful", "reset", 2),
        (4, 100, "read", None, 1),
    ]
    # over a day the cap is reached in possible steps: the day is not believed, the register is
    steps = [(f"01-02 {h:02}:00", 250 * h) for h in range(24)] + [
        ("01-03 00:00", 6_000),
        ("01-04 00:00", 6_100),
    ]
    assert [day[1:4] for day in told(stamped(("01-02 00:00", 0), *steps[1:]), spring)[1:]] == [
        (6_000, "doubtful", "glitch"),
        (100, "read", None),
    ]


# Real rows of the Alicante meters


def test_alicante_another_meter_answers():
    rows = stamped(
        ("01-16 23:37:11", 207721), ("01-17 00:37:11", 207721), ("01-17 08:37:09", 207774), ("01-17 11:36:56", 207774), ("01-17 12:34:08", 456017),
        ("01-17 12:36:56", 207814), ("01-17 13:34:08", 456273), ("01-17 13:36:56", 207851), ("01-17 14:34:08", 456353), ("01-17 14:37:03", 207886),
        ("01-17 15:34:08", 456427), ("01-17 15:37:03", 207907), ("01-17 16:37:03", 207925), ("01-17 23:37:07", 207950), ("01-18 00:37:07", 207950),
    )  # fmt: skip
    assert told(rows)[1] == (17, 229, "interpolated", "glitch", 0)


def test_alicante_another_meter_answers_for_hours():
    rows = stamped(
        ("01-16 23:37:11", 207721), ("01-17 00:37:11", 207721), ("01-17 11:36:56", 207774), ("01-17 12:34:08", 456017), ("01-17 13:34:08", 456273),
        ("01-17 14:34:08", 456353), ("01-17 15:34:08", 456427), ("01-17 16:37:03", 207925), ("01-17 23:37:07", 207950), ("01-18 00:37:07", 207950),
    )  # fmt: skip
    assert told(rows)[1] == (17, 229, "interpolated", "glitch", 0)


def test_alicante_small_steps_back():
    late = stamped(  # two collectors, one of them late: -36 litres within three minutes
        ("07-12 23:32:31", 26600), ("07-13 00:32:31", 26600), ("07-13 14:52:29", 26822), ("07-13 15:49:31", 26967), ("07-13 15:52:29", 26931),
        ("07-13 16:49:31", 26967), ("07-13 17:49:31", 26990), ("07-13 23:32:28", 27032), ("07-14 00:32:28", 27032),
    )  # fmt: skip
    assert told(late)[1] == (13, 432, "interpolated", "glitch", 0)
    slow = stamped(  # a wheel that turns back 7 litres in five readings
        ("02-24 23:50", 259000), ("02-25 00:10", 259000), ("02-25 10:10:20", 259232), ("02-25 11:00:56", 259262), ("02-25 12:00:56", 259261),
        ("02-25 13:00:56", 259258), ("02-25 14:00:56", 259257), ("02-25 15:10:21", 259255), ("02-25 16:10:21", 259255), ("02-25 17:10:21", 259256),
        ("02-25 23:50", 259300), ("02-26 00:10", 259300),
    )  # fmt: skip
    assert told(slow)[1] == (25, 300, "interpolated", "rollback", 0)


def test_alicante_long_gaps():
    rows = stamped(
        ("09-17 23:48:02", 250180), ("09-18 00:48:02", 250190), ("09-18 04:48:02", 254564), ("12-06 23:45:34", 280817), ("12-07 00:45:34", 280825),
        ("12-07 23:45:34", 281000), ("12-08 00:45:34", 281010),
    )  # fmt: skip
    days = daily_readings(rows, WATER)
    assert len(days) == 83
    known = days.filter(pl.col("value").is_not_null())
    # 26,253 litres of eighty days are nobody's day
    assert known.select("day", "value").rows() == [(date(2017, 12, 7), 183)]
    assert days.filter(pl.col("value").is_null())["note"].unique().to_list() == ["gap"]


def test_alicante_rounded_reading():
    raw = pl.DataFrame(
        [("a", time, value) for time, value in (
            ("02/08/2016 23:52:16", "399980"), ("03/08/2016 00:52:16", "399984"), ("03/08/2016 07:52:19", "399995"), ("03/08/2016 08:52:19", "4e+05"),
            ("03/08/2016 09:52:19", "400010"), ("03/08/2016 23:52:15", "400100"), ("04/08/2016 00:52:15", "400100"))],
        schema=["household", "time", "value"], orient="row",
    ).with_row_index("row", 1)  # fmt: skip
    rule = SignalRule("water", "register", "litre", time_format="%d/%m/%Y %H:%M:%S")
    rows, rejects = parse_rows(raw, rule)
    assert rejects.is_empty() and told(rows, rule)[1] == (3, 120 - 1, "interpolated", None, 0)


@pytest.mark.parametrize(
    ("rounded", "day"),
    [
        (399_400, (600, "interpolated", None, 0)),
        (399_415, (600, "interpolated", "rollback", 0)),
        (
            400_000,
            (None, "doubtful", "reset", 0),
        ),  # a small step up, believed until the line goes on below it: the day is lost, no surge
        (402_000, (600, "interpolated", "glitch", 0)),
        (390_000, (600, "interpolated", "glitch", 0)),
    ],
)
def test_a_rounded_reading_makes_no_surge(rounded, day):
    rows = stamped(
        ("08-02 23:30", 399_000), ("08-03 00:30", 399_000), ("08-03 07:00", 399_400), ("08-03 08:00", rounded), ("08-03 09:00", 399_410),
        ("08-03 10:00", 399_430), ("08-03 23:30", 399_600), ("08-04 00:30", 399_600), ("08-04 23:30", 399_700), ("08-05 00:30", 399_700),
    )  # fmt: skip
    assert told(rows)[1] == (3, *day)
    assert told(rows)[2] == (4, 100, "interpolated", None, 0)


# Properties

MINUTE = 60_000_000
CHANGES = st.sampled_from(
    [
        0,
        1,
        7,
        -1,
        -6,
        -15,
        -30,
        60,
        300,
        500,
        1_000,
        -1_000,
        3_000,
        9_000,
        14_000,
        70_000,
        "zero",
        "back",
        "low",
        "top",
    ]
)
STEPS = st.sampled_from([1, 30, 60, 60, 180, 360, 600, 1440, 1440, 4000])
WALKS = st.lists(st.tuples(STEPS, CHANGES), min_size=1, max_size=45)


def walk(steps, start=9_996_000):
    """Times (µs) and readings of a register with every fault at hand."""
    time, line, seen, times, values = 0, start, start, [], []
    for minutes, change in steps:
        time += minutes * MINUTE
        if change == "back":
            seen = line
        elif change in ("zero", "low", "top"):
            seen = {"zero": 0, "low": 40, "top": 9_999_900}[change]
        else:
            seen = max(seen + change, 0)
            line = max(line, seen) if abs(change) < 5_000 else line
        times.append(time)
        values.append(seen)
    return np.array(times), np.array(values)


LIMITS = st.sampled_from(
    [
        RegisterLimits(20, 50_000.0, 2_000.0),
        RegisterLimits(5, np.inf, np.inf),
        RegisterLimits(5, 20_000.0, np.inf),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(WALKS, min_size=1, max_size=3), LIMITS)
def test_settle_agrees_with_its_slow_twin(homes, limits):
    walks = [walk(steps) for steps in homes]
    starts = np.concatenate(([0], np.cumsum([len(t) for t, _ in walks]))).astype(np.int64)
    times, values = np.concatenate([t for t, _ in walks]), np.concatenate([v for _, v in walks])
    out = clean(times, values, starts, limits, initial_states(times, values, starts)).readings
    for (times, values), start, end in zip(walks, starts, starts[1:], strict=False):
        slow = naive.Register(times.tolist(), values.tolist(), *limits).clean()
        fast = [
            (level, segment, decided - start, READING_NOTES[note])
            for level, segment, decided, note in out[start:end].tolist()
        ]
        assert [f if f[1] > -2 else -2 for f in fast] == [s if s[1] > -2 else -2 for s in slow]


def as_rows(steps, home="a", whole_days=False):
    times, values = walk(steps)
    if whole_days:
        rows = {int(t // DAY): int(v) for t, v in zip(times, values, strict=True)}
        return pl.DataFrame(
            [(home, NIGHT + timedelta(d), True, v, None, None, d) for d, v in rows.items()],
            schema=ROW_SCHEMA,
            orient="row",
        )
    rows = [
        (home, NIGHT + timedelta(microseconds=int(t)), False, int(v), None, None, n)
        for n, (t, v) in enumerate(zip(times, values, strict=True))
    ]
    return pl.DataFrame(rows, schema=ROW_SCHEMA, orient="row")


def cut(rows, day, rule):
    end = datetime.combine(day, datetime.min.time()) + timedelta(days=1)
    return rows.filter(
        pl.when("dated")
        .then(pl.col("time") < end)
        # a register that is read about once a day may be read so long after the midnight that it stands for
        .otherwise(pl.col("time") <= end + timedelta(hours=max(rule.boundary_hours, 15)))
    )


def known_by(days, day):
    return days.filter((pl.col("known_on") <= day) & (pl.col("day") <= day))


RULES = st.sampled_from(
    [
        WATER,
        SignalRule("charges", "register", "cent"),
        SignalRule("water", "register", "m3", boundary_hours=6, max_per_day=9_000),
    ]
)


@settings(deadline=None, max_examples=200)
@given(WALKS, WALKS, st.booleans(), RULES)
def test_no_night_sees_what_comes_later(one, two, whole_days, rule):
    rows = pl.concat([as_rows(one, "a", whole_days), as_rows(two, "b")])
    full = daily_readings(rows, rule)
    for day in full["day"].unique().sort().to_list()[::3]:
        then = daily_readings(cut(rows, day, rule), rule)
        seen, now = known_by(full, day), known_by(then, day)
        # what is known by that night is the same, to the note
        keys = ["household", "day"]
        settled = seen.filter(pl.col("quality") != "missing")
        assert settled.equals(now.join(settled.select(keys), on=keys, how="semi"))
        # and that night has no other value, nor calls anything but a waiting day doubtful
        extra = now.join(settled.select(keys), on=keys, how="anti").filter(
            (pl.col("quality") != "missing") & (pl.col("note").ne_missing("unconfirmed"))
        )
        assert extra.is_empty()


@settings(deadline=None, max_examples=100)
@given(WALKS, WALKS, st.randoms())
def test_the_order_of_rows_changes_nothing(one, two, random):
    rows = pl.concat([as_rows(one, "b"), as_rows(two, "a")])
    order = list(range(len(rows)))
    random.shuffle(order)
    assert daily_readings(rows[order], WATER).equals(daily_readings(rows, WATER))


@settings(deadline=None, max_examples=150)
@given(WALKS, st.booleans())
def test_days_agree_with_the_slow_twin(steps, whole_days):
    rows = as_rows(steps, "a", whole_days)
    days = daily_readings(rows, WATER)
    plain = [
        ((t - datetime(1970, 1, 1)) // timedelta(microseconds=1) + (DAY if d else 0), v)
        for t, d, v in rows.sort("time").select("time", "dated", "value").iter_rows()
    ]
    times = [t for t, _ in plain]
    settled = naive.Register(times, [v for _, v in plain], 20, 50_000, 2_000, 1000, 10_000_000).clean()
    assert days["day"].to_list() == [days["day"][0] + timedelta(n) for n in range(len(days))]
    for day, value in days.select("day", "value").iter_rows():
        at = (day - date(1970, 1, 1)).days * DAY
        opening, closing = (
            naive.midnight_level(times, settled, edge, 3 * 3600 * 1_000_000) for edge in (at, at + DAY)
        )
        known = opening[0] == closing[0] == "level" and opening[2] == closing[2] is not None
        expected = closing[1] - opening[1] if known else None
        if "no reading" in (opening[0], closing[0]):
            expected = naive.metering_day(times, settled, at // DAY)
        assert value == expected


@settings(deadline=None, max_examples=100)
@given(WALKS)
def test_a_register_never_makes_more_than_it_showed(steps):
    rows = as_rows(steps)
    days = daily_readings(rows, WATER)
    assert (days["value"].drop_nulls() >= 0).all()
    assert days.filter(pl.col("value").is_not_null())[
        "known_on"
    ].is_sorted()  # what is said of a day is never known before the days behind it
    assert (
        days.select(
            (pl.col("value").is_null() == pl.col("quality").is_in(["missing", "doubtful"]))
            | (pl.col("note") == "glitch")
        )
        .to_series()
        .all()
    )


def test_first_and_last_cut_the_days():
    days = daily_readings(dated(0, 10, 30, 60), WATER, first=date(2026, 1, 2), last=date(2026, 1, 3))
    assert days.select("day", "value").rows() == [(date(2026, 1, 2), 10), (date(2026, 1, 3), 20)]


def test_no_rows():
    assert daily_readings(dated(), WATER).columns == [
        "household",
        "signal",
        "day",
        "value",
        "unit",
        "quality",
        "known_on",
        "note",
    ]
