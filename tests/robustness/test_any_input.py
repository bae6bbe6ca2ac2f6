"""Hypothesis on what comes in and what goes out: any settings, any readings, any tables."""

import copy
import datetime as dt
import json
import math
import tomllib

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly import tables
from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import REFERENCE
from pipelines.config.settings import load_settings
from pipelines.errors import PublicationRefused, SettingsError
from pipelines.publish.duckdb_file import publish
from tests.support.published_rows import META, ask, frames
from tests.unit.pipelines.config.test_settings import LEAST

ANY = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
text = st.text(st.characters(codec="utf-8"), max_size=12)

# settings

WHOLE = tomllib.loads(LEAST) | {
    name: part
    for name, part in tomllib.loads(REFERENCE.read_text(encoding="utf-8")).items()
    if name not in ("purpose", "store", "signals")
}
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), text, st.dates(), st.datetimes(), st.lists(text | st.integers(), max_size=3),
    st.dictionaries(text, text | st.integers(), max_size=2), st.sampled_from([0, 0.0, -1, 1e308, "", "all", "../..", "/", "out\0.duckdb", "*", "%s", "people", "CN"]),
)  # fmt: skip


def toml(tree: dict, where: tuple[str, ...] = ()) -> str:
    """A tree of settings as TOML text."""
    lines = [
        f"{json.dumps(name)} = {value(one)}"
        for name, one in tree.items()
        if not (isinstance(one, dict) and len(where) < (2 if where[:1] == ("signals",) else 1))
    ]
    below = [
        toml(one, (*where, name))
        for name, one in tree.items()
        if isinstance(one, dict) and len(where) < (2 if where[:1] == ("signals",) else 1)
    ]
    head = f"[{'.'.join(map(json.dumps, where))}]\n" if where else ""
    return head + "\n".join(lines) + "\n" + "\n".join(below)


def value(one: object) -> str:
    if isinstance(one, bool):
        return str(one).lower()
    if isinstance(one, float):
        return "nan" if math.isnan(one) else ("-inf" if one < 0 else "inf") if math.isinf(one) else repr(one)
    if isinstance(one, dt.date):
        return one.isoformat()
    if isinstance(one, list | tuple):
        return f"[{', '.join(map(value, one))}]"
    if isinstance(one, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {value(inner)}" for name, inner in one.items()) + "}"
    return json.dumps(one).replace("\x7f", "\\u007f")


def places(tree: dict, where: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        place
        for name, one in tree.items()
        for place in ((*where, name), *(places(one, (*where, name)) if isinstance(one, dict) else ()))
    ]


def test_settings_are_written_as_they_were_meant(tmp_path):
    assert tomllib.loads(toml(WHOLE)) == WHOLE
    (tmp_path / "anomaly.toml").write_text(toml(WHOLE), encoding="utf-8")
    assert load_settings(tmp_path / "anomaly.toml").worklist.doors_per_night == 20


@pytest.mark.parametrize("name", ["\n", "two\nlines", "a\u2028b"])
def test_a_name_with_a_line_break_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "anomaly.toml").write_text(toml(WHOLE | {name: {"x": 1}}), encoding="utf-8")
    with pytest.raises(SettingsError, match="unknown section") as refused:
        load_settings(tmp_path / "anomaly.toml")
    assert len(str(refused.value).splitlines()) == 1


@ANY
@given(st.lists(st.tuples(st.sampled_from(places(WHOLE)), st.none() | text, VALUES), min_size=1, max_size=2))
def test_any_settings_are_understood_or_refused_in_a_line(tmp_path, changes):
    """One or two values, or names, of a whole settings file are something else."""
    tree = copy.deepcopy(WHOLE)
    for (*above, name), new_name, new in changes:
        part = tree
        for step in above:
            part = part[step] if isinstance(part, dict) and isinstance(part.get(step), dict) else {}
        part.pop(name, None)
        part[name if new_name is None else new_name] = new
    (tmp_path / "anomaly.toml").write_text(toml(tree), encoding="utf-8")
    try:
        load_settings(tmp_path / "anomaly.toml")
    except SettingsError as error:
        assert "\n" not in str(error) and str(error).startswith(str(tmp_path))


# readings

CELLS = (
    st.none()
    | text
    | st.integers().map(str)
    | st.floats().map(str)
    | st.decimals().map(str)
    | st.dates().map(str)
    | st.datetimes().map(str)
)
RULES = [
    SignalRule("entries", kind="count"), SignalRule("water", kind="register", unit="m3", timezone="Asia/Shanghai"),
    SignalRule("power", kind="usage", unit="kWh", timezone="America/New_York", decimal=","), SignalRule("bill", kind="usage", unit="cent", stamp="end", time_format="%d/%m/%Y %H:%M"),
]  # fmt: skip


@ANY
@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS, st.none() | st.just("broken")), max_size=20),
    st.sampled_from(RULES),
    st.none() | st.dates(),
)
def test_any_row_is_a_reading_or_a_reject(cells, rule, latest):
    raw = pl.DataFrame(
        cells,
        schema=dict.fromkeys(("household", "time", "value", "exits", "periods", "broken"), pl.String),
        orient="row",
    )
    rows, rejects = parse_rows(
        raw.with_row_index("row", 1).with_columns(pl.col("row").cast(pl.Int64)), rule, latest
    )
    assert sorted([*rows["row"], *rejects["row"]]) == list(range(1, len(cells) + 1))
    assert (
        rows.select("household", "time", "value").null_count().row(0) == (0, 0, 0)
        and rejects["reason"].null_count() == 0
    )
    assert rows["value"].is_between(0, 10**12).all() and rows["time"].dt.year().is_between(2000, 2200).all()


# tables


def cell(kind: pl.DataType) -> st.SearchStrategy:
    """Any value of a column of that type."""
    plain = {
        pl.String: text
        | st.sampled_from(["O'Hara", "'; DROP SCHEMA v1; --", "$1", "\\", "\u202e", "𠀀", "\n", ""]),
        pl.Float64: st.floats(),
        pl.Int64: st.integers(-(2**63), 2**63 - 1),
        pl.Int32: st.integers(-(2**31), 2**31 - 1),
        pl.Boolean: st.booleans(),
        pl.Date: st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)),
        pl.Datetime: st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
        pl.List: st.lists(st.fixed_dictionaries({"key": text, "value": st.none() | st.floats()}), max_size=3),
    }
    return st.none() | plain[kind.base_type()]


@pytest.mark.long
@settings(ANY, max_examples=40)
@given(st.data())
@pytest.mark.parametrize("name", ["households", "cases", "worklist", "outcomes", "rejects", "evidence"])
def test_any_table_is_published_as_it_is_or_refused(tmp_path, name, data):
    schema = tables.empty(tables.PUBLISHED[name]).schema
    rows = data.draw(st.lists(st.tuples(*(cell(kind) for kind in schema.values())), max_size=3))
    target = tmp_path / "anomaly.duckdb"
    before = target.read_bytes() if target.exists() else None
    given_frames = frames(**{name: rows})
    try:
        publish(target, given_frames, META)
    except PublicationRefused as refused:
        assert "\n" not in str(refused) and "yesterday's file stands" in str(refused)
        assert (target.read_bytes() if target.exists() else None) == before
        return
    texts = [column for column, kind in schema.items() if kind == pl.String]
    held = ask(target, "SELECT " + ", ".join(f'"{column}"' for column in texts) + f" FROM v1.{name}")
    assert sorted(held, key=str) == sorted(given_frames[name].select(texts).rows(), key=str)
