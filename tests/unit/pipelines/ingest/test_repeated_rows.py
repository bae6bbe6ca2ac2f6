import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import Source
from pipelines.ingest.repeated_rows import REASON, settle_repeated_rows
from pipelines.ingest.text_table import MalformedFile

POWER = SignalRule("power", "usage", "kWh")
COLUMNS = {"household": "id", "time": "t", "value": "v"}


def settle(table, rule=POWER, **more_columns):
    """Row numbers and values that are left of a table of text, and its rejects."""
    columns = COLUMNS | more_columns
    source = Source(rule.name, "power.csv", columns)
    frame = pl.DataFrame(table[1:], schema=table[0], orient="row").cast(pl.String)
    cells = frame.select(pl.col(name).alias(role) for role, name in columns.items())
    cells = cells.with_columns(row=pl.int_range(1, len(frame) + 1, dtype=pl.Int64))
    others = frame.select(name for name in frame.columns if name not in columns.values())
    rows, refused = parse_rows(cells, rule)
    rows, refused = settle_repeated_rows(rows, refused, cells=cells, others=others, rule=rule, source=source)
    return dict(rows.select("row", "value").iter_rows()), refused.rows()


def stopped(table, rule=POWER, **more_columns):
    with pytest.raises(MalformedFile) as caught:
        settle(table, rule, **more_columns)
    error = caught.value
    return error.problem, error.remedy, error.kept_problem + error.kept_remedy


def with_column(name, words, values=(4, 1.5)):
    return [["id", "t", name, "v"]] + [
        ["A1", f"2026-06-0{day}", word, value]
        for day in (1, 2)
        for word, value in zip(words, values, strict=True)
    ]


def test_rows_alike_in_all_but_the_value_restate_one_another():
    table = [["id", "t", "serial", "v"], ["A1", "2026-06-01", "7", 4], ["A1", "2026-06-01", " 7 ", 5]]
    assert settle(table) == ({1: 4000, 2: 5000}, [])
    assert settle([row[:2] + row[3:] for row in table]) == ({1: 4000, 2: 5000}, [])


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("register", ["T1", "T2"], 'set columns.meter = "register" with combine = "sum", or keep = ["T1"],'),
        (
            "flow",
            ["import", "export"],
            'set columns.meter = "flow" with combine = "sum", or keep = ["export"],',
        ),
        ("水表", ["冷", "热"], 'set columns.meter = "水表" with combine = "sum", or keep = ["冷"],'),
        ("unit", ["m3", "kWh"], 'set columns.meter = "unit" with keep = ["kWh"]'),
        ("hour", ["00:00", "01:00"], 'set columns.clock = "hour"'),
        ("from", ["00:00:00", "00:30:00"], 'set columns.clock = "from"'),
    ],
)
def test_rows_that_differ_in_a_column_nobody_mapped_stop_the_source(name, words, remedy):
    problem, told, kept = stopped(with_column(name, words))
    assert "100% of its rows contradict" in problem and f"differ in `{name}` (" in problem
    assert told == f"{remedy} in [signals.power]"
    assert name not in kept.replace("columns.", "") or name in ("unit", "from", "register", "hour")
    assert not any(word in kept for word in words if word != "kWh")


def test_equal_values_of_two_meters_are_no_restatement():
    assert "differ in `register`" in stopped(with_column("register", ["T1", "T2"], (2, 2)))[0]


def test_columns_that_are_the_same_in_all_such_rows_are_not_named():
    table = [["id", "t", "register", "site", "v"]]
    table += [["A1", "2026-06-01", word, "north", 4] for word in ("T1", "T2")]
    assert "site" not in stopped(table)[0]


def test_few_such_rows_are_refused_and_counted():
    table = [["id", "t", "note", "v"]] + [[f"A{n}", "2026-06-01", "", n] for n in range(300)]
    table[151:151] = [["A7", "2026-06-01", "corrected", 9]]
    rows, refused = settle(table)
    assert refused == [(8, REASON), (151, REASON)] and len(rows) == 299


def test_a_mapped_meter_tells_rows_apart_only_where_it_is_summed_or_chosen():
    table = with_column("register", ["T1", "T2"])
    summed = SignalRule("power", "usage", "kWh", combine="sum")
    assert len(settle(table, summed, meter="register")[0]) == 4
    chosen = SignalRule("power", "usage", "kWh", keep=("T2",))
    assert settle(table, chosen, meter="register") == ({2: 1500, 4: 1500}, [])
    both = SignalRule("power", "usage", "kWh", keep=("T1", "T2"))
    problem, remedy, kept = stopped(table, both, meter="register")
    assert "`register`" in kept and remedy.startswith('set combine = "sum"')


def test_two_meters_of_a_register_at_one_time_need_a_word():
    """One after the other they are an exchange; side by side nothing says which one the home's use is."""
    table = with_column("meter", ["M1", "M2"], (100, 200))
    register = SignalRule("power", "register", "kWh")
    problem, remedy, kept = stopped(table, register, meter="meter")
    assert "`meter`" in kept and remedy.startswith('set combine = "sum", or keep = ["M1"],')
    exchange = [table[0], ["A1", "2026-06-01", "M1", 100], *table[3:], ["A1", "2026-06-03", "M2", 201]]
    assert len(settle(exchange, register, meter="meter")[0]) == 4
