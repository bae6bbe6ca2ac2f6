"""What a case looks like: frames in, a matplotlib Figure out. Nothing is saved here and `pyplot` is never used.

The look is in `style.mplstyle`; the stretch in question is told by hatching and a bracket, not by colour alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib import dates as mdates
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from anomaly import words

SHOWN_DAYS = 120
TAKEN_APART_DAYS = 180
BELIEVED = ("read", "interpolated")
BLUE, PALE, INK, SAND, HAZE, GREY = "#2a5d9c", "#c6d7ec", "#161616", "#efd9a7", "#f8f1e0", "#6b6b6b"
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
    return any("\u2e80" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" or "\uff00" <= c <= "\uffef" or c >= "\U00020000" for c in text)


@dataclass(frozen=True)
class _Pen:
    """How labels are written: without a Chinese font in English, whatever the page's language."""

    language: str
    font: FontProperties | None

    def text(self, key: str, **values: object) -> str:
        return words.say(self.language, key, **values)

    def named(self, name: str, place: int) -> str:
        """A signal's name, or its number where the name cannot be drawn."""
        told = words.known(self.language, "signals", name)
        return self.text("chart.signal_number", number=place + 1) if self.font is None and has_han(told) else told

    @property
    def style(self) -> dict:
        return {} if self.font is None else {"fontproperties": self.font}

    def sized(self, size: float) -> dict:
        return {**self.style, "fontsize": size}


def _pen(language: str, font: str | None) -> _Pen:
    drawable = font is not None or not has_han(words.say(language, "chart.observed"))
    return _Pen(language if drawable else "en", FontProperties(fname=font) if font else None)


def case_figure(
    series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, marks: Marks, language: str, font: str | None
) -> Figure:
    """One small chart a signal on a common time axis: observed against what was expected, the last 120 days.

    series: signal → day, value (base units or null), expected, low, high (or null), quality; one row a day.
    calendar: day, kind ("", holiday, workday, window), name_en, name_zh. font: a file from `chinese_font`, or
    None, with which every label is English: never a box in place of a character.
    """
    pen = _pen(language, font)
    first = marks.night - timedelta(days=SHOWN_DAYS - 1)
    shown = calendar.filter(pl.col("day").is_between(first, marks.night)).sort("day")
    with style.context(str(files("anomaly") / "style.mplstyle")):
        figure = Figure(figsize=(7.2, 0.95 + 1.08 * max(1, len(series))), layout="constrained")
        panels = figure.subplots(max(1, len(series)), 1, sharex=True, squeeze=False)[:, 0]
        for place, (panel, (name, frame)) in enumerate(zip(panels, series.items())):
            days = frame.filter(pl.col("day").is_between(first, marks.night)).sort("day")
            _shade_calendar(panel, shown)
            _draw_series(panel, days, marks.units.get(name, "count"), pen, pen.named(name, place))
            _mark_stretch(panel, marks, pen, labelled=place == 0)
        _name_holidays(panels[0], shown, marks.night, pen)
        _date_axis(panels[-1], first, marks.night, pen)
        _legend(figure, series, shown, pen)
    return figure


def _middays(days: Sequence[date] | pl.Series) -> np.ndarray:
    return mdates.date2num(list(days))


def _draw_series(panel: Axes, days: pl.DataFrame, base: str, pen: _Pen, name: str) -> None:
    columns = {c: days[c].cast(pl.Float64).fill_null(np.nan).to_numpy() for c in ("value", "expected", "low", "high")}
    finite = np.concatenate([columns["value"], columns["high"]])
    largest = float(np.nanmax(finite)) if np.isfinite(finite).any() else 0.0
    shown_unit, size, _ = words.scale(base, largest)
    at, believed = _middays(days["day"]), days["quality"].is_in(BELIEVED).to_numpy()
    value = columns["value"] / size
    panel.fill_between(at, columns["low"] / size, columns["high"] / size, color=PALE, linewidth=0, label="range")
    panel.plot(at, columns["expected"] / size, color=BLUE, linestyle=(0, (4, 2)), label="expected")
    panel.plot(at, np.where(believed, value, np.nan), color=INK, marker="o", label="observed")
    if not believed.all():  # an empty artist that is not clipped has no extent, and the layout would collapse
        panel.plot(at[~believed], value[~believed], "o", markerfacecolor="white", markeredgecolor=GREY, markersize=3.2, label="doubtful")
        panel.plot(
            at[~believed], np.zeros((~believed).sum()), "|", color=GREY, markersize=6, markeredgewidth=1.3,
            transform=panel.get_xaxis_transform(), clip_on=False, label="not judged",
        )  # fmt: skip
    panel.set_ylim(0, max(largest / size * 1.12, 1e-9) if largest else 1)
    panel.locator_params(axis="y", nbins=4, integer=size == 1)
    title = pen.text("chart.axis", signal=name, unit=words.unit(pen.language, shown_unit))
    panel.set_title(words.sentence_case(title), **pen.sized(9))


def runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """Sorted days as unbroken stretches, (first, last) inclusive."""
    stretches: list[tuple[date, date]] = []
    for day in days:
        if stretches and day - stretches[-1][1] == timedelta(days=1):
            stretches[-1] = (stretches[-1][0], day)
        else:
            stretches.append((day, day))
    return stretches


def _shade_calendar(panel: Axes, calendar: pl.DataFrame) -> None:
    for kind, colour in (("window", HAZE), ("holiday", SAND)):
        for first, last in runs(calendar.filter(pl.col("kind") == kind)["day"].to_list()):
            low, high = _middays((first, last))
            panel.axvspan(low - 0.5, high + 0.5, facecolor=colour, edgecolor="none", zorder=0, label=kind)


def _mark_stretch(panel: Axes, marks: Marks, pen: _Pen, *, labelled: bool, days: int = SHOWN_DAYS) -> None:
    onset, night = _middays((marks.onset, marks.night)) + np.array([-0.5, 0.5])
    onset = max(onset, night - days)
    panel.axvspan(onset, night, facecolor="none", edgecolor="#9a9a9a", hatch="////", linewidth=0, zorder=0.5, label="stretch")
    panel.plot(
        [onset, onset, night, night], [0.96, 1.02, 1.02, 0.96], color=INK, linewidth=1.3,
        transform=panel.get_xaxis_transform(), clip_on=False, label="bracket",
    )  # fmt: skip
    if labelled:
        length = (marks.night - marks.onset).days + 1
        text = pen.text("chart.one_day" if length == 1 else "chart.days", days=length)
        panel.text(night, 1.06, text, transform=panel.get_xaxis_transform(), ha="right", va="bottom", **pen.sized(9))


def _name_holidays(panel: Axes, calendar: pl.DataFrame, night: date, pen: _Pen) -> None:
    """Holidays by name above the first chart, left out where two names or the bracket's label would collide."""
    column = f"name_{pen.language}" if f"name_{pen.language}" in calendar.columns else "name_en"
    holidays = calendar.filter(pl.col("kind") == "holiday")
    names = dict(holidays.select("day", column).iter_rows())
    free_from = night - timedelta(days=SHOWN_DAYS - 35)  # the chart's own title stands above its first days
    for first, last in runs(holidays["day"].to_list()):
        name = names[first] or ""
        drawable = pen.font is not None or not has_han(name)
        if name and drawable and first >= free_from and (night - last).days > 12:
            middle = float(np.mean(_middays((first, last))))
            at = {"transform": panel.get_xaxis_transform(), "ha": "center", "va": "bottom"}
            panel.text(middle, 1.02, name.split("; ")[0], color=GREY, **at, **pen.sized(8))
            free_from = last + timedelta(days=21)


def _date_axis(panel: Axes, first: date, night: date, pen: _Pen, step: int = 21) -> None:
    # A few dates, counted back from the night so that the night itself always has its label.
    ticks = [night - timedelta(days=back) for back in range(0, (night - first).days + 1, step)][::-1]
    panel.set_xlim(*(_middays((first, night)) + np.array([-1.0, 1.5])))
    panel.set_xticks(_middays(ticks), [words.day(pen.language, d, short=True) for d in ticks], **pen.sized(8.5))


