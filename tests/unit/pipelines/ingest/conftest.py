import os
from collections.abc import Callable

import polars as pl
import pytest

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.formats import read_file
from tests.support.export_files import COLUMNS

Read = Callable[..., pl.DataFrame]


@pytest.fixture
def read(tmp_path) -> Read:
    """Write a file of that content and name, and read it; keywords are fields of the Source."""

    def read(content: bytes | str, name: str = "water.csv", **fields) -> pl.DataFrame:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_file(path, Source("water", name, fields.pop("columns", COLUMNS), **fields))

    return read


@pytest.fixture
def refused(read) -> Callable[..., SourceError]:
    """As `read`, of a file that must be refused: return the error, one line that ends with its remedy."""

    def refused(content: bytes | str, name: str = "water.csv", **fields) -> SourceError:
        with pytest.raises(SourceError) as caught:
            read(content, name, **fields)
        error, line = caught.value, str(caught.value)
        assert str(os.path.dirname(error.file)) not in error.kept and error.kept.startswith(
            f"[water] {name} "
        )
        assert "\n" not in line and line.startswith("[water]") and name in line
        assert line.endswith(error.remedy)
        assert (error.source, os.path.basename(error.file)) == ("water", name)
        return error

    return refused
