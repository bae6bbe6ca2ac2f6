"""How the house is laid out, proven from the source itself: who may import whom, sizes, words, and what lies where."""

import ast
import re
import subprocess
import sys
import tomllib
import zlib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import click
import pytest

from pipelines.cli.commands import main
from tests.support.paths import ROOT

# Rooms of the library, upper floor first. A room imports only what lies on a lower floor, and its own folder.
ROOMS = (
    "account calendar cases charts detectors devices evaluate evidence expected people personal readings report simulate",
    "intervals peers tables words",
)
# The flow, the same way; a library room may be imported from any of these floors.
FLOW = (
    "cli",
    "desk watch",
    "answers city doctor fairness measure nightly prune start",
    "decide replay shell",
    "reports revise",
    "freeze",
    "collect pages",
    "journal large",
    "judge sample",
    "load",
    "derive kept",
    "days export late pseudonyms rows",
    "settings",
    "sections sources",
    "delimited publish trail",
    "engine store",
    "workers",
)
# All that a room that thinks may lean on: nothing here opens a file, asks the clock or starts a process.
THINKS_WITH = set(
    [
        "base64",
        "calendar",
        "collections",
        "csv",
        "dataclasses",
        "datetime",
        "difflib",
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
        "zlib",
        "zoneinfo",
        "dataframely",
        "holidays",
        "jinja2",
        "markupsafe",
        "matplotlib",
        "numba",
        "numpy",
        "polars",
        "pyod",
        "statsmodels",
    ]
)
# file: what it imports besides, and why
MAY_IMPORT = {"anomaly/charts/look.py": {"pathlib"}}  # where an installed font lies; matplotlib opens it
# Calls that read or write files, or ask the clock, whatever they are called on.
ACTS = re.compile(
    r"^(open|now|today|utcnow|getenv|write_bytes|write_text|write_parquet|sink_\w+|scan_\w+|read_(csv|parquet|excel|bytes)|savefig)$"
)
NEVER = {"pandas", "pyarrow", "plotly", "pydantic", "seaborn"}

FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 50, 6
# What is longer or wider than the marks, and why it is clearer so.
LONGER: dict[str, str] = {}

ACCUSING = re.compile(
    "|".join(("sus" + "pect", "viol" + "ation", "嫌" + "疑", "可" + "疑", "违" + "法", "违" + "规")),
    re.IGNORECASE,
)
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted|--(extra-)?index-url|npmjs|//registry\.|//mirrors?\.|trusted-host", re.IGNORECASE
)
TOP = {"README.md", "LICENSE", "pyproject.toml", "anomaly", "pipelines", "tests", "sample_data", "reports"}
MEGABYTES = 20


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {
    name_of(p): p for folder in ("anomaly", "pipelines") for p in sorted((ROOT / folder).rglob("*.py"))
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imported(module: str) -> frozenset[str]:
    """Every module a source names in an import, wherever the import stands; `from package import module` is the module."""
    found = set()
    for node in ast.walk(tree(SOURCES[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: write imports out in full"
            found |= {
                full if (full := f"{node.module}.{alias.name}") in SOURCES else node.module
                for alias in node.names
            }
    return frozenset(found)


def room(module: str) -> str:
    """anomaly.expected.grid → anomaly.expected"""
    return ".".join(module.split(".")[:2])


def floors() -> dict[str, int]:
    """Room → how many floors lie above it."""
    return {
        f"{house}.{one}": level
        for house, plan in (("anomaly", ROOMS), ("pipelines", FLOW))
        for level, names in enumerate(plan)
        for one in names.split()
    }


def test_every_room_has_its_floor_and_every_floor_its_rooms():
    assert {room(m) for m in SOURCES} - {"anomaly", "pipelines"} == set(floors())


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down_only(module):
    level = floors()
    for target in imported(module) & SOURCES.keys():
        if target == "anomaly" or room(target) == room(module):
            continue
        assert not (module.startswith("anomaly") and target.startswith("pipelines")), (
            f"{module} thinks, {target} acts"
        )
        if module.split(".")[0] == target.split(".")[0]:
            assert level[room(target)] > level[room(module)], (
                f"{module} imports {target}, which is not below it"
            )


def test_no_import_cycles_not_even_hidden_ones():
    # a package's door gathers its own modules, so an import of the package by one of them counts as a cycle
    TopologicalSorter({module: imported(module) & SOURCES.keys() for module in SOURCES}).prepare()


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("anomaly")])
def test_the_library_only_thinks(module):
    path = SOURCES[module]
    leaned_on = {name.split(".")[0] for name in imported(module)} - {"anomaly"}
    assert leaned_on - THINKS_WITH == MAY_IMPORT.get(str(path.relative_to(ROOT)), set())
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    named = {
        f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)
    }
    assert not [name for name in named if ACTS.match(name)]


@pytest.mark.parametrize("module", SOURCES)
def test_what_is_never_imported(module):
    assert not NEVER & {name.split(".")[0] for name in imported(module)}
    assert "matplotlib.pyplot" not in imported(module)
    assert not any(part in ("utils", "util", "common", "helpers", "misc") for part in module.split("."))


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        re.match(r"[\w-]+", line)[0].lower()
        for line in [*project["dependencies"], *project["optional-dependencies"]["ray"]]
    }
    called = {"PIL": "pillow"}  # where the name to install is not the name to import
    foreign = (
        {name.split(".")[0] for module in SOURCES for name in imported(module)}
        - set(sys.stdlib_module_names)
        - {"anomaly", "pipelines"}
    )
    assert {called.get(name, name) for name in foreign} <= declared


