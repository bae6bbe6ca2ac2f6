"""The README says what the tool does: its commands are run on a copy of the sample city and their output compared.

UPDATE_README=1 writes the outputs, the dictionary and the pages of reports/example anew instead.
"""

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
from click.testing import CliRunner

from anomaly import tables
from anomaly.detectors import REGISTER
from pipelines.cli.commands import main
from pipelines.config import settings as settings_module
from pipelines.publish.dictionary import data_dictionary
from tests.support.paths import ROOT

README = ROOT / "README.md"
EXAMPLE = ROOT / "reports" / "example"
RENEW = os.environ.get("UPDATE_README") == "1"
HOW = "UPDATE_README=1 python -m pytest tests/test_readme.py tests/test_questions.py -m '' writes it anew"
PLACE = "/home/you/household-anomaly"  # where the outputs on the page were made
TOLERANCE = 0.02  # of a number that another processor adds up in another order
MARKERS = ("<!-- dictionary -->\n", "<!-- /dictionary -->")


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after it, and its text."""

    language: str
    words: tuple[str, ...]
    text: str

    @property
    def command(self) -> str:
        return self.text.partition("\n")[0].removeprefix("$ ")

    @property
    def lines(self) -> int | None:
        """After how many lines of output the page leaves off."""
        return next(
            (int(word.removeprefix("lines=")) for word in self.words if word.startswith("lines=")), None
        )


def blocks(language: str) -> list[Block]:
    fenced = re.findall(
        r"^```(\w+)([^\n]*)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [Block(kind, tuple(words.split()), text) for kind, words, text in fenced if kind == language]


def shown(block: Block) -> list:
    marks = [pytest.mark.long] if "long" in block.words else []
    return pytest.param(block, id=block.command, marks=marks)


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Path:
    """A folder like the checkout, with the sample in it and one night judged by the page's first command."""
    place = tmp_path_factory.mktemp("readme")
    sample = ROOT / "sample_data" / "city"
    shutil.copytree(sample, place / "sample_data" / "city", ignore=shutil.ignore_patterns("out"))
    first, second = commands()
    assert first.endswith("anomaly nightly --settings sample_data/city/anomaly.toml") and second.endswith(
        "pytest"
    )
    (place / "first.txt").write_text(answer(place, first.rpartition("bin/")[2]), encoding="utf-8")
    shutil.copytree(
        place / "reports" / "city", place / "first"
    )  # later commands on the page judge further nights
    return place


def commands() -> list[str]:
    return [block.text.strip() for block in blocks("sh")][:2]


def answer(place: Path, command: str) -> str:
    """What a command prints, both streams, run in that folder."""
    name, *words = shlex.split(command)
    assert name == "anomaly"
    with contextlib.chdir(place):
        result = CliRunner().invoke(main, words, prog_name="anomaly", terminal_width=100)
    assert result.exit_code in (0, 3), result.output
    return result.output.replace(str(place), PLACE).replace(sys.prefix, f"{PLACE}/.venv")


def cut(text: str, lines: int | None) -> str:
    every = text.rstrip("\n").split("\n")
    return "\n".join(every if lines is None or len(every) <= lines else [*every[:lines], "…"]) + "\n"


def same(page: str, printed: str) -> bool:
    """Word for word, numbers within TOLERANCE; dates and codes of cases are words."""
    ours, theirs = page.split(), printed.split()
    return len(ours) == len(theirs) and all(a == b or near(a, b) for a, b in zip(ours, theirs, strict=True))


def near(a: str, b: str) -> bool:
    """472,070 and 472,071 are near, and so are ×1.96 and ×1.97; what is not a number must be equal."""
    number = r"\d[\d,]*\.?\d*"
    found = [[float(n.replace(",", "").rstrip(".")) for n in re.findall(number, text)] for text in (a, b)]
    if re.sub(number, "#", a) != re.sub(number, "#", b) or "-" in a or "/" in a:
        return False
    return all(
        abs(x - y) <= max(TOLERANCE * max(x, y), 0.1001 if "." in a else 1)
        for x, y in zip(*found, strict=True)
    )


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


def changing(block: Block) -> bool:
    """Sizes of disks, the clock and places of fonts are this machine's own."""
    return " doctor " in block.command


@pytest.mark.parametrize("block", [shown(block) for block in blocks("console")])
def test_the_outputs_on_the_page(block, session):
    first = block.command == "anomaly nightly --settings sample_data/city/anomaly.toml"
    printed = (session / "first.txt").read_text(encoding="utf-8") if first else answer(session, block.command)
    fresh = f"$ {block.command}\n{cut(printed, block.lines)}"
    if RENEW:
        renew(block.text, fresh)
    elif changing(block):
        named = [
            [line[:40].partition(":")[0][6:] for line in text.splitlines()] for text in (block.text, fresh)
        ]
        assert named[0] == named[1], HOW
    else:
        assert same(block.text, fresh), f"{fresh}\n{HOW}"


