"""The documentation says what the tool does.

Commands on the pages are run on a copy of the sample city and their output is compared; queries and programs
are run, settings loaded, and names of commands, options, settings, modules, links and anchors checked.
UPDATE_README=1 writes outputs on the pages and the pages of reports/example anew instead.
"""

import dataclasses
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import typing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import duckdb
import pytest

from anomaly import tables
from anomaly.detectors import REGISTER
from pipelines import errors
from pipelines.cli.commands import main
from pipelines.config.sections import SettingsFile
from pipelines.config.settings import load_settings
from pipelines.ingest.ledger import LedgerEntry
from tests.support.documentation import (
    PAGES,
    README,
    RENEW,
    RENEW_COMMAND,
    Block,
    agrees,
    anchors,
    blocks,
    cut,
    first_commands,
    inline_code,
    links,
    near,
    page_name,
    printed_by,
    renew,
    without_blocks,
)
from tests.support.paths import ROOT

EXAMPLE = ROOT / "reports" / "example"
FIRST = "anomaly nightly --settings sample_data/city/anomaly.toml"
GUIDES = (
    ".github/GUIDE-ANALYST.md",
    "reports/README.md",
    "pipelines/publish/README.md",
    ".github/GUIDE-OPERATOR.md",
)
README_LINES = 220
GUIDE_WORDS = 1250  # five minutes
every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


# --- blocks that are run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first_run(tmp_path_factory) -> Path:
    """A folder like the checkout, with the sample in it and one night judged by the README's first
    command."""
    folder = tmp_path_factory.mktemp("first")
    sample = ROOT / "sample_data" / "city"
    shutil.copytree(sample, folder / "sample_data" / "city", ignore=shutil.ignore_patterns("out"))
    assert first_commands()[0].endswith(FIRST)
    (folder / "first.txt").write_text(printed_by(folder, FIRST), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder_of(first_run, tmp_path_factory):
    """Page → a folder of its own, as the README's first command leaves it; a page's commands follow one
    another in it."""
    folders = {}

    def get(page: Path) -> Path:
        if page not in folders:
            folders[page] = tmp_path_factory.mktemp("page") / "checkout"
            shutil.copytree(first_run, folders[page])
        return folders[page]

    return get


def parameters(found: list[Block]) -> list:
    """One test a block; blocks with the word `long` run with the long tests."""
    marks = {True: [pytest.mark.long], False: []}
    return [pytest.param(block, id=block.name, marks=marks["long" in block.words]) for block in found]


def without_changing(command: str, output: str) -> str:
    """Take out what is another machine's or another day's: sizes of disks, clocks, places of fonts."""
    name = shlex.split(command)[1]
    if name == "doctor":
        return "\n".join(line[:40].partition(":")[0][6:] for line in output.splitlines())
    if name in ("status", "audit"):
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b[0-9a-f]{64}\b", "#", output)
    return output


def outputs(block: Block) -> dict[str, str]:
    """Command → what stands below it in a console block."""
    if block.language != "console":
        return {}
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert parts[0] == "", f"{block.name}: begins with a command"
    return dict(zip(parts[1::2], parts[2::2], strict=True))


RUN_IN_ORDER = blocks("console", "toml")
"""Commands, and the settings files that a page writes between them."""


@pytest.fixture(scope="module")
def run_block(first_run, folder_of):
    """Block → command → what it prints, after the quick blocks above it on its page, each run once."""
    printed: dict[Block, dict[str, str]] = {}

    def run(block: Block) -> dict[str, str]:
        above = [one for one in RUN_IN_ORDER if one.page == block.page and one.line < block.line]
        for one in [*(one for one in above if "long" not in one.words), block]:
            if one not in printed:
                printed[one] = run_once(one)
        return printed[block]

    def run_once(block: Block) -> dict[str, str]:
        folder = folder_of(block.page)
        if block.language == "toml":
            check_settings(block, folder)
        if block.page == README and block.commands == [FIRST]:
            return {FIRST: (first_run / "first.txt").read_text(encoding="utf-8")}
        return {command: printed_by(folder, command) for command in block.commands}

    return run


@pytest.mark.parametrize("block", parameters(RUN_IN_ORDER))
def test_commands_print_what_the_page_shows(block, run_block):
    limit = block.option("lines")
    fresh = {
        command: cut(printed, limit and int(limit)) if printed else ""
        for command, printed in run_block(block).items()
    }
    if RENEW and block.language == "console":
        renew(block.page, block.text, "".join(f"$ {command}\n{output}" for command, output in fresh.items()))
        return
    for command, shown in outputs(block).items():
        pair = [without_changing(command, text) for text in (shown, fresh[command])]
        assert agrees(*pair), f"{fresh[command]}\n{RENEW_COMMAND}"


def check_settings(block: Block, folder: Path) -> None:
    """Load a settings file, or a part of one after the sample's."""
    if target := block.option("file"):
        path = folder / target
        path.write_text(block.text, encoding="utf-8")
    else:
        sample = (ROOT / "sample_data" / "city" / "anomaly.toml").read_text(encoding="utf-8")
        path = folder / "sample_data" / "city" / "part.toml"
        path.write_text(block.text if "[purpose]" in block.text else sample + block.text, encoding="utf-8")
    assert load_settings(path)


@pytest.mark.parametrize(
    "block", parameters([block for block in blocks("sql") if "answer" not in block.words])
)
def test_queries_run(block, folder_of, monkeypatch):
    folder = folder_of(block.page)
    monkeypatch.chdir(folder / "sample_data/city")  # the folder of the settings
    with duckdb.connect(str(folder / "sample_data/city/out/anomaly.duckdb"), read_only=True) as connection:
        assert connection.execute(block.text).fetchall()


@pytest.mark.parametrize("block", parameters(blocks("python")))
def test_programs_run(block, folder_of):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=folder_of(block.page),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("a", "b", "is_near"),
    [
        ("472,070", "472,071", True),
        ("×1.96", "×1.97", True),
        ("9%", "14%", False),
        ("new", "old", False),
        ("2026-08-30", "2026-08-31", False),
    ],
)
def test_near(a, b, is_near):
    assert near(a, b) is is_near


