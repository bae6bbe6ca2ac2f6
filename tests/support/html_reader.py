"""Read pages back: their tags, their text and their tables."""

import re
from html.parser import HTMLParser

ACCUSING = re.compile(r"suspect|violation|嫌疑|可疑|违法|违规", re.IGNORECASE)
"""Words that no page and no catalogue may use."""


class HtmlReader(HTMLParser):
    """The tags of a page with their attributes, and its text without style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside: str | None = None
        self.feed(html)
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


def text_of(html: str) -> str:
    """Return the text of a page."""
    return HtmlReader(html).text


def table_cells(html: str, caption: str) -> list[list[str]]:
    """Return the rows of the table with this caption, as lists of text."""
    body = html.split(f"<caption>{caption}</caption>")[1].split("</table>")[0]
    return [
        [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]
