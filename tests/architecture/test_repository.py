"""What lies in the repository: its size, its words, its commands and queries, and no address of a
registry."""

import itertools
import re
from pathlib import Path

import click
import pytest

from pipelines import jobs
from pipelines.cli.commands import main
from tests.support.documentation import PAGES
from tests.support.paths import ROOT
from tests.support.source_tree import files_in_repository

ACCUSING = re.compile(
    "|".join(("sus" + "pect", "viol" + "ation", "嫌" + "疑", "可" + "疑", "违" + "法", "违" + "规")),
    re.IGNORECASE,
)
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted|--(extra-)?index-url|npmjs|//registry\.|//mirrors?\.|trusted-host", re.IGNORECASE
)
TOP_LEVEL = {
    *("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"),
    *("anomaly", "pipelines", "tests", "sample_data", "reports"),
}
MAX_MEGABYTES = 20


def read_by_people() -> list[Path]:
    """List what a reader may meet: code, templates, queries, pages and documentation."""
    kinds = {
        *(".py", ".toml", ".j2", ".css", ".js", ".sql", ".md", ".service", ".timer", ".html", ".txt", ".csv")
    }
    folders = [ROOT / "anomaly", ROOT / "pipelines", ROOT / "reports" / "example"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    return sorted({*files, *PAGES})


def test_nobody_is_accused():
    found = {
        path: hit[0]
        for path in read_by_people()
        if (hit := ACCUSING.search(path.read_text(encoding="utf-8")))
    }
    assert not found


def commands(group: click.Group, name: str):
    """Yield every command below a group with its full name."""
    for one, command in group.commands.items():
        yield f"{name} {one}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {one}")


@pytest.mark.parametrize(
    ("name", "command"), list(commands(main, "anomaly")), ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_command_helps_with_a_sentence_and_an_example(name, command):
    first, *rest = [line.strip() for line in command.help.splitlines() if line.strip()]
    assert re.match(r"[A-Z].*", first)
    assert " ".join([first, *rest]).split("Example:")[0].strip().endswith(".")
    assert any(line.startswith(f"Example: {name}") for line in rest)


def test_the_module_of_every_command_is_named():
    ends = {
        name.removeprefix("anomaly ")
        for name, one in commands(main, "anomaly")
        if not hasattr(one, "commands")
    }
    table = {}
    for names, modules in re.findall(r"^([a-z, ]+?) +(\S+\.py(?:, \S+\.py)*)$", jobs.__doc__, re.MULTILINE):
        table |= dict.fromkeys(names.split(", "), modules.split(", "))
    assert {"calendar" if name.startswith("calendar") else name for name in ends} == table.keys()
    for module in itertools.chain.from_iterable(table.values()):
        assert (ROOT / module).is_file() or (ROOT / "pipelines" / "jobs" / module).is_file(), module


QUERIES = sorted((ROOT / "pipelines" / "publish" / "sql").glob("*.sql"))


def test_there_are_queries():
    assert QUERIES


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_every_query_says_its_grain_first(path):
    assert re.match(r"-- grain: \S", path.read_text(encoding="utf-8"))


def test_the_top_stays_small_and_so_does_the_whole():
    files = files_in_repository()
    top = {path.relative_to(ROOT).parts[0] for path in files}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL
    assert sum(path.stat().st_size for path in files) < MAX_MEGABYTES * 1e6


def test_no_file_names_a_package_registry():
    for path in files_in_repository():
        if path != Path(__file__) and path.suffix not in {".gz", ".png", ".parquet", ".csv", ".html"}:
            assert not REGISTRIES.search(path.read_text(encoding="utf-8")), path
    pins = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").split("\n")
    assert all(re.fullmatch(r"(#.*|[\w.-]+==[\w.]+|)", line) for line in pins)
