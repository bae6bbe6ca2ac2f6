"""Read the household register: rows that cannot be right are refused, an id given two places is marked."""

import polars as pl

PLACE_COLUMNS = ("building", "district", "class")


def parse_household_register(raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the register and its refused rows.

    raw: text columns household, building, district, class, moved_in, broken, file and row (Int64). `broken`
    says why a row could not be read from its file, if so.
    Register: household, building, district, class, moved_in (Date), ambiguous; one row an id, sorted.
    Refused: file, row, reason.

    An id given twice alike is one home. Given with different places it is ambiguous: all its rows are
    refused, its place is unknown, and it cannot be judged.
    """
    moved_in_day = pl.col("moved_in").str.to_date("%Y-%m-%d", strict=False)
    rows = raw.with_columns(pl.col("class").str.to_lowercase(), moved_in_day=moved_in_day)
    has_two_places = pl.struct(*PLACE_COLUMNS, "moved_in").n_unique().over("household") > 1
    reason = (
        pl.when(pl.col("broken").is_not_null())
        .then("broken")
        .when(pl.col("household").is_null())
        .then(pl.lit("no household"))
        .when(pl.col("moved_in").is_not_null() & pl.col("moved_in_day").is_null())
        .then(pl.lit("moved_in is no date (YYYY-MM-DD)"))
        .when(has_two_places)
        .then(pl.lit("the same id with different places"))
        .otherwise(None)
    )
    rows = rows.with_columns(reason=reason, has_two_places=has_two_places)
    refused = rows.filter(pl.col("reason").is_not_null()).select("file", "row", "reason")
    good = rows.filter(pl.col("reason").is_null()).unique("household")
    good = good.select("household", *PLACE_COLUMNS, moved_in="moved_in_day", ambiguous=pl.lit(False))
    ambiguous = rows.filter(pl.col("has_two_places") & pl.col("household").is_not_null()).unique("household")
    ambiguous = ambiguous.select(
        "household",
        *(pl.lit(None, pl.String).alias(column) for column in PLACE_COLUMNS),
        moved_in=pl.lit(None, pl.Date),
        ambiguous=pl.lit(True),
    )
    return pl.concat([good, ambiguous]).unique("household").sort("household"), refused
