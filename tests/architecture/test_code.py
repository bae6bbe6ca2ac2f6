"""How the code reads: documented, no bare tuples, one meaning a name, a test for every module."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from anomaly.detectors.register import DETECTORS
from tests.support.paths import ROOT
from tests.support.source_tree import MODULES, functions, parameters, syntax

NOT_IMPERATIVE = re.compile(r"^(What|Where|How|When|Whether|Words|That|Which)\b")
"""Openings of a docstring that only its author understands."""


OPEN_POINTS = tomllib.loads(Path(__file__).with_name("open_points.toml").read_text(encoding="utf-8"))
"""What is known not to keep a rule yet. The lists only get shorter: a point that is mended must leave its
list."""


def public(holder: ast.AST):
    """Yield functions and classes of a module, and methods of its public classes, that others may call."""
    for node in ast.iter_child_nodes(holder):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented(module):
    tree = syntax(MODULES[module])
    assert ast.get_docstring(tree) or not tree.body
    if module.startswith("anomaly"):
        assert not [node.name for node in public(tree) if not ast.get_docstring(node)]


def test_docstrings_say_what_a_thing_does():
    openings = set()
    for module, path in MODULES.items():
        # the docstring of a command is its help: it says what is printed
        of_code = (node for node in functions(syntax(path)) if not is_command(node))
        documented = {node.name: node for node in of_code} | {"": syntax(path)}
        for name, node in documented.items():
            if NOT_IMPERATIVE.match(ast.get_docstring(node) or ""):
                openings.add(f"{module}:{name}".rstrip(":"))
    assert sorted(openings) == OPEN_POINTS["docstrings"], "begin with a verb: Return …, Read …, Write …"


def is_command(function: ast.FunctionDef) -> bool:
    """Return whether a function is a command of the command line."""
    return any(re.search(r"\bcommand\(|\bgroup\(", ast.unparse(mark)) for mark in function.decorator_list)


def test_no_parameter_is_a_bare_tuple():
    unpacked = set()
    for module, path in MODULES.items():
        for function in functions(syntax(path)):
            names = {one.arg for one in parameters(function)}
            unpacked |= {
                f"{module}:{function.name}({node.value.id})"
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Tuple)
                and isinstance(node.value, ast.Name)
                and node.value.id in names
            }
    assert sorted(unpacked) == OPEN_POINTS["bare_tuples"], (
        "use keyword arguments, a dataclass or a NamedTuple"
    )


def test_a_public_name_means_one_thing():
    defined = defaultdict(set)
    for module, path in MODULES.items():
        for node in syntax(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                defined[module.split(".")[0], node.name].add(module)
    twice = [f"{package}:{name}" for (package, name), modules in defined.items() if len(modules) > 1]
    assert sorted(twice) == OPEN_POINTS["names_with_two_meanings"]


def test_every_module_of_the_flow_has_a_test_of_its_name():
    missing = []
    for module, path in MODULES.items():
        *folders, name = module.split(".")
        if module.startswith("pipelines.") and path.stem != "__init__":
            test = ROOT.joinpath("tests", "unit", *folders, f"test_{name}.py")
            if not (test.is_file() and any(f.name.startswith("test_") for f in functions(syntax(test)))):
                missing.append(module)
    assert missing == OPEN_POINTS["modules_without_a_test_of_their_name"]


def test_every_detector_is_registered_and_has_a_test_of_its_name():
    modules = {cls.__module__.rpartition(".")[2] for cls in DETECTORS}
    scoring = {
        path.stem
        for path in (ROOT / "anomaly" / "detectors").glob("*.py")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef) and node.name == "__call__" and path.stem != "scores"
    }
    assert modules == scoring
    tests = ROOT / "tests" / "unit" / "anomaly" / "detectors"
    assert [name for name in modules if not (tests / f"test_{name}.py").is_file()] == []


def compiled_functions(tree: ast.Module) -> dict[str, set[str]]:
    """Return the functions that numba compiles, with the names used in each."""
    compiled = (
        f for f in functions(tree) if any("compiled(" in ast.unparse(mark) for mark in f.decorator_list)
    )
    return {f.name: {node.id for node in ast.walk(f) if isinstance(node, ast.Name)} for f in compiled}


def test_compiled_code_calls_only_its_own_file():
    # numba caches compiled code by the text of its own file: a function of another file could change
    # unnoticed
    elsewhere = []
    for module, path in MODULES.items():
        used = set().union(*compiled_functions(syntax(path)).values())
        for node in syntax(path).body:
            if isinstance(node, ast.ImportFrom) and node.module in MODULES:
                compiled = compiled_functions(syntax(MODULES[node.module])).keys()
                called = compiled & used & {alias.name for alias in node.names}
                elsewhere += [f"{module} calls {node.module}.{name}" for name in sorted(called)]
    assert not elsewhere, "put what is compiled into one file with what it calls"


def test_no_query_calls_back_into_python():
    """A thread of Polars waiting for the interpreter, held by a thread that waits for Polars, waits for
    ever."""
    back = re.compile(
        r"map_elements|map_batches|map_groups|map_rows|rolling_map|register_io_source|create_function"
    )
    calls = [
        (module, node.attr, node.lineno)
        for module, path in MODULES.items()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Attribute) and back.fullmatch(node.attr)
    ]
    assert not calls


def test_no_bare_except():
    bare = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare
