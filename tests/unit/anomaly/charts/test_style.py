"""The language and font of a chart's labels."""

import dataclasses
import pickle
from importlib.resources import files
from pathlib import Path

import pytest
from fontTools.subset import Subsetter
from fontTools.ttLib import TTCollection, TTFont
from matplotlib.font_manager import FontEntry, fontManager

from anomaly.charts import style
from anomaly.charts.style import FontFile, chart_style, chinese_font, has_han, labels_in


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine without the `zh` extra, on which matplotlib knows no font and finds none."""
    monkeypatch.setattr(style, "find_spec", lambda name: None)
    monkeypatch.setattr(style, "findSystemFonts", list)
    monkeypatch.setattr(fontManager, "ttflist", [])


def collection(path: Path, *families: str) -> str:
    """Write a font file with a face for each family, as fonts-noto-cjk has them."""
    faces = TTCollection()
    for family in families:
        font = TTFont(str(files("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"))
        subsetter = Subsetter()
        subsetter.populate(text="1")
        subsetter.subset(font)
        for number in (1, 4):
            font["name"].setName(family, number, 1, 0, 0)
            font["name"].setName(family, number, 3, 1, 0x409)
        faces.fonts.append(font)
    faces.save(path)
    return str(path)


def test_without_a_chinese_font_there_is_none(no_fonts):
    fontManager.ttflist.append(FontEntry(fname=__file__, name="DejaVu Sans"))
    assert chinese_font() is None


def test_the_systems_font_is_the_regular_face_of_the_first_family(no_fonts):
    regular = FontEntry(fname=__file__, index=2, name="Noto Sans CJK SC", weight=400)
    lighter = [dataclasses.replace(regular, index=1, weight=weight) for weight in (300, "bold")]
    slanted = dataclasses.replace(regular, index=0, style="italic")
    fontManager.ttflist += [FontEntry(fname=__file__, name="SimHei"), *lighter, slanted, regular]
    assert chinese_font() == FontFile(__file__, 2)


def test_a_font_that_matplotlib_remembers_and_that_is_gone_is_passed_over(no_fonts, tmp_path):
    fontManager.ttflist.append(FontEntry(fname=str(tmp_path / "gone.ttc"), name="Noto Sans CJK SC"))
    assert chinese_font() is None
    fontManager.ttflist.append(FontEntry(fname=__file__, name="SimHei"))
    assert chinese_font() == FontFile(__file__)


def test_a_font_installed_after_matplotlib_listed_them_is_found(no_fonts, monkeypatch, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    path = collection(tmp_path / "cjk.ttc", "Noto Sans CJK JP", "Noto Sans CJK SC")
    monkeypatch.setattr(style, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), path])
    assert chinese_font() == FontFile(path, 1)


def test_a_font_is_handed_to_a_worker_with_its_face(no_fonts, tmp_path):
    font = pickle.loads(pickle.dumps(FontFile(collection(tmp_path / "a.ttc", "One", "Two"), 1)))
    drawn_with = labels_in("zh", font).font.get_file()
    assert (str(drawn_with), drawn_with.face_index) == font


def test_chinese_characters_and_full_width_marks_are_told_from_others():
    assert all(has_han(text) for text in ("用水", "a（", "𠀀"))
    assert not has_han("Water, m³ a day – ×2 …")


def test_without_a_font_labels_are_english_and_a_name_that_cannot_be_drawn_is_a_number():
    without, english = labels_in("zh", None), labels_in("en", None)
    assert without == english and without.message("chart.observed") == "observed"
    assert without.signal_name("燃气", 4) == "signal 4" and without.signal_name("water", 2) == "water"
    assert without.font_of_size(9) == {"fontsize": 9}


def test_with_a_font_labels_keep_their_language_and_take_the_font():
    labels = labels_in("zh", chinese_font())
    assert labels.message("chart.observed") == "实测" and labels.signal_name("燃气", 4) == "燃气"
    assert list(labels.font_of_size(9)) == ["fontproperties", "fontsize"]
    assert labels.font_properties(8.5).get_size() == 8.5
    assert labels.font.get_size() != 8.5  # the font itself is left as it is


def test_the_style_holds_inside_its_context_only():
    import matplotlib

    before = matplotlib.rcParams["figure.dpi"]
    with chart_style():
        assert matplotlib.rcParams["figure.dpi"] == 130
    assert matplotlib.rcParams["figure.dpi"] == before