def renew(old: str, new: str) -> None:
    page = README.read_text(encoding="utf-8")
    assert page.count(f"\n{old}```") == 1
    README.write_text(page.replace(f"\n{old}```", f"\n{new}```"), encoding="utf-8")


@pytest.mark.parametrize(
    "block",
    [block for block in blocks("sql") if "answer" not in block.words],
    ids=lambda block: block.command[:20],
)
def test_the_queries_on_the_page(block, session, monkeypatch):
    monkeypatch.chdir(session / "sample_data/city")  # the folder of the settings
    with duckdb.connect(str(session / "sample_data/city/out/anomaly.duckdb"), read_only=True) as con:
        assert con.execute(block.text).fetchall()


def dictionary_page() -> str:
    """A table a view, in Markdown."""
    parts = []
    for (schema, view), frame in data_dictionary().group_by("schema", "view", maintain_order=True):
        rows = [
            f"| `{row['column']}` | {row['type']} | {row['unit_en'] or ''} | {row['meaning_en']} |"
            for row in frame.iter_rows(named=True)
        ]
        grain = (tables.PUBLISHED if schema == "v1" else tables.META)[view].__doc__.strip().rstrip(".")
        parts.append(
            "\n".join(
                [
                    f"**`{schema}.{view}`**: {grain[0].lower()}{grain[1:]}",
                    "",
                    "| column | type | unit | meaning |",
                    "|---|---|---|---|",
                    *rows,
                ]
            )
        )
    return "\n" + "\n\n".join(parts) + "\n\n"


def test_the_dictionary_is_that_of_the_tables():
    before, rest = README.read_text(encoding="utf-8").split(MARKERS[0])
    held, after = rest.split(MARKERS[1])
    if RENEW:
        README.write_text(before + MARKERS[0] + dictionary_page() + MARKERS[1] + after, encoding="utf-8")
    else:
        assert held == dictionary_page(), HOW


def test_the_two_commands_stand_at_the_top():
    first, second = commands()
    assert (
        first.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        and "--settings sample_data/city/anomaly.toml" in first
    )
    assert ".[test]" in second and second.endswith("-m pytest")
    assert README.read_text(encoding="utf-8").index(second) < 2000


def test_every_section_of_the_settings_is_told():
    page = README.read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `\[([\w.]+)\]`", page, re.MULTILINE))
    fields = {field.name for field in dataclasses.fields(settings_module.File)}
    assert told == {"signals.NAME" if name == "signals" else name for name in fields}


def test_every_detector_and_sample_is_told():
    page = README.read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in REGISTER)
    assert all(f"| `{path.parent.name}` |" in page for path in (ROOT / "sample_data").glob("*/anomaly.toml"))


class Links(HTMLParser):
    """Every href and src of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def targets(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = Links(text).found if path.suffix == ".html" else re.findall(r"\]\(([^)\s]+)\)", text)
    return [unquote(urlsplit(one).path) for one in found if not urlsplit(one).scheme and urlsplit(one).path]


def test_the_example_is_whole_and_small(session):
    if RENEW:
        renew_example(session / "first")
    pages = sorted(EXAMPLE.rglob("*.html"))
    assert len([page for page in pages if page.parent.name == "cases"]) >= 2
    assert not [
        (page.name, one) for page in pages for one in targets(page) if not (page.parent / one).exists()
    ]
    assert all("Sample city" in page.read_text(encoding="utf-8") for page in pages)
    assert sum(file.stat().st_size for file in EXAMPLE.rglob("*") if file.is_file()) <= 1e6


def test_every_link_of_the_page_leads_somewhere():
    assert len(targets(README)) >= 5
    assert not [one for one in targets(README) if not (ROOT / one).exists()]


def renew_example(fresh: Path) -> None:
    """One night and the overview, and the page's picture: the chart of the night's first door."""
    shutil.rmtree(EXAMPLE, ignore_errors=True)
    latest = max(fresh.glob("????-??-??"))
    shutil.copytree(latest, EXAMPLE / latest.name)
    for index in fresh.glob("index*.html"):
        shutil.copy(index, EXAMPLE / index.name)
    first = (latest / "cases.csv").read_text(encoding="utf-8-sig").splitlines()[1]
    code = re.search(r"c\d{6}-[0-9a-f]{10}", first)[0]
    page = README.read_text(encoding="utf-8")
    README.write_text(
        re.sub(r"reports/example/[\w/.-]+\.png", f"reports/example/{latest.name}/cases/{code}.png", page),
        encoding="utf-8",
    )


def test_the_picture_is_light():
    (picture,) = [one for one in targets(README) if one.endswith(".png")]
    assert (ROOT / picture).read_bytes()[:4] == b"\x89PNG" and (ROOT / picture).stat().st_size <= 150_000


def test_the_project_file_ships_what_the_flow_reads():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]
    for package, globs in patterns.items():
        folder = ROOT / package
        shipped = {path for pattern in globs for path in folder.glob(pattern)}
        data = {
            path
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
        }
        assert data <= shipped, f"{sorted(map(str, data - shipped))} would be missing from an installed copy"
