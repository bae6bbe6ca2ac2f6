"""Write the reports to disk, whole or not at all.

What a page says is decided in pipelines/reporting/night_report.py and rendered by anomaly.report; here it
becomes files. The files of a case are a pure function of its page (`render_case`), so that several processes
may render them; only the `write_…` functions touch the folder.
"""

import contextlib
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
from matplotlib.figure import Figure
from PIL import Image

from anomaly import charts, report
from pipelines.reporting.own_pages import OWN_FILES
from pipelines.storage.atomic_write import (
    FOLDER_MODE,
    MARK,
    draft_path,
    find_leftovers,
    make_folder,
    moved_aside_path,
    remove_draft,
    sync_to_disk,
    write_bytes,
    write_new,
)

MAX_PNG_BYTES = 40_000
# (colours, scale): 48 are enough for the charts' few colours with smooth edges, at a third of the size of a
# full palette; the later ones are for pictures that are still too large.
PNG_ATTEMPTS = ((48, 1.0), (16, 1.0), (16, 0.75), (16, 0.55))
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DETECTION_FILE = "found.json"  # beside the evaluation's pages: what it found, for the page over all nights


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode a chart as a palette PNG of at most MAX_PNG_BYTES where that can be had.

    pixels: (height, width, 4) of 0 to 255. The same pixels give the same bytes.
    """
    image = Image.fromarray(pixels).convert("RGB")
    for colours, scale in PNG_ATTEMPTS:
        size = (round(scale * image.width), round(scale * image.height))
        scaled = image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)
        paletted = scaled.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        out = io.BytesIO()
        # level 6: the smallest file would be a tenth smaller and take eight times as long
        paletted.save(out, "PNG", compress_level=6)
        if out.tell() <= MAX_PNG_BYTES:
            break
    return out.getvalue()


def warm_up() -> None:
    """Import what rendering needs and find the fonts, in a process that is going to render pages."""
    charts.chinese_font()


def render_case(page: report.CasePage, font: charts.FontFile | None) -> dict[str, bytes]:
    """Return name → content of every file of a case: a page and a chart in each language.

    font: one with Chinese characters, None where there is none. Raises ValueError for a case
    id that is not safe as a file name.
    """
    case_id, languages = page.case["case_id"], page.site.languages
    if not SAFE_NAME.fullmatch(case_id):
        raise ValueError(f"case id {case_id!r} cannot name a file: use letters, digits, '.', '_' and '-'")
    onset, night = page.case["onset"], page.night
    chart = charts.CaseChart(page.series, page.units, page.calendar, onset, night)
    written: dict[str, bytes] = {}
    for language in languages:
        image = report.file_name(case_id, language, languages, "png")
        written[image] = encode_png(charts.case_pixels(chart, language, font))
        drawing = ""
        if page.parts is not None and page.parts.height:
            drawing = charts.decomposition_svg(page.parts, page.units, onset, night, language)
        written[report.file_name(case_id, language, languages)] = report.case_html(
            page, language, image, drawing
        ).encode()
    return written


def render_night(page: report.NightPage) -> dict[str, bytes]:
    """Return name → content of a night's own files: its pages in each language, and cases.csv."""
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


def write_night_folder(
    folder: Path, night_page: report.NightPage, cases: Iterable[Mapping[str, bytes]]
) -> Path:
    """Write `folder/<night>` and return it.

    An older report of the night stands until the new one is complete. cases: the files of each case, as
    `render_case` gives them.
    """
    make_folder(folder)
    night = folder / str(night_page.run["night"])
    clear_leftovers(folder)
    draft, old = draft_path(night), moved_aside_path(night)
    make_folder(draft / "cases")
    draft.chmod(FOLDER_MODE)
    try:
        for files in cases:
            for name, content in files.items():
                _write_own(draft, f"cases/{name}", content)
        for name, content in render_night(night_page).items():
            _write_own(draft, name, content)
        sync_to_disk(draft / "cases")
        sync_to_disk(draft)
        # A folder cannot be replaced in one step: the old one moves aside, back if the new one fails.
        if night.exists():
            night.rename(old)
        draft.rename(night)
        sync_to_disk(folder)
    except BaseException:
        if old.exists() and not night.exists():
            old.rename(night)
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _remove_own_pages(old, keep_others_in=night)
    return night


