from datetime import date, datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import (
    IncrementalState,
    SignalRule,
    advance,
    daily_readings,
    homes_to_rebuild,
    parse_rows,
)

SUMMED = SignalRule("power", "usage", "kWh", combine="sum")
REGISTER = SignalRule("water", "register", "m3", combine="sum")
FIRST = date(2026, 6, 1)


def rows(rule, *cells, **columns):
    """Typed rows of (day from 0, meter, value) of home a; more columns by name."""
    raw = pl.DataFrame(
        [("a", str(FIRST + timedelta(days=day)), str(value), meter) for day, meter, value in cells],
        schema=["household", "time", "value", "meter"],
        orient="row",
    )
    raw = raw.with_columns(row=pl.int_range(1, len(raw) + 1, dtype=pl.Int64), **columns)
    typed, rejects = parse_rows(raw, rule)
    assert rejects.is_empty()
    return typed


def told(days):
    return [
        (day.day, value, quality) for day, value, quality in days.select("day", "value", "quality").rows()
    ]


def test_uses_of_several_meters_are_summed():
    cells = [(day, meter, value) for day in range(3) for meter, value in (("T1", 4), ("T2", 1.5))]
    assert told(daily_readings(rows(SUMMED, *cells), SUMMED)) == [(d, 5500, "read") for d in (1, 2, 3)]


def test_a_day_without_one_of_the_meters_is_partial():
    cells = [(day, meter, 2) for day in range(4) for meter in ("T1", "T2") if (day, meter) != (2, "T2")]
    assert told(daily_readings(rows(SUMMED, *cells), SUMMED))[2:] == [(3, 2000, "partial"), (4, 4000, "read")]


def test_a_tariff_that_rests_at_weekends_makes_them_not_partial_for_ever():
    """2026-06-06 and 07 are a weekend: only the first one cannot be told from a lost row."""
    cells = [
        (day, meter, 2)
        for day in range(14)
        for meter in ("peak", "low")
        if meter == "low" or (FIRST + timedelta(days=day)).weekday() < 5
    ]
    days = told(daily_readings(rows(SUMMED, *cells), SUMMED))
    assert [d for d, _, quality in days if quality == "partial"] == [6]
    assert days[12] == (13, 2000, "read")


def test_registers_of_several_meters_are_read_one_by_one():
    """The second one is exchanged: its use across the exchange belongs to nobody, and the day to no one."""
    levels = [(day, "hot", 10 + 0.1 * day) for day in range(5)]
    levels += [(day, "cold", 50 + 0.2 * day if day < 3 else 0.2 * day) for day in range(5)]
    days = told(daily_readings(rows(REGISTER, *levels), REGISTER))
    assert days[:3] == [(1, None, "missing"), (2, 300, "read"), (3, 300, "read")]
    assert days[3][2] == "doubtful"


def test_a_change_of_meter_is_an_exchange_however_near_the_new_one_stands():
    plain = SignalRule("water", "register", "m3")
    cells = [(day, "M1" if day < 4 else "M2", 10 + 0.2 * day + (0.7 if day >= 4 else 0)) for day in range(7)]
    days = told(daily_readings(rows(plain, *cells), plain))
    assert [value for _, value, _ in days] == [None, 200, 200, 200, None, 200, 200]
    unnamed = rows(plain, *cells).drop("meter")
    assert told(daily_readings(unnamed, plain))[4] == (5, 900, "read"), "nothing else tells them apart"


def test_two_meters_at_once_that_nobody_said_to_sum_are_doubtful():
    plain = SignalRule("water", "register", "m3")
    cells = [(day, meter, 10 + 0.2 * day) for day in range(4) for meter in ("M1", "M2")]
    assert {quality for _, _, quality in told(daily_readings(rows(plain, *cells), plain))[1:]} == {"doubtful"}


def test_a_use_that_is_estimated_is_kept_and_never_read():
    rule = SignalRule("power", "usage", "kWh", actual=("A", "actual"))
    types = pl.Series(["A", " e", "a", None, "Actual"])
    typed = rows(rule, *[(day, None, 8) for day in range(5)], read_type=types).drop("meter", strict=False)
    assert [quality for _, _, quality in told(daily_readings(typed, rule))] == [
        "read", "estimated", "read", "estimated", "read",
    ]  # fmt: skip
    assert daily_readings(typed, rule)["value"].to_list() == [8000] * 5


def test_one_estimated_hour_makes_its_day_estimated():
    rule = SignalRule("power", "usage", "kWh", actual=("A",))
    raw = pl.DataFrame(
        [
            ("a", str(datetime(2026, 6, 1) + timedelta(hours=hour)), "1", "E" if hour == 5 else "A")
            for hour in range(48)
        ],
        schema=["household", "time", "value", "read_type"],
        orient="row",
    ).with_row_index("row", 1)
    assert told(daily_readings(parse_rows(raw, rule)[0], rule)) == [
        (1, 24000, "estimated"),
        (2, 24000, "read"),
    ]


def test_days_that_only_estimated_register_readings_tell_are_estimated():
    """The actual reading after them lies below: nothing of that is a reset, and no day of it is read."""
    rule = SignalRule("water", "register", "m3", actual=("A",))
    levels = [10, 10.2, 10.4, 10.8, 11.2, 11.0, 11.2, 11.4]
    types = pl.Series(list("AAAEEAAA"))
    typed = rows(rule, *[(day, "", level) for day, level in enumerate(levels)], read_type=types)
    days = told(daily_readings(typed, rule))
    assert days[1:5] == [(2, 200, "read"), (3, 200, "read"), (4, 400, "estimated"), (5, 400, "estimated")]
    assert days[5][2] != "read" and days[6:] == [(7, 200, "read"), (8, 200, "read")]


@pytest.mark.parametrize("rule", [SUMMED, REGISTER, SignalRule("water", "register", "m3")])
def test_rows_that_come_day_by_day_give_what_all_at_once_give(rule):
    """Home a gets a second meter on the fourth day; home b keeps its one."""
    cells = [(day, "M1", 10 + day) for day in range(8)] + [(day, "M2", 5 + day) for day in range(3, 8)]
    cells.sort()
    all_rows = rows(rule, *cells)
    other = all_rows.filter(pl.col("meter") == all_rows["meter"][0]).with_columns(household=pl.lit("b"))
    all_rows = pl.concat([all_rows, other]).sort("time", "household")
    state, seen, days = IncrementalState.initial(), all_rows.clear(), {}
    for day in range(8):
        new = all_rows.filter(pl.col("time").dt.date() == FIRST + timedelta(days=day))
        late = homes_to_rebuild(new, rule, state)
        seen = pl.concat([seen, new])
        is_late = pl.col("household").is_in(late.implode())
        made, state = (
            advance(new.filter(~is_late), rule, state) if new.filter(~is_late).height else (None, state)
        )
        frames = [made] if made is not None else []
        if late.len():
            others = IncrementalState(state.homes.filter(~is_late), state.rows.filter(~is_late))
            again, state = advance(seen.filter(is_late), rule, others)
            frames.append(again)
        for frame in frames:
            days |= {(home, when): rest for home, when, *rest in frame.rows()}
    whole, _ = advance(all_rows, rule, IncrementalState.initial())
    assert [[home, when, *rest] for (home, when), rest in sorted(days.items())] == [
        list(row) for row in whole.rows()
    ]
