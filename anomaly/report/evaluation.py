"""The page of what could be found: surges planted into copies of the site's own readings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from anomaly.messages import (
    format_day,
    format_list,
    format_number,
    format_percent,
    format_percent_range,
    format_range,
    message,
    message_list,
    translate,
)
from anomaly.report.page import Site, language_links, page_links, render


@dataclass(frozen=True)
class EvaluationPage:
    """One evaluation.

    card: capacity (null: the settings' own threshold), wrong, wrong_low, wrong_high, size, planted, found,
    share, low, high, median_delay, capacities ascending. shapes: size, shape and the same at the settings'
    own threshold. groups: group (`signals`, `district`), name, homes, size (null where none is large enough).
    homes: looked at, of site_homes; share: of them into which a copy has surges planted. largest: the largest
    size tried in groups. overview: whether there is one to link.
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
    """Return the page of an evaluation. images: addresses of the charts by capacity and by day."""
    site = page.site
    as_set = page.card.filter(pl.col("capacity").is_null())
    capacities = page.card["capacity"].unique(maintain_order=True).to_list()
    found = _found_phrase(as_set, language)
    return render(
        "evaluation.html.j2",
        site,
        language,
        title=message(language, "evaluation.title"),
        links=(page_links if page.overview else language_links)(site, language, "index"),
        sentences=[found_sentence(row, language) for row in as_set.iter_rows(named=True)],
        wrong=_wrong_sentence(as_set, language),
        what=_what_was_done(page, language),
        heads=[_capacity(capacity, language) for capacity in capacities],
        rows=_size_rows(page.card, language),
        came=[_wrong_doors(page.card, capacity, language) for capacity in capacities],
        shapes=_shape_table(page.shapes, language),
        groups=_group_rows(page, language),
        images=images,
        alts=[message(language, f"evaluation.alt_{name}", table=found) for name in ("capacity", "day")],
        notes=message_list(language, "evaluation.notes"),
    )


def found_sentence(row: Mapping[str, Any], language: str) -> str:
    """Return what share of the surges of one size is found. row: of the card."""
    return message(
        language,
        "evaluation.found" if row["found"] else "evaluation.found_none",
        size=_size(row["size"]),
        share=format_number(language, 100 * row["share"]),
        range=format_percent_range(language, row["low"], row["high"]),
        delay=format_number(language, row["median_delay"]),
    )


def _wrong_sentence(as_set: pl.DataFrame, language: str) -> str:
    """Return how many wrong alarms come at the settings' own threshold."""
    if not as_set.height:
        return message(language, "evaluation.none")
    row = as_set.row(0, named=True)
    interval = format_range(language, row["wrong_low"], row["wrong_high"])
    return message(
        language, "evaluation.wrong", number=format_number(language, row["wrong"], 1), range=interval
    )


def _found_phrase(as_set: pl.DataFrame, language: str) -> str:
    """Return the shares in one phrase, for those who cannot see the charts."""
    rows = as_set.select("size", "share").iter_rows()
    return format_list(language, [f"{_size(size)} {format_percent(language, share)}" for size, share in rows])


def _what_was_done(page: EvaluationPage, language: str) -> str:
    homes, every = format_number(language, page.homes), format_number(language, page.site_homes)
    decimals = 1 if round(100 * page.share, 1) % 1 else 0
    return message(
        language,
        "evaluation.what",
        homes=homes if homes == every else message(language, "evaluation.of", homes=homes, every=every),
        rounds=page.rounds,
        share=format_percent(language, page.share, decimals),
        first=format_day(language, page.first),
        last=format_day(language, page.last),
    )


def _size_rows(card: pl.DataFrame, language: str) -> list[dict[str, Any]]:
    """Return one row a size: name, surges planted, and a cell for each capacity."""
    rows = []
    for of_size in card.partition_by("size", maintain_order=True):
        cells = of_size.to_dicts()
        rows.append(
            {
                "name": _size(cells[0]["size"]),
                "planted": cells[0]["planted"],
                "cells": [_share_cell(cell, language) for cell in cells],
            }
        )
    return rows


def _shape_table(shapes: pl.DataFrame, language: str) -> dict[str, Any]:
    """Return sizes as heads, and a row a shape with a cell for each size, a dash where none was planted."""
    sizes = shapes["size"].unique().sort().to_list()
    cells = {(row["shape"], row["size"]): _share_cell(row, language) for row in shapes.iter_rows(named=True)}
    dash = [message(language, "format.none")]
    rows = [
        [translate(language, "shapes", shape), *(cells.get((shape, size), dash) for size in sizes)]
        for shape in shapes["shape"].unique().sort(descending=True)
    ]
    return {"heads": [_size(size) for size in sizes], "rows": rows}


def _share_cell(row: Mapping[str, Any], language: str) -> list[str]:
    """Return the lines of a cell: the share and, where anything was found, the delay."""
    share = format_percent(language, row["share"])
    interval = format_percent_range(language, row["low"], row["high"])
    lines = [message(language, "evaluation.cell", share=share, range=interval)]
    if row["found"]:
        days = format_number(language, row["median_delay"])
        lines.append(message(language, "evaluation.delay", days=days))
    return lines


def _wrong_doors(card: pl.DataFrame, capacity: float | None, language: str) -> str:
    """Return the alarms without a plant at a capacity."""
    row = card.filter(pl.col("capacity").eq_missing(capacity)).row(0, named=True)
    interval = format_range(language, row["wrong_low"], row["wrong_high"])
    wrong = format_number(language, row["wrong"], 1)
    return message(language, "evaluation.cell", share=wrong, range=interval)


def _group_rows(page: EvaluationPage, language: str) -> list[list[str]]:
    """Return homes and smallest size seen of each group, by number of signals first, then by district."""
    too_small = message(language, "evaluation.none_up_to", size=_size(page.largest))
    rows = []
    for group, name, homes, size in page.groups.sort("group", "name", descending=[True, False]).iter_rows():
        if group == "signals":
            key = "evaluation.signals_one" if name == "1" else "evaluation.signals_many"
            name = message(language, key, number=name)
        rows.append([name, format_number(language, homes), too_small if size is None else _size(size)])
    return rows


def _capacity(capacity: float | None, language: str) -> str:
    return message(language, "evaluation.as_set") if capacity is None else format_number(language, capacity)


def _size(size: float) -> str:
    """Return a size as the charts and tables name it: ×1.5, ×2."""
    return f"×{size:g}"
