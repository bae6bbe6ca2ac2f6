import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import StateDamaged
from pipelines.storage.partitions import (
    Month,
    Partition,
    PartitionedTable,
    collect,
    count_rows,
    group_overlapping,
    in_days,
    month_of,
    months_touched,
    scan,
    touching,
)

FRAME = pl.DataFrame(
    {"home": [0, 2, 5], "value": [1, None, 3]}, schema={"home": pl.UInt32, "value": pl.Int64}
)


def day(number: int, month: int = 3) -> dt.date:
    return dt.date(2026, month, number)


def partition(number: int, first: dt.date, last: dt.date) -> Partition:
    return Partition(Path(f"{number}"), number, first, last)


@pytest.fixture
def table(tmp_path) -> PartitionedTable:
    return PartitionedTable(tmp_path / "days" / "power")


def test_a_partition_that_was_appended_is_listed_and_read(table):
    assert table.partitions() == []
    first = table.append(FRAME, day(1), day(2))
    second = table.append(FRAME.head(1), day(2), day(3))
    assert table.partitions() == [first, second] and [first.number, second.number] == [1, 2]
    assert first.path.name == f"000001_2026-03-01_2026-03-02_{first.checksum}.parquet"
    assert collect(scan([first]), [first]).equals(FRAME)
    assert count_rows([first, second]) == 4


def test_only_the_homes_asked_for_are_scanned(table):
    one = table.append(FRAME, day(1), day(2))
    homes = pl.Series([2, 5, 7], dtype=pl.UInt32)
    assert collect(scan([one], range(3)), [one])["home"].to_list() == [0, 2]
    assert collect(scan([one], homes), [one])["home"].to_list() == [2, 5]


def test_a_partition_that_is_replaced_keeps_its_number_and_days(table):
    one = table.append(FRAME, day(1), day(2))
    table.append(FRAME, day(3), day(3))
    again = table.replace(one, FRAME.tail(1))
    assert (again.number, again.first, again.last) == (1, day(1), day(2))
    assert not one.path.exists() and table.partitions()[0] == again
    assert collect(scan([again]), [again]).equals(FRAME.tail(1))


def test_a_bit_that_fell_over_is_noticed(table):
    one = table.append(FRAME, day(1), day(2))
    whole = one.path.read_bytes()
    for at in range(0, len(whole), 7):
        one.path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        os.utime(one.path, ns=(at, at))
        with pytest.raises(
            StateDamaged, match="its bytes are not those that were written.; remove that file and run again"
        ):
            scan([one])
    again = table.replace(one, FRAME.head(1))
    assert table.partitions() == [again] and collect(scan([again]), [again]).height == 1


def test_a_partition_from_before_there_were_checksums_is_read(table):
    one = table.append(FRAME, day(1), day(2))
    one.path.rename(one.path.with_name("000001_2026-03-01_2026-03-02.parquet"))
    (old,) = table.partitions()
    assert old.checksum == "" and collect(scan([old]), [old]).equals(FRAME)


def test_the_damaged_one_of_several_partitions_is_named(table):
    good = table.append(FRAME, day(1), day(1))
    bad = table.append(FRAME, day(2), day(2))
    bad.path.rename(bad.path.with_name("000002_2026-03-02_2026-03-02.parquet"))
    good, bad = table.partitions()
    bad.path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(StateDamaged, match="000002_2026-03-02_2026-03-02.parquet: cannot be read"):
        collect(scan([good, bad]), [good, bad])


def test_rows_are_filtered_by_day_only_where_a_partition_holds_others():
    frame = pl.LazyFrame({"day": [day(1), day(2), day(3)]})
    one = partition(1, day(1), day(3))
    assert in_days(frame, one, day(2), None).collect()["day"].to_list() == [day(2), day(3)]
    assert in_days(frame, one, None, day(2)).collect()["day"].to_list() == [day(1), day(2)]
    assert in_days(frame, one, day(1), day(3)) is frame


def test_partitions_of_other_days_are_left_out():
    early, late = partition(1, day(1), day(3)), partition(2, day(3), day(9))
    assert touching([early, late], day(4), None) == [late]
    assert touching([early, late], None, day(2)) == [early]
    assert touching([early, late], day(3), day(3)) == [early, late]


def test_partitions_that_share_a_day_are_grouped_in_the_order_of_writing():
    month, apart = partition(3, day(1), day(20)), partition(1, day(21), day(22))
    late, chained = partition(5, day(5), day(5)), partition(2, day(20), day(20))
    groups = group_overlapping([apart, chained, month, late])
    assert [[one.number for one in group] for group in groups] == [[2, 3, 5], [1]]


def test_every_month_from_the_first_to_the_last_day_is_touched():
    parts = [partition(1, day(31, 1), day(1, 3)), partition(2, day(5, 3), day(5, 3))]
    assert months_touched(parts) == [
        Month(day(1, 1), day(31, 1)),
        Month(day(1, 2), day(28, 2)),
        Month(day(1, 3), day(31, 3)),
    ]
    assert month_of(dt.date(2028, 2, 29)) == (dt.date(2028, 2, 1), dt.date(2028, 2, 29))
    assert month_of(dt.date(2026, 12, 31)).last == dt.date(2026, 12, 31)
