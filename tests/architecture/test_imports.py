"""Who may import whom, and what never: layers, cycles, what is declared, and a library that only thinks."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.source_tree import MODULES, imported_by, syntax

LIBRARY_IMPORTS = {
    # of the standard library: nothing here opens a file, asks the clock or starts a process
    *("base64", "calendar", "collections", "contextlib", "csv", "dataclasses", "datetime", "difflib"),
    *(
        "functools",
        "hashlib",
        "importlib",
        "io",
        "itertools",
        "math",
        "re",
        "tomllib",
        "typing",
        "unicodedata",
    ),
    *("zlib", "zoneinfo"),
    # declared in pyproject.toml
    *("dataframely", "holidays", "jinja2", "markupsafe", "matplotlib", "numba", "numpy", "polars", "pyod"),
    *("sklearn", "statsmodels"),
}
EXCEPTIONS = {"anomaly/charts/style.py": {"pathlib"}}
"""File → what it imports besides. style.py: where an installed font lies; matplotlib opens it."""
INPUT_AND_OUTPUT = re.compile(
    r"^(open|now|today|utcnow|getenv|write_bytes|write_text|write_parquet|sink_\w+|scan_\w+|"
    r"read_(csv|parquet|excel|bytes)|savefig)$"
)
"""Calls that read or write files, or ask the clock, whatever they are called on."""
NEVER_IMPORTED = {"pandas", "pyarrow", "plotly", "pydantic", "seaborn"}
NAMED_OTHERWISE = {"backports": "backports-zstd", "PIL": "pillow", "sklearn": "scikit-learn"}
"""Name to import → name to install, where they differ."""


def test_the_layers_hold():
    # in a process of its own: it configures logging for the process it runs in, and mutes other loggers there
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_cycles_not_even_hidden_ones():
    # a package gathers its own modules, so that one of them importing the package counts as a cycle
    TopologicalSorter({module: imported_by(module) & MODULES.keys() for module in MODULES}).prepare()


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("anomaly")])
def test_the_library_reads_no_file_and_no_clock(module):
    path = MODULES[module]
    packages = {name.split(".")[0] for name in imported_by(module)} - {"anomaly"}
    assert packages - LIBRARY_IMPORTS == EXCEPTIONS.get(str(path.relative_to(ROOT)), set())
    called = [node.func for node in ast.walk(syntax(path)) if isinstance(node, ast.Call)]
    names = {
        f.id if isinstance(f, ast.Name) else f.attr for f in called if isinstance(f, ast.Name | ast.Attribute)
    }
    assert not [name for name in names if INPUT_AND_OUTPUT.match(name)]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_never_imported(module):
    assert not NEVER_IMPORTED & {name.split(".")[0] for name in imported_by(module)}
    assert "matplotlib.pyplot" not in imported_by(module)
    assert not any(part in ("utils", "util", "common", "helpers", "misc") for part in module.split("."))


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name in extras.keys() - {"test", "dev"} for line in extras[name]),
    ]
    declared = {re.match(r"[\w-]+", line)[0].lower() for line in lines}
    foreign = {name.split(".")[0] for module in MODULES for name in imported_by(module)}
    foreign -= set(sys.stdlib_module_names) | {"anomaly", "pipelines"}
    assert {NAMED_OTHERWISE.get(name, name) for name in foreign} <= declared