def test_every_block_is_of_a_language_that_is_checked():
    marks = re.findall(
        r"^```(\w*)", "\n".join(page.read_text(encoding="utf-8") for page in PAGES), re.MULTILINE
    )
    assert set(marks[::2]) <= {"console", "python", "sh", "sql", "text", "toml", ""}


# --- names that must exist ----------------------------------------------------------------------------------


def shell_commands(page: Path) -> list[str]:
    """List the commands of this tool on a page that are shown and not run: in sh and text blocks and in the
    prose."""
    lines = [line for block in blocks("sh", "text", pages=[page]) for line in block.text.splitlines()]
    shown = [*lines, *inline_code(page)]
    return [
        found[1].partition(" #")[0]
        for text in shown
        if (found := re.search(r"(?:^|[/\s(])(anomaly [a-z][^()]*)", text))
    ]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Follow subcommands from `anomaly` on; return the last command and the words left for it."""
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        assert words[0] in command.commands, f"anomaly has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@every_page
def test_commands_and_options_exist(page):
    for text in shell_commands(page):
        command, words = command_of(shlex.split(text)[1:])
        known = {option for parameter in command.params for option in parameter.opts} | {
            "--help",
            "--version",
        }
        assert {word for word in words if word.startswith("--")} <= known, text


def test_commands_in_the_prose_are_found():
    operator = shell_commands(ROOT / ".github/GUIDE-OPERATOR.md")
    assert "anomaly prune --settings S --dry-run" in operator
    assert any(text.startswith("anomaly backfill") for text in shell_commands(ROOT / GUIDES[0]))


@every_page
def test_options_of_the_benchmarks_exist(page):
    lines = [line for block in blocks("sh", "text", pages=[page]) for line in block.text.splitlines()]
    for line in [*lines, *inline_code(page)]:
        if script := re.search(r"tests/benchmarks/\w+\.py", line):
            source = (ROOT / script[0]).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in re.findall(r"--[a-z]+", line)), line


@every_page
def test_modules_and_folders_exist(page):
    places = (page.parent, ROOT, ROOT / "pipelines", ROOT / "pipelines" / "examples")
    text = page.read_text(encoding="utf-8")
    files = re.findall(r"(?<![\w./*-])([\w.][\w./-]*\.(?:py|service|timer|cron))\b(?!/)", text)
    folders = [code for code in inline_code(page) if re.fullmatch(r"[\w./-]+/", code)]
    ours = [one for one in (*files, *folders) if not one.startswith(MADE_BY_A_RUN)]
    assert not [one for one in ours if not any((place / one).exists() for place in places)]


MADE_BY_A_RUN = ("reports/city/", "sample_data/SAMPLE/", "reports/SAMPLE/", "parquet/")
"""Folders that pages speak of and that are not in the repository."""


@every_page
def test_python_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for module, names in re.findall(
        r"^from ((?:anomaly|pipelines)[\w.]*) import ([\w, ]+)$", text, re.MULTILINE
    ):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"
    for module in re.findall(r"python -m ((?:anomaly|pipelines)[\w.]*)", text):
        assert importlib.util.find_spec(module), module


def settings_names() -> dict[str, set[str]]:
    """Section → the names that may stand in it."""
    sections = {}
    for name, hint in typing.get_type_hints(SettingsFile).items():
        kinds = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
        sections[name] = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    return sections


@every_page
def test_settings_exist(page):
    names = settings_names()
    for code in inline_code(page):
        for section, name in re.findall(r"\[(\w+)\] (\w+)", code):
            assert name in names[section], code


COLUMN_ROLES = {"household_id", "moved_in", "moved_out", "no_access", "not_visited", "read_type"}


@every_page
def test_names_with_underscores_are_settings_columns_or_outcomes(page):
    known = {name for names in settings_names().values() for name in names} | COLUMN_ROLES
    known |= set(LedgerEntry.__annotations__)  # of the manifest
    known |= {
        column for table in (*tables.PUBLISHED.values(), *tables.META.values()) for column in table.columns()
    }
    if page.name == "PROVENANCE.md":  # names the columns of published data
        return
    named = {code for code in inline_code(page) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", code)}
    assert named <= known


# --- tables of the pages ------------------------------------------------------------------------------------


def first_column(page: str, pattern: str) -> list[str]:
    """List what stands in the first column of a page's tables and matches."""
    return re.findall(rf"^\| `?({pattern})`? \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_section_of_the_settings_has_its_line():
    sections = set(first_column("pipelines/config/README.md", r"\[[\w.]+\]"))
    fields = {field.name for field in dataclasses.fields(SettingsFile)}
    assert sections == {f"[{'signals.NAME' if name == 'signals' else name}]" for name in fields}


def test_every_exit_code_has_its_line():
    codes = [str(code.value) for code in errors.ExitCode]
    assert first_column("pipelines/README.md", r"\d+") == codes
    assert first_column(".github/GUIDE-OPERATOR.md", r"\d+") == codes[1:]


@pytest.mark.parametrize("page", ["pipelines/README.md", "reports/README.md"])
def test_every_outcome_has_its_line(page):
    words = "|".join(tables.OUTCOMES)
    assert sorted(first_column(page, words)) == sorted(tables.OUTCOMES)


def test_every_quality_has_its_line():
    assert tuple(first_column("pipelines/ingest/README.md", "|".join(tables.QUALITIES))) == tables.QUALITIES


def test_every_view_is_named_on_the_page_of_the_file():
    text = (ROOT / "pipelines/publish/README.md").read_text(encoding="utf-8")
    assert not [name for name in tables.PUBLISHED if f"`v1.{name}`" not in text]


def test_every_detector_has_its_line():
    assert set(first_column("anomaly/README.md", "|".join(REGISTER))) == set(REGISTER)


def test_every_module_and_folder_of_the_library_has_its_line():
    """Rows may name several."""
    rows = re.findall(
        r"^\| (`.*?`) \|", (ROOT / "anomaly/README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`([\w.]+/?)`", row)}
    folders = {f"{path.name}/" for path in (ROOT / "anomaly").iterdir() if path.is_dir()} - {"__pycache__/"}
    modules = {path.name for path in (ROOT / "anomaly").glob("*.py")} - {"__init__.py"}
    assert not (folders | modules) - named


def test_every_sample_has_its_line():
    text = (ROOT / "sample_data/README.md").read_text(encoding="utf-8")
    samples = [path.parent.name for path in (ROOT / "sample_data").glob("*/anomaly.toml")]
    assert all(f"| [`{name}`]({name}/PROVENANCE.md) |" in text for name in samples)


def test_every_room_has_its_line():
    rooms = {path.name for path in (ROOT / "pipelines").iterdir() if (path / "__init__.py").exists()}
    assert set(first_column("pipelines/README.md", r"\w+/")) == {f"{room}/" for room in rooms}


# --- the pages as a whole -----------------------------------------------------------------------------------


def test_the_two_commands_stand_at_the_top():
    first, second = first_commands()
    assert first.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert "--settings sample_data/city/anomaly.toml" in first
    assert ".[test]" in second
    assert "-m pytest" in second
    assert README.read_text(encoding="utf-8").index(second) < 2000


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_is_one_click_away_and_read_in_five_minutes(guide):
    assert guide in links(README)
    prose = re.sub(r"<details>.*?</details>", "", without_blocks(ROOT / guide), flags=re.DOTALL)
    assert len(prose.split()) <= GUIDE_WORDS


def targets(path: Path) -> list[tuple[str, str]]:
    """List path and anchor of every link of a page that stays in the repository."""
    text = path.read_text(encoding="utf-8")
    found = Links(text).found if path.suffix == ".html" else links(path)
    parts = [urlsplit(one) for one in found]
    return [(unquote(part.path), part.fragment) for part in parts if not part.scheme]


class Links(HTMLParser):
    """Every href and src of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


@every_page
def test_every_link_leads_somewhere(page):
    for path, anchor in targets(page):
        target = (page.parent / path) if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_is_found_from_the_readme():
    reached, left = set(), [README]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            left += [
                found
                for path, _ in targets(page)
                if (found := (page.parent / path).resolve()).suffix == ".md" and found.is_file()
            ]
    assert reached == set(PAGES)


def test_the_example_is_whole_and_small(first_run):
    if RENEW:
        renew_example(first_run / "reports" / "city")
    pages = sorted(EXAMPLE.rglob("*.html"))
    assert len([page for page in pages if page.parent.name == "cases"]) >= 2
    assert not [
        (page.name, path)
        for page in pages
        for path, _ in targets(page)
        if path and not (page.parent / path).exists()
    ]
    assert all("Sample city" in page.read_text(encoding="utf-8") for page in pages)
    assert sum(file.stat().st_size for file in EXAMPLE.rglob("*") if file.is_file()) <= 1e6


def renew_example(fresh: Path) -> None:
    """Copy one night and the overview; the picture on the pages is the chart of the night's first door."""
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    latest = max(fresh.glob("????-??-??"))
    shutil.copytree(latest, EXAMPLE / latest.name)
    for index in fresh.glob("index*.html"):
        shutil.copy(index, EXAMPLE / index.name)
    first = (latest / "cases.csv").read_text(encoding="utf-8-sig").splitlines()[1]
    code = re.search(r"c\d{6}-[0-9a-f]{10}", first)[0]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fresh_text = re.sub(r"(example/)[\w/.-]+\.png", rf"\g<1>{latest.name}/cases/{code}.png", text)
        if fresh_text != text:
            page.write_text(fresh_text, encoding="utf-8")


def test_the_picture_is_light():
    (picture,) = [path for path, _ in targets(README) if path.endswith(".png")]
    assert (ROOT / picture).read_bytes()[:4] == b"\x89PNG"
    assert (ROOT / picture).stat().st_size <= 150_000


def test_an_installed_copy_has_every_file_the_tool_reads():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]
    for package, globs in patterns.items():
        folder = ROOT / package
        shipped = {path for pattern in globs for path in folder.glob(pattern)}
        data = {
            path
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc", ".md")
        }
        assert data <= shipped, f"{sorted(map(str, data - shipped))} would be missing from an installed copy"
