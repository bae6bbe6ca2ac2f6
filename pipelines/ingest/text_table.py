"""A file of any format as one table of text, and the reasons for which a file is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

MAX_COLUMNS = 16_384
"""No file has more: it is what a sheet can hold."""
CELL_BYTES = 16
"""Memory that a cell or a line takes at least once it is read, however little of the file it was."""


class MalformedFile(Exception):
    """A file that cannot be read as what it claims to be: the `problem`, and the `remedy` for it.

    A problem or remedy that quotes anything of the file, be it the name of a column, is for the terminal
    alone; `kept_problem` and `kept_remedy` are then what may be kept.
    """

    def __init__(
        self, problem: str, remedy: str, kept_problem: str | None = None, kept_remedy: str | None = None
    ) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy
        self.kept_problem, self.kept_remedy = kept_problem or problem, kept_remedy or remedy


@dataclass(frozen=True)
class TextTable:
    """The cells of a file, a column for each name of its header.

    cells: String, but for days and numbers of Parquet that stay typed. row: Int64 number of each row in the
    file, 1 is the one below the header. broken: String, null or the reason why the row's cells cannot be
    trusted; they are all null then.
    """

    cells: pl.DataFrame
    row: pl.Series
    broken: pl.Series

    @classmethod
    def of_whole_rows(cls, cells: pl.DataFrame) -> "TextTable":
        """Return a table whose rows follow one another and are all sound."""
        rows = cells.height
        none = pl.repeat(None, rows, dtype=pl.String, eager=True)
        return cls(cells, pl.int_range(1, rows + 1, eager=True), none)


def unique_header(names: Sequence[str | None]) -> list[str]:
    """Return the header with names stripped and unique.

    Nameless columns at its end are dropped, those between are called by their place. Raises MalformedFile for
    a name that is given twice, and for more than MAX_COLUMNS.
    """
    stripped = [(name or "").strip().replace('""', '"') for name in names]
    while stripped and not stripped[-1]:
        stripped.pop()
    if len(stripped) > MAX_COLUMNS:
        raise MalformedFile(
            f"has {len(stripped):,} columns, of which {MAX_COLUMNS:,} are read",
            "export one row for each home and time",
        )
    first_place: dict[str, int] = {}
    for place, name in enumerate(stripped, start=1):
        before = first_place.setdefault(name, place)
        if name and before != place:
            raise MalformedFile(
                f"has two columns named {name!r}",
                "name every column once",
                kept_problem=f"has two columns of one name (columns {before} and {place})",
            )
    return [name or f"(column {place})" for place, name in enumerate(stripped, start=1)]


def too_large(max_bytes: int) -> MalformedFile:
    """Return the error for a file that holds more than the settings allow."""
    return MalformedFile(
        f"holds more than {max_bytes / 2**20:,.0f} MB",
        "split the export, by month for instance, or raise [limits] file_mb",
    )


def empty_file() -> MalformedFile:
    """Return the error for a file without any cell."""
    return MalformedFile("is empty", "export it again")


def not_text() -> MalformedFile:
    """Return the error for a file that should be text and is something else."""
    return MalformedFile(
        "is not text",
        "export it as CSV in UTF-8 or GB18030, or name its format by the suffix .xlsx or .parquet",
    )


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, cut to what fits into one line of ours."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
