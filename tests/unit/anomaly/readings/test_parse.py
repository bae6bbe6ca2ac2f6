from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly.readings import (
    REJECT_SCHEMA,
    ROW_SCHEMA,
    SignalRule,
    argsort_integers,
    base_unit,
    file_sort_key,
    merge_rows,
    parse_rows,
)


def raw(*cells, **columns):
    """Rows of (household, time, value); a dict of further columns."""
    frame = pl.DataFrame(cells, schema=dict.fromkeys(("household", "time", "value"), pl.String), orient="row")
    return frame.with_columns(
        row=pl.int_range(1, len(cells) + 1, dtype=pl.Int64),
        **{n: pl.Series(v, dtype=pl.String) for n, v in columns.items()},
    )


def values(rule, *cells):
    rows, rejects = parse_rows(raw(*(("a", "2026-01-05", cell) for cell in cells)), rule)
    told = dict(zip(rows["row"], rows["value"], strict=True)) | dict(
        zip(rejects["row"], rejects["reason"], strict=True)
    )
    return [told[n + 1] for n in range(len(cells))]


def times(rule, *cells):
    rows, rejects = parse_rows(raw(*(("a", cell, "1") for cell in cells)), rule)
    told = {
        r: (f"{t:%Y-%m-%d}" if d else str(t)) for r, t, d in rows.select("row", "time", "dated").iter_rows()
    }
    told |= dict(zip(rejects["row"], rejects["reason"], strict=True))
    return [told[n + 1] for n in range(len(cells))]


def test_units():
    assert [base_unit(u) for u in ("m3", "m³", "kWh", "MWh", "l", "litre", "cent", "count")] == [
        ("litre", 1000.0), ("litre", 1000.0), ("Wh", 1000.0), ("Wh", 1e6), ("litre", 1.0), ("litre", 1.0), ("cent", 1.0), ("count", 1.0),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="'gallon' is not known; write one of cent, count, ft3, gallon_uk"):
        base_unit("gallon")


@pytest.mark.parametrize(
    "field", [{"kind": "meter"}, {"unit": "gal"}, {"timezone": "Mars/Phobos"}, {"timezone": ""}, {"source_timezone": "UTC+8"}, {"stamp": "mid"}, {"boundary_hours": 24},
              {"decimal": ";"}, {"periods_per_day": 0}]
)  # fmt: skip
def test_a_rule_that_cannot_be_meant_is_refused(field):
    with pytest.raises(ValueError, match="known|must"):
        SignalRule(**{"name": "x", "kind": "usage", **field})


def test_numbers():
    water = SignalRule("water", "register", "m3")
    assert values(water, "12.3456", "1,234.5", "4e+05", " 7 ", "+3", "1 234", "0", "-0", "1\u00a0234.5", ".5") == [
        12346, 1234500, 400000000, 7000, 3000, 1234000, 0, 0, 1234500, 500,
    ]  # fmt: skip
    bad = (
        "12,5",
        "1,23,456",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "",
        "-1",
        "abc",
        "1e10",
        "0x10",
        "1_000",
        "=1+1",
    )
    number, no = "value not a number", "value out of range"
    assert values(water, *bad) == [number] * 6 + [
        "no value",
        "value negative",
        number,
        no,
        number,
        number,
        number,
    ]


def test_decimal_comma():
    power = SignalRule("power", "usage", "kWh", decimal=",")
    assert values(power, "0,725", "1.234,5", "12", "1.234") == [725, 1234500, 12000, 1234000]
    assert values(power, "12.5", "1,2,3") == ["value not a number"] * 2


def test_counts_are_whole():
    assert values(SignalRule("entries", "count"), "3", "3.0", "3e0", "2.5") == [3, 3, 3, "value not whole"]
    assert values(SignalRule("charges", "usage", "cent"), "2.6") == [3]


def test_times():
    rule = SignalRule("x", "count", timezone="Asia/Shanghai")
    assert (
        times(rule, "2026-01-05", "2026/1/5", "20260105", "2026.01.05", "2026年1月5日") == ["2026-01-05"] * 5
    )
    assert (
        times(
            rule,
            "2026-01-05 10:00",
            "2026-01-05T10:00:00",
            "2026/1/5 10:00:00",
            "20260105100000",
            "202601051000",
            "20260105T100000",
        )
        == ["2026-01-05 10:00:00"] * 6
    )
    assert (
        times(
            rule,
            "2026-01-05T02:00:00Z",
            "2026-01-05T10:00:00+08:00",
            "2026-01-05 04:00+0200",
            "2026-01-04T20:00:00.000-06",
        )
        == ["2026-01-05 10:00:00"] * 4
    )
    assert times(rule, "2026-01-05 10:00:00.25", "2026-01-05 24:00") == [
        "2026-01-05 10:00:00.250000",
        "2026-01-06 00:00:00",
    ]
    bad = (
        "2026-13-01",
        "2026-02-30",
        "05/01/2026",
        "yesterday",
        "1767578400",
        "2026-01-05 25:00",
        "2026-01-051",
        "0026-01-05",
        "1970-01-01",
        "2000-01-01 00:07",
        "",
    )
    assert times(rule, *bad) == ["time not readable"] * 10 + ["no time"]


