"""Read pages back: their tags, their text and their tables."""

import html
import re
from html.parser import HTMLParser

from markupsafe import escape

ACCUSING = re.compile(r"suspect|violation|嫌疑|可疑|违法|违规", re.IGNORECASE)
"""Words that no page and no catalogue may use."""


class HtmlReader(HTMLParser):
    """The tags of a page with their attributes, and its text without style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside: str | None = None
        self.feed(page)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside not in ("style", "script") and data.strip():
            self.words.append(data.strip())

    def all(self, *names: str) -> list[dict[str, str | None]]:
        """Return the attributes of all tags of these names."""
        return [attrs for tag, attrs in self.tags if tag in names]


def text_of(page: str) -> str:
    """Return the text of a page."""
    return HtmlReader(page).text


def table_cells(page: str, caption: str) -> list[list[str]]:
    """Return the rows of the table with this caption, as lists of text."""
    body = page.split(f"<caption>{escape(caption)}</caption>")[1].split("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in row] for row in cells]
