"""The project's own source as syntax trees, for the architecture tests."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def module_name(path: Path) -> str:
    """anomaly/expected/grid.py → anomaly.expected.grid"""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path
    for package in ("anomaly", "pipelines")
    for path in sorted((ROOT / package).rglob("*.py"))
}
"""Module name → file, of both packages."""


@cache
def syntax(path: Path) -> ast.Module:
    """Parse a source file once."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imported_by(module: str) -> frozenset[str]:
    """Name every module that a module imports, wherever the import stands; `from package import module` is
    the module."""
    found = set()
    for node in ast.walk(syntax(MODULES[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: write imports out in full"
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            }
    return frozenset(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Every function and method of a tree, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    """All parameters of a function but self and cls."""
    arguments = function.args
    return [
        one
        for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs
        if one.arg not in ("self", "cls")
    ]


def files_in_repository() -> list[Path]:
    """What is, or is about to be, in the repository; what a settings file or a run left behind is not."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: which files belong to it cannot be told")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