def test_time_format():
    spain = SignalRule("water", "register", "litre", time_format="%d/%m/%Y %H:%M:%S")
    assert times(spain, "01/03/2016 00:28:55", "2016-03-01 00:28:55", "13/13/2016 00:00:00") == [
        "2016-03-01 00:28:55"
    ] * 2 + ["time not readable"]
    assert times(SignalRule("x", "count", time_format="%d/%m/%Y"), "5/1/2026") == ["2026-01-05"]
    # a format that begins with the year is never second-guessed
    assert times(SignalRule("x", "count", time_format="%Y-%d-%m"), "2026-05-01", "2026-01-13") == [
        "2026-01-05",
        "time not readable",
    ]
    assert times(
        SignalRule("x", "count", time_format="%Y-%m-%dT%H:%M:%S%z", timezone="Europe/Madrid"),
        "2026-01-05T10:00:00+0000",
    ) == ["2026-01-05 11:00:00"]


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("%d/%m/%Y %H:%M", "05/01/2026 24:00"),
        ("%d/%m/%Y %H:%M", "5/1/2026 24:00"),
        ("%d.%m.%y %T", "05.01.26 24:00:00"),
        ("%H:%M %b %d, %Y", "24:00 Jan 05, 2026"),
        ("%Y%m%d%H%M", "202601052400"),
        ("%d/%m/%Y %H:%M:%S%.f", "05/01/2026 24:00:00.000"),
        ("%d/%m/%Y %H:%M %z", "05/01/2026 24:00 +0800"),
        ("%Y年%m月%d日%H时%M分", "2026年01月05日24时00分"),
        (None, "2026-01-05T24:00"),
    ],
)
def test_24_00_closes_its_day_in_any_form(form, cell):
    rule = SignalRule("power", "usage", time_format=form, timezone="Asia/Shanghai")
    midnight, later = (
        cell,
        cell.replace("24:00", "24:30").replace("2400", "2430").replace("24时00", "24时30"),
    )
    assert times(rule, midnight, later) == ["2026-01-06 00:00:00", "time not readable"]


def test_the_clock_of_the_source():
    rule = SignalRule("power", "usage", timezone="Asia/Shanghai", source_timezone="UTC")
    cells = "2026-05-31 16:00", "2026-05-31T16:00:00", "2026-05-31 24:00", "2026-06-01T00:00:00+08:00"
    first = "2026-06-01 00:00:00"
    assert times(rule, *cells) == [first, first, "2026-06-01 08:00:00", first]
    assert times(rule, "2026-06-01") == ["2026-06-01"]  # a day is a day
    # Berlin's clock leaves out 02:00 … 03:00: read as if it had not been changed yet
    berlin = SignalRule("power", "usage", timezone="UTC", source_timezone="Europe/Berlin")
    assert times(berlin, "2026-03-29 01:30", "2026-03-29 02:30", "2026-03-29 03:30") == [
        "2026-03-29 00:30:00",
        "2026-03-29 01:30:00",
        "2026-03-29 01:30:00",
    ]


def test_the_repeated_hour_keeps_both_passes():
    rule = SignalRule("power", "usage", "Wh", timezone="Europe/London")
    assert times(rule, "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z") == [
        "2025-10-26 01:30:00", "2025-10-26 01:30:00.000001", "2025-10-26 02:30:00",
    ]  # fmt: skip


def test_each_row_is_kept_or_refused_for_one_reason():
    frame = raw(
        ("", "2026-01-05", "1"),
        (None, "", "x"),
        ("b", "2026-01-05", None),
        ("0001", "2026-01-05", "5"),
        ("c", None, None),
        ("d", "2026-01-05", "7"),
        # fmt: skip
        exits=[None, None, None, "4", None, "-2"],
        broken=[None, None, None, None, "wrong number of cells", None],
    )
    rows, rejects = parse_rows(frame, SignalRule("entries", "count"))
    assert rows.rows() == [("0001", datetime(2026, 1, 5), True, 5, 4, None, 4)]
    assert rejects.rows() == [
        (1, "no household"),
        (2, "no household"),
        (3, "no value"),
        (5, "wrong number of cells"),
        (6, "exits not a whole number"),
    ]
    assert dict(rows.schema) == ROW_SCHEMA and dict(rejects.schema) == REJECT_SCHEMA


def test_headers_only():
    rows, rejects = parse_rows(
        raw(), SignalRule("water", "register", "m3", time_format="%d/%m/%Y"), date(2026, 1, 5)
    )
    assert rows.is_empty() and rejects.is_empty() and dict(rows.schema) == ROW_SCHEMA