def longer() -> set[str]:
    """Files, and functions as file:name, beyond the marks."""
    found = set()
    for path in sorted([*SOURCES.values(), *(ROOT / "tests").glob("*.py")]):
        where = str(path.relative_to(ROOT))
        if len(path.read_text(encoding="utf-8").splitlines()) > FILE_LINES:
            found.add(where)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                parameters = [a for a in arguments if a.arg not in ("self", "cls")]
                if node.end_lineno - node.lineno + 1 > FUNCTION_LINES or len(parameters) > PARAMETERS:
                    found.add(f"{where}:{node.name}")
    return found


def test_sizes():
    assert longer() == set(LONGER), (
        "split it, or say in LONGER why it is clearer so; an exception that is not needed goes"
    )


@pytest.mark.parametrize("module", SOURCES)
def test_what_is_public_says_what_it_is(module):
    assert ast.get_docstring(tree(SOURCES[module])) or not tree(SOURCES[module]).body
    if module.startswith("anomaly"):
        silent = [node.name for node in public(tree(SOURCES[module])) if not ast.get_docstring(node)]
        assert not silent


def public(holder: ast.AST):
    """Functions and classes of a module, and methods of its public classes, that others may call."""
    for node in ast.iter_child_nodes(holder):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def compiled(path: Path) -> dict[str, set[str]]:
    """The functions of a module that numba compiles, with the names used in each."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    ours = (one for one in functions if any("njit" in ast.unparse(mark) for mark in one.decorator_list))
    return {one.name: {node.id for node in ast.walk(one) if isinstance(node, ast.Name)} for one in ours}


def test_compiled_code_never_outlives_what_it_calls():
    # numba keeps compiled code by the text of its own file: a function it calls in another one may change without its being told
    calling = {}
    for path in sorted((ROOT / "anomaly").rglob("*.py")):
        text, used = path.read_text(encoding="utf-8"), set().union(*compiled(path).values())
        for node in (
            node
            for node in ast.parse(text).body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anomaly.")
        ):
            other = ROOT / (node.module.replace(".", "/") + ".py")
            if other.is_file() and compiled(other).keys() & used & {name.name for name in node.names}:
                name = path.relative_to(ROOT).as_posix()
                calling[name] = zlib.crc32(other.read_bytes(), calling.get(name, (0,))[0]), text
    assert list(calling) == ["anomaly/expected/lately.py"]
    for name, (crc, text) in calling.items():
        assert f"COMPILED_WITH = 0x{crc:08x} " in text, f"{name}: write COMPILED_WITH = 0x{crc:08x}"


def test_no_query_calls_back_into_python():
    """A thread of Polars that waits for the interpreter, while a thread that has it waits for Polars (one that pickles a frame does), waits for ever."""
    back = re.compile(
        r"map_elements|map_batches|map_groups|map_rows|rolling_map|register_io_source|create_function"
    )
    calls = [
        (m, node.attr, node.lineno)
        for m in SOURCES
        for node in ast.walk(tree(SOURCES[m]))
        if isinstance(node, ast.Attribute) and back.fullmatch(node.attr)
    ]
    assert not calls


def test_no_bare_except():
    bare = [
        m
        for m in SOURCES
        for node in ast.walk(tree(SOURCES[m]))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare


def read_by_people() -> list[Path]:
    kinds = {
        ".py",
        ".toml",
        ".j2",
        ".css",
        ".js",
        ".sql",
        ".md",
        ".service",
        ".timer",
        ".html",
        ".txt",
        ".csv",
    }
    places = [ROOT / "anomaly", ROOT / "pipelines", ROOT / "reports" / "example"]
    files = [p for place in places for p in place.rglob("*") if p.suffix in kinds] + list(
        (ROOT / "sample_data").rglob("*.md")
    )
    return sorted([*files, ROOT / "README.md"])


def test_nobody_is_accused():
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in read_by_people()
        if (hit := ACCUSING.search(path.read_text(encoding="utf-8")))
    ]
    assert not found


def commands(group: click.Group, name: str):
    for one, command in group.commands.items():
        yield f"{name} {one}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {one}")


@pytest.mark.parametrize(
    ("name", "command"), list(commands(main, "anomaly")), ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_command_helps_with_a_sentence_and_an_example(name, command):
    first, *rest = [line.strip() for line in command.help.splitlines() if line.strip()]
    assert re.match(r"[A-Z].*", first) and " ".join([first, *rest]).split("Example:")[0].strip().endswith(".")
    assert any(line.startswith(f"Example: {name}") for line in rest)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pipelines" / "publish" / "sql").glob("*.sql")), ids=lambda p: p.stem
)
def test_every_query_says_its_grain_first(path):
    assert re.match(r"-- grain: \S", path.read_text(encoding="utf-8"))


def kept() -> list[Path]:
    """What is, or is about to be, in the repository; what a settings file or a run left behind is not."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: which files are kept cannot be told")
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in asked.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_top_stays_small_and_so_does_the_whole():
    top = {path.relative_to(ROOT).parts[0] for path in kept()}
    assert {name for name in top if not name.startswith(".")} <= TOP
    assert sum(path.stat().st_size for path in kept()) < MEGABYTES * 1e6


def test_no_file_names_a_package_registry():
    for path in kept():
        if path != Path(__file__) and path.suffix not in {".gz", ".png", ".parquet", ".csv", ".html"}:
            assert not REGISTRIES.search(path.read_text(encoding="utf-8")), path
    pins = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").split("\n")
    assert all(re.fullmatch(r"(#.*|[\w.-]+==[\w.]+|)", line) for line in pins)