def _write_own(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a night's report; it must bear a name by which it is later known as the tool's own."""
    if not OWN_FILES.fullmatch(name):
        raise ValueError(f"{name}: is none of own_pages.OWN_FILES, so it would never be replaced or removed")
    write_new(folder / name, content)


def remove_night_folder(night: Path) -> None:
    """Remove the report of a night; what others have put into its folder stays there."""
    _remove_own_pages(night, keep_others_in=night)


def clear_leftovers(folder: Path, nights: Iterable[date] = ()) -> None:
    """Put back a night's report that a killed run had moved aside, and remove what else it left.

    Only for who holds the lock: it would take a running night's draft away. nights: those that the site
    knows, of which drafts of version 0.1.0, which carry no mark of the tool, may be there.
    """
    for left in find_leftovers(folder):
        night = folder / left.name.removeprefix(".").removesuffix(f".{MARK}.old")
        if left.suffix == ".old":
            _put_back(left, night)
        else:
            remove_draft(left)
    for night in (folder / str(night) for night in nights):
        if (old := folder / f".{night.name}.old").is_dir():
            _put_back(old, night)
        remove_draft(folder / f".{night.name}.draft")


def _put_back(old: Path, night: Path) -> None:
    if night.exists():
        _remove_own_pages(old, keep_others_in=night)
    else:
        old.rename(night)


def _remove_own_pages(folder: Path, keep_others_in: Path) -> None:
    """Remove a night's pages, and move what others have put beside them to the same place of another
    folder."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        name = path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty: somebody else's file is in it
                path.rmdir()
        elif OWN_FILES.fullmatch(name.as_posix()):
            path.unlink()
        elif keep_others_in != folder:
            make_folder((keep_others_in / name).parent)
            path.rename(keep_others_in / name)
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_overview_page(folder: Path, page: report.OverviewPage) -> Path:
    """Write `folder/index.html` in every language and return the first.

    It links the nights that have a folder, and says what the last evaluation found, if there was one.
    """
    page = replace(
        page,
        reported=frozenset(_reported_nights(folder)),
        found=_read_detection_file(folder / "evaluation" / DETECTION_FILE),
    )
    return write_index_page(
        folder, page.site.languages, lambda language: report.overview_html(page, language)
    )


def write_evaluation_pages(folder: Path, page: report.EvaluationPage, curves: Mapping[str, Figure]) -> Path:
    """Write `folder/evaluation` and return its first page.

    curves: file name → chart, two for each language (`evaluation_image_names`).
    """
    folder = folder / "evaluation"
    make_folder(folder)
    for name, figure in curves.items():
        write_bytes(folder / name, encode_png(charts.pixels_of(figure)))
    own = page.card.filter(pl.col("capacity").is_null())
    found = json.dumps({"last": page.last, "card": own.to_dicts()}, default=str)
    write_bytes(folder / DETECTION_FILE, found.encode())

    def render(language: str) -> str:
        return report.evaluation_html(page, language, evaluation_image_names(language, page.site.languages))

    return write_index_page(folder, page.site.languages, render)


def _read_detection_file(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_bytes())
        return found | {"last": date.fromisoformat(found["last"])}
    except (FileNotFoundError, ValueError):  # none yet, or cut short
        return None


def write_index_page(folder: Path, languages: tuple[str, ...], render: Callable[[str], str]) -> Path:
    """Write `folder/index.html` in every language and return the first. render: language → its HTML."""
    make_folder(folder)
    for language in languages:
        write_bytes(folder / report.file_name("index", language, languages), render(language).encode())
    return folder / report.file_name("index", languages[0], languages)


def evaluation_image_names(language: str, languages: tuple[str, ...]) -> tuple[str, str]:
    """Return the file names of the evaluation's two charts: share found by capacity, and by day."""
    by_capacity = report.file_name("capacity", language, languages, "png")
    by_day = report.file_name("day", language, languages, "png")
    return by_capacity, by_day


def _reported_nights(folder: Path) -> Iterator[date]:
    for index in folder.glob("????-??-??/index.html"):
        try:
            yield date.fromisoformat(index.parent.name)
        except ValueError:
            continue
