"""Each row of an event log is a passage; a quiet day among days of others is a day of none."""

from datetime import datetime

import polars as pl

from anomaly.readings import SignalRule, daily_readings, parse_rows

RULE = SignalRule("entries", "count", events=True)


def log(*rows) -> pl.DataFrame:
    return pl.DataFrame(
        [(home, time, "1", at) for at, (home, time) in enumerate(rows, start=1)],
        schema={"household": pl.String, "time": pl.String, "value": pl.String, "row": pl.Int64},
        orient="row",
    )


def test_rows_that_are_alike_are_several_passages():
    cells = log(
        ("a", "2026-03-01 08:00:00"), ("a", "2026-03-01 08:00:00"), ("a", "2026-03-01 09:00:00"), ("a", "?")
    )
    rows, refused = parse_rows(cells, RULE)
    assert rows.select("time", "value", "row").rows() == [
        (datetime(2026, 3, 1, 8), 2.0, 1),
        (datetime(2026, 3, 1, 9), 1.0, 3),
    ]
    assert refused.rows() == [(4, "time not readable")]


def test_a_day_without_a_passage_is_zero_where_others_have_one_and_unknown_where_nobody_has():
    cells = log(
        ("a", "2026-03-01 08:00:00"), ("a", "2026-03-01 08:00:00"), ("b", "2026-03-01 10:00"),
        ("b", "2026-03-02 10:00"), ("a", "2026-03-04 07:00"), ("b", "2026-03-04 10:00"),
    )  # fmt: skip
    rows, _ = parse_rows(cells, RULE)
    days = daily_readings(rows.with_columns(file=pl.lit("x")), RULE)
    of_a = days.filter(pl.col("household") == "a").sort("day")
    assert of_a["value"].to_list() == [2, 0, None, 1]


def test_passages_that_come_by_the_hour_make_whole_days_whatever_their_number():
    """Eight on each of three days, three on the fourth: nobody says that the fourth is not over."""
    times = [f"2026-03-0{day} {hour:02}:00" for day in (1, 2, 3) for hour in range(8, 16)]
    times += [f"2026-03-04 {hour:02}:00" for hour in (8, 9, 10)]
    rows, _ = parse_rows(log(*(("a", time) for time in times)), RULE)
    days = daily_readings(rows.with_columns(file=pl.lit("x")), RULE).sort("day")
    assert days["value"].to_list() == [8, 8, 8, 3]
    assert days["quality"].unique().len() == 1


def test_a_log_of_bare_dates_counts_too():
    rows, _ = parse_rows(log(("a", "2026-03-01"), ("a", "2026-03-01"), ("b", "2026-03-02")), RULE)
    assert sorted(rows.select("household", "value", "dated").rows()) == [
        ("a", 0.0, True), ("a", 2.0, True), ("b", 0.0, True), ("b", 1.0, True)
    ]  # fmt: skip
    assert parse_rows(log(), RULE)[0].is_empty()
