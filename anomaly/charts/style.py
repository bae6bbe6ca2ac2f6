"""What every chart shares: its colours, its fonts and what it points at.

Colours keep apart for the colour-blind and in grey print; the stretch in question is told by hatching and a bracket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from matplotlib.font_manager import FontProperties, fontManager

from anomaly import messages

STYLE = str(files("anomaly") / "style.mplstyle")
BLUE, PALE, INK, SAND, HAZE, GREY = "#2a5d9c", "#c6d7ec", "#161616", "#efd9a7", "#f8f1e0", "#6b6b6b"
LINE, TEXT, EDGE = "#e3e3e3", "#333333", "#555555"
FONT_PACKAGE, FONT_FILE = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"
CHINESE_FAMILIES = (
    "Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Heiti SC", "Droid Sans Fallback",
)  # fmt: skip


@dataclass(frozen=True)
class Marks:
    """What to point at: the stretch from `onset` to `night` (both inclusive), and each signal's base unit."""

    onset: date
    night: date
    units: Mapping[str, str] = field(default_factory=dict)


def chinese_font() -> str | None:
    """A font file with Chinese glyphs: the one of the `zh` extra, else one of the system's, else None."""
    spec = find_spec(FONT_PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        if (packaged := Path(folder) / FONT_FILE).is_file():
            return str(packaged)
    installed = {font.name for font in fontManager.ttflist}
    for family in CHINESE_FAMILIES:
        if family in installed:
            return fontManager.findfont(family, fallback_to_default=False)
    return None


def has_han(text: str) -> bool:
    """Whether a text holds Chinese characters or full-width marks, which the fonts of matplotlib itself lack."""
    return any(
        "\u2e80" <= c <= "\u9fff"
        or "\uf900" <= c <= "\ufaff"
        or "\uff00" <= c <= "\uffef"
        or c >= "\U00020000"
        for c in text
    )


@dataclass(frozen=True)
class Pen:
    """How labels are written: without a Chinese font in English, whatever the page's language."""

    language: str
    font: FontProperties | None

    def text(self, key: str, **values: object) -> str:
        """A sentence of the catalogue."""
        return messages.message(self.language, key, **values)

    def named(self, name: str, place: int) -> str:
        """A signal's name, or its number where the name cannot be drawn."""
        told = messages.translate(self.language, "signals", name)
        return (
            self.text("chart.signal_number", number=place + 1)
            if self.font is None and has_han(told)
            else told
        )

    @property
    def style(self) -> dict:
        """What a text needs to be drawn in this font."""
        return {} if self.font is None else {"fontproperties": self.font}

    def sized(self, size: float) -> dict:
        """The same at a size of its own, in points."""
        return {**self.style, "fontsize": size}


def pen_for(language: str, font: str | None) -> Pen:
    """The pen for a language and a font file, or None; without a font that has its characters it writes English."""
    drawable = font is not None or not has_han(messages.message(language, "chart.observed"))
    return Pen(language if drawable else "en", FontProperties(fname=font) if font else None)


def runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """Sorted days as unbroken stretches, (first, last) inclusive."""
    stretches: list[tuple[date, date]] = []
    for day in days:
        if stretches and day - stretches[-1][1] == timedelta(days=1):
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches
