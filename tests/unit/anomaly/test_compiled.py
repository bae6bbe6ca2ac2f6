"""What numba has compiled is kept and found again, and never in the way of a newer version of the code."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = """
from typing import NamedTuple
from anomaly.compiled import compiled
class Params(NamedTuple):
    factor: float
@compiled(nogil=True)
def scaled(value, params):
    return value * params.factor
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import a source text as a module of always the same name and place."""

    def load(source: str) -> ModuleType:
        path: Path = tmp_path / "kernels_of_a_test.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_what_was_compiled_is_found_again(load):
    for hits in (0, 1):
        module = load(SOURCE)
        assert module.scaled(2.0, module.Params(3.0)) == 6.0
        assert sum(module.scaled.stats.cache_hits.values()) == hits
        assert not hits or not sum(module.scaled.stats.cache_misses.values())


@pytest.mark.parametrize(
    "newer",
    [SOURCE.replace("Params", "KernelParams"), SOURCE.replace("factor", "ratio")],
    ids=["the class is renamed", "its field is renamed"],
)
def test_what_an_older_version_compiled_is_compiled_anew(load, newer):
    """Function and line are the same, so the files of the older version lie where the newer one looks."""
    older = load(SOURCE)
    assert older.scaled(2.0, older.Params(3.0)) == 6.0
    module = load(newer)
    params = getattr(module, "KernelParams", None) or module.Params
    assert module.scaled(2.0, params(4.0)) == 8.0
    again = load(newer)
    params = getattr(again, "KernelParams", None) or again.Params
    assert again.scaled(2.0, params(4.0)) == 8.0
    assert sum(again.scaled.stats.cache_hits.values()) == 1