def test_the_future():
    cells = [("a", f"2026-01-0{d}", "1") for d in (4, 5, 6)]
    assert parse_rows(raw(*cells), SignalRule("x", "count"), date(2026, 1, 5))[1].rows() == [
        (3, "in the future")
    ]
    # more than half of the file: the clock is wrong, not the file
    assert parse_rows(raw(*cells), SignalRule("x", "count"), date(2026, 1, 4))[1].is_empty()
    closing = [
        ("a", t, "1")
        for t in (
            "2026-01-05 23:00",
            "2026-01-06 00:00",
            "2026-01-06 03:00",
            "2026-01-06 03:01",
            "2026-01-05",
        )
    ]
    late = {
        kind + stamp: parse_rows(
            raw(*closing), SignalRule("x", kind, "litre", stamp=stamp), date(2026, 1, 5)
        )[1]["row"].to_list()
        for kind, stamp in (("register", "start"), ("usage", "end"))
    }
    assert late == {"registerstart": [4], "usageend": [3, 4]}


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=12), max_size=30),
    st.lists(st.text(alphabet="0123456789-:/ TZ+.", max_size=20), max_size=30),
)
def test_any_text_is_a_row_or_a_reject(some, other):
    cells = [(a, b, c) for a, b, c in zip(some, other + some, some[::-1] + other, strict=False)]
    frame = raw(*cells)
    for rule in (
        SignalRule("x", "count"),
        SignalRule("x", "register", "m3", decimal=",", timezone="Europe/Madrid"),
    ):
        rows, rejects = parse_rows(frame, rule, date(2026, 1, 5))
        assert sorted(rows["row"].to_list() + rejects["row"].to_list()) == frame["row"].to_list()
        assert rows.select("household", "time", "value").null_count().sum_horizontal().item() == 0


# merging


def rows_of(*rows):
    """(household, day of January, value, order, row)"""
    frame = pl.DataFrame(
        rows,
        schema=["household", "d", "value", "order", "row"],
        orient="row",
        schema_overrides={"order": pl.String, "household": pl.String},
    )
    return frame.select(
        "household", pl.date(2026, 1, "d").cast(pl.Datetime("us")).alias("time"), pl.lit(True).alias("dated"), pl.col("value").cast(pl.Int64),
        pl.lit(None, pl.Int64).alias("exits"), pl.lit(None, pl.Int32).alias("periods"), pl.col("row").cast(pl.Int64), "order",
    )  # fmt: skip


def merged(stored, new):
    rows, counts = merge_rows(rows_of(*stored), rows_of(*new))
    return (
        list(zip(rows["household"], rows["time"].dt.day(), rows["value"], strict=True)),
        counts["duplicate"],
        counts["restated"],
    )


def test_last_one_wins():
    assert merged([], [("a", 1, 5, "f", 1), ("a", 1, 5, "f", 2), ("a", 1, 6, "f", 3)]) == (
        [("a", 1, 6)],
        0,
        2,
    )
    assert merged([], [("a", 1, 6, "f", 2), ("a", 1, 6, "f", 1), ("b", 1, 6, "f", 3)]) == (
        [("a", 1, 6), ("b", 1, 6)],
        1,
        0,
    )
    # an earlier file that comes late does not win
    assert merged([("a", 1, 5, "g", 1)], [("a", 1, 7, "f", 9)]) == ([("a", 1, 5)], 0, 1)


def test_a_file_that_comes_again_replaces_its_rows():
    assert merged(
        [("a", 1, 5, "f", 900), ("a", 2, 8, "f", 901)], [("a", 1, 5, "f", 1), ("a", 2, 9, "f", 2)]
    ) == ([("a", 1, 5), ("a", 2, 9)], 0, 1)


def test_nothing_to_merge():
    assert merged([], []) == ([], 0, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(1, 3),
            st.integers(0, 2),
            st.sampled_from("fg"),
            st.integers(1, 3),
        ),
        max_size=12,
    ),
    st.randoms(),
)
def test_the_order_of_rows_changes_nothing(rows, random):
    again = rows[:]
    random.shuffle(again)
    assert merge_rows(rows_of(), rows_of(*rows))[0].equals(merge_rows(rows_of(), rows_of(*again))[0])
    assert merged([], rows)[1:] == merged([], again)[1:]


@given(
    st.lists(st.sampled_from([0, 1, 65_535, 65_536, 65_537, 1 << 31, (1 << 32) - 1]), max_size=12),
    st.sampled_from([np.uint32, np.int64]),
)
def test_numbers_are_put_in_order_and_equal_ones_keep_theirs(numbers, kind):
    assert argsort_integers(np.array(numbers, kind)).tolist() == sorted(
        range(len(numbers)), key=numbers.__getitem__
    )


def test_file_order():
    files = ["w/water-10.csv", "w/water-2.csv", "w/water.csv", "a/z.csv", "w/water.csv.gz"]
    assert sorted(files, key=file_sort_key) == [
        "a/z.csv",
        "w/water.csv",
        "w/water.csv.gz",
        "w/water-2.csv",
        "w/water-10.csv",
    ]