def _legend(figure: Figure, series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, pen: _Pen) -> None:
    """Names only what can be seen in this figure."""
    qualities = set().union(*(frame["quality"].to_list() for frame in series.values())) if series else set()
    kinds = set(calendar["kind"].to_list())
    dash, point = {"color": GREY, "linestyle": "none"}, {"markersize": 3.5}
    entries = {
        "observed": Line2D([], [], color=INK, marker="o", **point),
        "expected": Line2D([], [], color=BLUE, linestyle=(0, (4, 2))),
        "range": Patch(facecolor=PALE),
        "stretch": Patch(facecolor="white", edgecolor="#9a9a9a", hatch="////", linewidth=0),
        "holiday": Patch(facecolor=SAND) if "holiday" in kinds else None,
        "window": Patch(facecolor=HAZE, edgecolor=SAND, linewidth=0.5) if "window" in kinds else None,
        "not_judged": Line2D([], [], marker="|", markersize=7, markeredgewidth=1.3, **dash) if qualities - set(BELIEVED) else None,
        "doubtful": Line2D([], [], marker="o", markerfacecolor="white", **point, **dash) if "doubtful" in qualities else None,
    }
    present = {key: handle for key, handle in entries.items() if handle is not None}
    size = FontProperties(fname=pen.font.get_file(), size=8.5) if pen.font else FontProperties(size=8.5)
    figure.legend(
        list(present.values()), [pen.text(f"chart.{key}") for key in present],
        loc="outside lower center", ncols=4, prop=size, handlelength=2.2, columnspacing=1.6,
    )  # fmt: skip


def decomposition_figure(parts: pl.DataFrame, marks: Marks, language: str, font: str | None) -> Figure:
    """One row a signal, taken apart on a common time axis: level behind the observed days, shape of the week, remainder.

    parts: signal, day, value and level (base units), week and remainder (factors), as `anomaly.expected.decompose` gives
    them; days without a row are gaps. font: as for `case_figure`.
    """
    pen, first = _pen(language, font), marks.night - timedelta(days=TAKEN_APART_DAYS - 1)
    days = pl.DataFrame({"day": [first + timedelta(days=n) for n in range(TAKEN_APART_DAYS)]})
    names = parts["signal"].unique(maintain_order=True).to_list()
    with style.context(str(files("anomaly") / "style.mplstyle")):
        figure = Figure(figsize=(7.2, 0.35 + 0.82 * max(1, len(names))), layout="constrained")
        panels = figure.subplots(max(1, len(names)), 3, sharex="col", squeeze=False, width_ratios=(5, 1.5, 4))
        for place, (name, (level, week, remainder)) in enumerate(zip(names, panels)):
            own = days.join(parts.filter(pl.col("signal") == name), on="day", how="left", maintain_order="left")
            _draw_level(level, own, marks.units.get(name, "count"), pen, pen.named(name, place))
            _draw_week(week, own)
            _draw_remainder(remainder, own)
            for panel in (level, remainder):
                _mark_stretch(panel, marks, pen, labelled=False, days=TAKEN_APART_DAYS)
        for panel, key in zip(panels[0, 1:], ("level.week", "level.remainder")):
            panel.set_title(pen.text(key), **pen.sized(9))
        _date_axis(panels[-1, 0], first, marks.night, pen, step=42)
        _date_axis(panels[-1, 2], first, marks.night, pen, step=56)
        panels[-1, 1].set_xticks(range(7), words.lines(pen.language, "level.weekdays"), **pen.sized(7.5))
    return figure


def _draw_level(panel: Axes, own: pl.DataFrame, base: str, pen: _Pen, name: str) -> None:
    value, level = (own[c].fill_null(np.nan).to_numpy() for c in ("value", "level"))
    largest = max(np.nanmax(value, initial=0.0), np.nanmax(level, initial=0.0))
    shown_unit, size, _ = words.scale(base, largest)
    panel.plot(_middays(own["day"]), value / size, ".", color="#9a9a9a", markersize=2.2, label="observed")
    panel.plot(_middays(own["day"]), level / size, color=BLUE, linewidth=1.8, label="level")
    panel.set_ylim(0, largest / size * 1.12 or 1)
    panel.locator_params(axis="y", nbins=3, integer=size == 1)
    title = pen.text("level.level", signal=name, unit=words.unit(pen.language, shown_unit))
    panel.set_title(words.sentence_case(title), **pen.sized(9))


def _draw_week(panel: Axes, own: pl.DataFrame) -> None:
    """The shape of the week as last known, Monday first, as factors of the level."""
    last = own.drop_nulls("week").group_by(pl.col("day").dt.weekday()).agg(pl.col("week").last()).sort("day")
    panel.bar(last["day"].to_numpy() - 1, last["week"].to_numpy() - 1, bottom=1, color=BLUE, width=0.7, label="week")
    reach = max(0.25, 1.1 * float((last["week"] - 1).abs().max() or 0))
    panel.set_ylim(max(0, 1 - reach), 1 + reach)
    panel.locator_params(axis="y", nbins=3)


