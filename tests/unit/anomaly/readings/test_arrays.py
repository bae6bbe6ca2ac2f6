"""Cells laid out as arrays."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest

from anomaly import readings as room
from anomaly.readings import arrays
from anomaly.readings import doors_and_meters as doors
from anomaly.tables import QUALITIES, UNKNOWN

FIRST = dt.date(2026, 3, 1)
SCHEMA = {
    "home": pl.UInt32,
    "day": pl.Date,
    "value": pl.Int64,
    "quality": pl.UInt8,
    "lag": pl.Int32,
    "mark": pl.UInt8,
}


def cells(*rows) -> pl.DataFrame:
    told = [
        (home, FIRST + dt.timedelta(days=day), value, QUALITIES.index(quality), lag, mark)
        for home, day, value, quality, lag, mark in rows
    ]
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


def place(rows: dict[int, int], since: dict[int, int] | None = None) -> room.ArrayLayout:
    row, own = np.full(10, -1, np.int32), np.full(10, room.COUNTS_ALWAYS, np.int32)
    row[list(rows)] = list(rows.values())
    own[list(since or {})] = list((since or {}).values())
    return room.ArrayLayout(row, own, FIRST)


def laid(frame: pl.DataFrame, where: room.ArrayLayout, kind: type = np.int32) -> room.ReadingArrays:
    out = room.ReadingArrays.unknown(1, 2, 4, kind)
    assert room.write_cells(frame, where, out, 0)
    return out


def test_cells_lie_by_home_and_day_and_what_is_not_to_be_judged_is_unknown():
    frame = cells(
        (7, 0, 30, "read", 0, 0),
        (7, 1, 31, "interpolated", 2, 0),
        (3, 1, 5, "partial", 0, 0),
        (3, 3, None, "missing", 0, 0),
        (4, 0, 99, "read", 0, 0),
    )
    out = laid(frame, place({7: 0, 3: 1}))
    assert out.value[0].tolist() == [[30, 31, UNKNOWN, UNKNOWN], [UNKNOWN] * 4]
    assert (
        out.lag[0, 0].tolist() == [0, 2, 0, 0]
        and out.has_readings.tolist() == [[True, True]]
        and not out.contradicted_zero.any()
    )
    assert np.array_equal(out.float_values[0, 0], [30, 31, np.nan, np.nan], equal_nan=True)


def test_a_zero_that_the_doors_contradict_is_told_apart():
    out = laid(
        cells(
            (1, 0, 0, "read", 0, doors.ZERO),
            (1, 1, 80, "read", 0, doors.CATCH_UP),
            (1, 2, 0, "read", 0, 0),
        ),
        place({1: 0}),
    )
    assert out.value[0, 0].tolist() == [UNKNOWN, UNKNOWN, 0, UNKNOWN] and out.contradicted_zero[
        0, 0
    ].tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_the_later_cell_of_a_day_counts_whole():
    out = room.ReadingArrays.unknown(1, 2, 4)
    for frame in (
        cells((1, 0, 8, "read", 3, 0), (1, 1, 0, "doubtful", 0, 0)),
        cells((1, 0, 9, "doubtful", 0, 0), (1, 1, 4, "read", 1, 0)),
    ):
        assert room.write_cells(frame, place({1: 0}), out, 0)
    assert (
        out.value[0, 0, :2].tolist() == [UNKNOWN, 4]
        and out.lag[0, 0, :2].tolist() == [0, 1]
        and not out.contradicted_zero.any()
    )


def test_days_before_a_home_moved_in_other_days_and_strangers_are_left_out():
    moved = (FIRST - arrays.EPOCH).days + 2
    frame = cells(
        (1, 1, 5, "read", 0, 0),
        (1, 2, 6, "read", 0, 0),
        (2, 1, 7, "read", 0, 0),
        (1, -1, 8, "read", 0, 0),
        (1, 4, 9, "read", 0, 0),
    )
    out = laid(frame, place({1: 0, 2: 1}, {1: moved, 2: room.COUNTS_NEVER}))
    assert out.value[0].tolist() == [
        [UNKNOWN, UNKNOWN, 6, UNKNOWN],
        [UNKNOWN] * 4,
    ] and out.has_readings.tolist() == [[True, False]]


def test_days_from_the_day_a_home_moved_out_are_left_out():
    frame = cells((1, 0, 5, "read", 0, 0), (1, 1, 6, "read", 0, 0), (1, 2, 7, "read", 0, 0))
    until = np.full(10, room.COUNTS_NEVER, np.int32)
    until[1] = (FIRST - arrays.EPOCH).days + 2
    where = dataclasses.replace(place({1: 0}), counts_until=until)
    assert laid(frame, where).value[0].tolist()[0][:3] == [5, 6, UNKNOWN]


@pytest.mark.parametrize("value", [2**31 - 1, 2**31, 2**50])
def test_a_value_too_large_for_small_arrays_asks_for_larger_ones(value):
    frame, out = cells((1, 0, value, "read", 0, 0)), room.ReadingArrays.unknown(1, 1, 2)
    assert room.write_cells(frame, place({1: 0}), out, 0) == (value < 2**31)
    assert laid(frame, place({1: 0}), np.int64).value[0, 0, 0] == value


def test_columns_cut_at_different_places_are_laid_all_the_same():
    frame = cells((1, 0, 3, "read", 0, 0), (1, 1, 4, "read", 0, 0), (1, 2, 5, "read", 0, 0))
    uneven = pl.concat([frame[:1], frame[1:]], rechunk=False).with_columns(value=frame["value"].rechunk())
    assert uneven["home"].n_chunks() == 2 and uneven["value"].n_chunks() == 1
    assert laid(uneven, place({1: 0})).value[0, 0, :3].tolist() == [3, 4, 5]


def test_cells_add_up_to_a_sum_the_days_and_those_fit_to_be_judged():
    frame = cells(
        (2, 0, 30, "read", 0, 0),
        (2, 1, 31, "interpolated", 2, 0),
        (2, 2, 9, "partial", 0, 0),
        (0, 3, None, "missing", 0, 0),
        (0, 1, 0, "read", 0, doors.DOUBTFUL_MARKS),
    )
    sums = np.zeros((4, 3), np.int64)
    room.add_home_totals(frame, sums)
    assert sums.tolist() == [[0, 2, 0], [0, 0, 0], [70, 3, 2], [0, 0, 0]]
    room.add_home_totals(pl.concat([frame, frame], rechunk=False), sums)
    assert sums[2].tolist() == [210, 9, 6]
