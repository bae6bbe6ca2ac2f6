"""The page of what could be found: surges planted into copies of the site's own readings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from anomaly import messages
from anomaly.report.page import Site, file_name, other_languages, render


@dataclass(frozen=True)
class EvaluationPage:
    """One evaluation.

    card: capacity (null: the settings' own threshold), wrong, wrong_low, wrong_high, size, planted, found, share, low, high,
    median_delay, capacities ascending. shapes: size, shape and the same at the settings' own threshold. groups: group
    (`signals`, `district`), name, homes, size (null where none is large enough). homes: looked at, of site_homes; share: of
    them into which a copy has surges planted. overview: whether there is one to link.
    """

    site: Site
    first: date
    last: date
    homes: int
    site_homes: int
    rounds: int
    share: float
    card: pl.DataFrame
    shapes: pl.DataFrame
    groups: pl.DataFrame
    largest: float
    overview: bool = False


def evaluation_html(page: EvaluationPage, language: str, images: tuple[str, str]) -> str:
    """The page. images: addresses of the two charts, share found by capacity and by day."""
    say, site = partial(messages.message, language), page.site
    own = page.card.filter(pl.col("capacity").is_null())
    back = (
        [{"href": "../" + file_name("index", language, site.languages), "text": say("page.all_nights")}]
        if page.overview
        else []
    )
    return render(
        "evaluation.html.j2", site, language, title=say("evaluation.title"), links=back + other_languages(site, language, "index"),
        sentences=[found_sentence(row, language) for row in own.iter_rows(named=True)], wrong=_wrong_sentence(own, language),
        what=say("evaluation.what", homes=_homes(page, language), rounds=page.rounds, share=_percent(language, page.share, 1),
                 first=messages.format_day(language, page.first), last=messages.format_day(language, page.last)),
        heads=[_capacity(capacity, language) for capacity in _capacities(page.card)], rows=_rows(page.card, language),
        came=[_wrong(page.card, capacity, language) for capacity in _capacities(page.card)],
        shapes=_shapes(page.shapes, language), groups=_groups(page, language), images=images,
        alts=[say(f"evaluation.alt_{name}", table=_told(own, language)) for name in ("capacity", "day")],
        notes=messages.message_list(language, "evaluation.notes"),
    )  # fmt: skip


def _homes(page: EvaluationPage, language: str) -> str:
    looked, every = (
        messages.format_number(language, page.homes),
        messages.format_number(language, page.site_homes),
    )
    return (
        looked if looked == every else messages.message(language, "evaluation.of", homes=looked, every=every)
    )


def _capacities(card: pl.DataFrame) -> list[float | None]:
    return card["capacity"].unique(maintain_order=True).to_list()


def _capacity(capacity: float | None, language: str) -> str:
    return (
        messages.message(language, "evaluation.as_set")
        if capacity is None
        else messages.format_number(language, capacity)
    )


def size_of(size: float) -> str:
    """×1.5, ×2: as the charts and tables name a size."""
    return f"×{size:g}"


def _percent(language: str, share: float, digits: int = 0) -> str:
    """digits: decimals, where the share has any."""
    percent = round(100 * share, digits)
    return messages.message(
        language,
        "format.percent",
        number=messages.format_number(language, percent, digits if percent % 1 else 0),
    )


def _between(language: str, low: float, high: float, factor: float = 1.0) -> str:
    return messages.message(
        language,
        "format.range",
        low=messages.format_number(language, factor * low),
        high=messages.format_number(language, factor * high),
    )


def found_sentence(row: Mapping[str, Any], language: str) -> str:
    """What share of the surges of one size is found, from a row of the card."""
    values = {
        "size": size_of(row["size"]),
        "share": messages.format_number(language, 100 * row["share"]),
        "range": _between(language, row["low"], row["high"], 100),
        "delay": messages.format_number(language, row["median_delay"]),
    }
    return messages.message(
        language, "evaluation.found" if row["found"] else "evaluation.found_none", **values
    )


def _wrong_sentence(own: pl.DataFrame, language: str) -> str:
    if not own.height:
        return messages.message(language, "evaluation.none")
    row = own.row(0, named=True)
    number, between = (
        messages.format_number(language, row["wrong"], 1),
        _between(language, row["wrong_low"], row["wrong_high"]),
    )
    return messages.message(language, "evaluation.wrong", number=number, range=between)


def _told(own: pl.DataFrame, language: str) -> str:
    """The shares in one phrase, for those who cannot see the chart."""
    return messages.format_list(
        language,
        [
            f"{size_of(size)} {_percent(language, share)}"
            for size, share in own.select("size", "share").iter_rows()
        ],
    )


def _cell(row: dict, language: str) -> list[str]:
    """The lines of a cell: the share and, where anything was found, the delay."""
    share = messages.message(
        language,
        "evaluation.cell",
        share=_percent(language, row["share"]),
        range=_between(language, row["low"], row["high"], 100),
    )
    if not row["found"]:
        return [share]
    return [
        share,
        messages.message(
            language, "evaluation.delay", days=messages.format_number(language, row["median_delay"])
        ),
    ]


def _rows(card: pl.DataFrame, language: str) -> list[dict]:
    """One row a size: name, surges planted, and a cell for each capacity."""
    return [
        {
            "name": size_of(of[0]["size"]),
            "planted": of[0]["planted"],
            "cells": [_cell(row, language) for row in of],
        }
        for of in (part.to_dicts() for part in card.partition_by("size", maintain_order=True))
    ]


def _wrong(card: pl.DataFrame, capacity: float | None, language: str) -> str:
    row = card.filter(pl.col("capacity").eq_missing(capacity)).row(0, named=True)
    between = _between(language, row["wrong_low"], row["wrong_high"])
    return messages.message(
        language, "evaluation.cell", share=messages.format_number(language, row["wrong"], 1), range=between
    )


def _shapes(shapes: pl.DataFrame, language: str) -> dict:
    """Sizes as heads; a row for each shape with a cell for each size, a dash where none was planted."""
    sizes = shapes["size"].unique().sort().to_list()
    cells = {(row["shape"], row["size"]): _cell(row, language) for row in shapes.iter_rows(named=True)}
    blank = messages.message(language, "format.none")
    rows = [
        [messages.translate(language, "shapes", s), *(cells.get((s, size), [blank]) for size in sizes)]
        for s in shapes["shape"].unique().sort(descending=True)
    ]
    return {"heads": [size_of(size) for size in sizes], "rows": rows}


def _groups(page: EvaluationPage, language: str) -> list[list[str]]:
    rows = []
    for group, name, homes, size in page.groups.sort("group", "name", descending=[True, False]).iter_rows():
        told = (
            messages.message(
                language, "evaluation.signals_one" if name == "1" else "evaluation.signals_many", number=name
            )
            if group == "signals"
            else name
        )
        none = messages.message(language, "evaluation.none_up_to", size=size_of(page.largest))
        rows.append([told, messages.format_number(language, homes), none if size is None else size_of(size)])
    return rows