def _draw_remainder(panel: Axes, own: pl.DataFrame) -> None:
    """What level and week leave over, as factors on a logarithmic axis; 1 is nothing."""
    left = own["remainder"].fill_null(np.nan).to_numpy()
    reach = np.nanmax(np.abs(np.log(left)), initial=np.log(2.2))
    end = next((e for e in (2, 4, 16) if reach < np.log(2 * e)), 64)
    panel.set_yscale("log", base=2)
    panel.vlines(_middays(own["day"]), np.minimum(left, 1), np.maximum(left, 1), color=INK, linewidth=0.9, label="remainder")
    panel.axhline(1, color=GREY, linewidth=0.6)
    panel.set_ylim(np.exp(-1.08 * reach), np.exp(1.08 * reach))
    panel.set_yticks([1 / end, 1, end], [f"1/{end}", "1", str(end)])
    panel.minorticks_off()


def share_figure(curves: Mapping[float, tuple[Sequence[float], Sequence[float]]], axis: str, ticks: Sequence[float], language: str, font: str | None) -> Figure:
    """Share found, one curve a size, told apart by colour, dash and point alike.

    curves: size → (x, share of 1). axis: `capacity` (drawn in logarithms) or `day`. font: as for `case_figure`.
    """
    drawable = font is not None or not has_han(words.say(language, "evaluation.axis_share"))
    pen = _Pen(language if drawable else "en", FontProperties(fname=font) if font else None)
    looks = ((PALE, "s", ":"), (BLUE, "o", (0, (4, 2))), (GREY, "^", (0, (6, 1, 1, 1))), (INK, "D", "-"))
    with style.context(str(files("anomaly") / "style.mplstyle")):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        panel = figure.subplots()
        for place, (size, (at, share)) in enumerate(curves.items()):
            colour, mark, dash = looks[(len(looks) - len(curves) + place) % len(looks)]
            edge = BLUE if colour == PALE else colour
            panel.plot(
                at, 100 * np.array(share), color=edge, marker=mark, markerfacecolor=colour, markersize=4, linestyle=dash, linewidth=1.4,
                markevery=max(1, len(at) // 10), label=f"×{size:g}",
            )  # fmt: skip
        if axis == "capacity":
            panel.set_xscale("log")
        panel.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        panel.set_xticks([], minor=True)
        panel.set_ylim(-3, 103)
        panel.set_xlabel(pen.text(f"evaluation.axis_{axis}"), **pen.sized(8.5))
        panel.set_title(words.sentence_case(pen.text("evaluation.axis_share")), **pen.sized(9))
        if curves:
            figure.legend(loc="outside right center", reverse=True, handlelength=3)
    return figure


def _points(values: Sequence[float | None], top: float) -> list[list[str]]:
    """Unbroken pieces of a series as "x,y" in the little chart's 2 × 24 grid; a gap ends a piece."""
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None or not np.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append(f"{2 * place + 2},{23 - round(21 * max(0.0, value) / top)}")
    return [piece for piece in pieces if piece]


def spark_svg(values: Sequence[float | None], expected: Sequence[float | None]) -> str:
    """A small course for a list: observed as a line, expected dashed; empty days are gaps. Needs no asset, no style.

    values, expected: one number a day in the same unit, oldest first, at most some 60 days to stay small.
    """
    seen = [v for v in (*values, *expected) if v is not None and np.isfinite(v)]
    top = max(seen, default=0.0) or 1.0
    width = 2 * max(len(values), len(expected)) + 2

    def drawn(series: Sequence[float | None], look: str) -> str:
        return "".join(f'<polyline points="{" ".join(p if len(p) > 1 else p * 2)}" {look}/>' for p in _points(series, top))

    return (
        f'<svg viewBox="0 0 {width} 25" width="{width}" height="25" aria-hidden="true" fill="none">'
        + drawn(expected, f'stroke="{BLUE}" stroke-dasharray="3 2"')
        + drawn(values, f'stroke="{INK}" stroke-width="1.2" stroke-linecap="round"')
        + "</svg>"
    )
