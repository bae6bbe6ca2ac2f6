"""Tell the pages of the tool from those of other programs, which it neither replaces nor removes."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pipelines.errors import StateError

OWN_FILES = re.compile(
    r"(index|round)(-\d+)?(\.[a-z]{2})?\.html|cases\.csv|cases/[A-Za-z0-9][A-Za-z0-9._-]*\.(html|png)"
)
"""The files of a night's report, by their names below its folder."""
OWN_PAGE = re.compile(
    rb"<!DOCTYPE html>\n<html lang=\"[a-z]+\">\n<head>\n<meta charset=\"utf-8\">\n"
    rb"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-"
)
"""The beginning of every page (anomaly/templates/base.html.j2)."""


def is_own_page(path: Path) -> bool:
    """Return whether a page was written by the tool, whose pages all begin alike."""
    with open(path, "rb") as page:
        return OWN_PAGE.match(page.read(2000)) is not None


def refuse_foreign_nights(folder: Path, nights: Iterable[date]) -> None:
    """Raise StateError where the report of one of the nights would replace a page of another program."""
    for index in (folder / str(night) / "index.html" for night in nights):
        if index.exists() and not is_own_page(index):
            raise StateError(
                f"{index}: is a page of another program; give [reports] path a folder of its own"
            )


def has_pages(night: Path) -> bool:
    """Return whether a night's folder holds any file of its report."""
    return any(OWN_FILES.fullmatch(path.relative_to(night).as_posix()) for path in night.rglob("*"))
