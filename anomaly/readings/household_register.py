"""The household register: rows that cannot be right are refused, an id in two places is marked."""

import polars as pl


def parse_household_register(raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The register and its refused rows.

    raw: text columns household, building, district, class, moved_in, broken, file and row (Int64).
    Returns (household, building, district, class, moved_in (Date), ambiguous; one row an id, sorted) and
    (file, row, reason). An id given twice alike is one home; given with different places it is ambiguous: all its rows
    are refused, its place is unknown and it cannot be judged.
    """
    moved_in = pl.col("moved_in").str.to_date("%Y-%m-%d", strict=False)
    typed = raw.with_columns(pl.col("class").str.to_lowercase(), moved=moved_in)
    place = pl.struct("building", "district", "class", "moved_in")
    reason = (
        pl.when(pl.col("broken").is_not_null())
        .then("broken")
        .when(pl.col("household").is_null())
        .then(pl.lit("no household"))
        .when(pl.col("moved_in").is_not_null() & pl.col("moved").is_null())
        .then(pl.lit("moved_in is no date (YYYY-MM-DD)"))
        .when(place.n_unique().over("household") > 1)
        .then(pl.lit("the same id with different places"))
        .otherwise(None)
    )
    typed = typed.with_columns(reason=reason, twice=place.n_unique().over("household") > 1)
    refused = typed.filter(pl.col("reason").is_not_null()).select("file", "row", "reason")
    good = typed.filter(pl.col("reason").is_null()).unique("household")
    twice = typed.filter(pl.col("twice") & pl.col("household").is_not_null()).unique("household")
    nowhere = [pl.lit(None, pl.String).alias(c) for c in ("building", "district", "class")]
    kept = pl.concat(
        [
            good.select(
                "household", "building", "district", "class", moved_in="moved", ambiguous=pl.lit(False)
            ),
            twice.select("household", *nowhere, moved_in=pl.lit(None, pl.Date), ambiguous=pl.lit(True)),
        ]
    )
    return kept.unique("household").sort("household"), refused
