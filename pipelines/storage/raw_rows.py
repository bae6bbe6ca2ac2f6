"""The rows kept as they came, in parts that are only ever added: what readings are made from again when something comes late."""

from dataclasses import dataclass

import polars as pl

from anomaly import readings as room
from pipelines.storage.state import Part, Store, collected, of_homes

ROWS = {
    "home": pl.UInt32,
    "time": pl.Datetime("us"),
    "dated": pl.Boolean,
    "value": pl.Int64,
    "exits": pl.Int64,
    "periods": pl.Int32,
    "row": pl.Int64,
    "file": pl.String,
}
KEY = ("home", "time", "dated")


@dataclass(frozen=True)
class Rows:
    """The rows of one signal. Of two with the same key the one of the later file counts, then the one that came later."""

    store: Store
    signal: str

    @property
    def folder(self) -> str:
        return f"rows/{self.signal}"

    def parts(self) -> list[Part]:
        return self.store.parts(self.folder)

    def add(self, rows: pl.DataFrame) -> Part:
        """Keep these rows (ROWS) too."""
        rows = rows.select(ROWS.keys()).cast(ROWS).sort("home", maintain_order=True)
        return self.store.add_part(self.folder, rows, rows["time"].min().date(), rows["time"].max().date())

    def read(self, homes: range | pl.Series | None = None) -> pl.DataFrame:
        """ROWS and `order` (of their file) of those homes, one row a key."""
        frames = [
            collected(of_homes(part, homes).with_columns(part=pl.lit(part.number, pl.Int64)), part)
            for part in self.parts()
        ]
        rows = pl.concat([pl.DataFrame(schema=ROWS | {"part": pl.Int64}), *frames])
        rows = rows.with_columns(order=ordered(rows["file"]))
        return (
            rows.sort(*KEY, "order", "part", "row").unique(KEY, keep="last", maintain_order=True).drop("part")
        )

    def homes_since(self, number: int) -> pl.Series:
        """Homes with rows in a part later than that."""
        late = [
            collected(of_homes(p, None).select("home").unique(), p) for p in self.parts() if p.number > number
        ]
        return pl.concat([pl.DataFrame(schema={"home": pl.UInt32}), *late])["home"].unique()

    def forget(self, files: list[str]) -> None:
        """Take out what those files gave."""
        for part in self.parts():
            rows = collected(of_homes(part, None), part)
            kept = rows.filter(~pl.col("file").is_in(files))
            if kept.height == rows.height:
                continue
            if kept.height:
                self.store.rewrite_part(part, kept)
            else:
                part.path.unlink()


def ordered(files: pl.Series) -> pl.Series:
    """Text by which rows of these files are put in order; an Enum where the files are one."""
    if isinstance(files.dtype, pl.Enum):
        orders = [room.file_sort_key(name) for name in files.dtype.categories]
        return pl.Series(orders, dtype=pl.Enum(sorted(set(orders)))).gather(files.to_physical())
    names = files.unique().to_list()
    return files.replace_strict(names, [room.file_sort_key(name) for name in names], return_dtype=pl.String)
