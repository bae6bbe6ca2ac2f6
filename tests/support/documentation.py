"""The pages of the documentation: their blocks and links, and commands run as the pages show them."""

import contextlib
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from pipelines.cli.commands import main
from tests.support.paths import ROOT

README = ROOT / "README.md"
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(ROOT / "reports").glob("*.md"),
        *(
            path
            for folder in ("anomaly", "pipelines", "sample_data")
            for path in (ROOT / folder).rglob("*.md")
        ),
    }
)
"""Every page of the documentation."""
RENEW = os.environ.get("UPDATE_README") == "1"
RENEW_COMMAND = (
    "UPDATE_README=1 python -m pytest tests/end_to_end/test_documentation.py "
    "tests/interface/test_questions.py -m '' writes it anew"
)
CHECKOUT_ON_PAGES = "/home/you/household-anomaly"
"""Where the checkout lies in the outputs on the pages."""
TOLERANCE = 0.02
"""Relative difference allowed in a printed number: another processor adds up in another order."""

_FENCED = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    words: tuple[str, ...]
    """What follows the language: long, answer, lines=N, file=PATH."""
    text: str
    line: int
    """Number of the line of the page on which the block opens."""

    def option(self, name: str) -> str | None:
        """Return the value of a word like lines=20."""
        return next((w.partition("=")[2] for w in self.words if w.startswith(f"{name}=")), None)

    @property
    def commands(self) -> list[str]:
        """The commands of a console block: its lines that begin with a prompt."""
        if self.language != "console":
            return []
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]

    @property
    def name(self) -> str:
        """Page, line and first words, to name a test."""
        first = self.text.partition("\n")[0].removeprefix("$ ")
        return f"{page_name(self.page)}:{self.line} {first[:50]}"


def page_name(page: Path) -> str:
    """Return a page's path from the top of the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(*languages: str, pages: list[Path] = PAGES) -> list[Block]:
    """List the fenced blocks of those languages in the order of the pages."""
    found = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for match in _FENCED.finditer(text):
            language, words, body = match.groups()
            if language in languages:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(page, language, tuple(words.split()), body, line))
    return found


def first_commands() -> list[str]:
    """Return the README's two commands: run the sample, run the tests."""
    return [block.text.strip() for block in blocks("sh", pages=[README])][:2]


def printed_by(folder: Path, command: str) -> str:
    """Run a command in a folder and return both of its streams, with the folder named as on the pages."""
    name, *words = shlex.split(command)
    if name == "cp":
        *sources, target = (folder / word for word in words if not word.startswith("-"))
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, target / source.name, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)
        return ""
    assert name == "anomaly", f"{command}: pages show the commands of this tool"
    with contextlib.chdir(folder):
        result = CliRunner().invoke(main, words, prog_name="anomaly", terminal_width=100)
    assert result.exit_code in (0, 3), result.output
    return result.output.replace(str(folder), CHECKOUT_ON_PAGES).replace(
        sys.prefix, f"{CHECKOUT_ON_PAGES}/.venv"
    )


def cut(text: str, lines: int | None) -> str:
    """Keep the first lines of an output, with a mark where some were left out."""
    every = text.rstrip("\n").split("\n")
    if lines is None or len(every) <= lines:
        return "\n".join(every) + "\n"
    return "\n".join([*every[:lines], "…"]) + "\n"


def agrees(on_page: str, printed: str) -> bool:
    """Compare word for word, numbers within TOLERANCE; dates and codes of cases are words."""
    ours, theirs = on_page.split(), printed.split()
    return len(ours) == len(theirs) and all(a == b or near(a, b) for a, b in zip(ours, theirs, strict=True))


def near(a: str, b: str) -> bool:
    """472,070 and 472,071 are near, and so are ×1.96 and ×1.97; what is not a number must be equal."""
    number = r"\d[\d,]*\.?\d*"
    numbers = [[float(n.replace(",", "").rstrip(".")) for n in re.findall(number, text)] for text in (a, b)]
    if re.sub(number, "#", a) != re.sub(number, "#", b) or "-" in a or "/" in a:
        return False
    return all(
        abs(x - y) <= max(TOLERANCE * max(x, y), 0.1001 if "." in a else 1)
        for x, y in zip(*numbers, strict=True)
    )


def renew(page: Path, old: str, new: str) -> None:
    """Replace the text of a block, which must stand on the page once."""
    text = page.read_text(encoding="utf-8")
    assert text.count(f"\n{old}```") == 1
    page.write_text(text.replace(f"\n{old}```", f"\n{new}```"), encoding="utf-8")


def without_blocks(page: Path) -> str:
    """Return a page's prose: its text without fenced blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """List what stands between backticks in a page's prose."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_blocks(page))


def links(page: Path) -> list[str]:
    """List the targets of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ +(.+)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
