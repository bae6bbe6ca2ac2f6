"""The reports on disk: what the library renders, written whole or not at all.

A case's files are a pure function of its page (`case_files`), so that several processes may render them; only
`write_night` and `write_overview` touch the folder.
"""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from anomaly import charts, report
from pipelines.storage.atomic_write import (
    FOLDER_MODE,
    make_folder,
    sync_to_disk,
    write_bytes,
    write_new,
)

LARGEST = 40_000  # bytes of a picture
# Colours and scale: 48 are enough for the charts' few colours with smooth edges, at a third of the size; less for what is still too large.
LOOKS = ((48, 1.0), (16, 1.0), (16, 0.75), (16, 0.55))
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
FOUND = "found.json"


def png(figure: Figure) -> bytes:
    """The figure as a small palette PNG; the same figure gives the same bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    for colours, scale in LOOKS:
        shown = (
            image
            if scale == 1
            else image.resize(
                (round(scale * image.width), round(scale * image.height)), Image.Resampling.LANCZOS
            )
        )
        out = io.BytesIO()
        # level 6: the smallest file would be a tenth smaller and take eight times as long
        shown.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            out, "PNG", compress_level=6
        )
        if out.tell() <= LARGEST:
            break
    return out.getvalue()


def prepare() -> None:
    """For a process that will render pages: what it needs is imported, and the fonts are found."""
    charts.chinese_font()


def case_files(page: report.CasePage, font: str | None) -> dict[str, bytes]:
    """Name → content of every file of a case: a page and a chart in each language.

    Raises ValueError for a case id that is not safe as a file name.
    """
    case_id, languages = page.case["case_id"], page.site.languages
    if not SAFE_NAME.fullmatch(case_id):
        raise ValueError(f"case id {case_id!r} cannot name a file: use letters, digits, '.', '_' and '-'")
    marks = charts.Marks(page.case["onset"], page.night, page.units)
    written: dict[str, bytes] = {}
    for language in languages:
        image = report.file_name(case_id, language, languages, "png")
        written[image] = png(charts.case_figure(page.series, page.calendar, marks, language, font))
        drawing = (
            charts.decomposition_svg(page.parts, marks, language)
            if page.parts is not None and page.parts.height
            else ""
        )
        written[report.file_name(case_id, language, languages)] = report.case_html(
            page, language, image, drawing
        ).encode()
    return written


def night_files(page: report.NightPage) -> dict[str, bytes]:
    """Name → content of a night's own files: the index and the sheets for a round in each language and part, and cases.csv."""
    languages = page.site.languages
    written = {"cases.csv": report.cases_csv(page).encode("utf-8-sig")}
    for language in languages:
        for part in range(1, report.night_parts(page) + 1):
            name = report.file_name(report.part_stem("index", part), language, languages)
            written[name] = report.night_html(page, language, part).encode()
        for part in range(1, len(report.round_parts(page)) + 1):
            name = report.file_name(report.part_stem("round", part), language, languages)
            written[name] = report.round_html(page, language, part).encode()
    return written


def write_night(folder: Path, night_page: report.NightPage, cases: Iterable[Mapping[str, bytes]]) -> Path:
    """Write `folder/<night>` and return it; an older report of the night stands until the new one is complete.

    cases: the files of each case, as `case_files` gives them.
    """
    make_folder(folder)
    night = folder / str(night_page.run["night"])
    tidy(folder)
    draft, old = folder / f".{night.name}.draft", folder / f".{night.name}.old"
    make_folder(draft / "cases")
    draft.chmod(FOLDER_MODE)
    try:
        for written in cases:
            for name, content in written.items():
                write_new(draft / "cases" / name, content)
        for name, content in night_files(night_page).items():
            write_new(draft / name, content)
        sync_to_disk(draft / "cases")
        sync_to_disk(draft)
        # A folder cannot be replaced in one step: the old one steps aside first and comes back if the new one cannot.
        if night.exists():
            night.rename(old)
        draft.rename(night)
        sync_to_disk(folder)
    except BaseException:
        if old.exists() and not night.exists():
            old.rename(night)
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return night


def tidy(folder: Path) -> None:
    """Put back a night's report that a killed run had moved aside, and clear what else it left; for who holds the lock."""
    for old in folder.glob(".????-??-??.old"):
        if not (night := folder / old.name.strip(".").removesuffix(".old")).exists():
            old.rename(night)
    for left in (*folder.glob(".????-??-??.old"), *folder.glob(".????-??-??.draft")):
        shutil.rmtree(left, ignore_errors=True)


def write_overview(folder: Path, page: report.OverviewPage) -> Path:
    """Write `folder/index.html` in every language, linking the nights that have a folder; return the first."""
    make_folder(folder)
    page = replace(page, reported=frozenset(_nights(folder)), found=_found(folder / "evaluation" / FOUND))
    paths = []
    for language in page.site.languages:
        paths.append(folder / report.file_name("index", language, page.site.languages))
        write_bytes(paths[-1], report.overview_html(page, language).encode())
    return paths[0]


def write_evaluation(folder: Path, page: report.EvaluationPage, curves: Mapping[str, Figure]) -> Path:
    """Write `folder/evaluation` and return its first page. curves: file name → chart, two for each language in `evaluation_images`."""
    folder = folder / "evaluation"
    make_folder(folder)
    own = page.card.filter(pl.col("capacity").is_null())
    written = {name: png(figure) for name, figure in curves.items()} | {
        FOUND: json.dumps({"last": page.last, "card": own.to_dicts()}, default=str).encode()
    }
    for language in page.site.languages:
        name = report.file_name("index", language, page.site.languages)
        written[name] = report.evaluation_html(
            page, language, evaluation_images(language, page.site.languages)
        ).encode()
    for name, content in written.items():
        write_bytes(folder / name, content)
    return folder / report.file_name("index", page.site.languages[0], page.site.languages)


def _found(path: Path) -> dict | None:
    """What an evaluation left beside its pages, for the overview."""
    try:
        found = json.loads(path.read_bytes())
        return found | {"last": date.fromisoformat(found["last"])}
    except (FileNotFoundError, ValueError):  # none yet, or cut short
        return None


def write_page(folder: Path, languages: tuple[str, ...], render: Callable[[str], str]) -> Path:
    """Write `folder/index.html` in every language, from what `render` gives for it; return the first."""
    make_folder(folder)
    for language in languages:
        write_bytes(folder / report.file_name("index", language, languages), render(language).encode())
    return folder / report.file_name("index", languages[0], languages)


def evaluation_images(language: str, languages: tuple[str, ...]) -> tuple[str, str]:
    """File names of the evaluation's charts: share found by capacity and by day."""
    return report.file_name("capacity", language, languages, "png"), report.file_name(
        "day", language, languages, "png"
    )


def _nights(folder: Path) -> Iterator[date]:
    for index in folder.glob("????-??-??/index.html"):
        try:
            yield date.fromisoformat(index.parent.name)
        except ValueError:
            continue

