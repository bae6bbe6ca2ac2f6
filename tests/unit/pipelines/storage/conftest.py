import pytest

from pipelines.storage.state import Store


@pytest.fixture
def store(tmp_path) -> Store:
    """An empty store that is ready to be written."""
    made = Store(tmp_path / "out" / "anomaly.duckdb")
    made.prepare()
    return made
