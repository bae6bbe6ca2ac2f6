"""Meet departments that number homes differently: an id of a signal's own becomes the home's of the register.

`[households] ids` names the register's column of each signal's own ids. An id may pass from one home to
another, by the days their people moved in and out; a home may have several ids at once, one for each meter.
"""

import hashlib
import zlib

import polars as pl

from anomaly.readings import SignalRule
from pipelines.config.sections import Source
from pipelines.ingest.pseudonyms import EncodeIds
from pipelines.storage.state import Store

SIGNAL_IDS_FILE = "ids.parquet"
SIGNAL_ID_SCHEMA = pl.Schema(
    {"signal": pl.String, "id": pl.String, "household": pl.String, "moved_in": pl.Date, "moved_out": pl.Date}
)
"""Whose an id of a signal is, from the day they moved in to the day before they moved out; null: no such
day."""
ROLE = "id:"
"""Begins the role of a register's column of ids of a signal, before the signal's name."""


def signals_with_ids(register: Source | None) -> list[str]:
    """Return the signals whose own ids the register gives."""
    roles = register.columns if register else ()
    return [role.removeprefix(ROLE) for role in roles if role.startswith(ROLE)]


def encode_signal_ids(cells: pl.DataFrame, encode_ids: EncodeIds) -> pl.DataFrame:
    """Return a register's cells with the ids of signals coded as the households are."""
    roles = [name for name in cells.columns if name.startswith(ROLE)]
    return cells.with_columns(
        encode_ids(cells.select(household=role))["household"].alias(role) for role in roles
    )


def write_signal_ids(store: Store, ids: pl.DataFrame) -> None:
    """Write whose the ids are (SIGNAL_ID_SCHEMA) in place of what was known before."""
    ids = ids.select(SIGNAL_ID_SCHEMA.keys()).cast(SIGNAL_ID_SCHEMA)
    store.write(SIGNAL_IDS_FILE, ids.sort(pl.all()))


def read_signal_ids(store: Store, signal: str) -> pl.DataFrame:
    """Return whose the ids of a signal are (SIGNAL_ID_SCHEMA), sorted; empty where no register was loaded."""
    return store.read(SIGNAL_IDS_FILE, SIGNAL_ID_SCHEMA).filter(pl.col("signal") == signal)


def ids_mark(ids: pl.DataFrame) -> str:
    """Return a mark of whose the ids are: under another a signal's files are read again."""
    return hashlib.sha256(ids.write_csv().encode()).hexdigest()[:16]


def to_households(rows: pl.DataFrame, ids: pl.DataFrame, rule: SignalRule) -> pl.DataFrame:
    """Return rows with the home of the register that each row's id is of on its day.

    Of a day on which nobody has it, it is that of the home that had it last: after its people moved out its
    readings do not count. An id of nobody at all gets a name that no home has, `signal:id`. Where a home has
    several ids, `meter` tells them apart.

    rows: as `parse_rows` gives them. ids: SIGNAL_ID_SCHEMA, of the signal.
    """
    names_end = rule.stamp == "end" and rule.kind != "register"
    in_period = pl.when(pl.lit(names_end) & ~pl.col("dated")).then(1).otherwise(0)
    day = (pl.col("time") - pl.duration(microseconds=in_period)).dt.date()
    stays = ids.select("moved_in", "moved_out", id="id", home="household")
    found = rows.select(day=day, id="household").with_row_index("place").join(stays, on="id")
    begun = (pl.col("moved_in") <= pl.col("day")).fill_null(True)
    found = found.sort("place", begun, "moved_in", nulls_last=False)
    homes = found.unique("place", keep="last", maintain_order=True).select("place", "home")
    rows = rows.with_row_index("place").join(homes, on="place", how="left", maintain_order="left")
    if ids.group_by("household").agg(pl.col("id").n_unique())["id"].gt(1).any():
        distinct = rows["household"].unique()
        numbers = [zlib.crc32(one.encode()) for one in distinct]
        meter = pl.col("household").replace_strict(distinct, numbers, return_dtype=pl.UInt32)
        rows = rows.with_columns(meter=meter)
    stranger = pl.format("{}:{}", pl.lit(rule.name), "household")
    return rows.with_columns(household=pl.coalesce("home", stranger)).drop("place", "home")
