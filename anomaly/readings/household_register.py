"""Read the household register: rows that cannot be right are refused, an id given two places is marked."""

from collections.abc import Mapping

import polars as pl

PLACE_COLUMNS = ("building", "district", "class")


def parse_household_register(raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the register and its refused rows.

    raw: text columns household, building, district, class, moved_in, moved_out, broken, file and row (Int64).
    `broken` says why a row could not be read from its file, if so.
    Register: household, building, district, class, moved_in, moved_out (Date), ambiguous; one row an id,
    sorted.
    Refused: file, row, reason.

    An id given twice alike is one home. Given with different places it is ambiguous: all its rows are
    refused, its place is unknown, and it cannot be judged.
    """
    days = [
        pl.col(name).str.to_date("%Y-%m-%d", strict=False).alias(f"{name}_day")
        for name in ("moved_in", "moved_out")
    ]
    rows = raw.with_columns(pl.col("class").str.to_lowercase(), *days)
    has_two_places = pl.struct(*PLACE_COLUMNS, "moved_in", "moved_out").n_unique().over("household") > 1
    reason = (
        pl.when(pl.col("broken").is_not_null())
        .then("broken")
        .when(pl.col("household").is_null())
        .then(pl.lit("no household"))
        .when(pl.col("moved_in").is_not_null() & pl.col("moved_in_day").is_null())
        .then(pl.lit("moved_in is no date (YYYY-MM-DD)"))
        .when(pl.col("moved_out").is_not_null() & pl.col("moved_out_day").is_null())
        .then(pl.lit("moved_out is no date (YYYY-MM-DD)"))
        .when((pl.col("moved_out_day") <= pl.col("moved_in_day")).fill_null(False))
        .then(pl.lit("moved_out is not after moved_in"))
        .when(has_two_places)
        .then(pl.lit("the same id with different places"))
        .otherwise(None)
    )
    rows = rows.with_columns(reason=reason, has_two_places=has_two_places)
    refused = rows.filter(pl.col("reason").is_not_null()).select("file", "row", "reason")
    good = rows.filter(pl.col("reason").is_null()).unique("household")
    good = good.select(
        "household",
        *PLACE_COLUMNS,
        moved_in="moved_in_day",
        moved_out="moved_out_day",
        ambiguous=pl.lit(False),
    )
    ambiguous = rows.filter(pl.col("has_two_places") & pl.col("household").is_not_null()).unique("household")
    ambiguous = ambiguous.select(
        "household",
        *(pl.lit(None, pl.String).alias(column) for column in PLACE_COLUMNS),
        moved_in=pl.lit(None, pl.Date),
        moved_out=pl.lit(None, pl.Date),
        ambiguous=pl.lit(True),
    )
    return pl.concat([good, ambiguous]).unique("household").sort("household"), refused


def parse_signal_ids(raw: pl.DataFrame, ids: Mapping[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return whose the ids of signals are, and the refused rows of the register.

    raw: as for `parse_household_register`, with a text column for each signal: ids, signal → column.
    Ids: signal, id, household, moved_in, moved_out. Refused: file, row, reason.

    An id that two homes have at one time is nobody's.
    """
    found, refused = [], []
    for signal, column in ids.items():
        days = [pl.col(name).str.to_date("%Y-%m-%d", strict=False) for name in ("moved_in", "moved_out")]
        rows = raw.drop_nulls([column, "household"]).select(
            "household", "file", "row", *days, signal=pl.lit(signal), id=pl.col(column)
        )
        others = rows.join(rows, on="id", suffix="_other").filter(
            (pl.col("household") != pl.col("household_other"))
            & (pl.col("moved_in") < pl.col("moved_out_other")).fill_null(True)
            & (pl.col("moved_in_other") < pl.col("moved_out")).fill_null(True)
        )
        contested = rows.join(others, on="id", how="semi")
        reason = f"another home has the same id of {signal} at the same time"
        refused.append(contested.select("file", "row", reason=pl.lit(reason)))
        found.append(rows.join(contested, on="id", how="anti").drop("file", "row").unique())
    return pl.concat(found), pl.concat(refused)
