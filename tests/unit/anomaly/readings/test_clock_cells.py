"""A clock in a column of its own."""

import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from anomaly.readings.clock_cells import join_clocks

START, END = (SignalRule("power", "usage", "kWh", stamp=stamp) for stamp in ("start", "end"))


def clocks(rule, *cells):
    """The clocks as they are joined with a day."""
    joined = join_clocks(pl.Series(["D"] * len(cells)), pl.Series(cells), rule)
    return [cell and cell.removeprefix("D ") for cell in joined]


@pytest.mark.parametrize(
    ("cells", "start", "end"),
    [
        (["0:00", "7:30", "24:00"], None, None),
        (["0", "30", "700", "2330"], ["00:00", "00:30", "07:00", "23:30"], None),
        (["0", "1", "23"], ["0:00", "1:00", "23:00"], None),
        (["73000", "0"], ["07:30:00", "00:00"], None),
        (["12:00 AM", "1:30 pm", "12:15:30 PM"], ["0:00:00", "13:30:00", "12:15:30"], None),
        (["上午7:30", "下午12:05", "7时30分", "7点"], ["7:30:00", "12:05:00", "7:30", "7:00"], None),
        (["00:00-00:30", "23:30 - 00:00"], ["00:00", "23:30"], ["00:30", "24:00"]),
        (["1", "2", "24"], ["0:00", "1:00", "23:00"], ["1:00", "2:00", "24:00"]),
        (["1", "48"], ["0:00", "23:30"], ["0:30", "24:00"]),
        (["1", "96"], ["0:00", "23:45"], ["0:15", "24:00"]),
        (["1899-12-31 07:30:00", "1900-01-01T00:00:00"], ["07:30:00", "00:00:00"], None),
    ],
)
def test_forms(cells, start, end):
    assert clocks(START, *cells) == (start or cells)
    assert clocks(END, *cells) == (end or start or cells)


def test_an_hour_25_keeps_its_day():
    """A day with an hour more counts 25 hours; the last of them is another than the 24th."""
    assert clocks(END, "1", "24", "25") == ["1:00", "24:00", "23:59:59.0025"]


def rows(rule, *cells):
    raw = pl.DataFrame([("a", day, clock, "1") for day, clock in cells], orient="row", schema=["household", "time", "clock", "value"])  # fmt: skip
    read, rejects = parse_rows(raw.with_row_index("row", 1), rule)
    return [str(time) for time in read["time"]], rejects.rows()


def test_days_in_a_form_of_their_own():
    for form in ("%d/%m/%Y", "%d/%m/%Y %H:%M"):
        rule = SignalRule("power", "usage", "kWh", time_format=form)
        assert rows(rule, ("01/06/2026", "07:00"), ("01/06/2026", "24:00")) == (
            ["2026-06-01 07:00:00", "2026-06-02 00:00:00"],
            [],
        )
    assert rows(SignalRule("power", "usage", time_format="%Y%m%d"), ("20260601", "7"))[0] == ["2026-06-01 07:00:00"]  # fmt: skip


def test_days_of_workbooks_end_at_midnight():
    assert rows(START, ("2026-06-01 00:00:00", "07:00"))[0] == ["2026-06-01 07:00:00"]


def test_a_day_without_a_clock_is_no_time():
    assert rows(START, ("2026-06-01", ""), ("2026-06-01", "soon"), ("2026-06-01", "3:00"))[1] == [
        (1, "no time"),
        (2, "time not readable"),
    ]
