"""The look of all charts: their colours, and the language and font of their labels.

Colours keep apart for the colour-blind and in grey print, and nothing is told by colour alone.
"""

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context, rc_params_from_file
from matplotlib.font_manager import (
    FontEntry,
    FontPath,
    FontProperties,
    findSystemFonts,
    fontManager,
    weight_dict,
)

from anomaly import messages

BLUE, PALE, INK, SAND, HAZE, GREY = "#2a5d9c", "#c6d7ec", "#161616", "#efd9a7", "#f8f1e0", "#6b6b6b"
HATCH_GREY = "#9a9a9a"

FONT_PACKAGE, FONT_FILE = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"
CHINESE_FAMILIES = (
    "Noto Sans SC",
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Heiti SC",
    "Droid Sans Fallback",
)

_STYLE = rc_params_from_file(str(files("anomaly.charts") / "style.mplstyle"), use_default_template=False)


def chart_style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws with the settings of `style.mplstyle`."""
    return rc_context(_STYLE)


class FontFile(NamedTuple):
    """A font file and the number of the face in it.

    matplotlib's own FontPath cannot be unpickled (3.11), and a font is handed to worker processes.
    """

    path: str
    face: int = 0


def chinese_font() -> FontFile | None:
    """Return a font with Chinese glyphs: of the `zh` extra, else one of the system's, else None."""
    spec = find_spec(FONT_PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        if (packaged := Path(folder) / FONT_FILE).is_file():
            return FontFile(str(packaged))
    if font := _known_chinese_font():
        return font
    _add_new_system_fonts()
    return _known_chinese_font()


def _known_chinese_font() -> FontFile | None:
    """Return the most regular face of the first family that is there.

    matplotlib lists the fonts of the day on which it first ran: a file may be gone since, and matplotlib
    would take a font without the characters in its place.
    """
    faces = sorted(fontManager.ttflist, key=_irregularity)
    for family in CHINESE_FAMILIES:
        for face in faces:
            if face.name == family and Path(face.fname).is_file():
                return FontFile(face.fname, face.index)
    return None


def _irregularity(face: FontEntry) -> tuple:
    weight = weight_dict.get(face.weight, 400) if isinstance(face.weight, str) else face.weight
    return face.style != "normal", face.stretch != "normal", abs(weight - 400), face.fname, face.index


def _add_new_system_fonts() -> None:
    """Make the fonts known that were installed after matplotlib listed them."""
    known = {face.fname for face in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        with suppress(Exception):  # a file that is no font, in whatever way FreeType says so
            fontManager.addfont(path)


def has_han(text: str) -> bool:
    """Return whether a text has Chinese characters or full-width marks, which matplotlib's own fonts lack."""
    return any(
        "\u2e80" <= c <= "\u9fff"
        or "\uf900" <= c <= "\ufaff"
        or "\uff00" <= c <= "\uffef"
        or c >= "\U00020000"
        for c in text
    )


@dataclass(frozen=True)
class Labels:
    """The language and font in which a chart's labels are written; see `labels_in`."""

    language: str
    font: FontProperties | None

    def message(self, key: str, **values: object) -> str:
        """Return a sentence of the catalogue."""
        return messages.message(self.language, key, **values)

    def can_draw(self, text: str) -> bool:
        """Return whether the font has the characters of a text."""
        return self.font is not None or not has_han(text)

    def signal_name(self, signal: str, number: int) -> str:
        """Return a signal's name, or "signal `number`" where the name cannot be drawn."""
        name = messages.translate(self.language, "signals", signal)
        return name if self.can_draw(name) else self.message("chart.signal_number", number=number)

    def font_of_size(self, points: float) -> dict[str, Any]:
        """Return the font as keyword arguments of a matplotlib text."""
        font = {} if self.font is None else {"fontproperties": self.font}
        return font | {"fontsize": points}  # in this order: a font brings a size of its own

    def font_properties(self, points: float) -> FontProperties:
        """Return the font as one object, for a legend."""
        font = FontProperties() if self.font is None else self.font.copy()
        font.set_size(points)
        return font


def labels_in(language: str, font_file: FontFile | None) -> Labels:
    """Return labels in a language; English where there is no font that has the language's characters."""
    can_draw = font_file is not None or not has_han(messages.message(language, "chart.observed"))
    font = FontProperties(fname=FontPath(*font_file)) if font_file else None
    return Labels(language if can_draw else "en", font)
