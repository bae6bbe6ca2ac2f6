"""IncrementalState: what is remembered of a signal's rows, so that new ones can be added to them."""

from dataclasses import dataclass

import polars as pl

from anomaly.readings.register_cleaning import STATE_SIZE


@dataclass(frozen=True)
class IncrementalState:
    """All that the next rows of a signal need to know of those before them.

    It is stored: columns keep their names.

    homes: one row a home: household; at (µs, `row_position` of its last row); day (since 1970; the first that
    later rows may change); whole (its rows must be seen together each time); state (`register_cleaning`
    state; null but for registers); meter (the number of its one meter; null where none is named, or several).
    rows: household, time, dated, value: readings of registers that must be cleaned again with the next ones.
    """

    homes: pl.DataFrame
    rows: pl.DataFrame

    @classmethod
    def initial(cls, household: pl.DataType | type[pl.DataType] = pl.String) -> "IncrementalState":
        """Return the state before the first row.

        household: type of the ids, or of the numbers in their place.
        """
        homes = {
            "household": household,
            "at": pl.Int64,
            "day": pl.Int64,
            "whole": pl.Boolean,
            "state": pl.Array(pl.Int64, STATE_SIZE),
            "meter": pl.UInt32,
        }
        rows = {"household": household, "time": pl.Datetime("us"), "dated": pl.Boolean, "value": pl.Int64}
        return cls(pl.DataFrame(schema=homes), pl.DataFrame(schema=rows))

    @classmethod
    def of_stored(cls, homes: pl.DataFrame, rows: pl.DataFrame) -> "IncrementalState":
        """Return the state that was stored; what an older version did not remember yet is 0."""
        stored = homes.schema["state"]
        width = stored.size if isinstance(stored, pl.Array) else STATE_SIZE
        if width < STATE_SIZE:
            zeros = [pl.lit(0, pl.Int64)] * (STATE_SIZE - width)
            padded = pl.concat_list(pl.col("state").arr.to_list(), *zeros).list.to_array(STATE_SIZE)
            homes = homes.with_columns(state=pl.when(pl.col("state").is_not_null()).then(padded))
        if "meter" not in homes.columns:
            homes = homes.with_columns(meter=pl.lit(None, pl.UInt32))
        return cls(homes, rows)

    def updated_with(self, newer: "IncrementalState") -> "IncrementalState":
        """Return the state with the homes of `newer` in place of what was remembered of them."""
        homes = self.homes.join(newer.homes, on="household", how="anti")
        rows = self.rows.join(newer.homes, on="household", how="anti")
        return IncrementalState(
            pl.concat([homes, newer.homes.select(homes.columns)]),
            pl.concat([rows, newer.rows.select(rows.columns)]),
        )


def row_position(kind: str) -> pl.Expr:
    """Return where a row lies, in µs since 1970: at its time.

    A reading of a register that is dated D lies at the end of D.
    """
    time = pl.col("time")
    if kind == "register":
        end_of_day = time.dt.truncate("1d") + pl.duration(days=1)
        time = pl.when("dated").then(end_of_day).otherwise(time)
    return time.dt.epoch("us")
