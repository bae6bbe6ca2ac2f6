"""The language and font of a chart's labels."""

import re

from anomaly.charts import style
from anomaly.charts.style import chart_style, chinese_font, has_han, labels_in


def test_chinese_font_falls_back_to_the_systems_fonts(monkeypatch):
    monkeypatch.setattr(style, "find_spec", lambda name: None)
    monkeypatch.setattr(style, "CHINESE_FAMILIES", ("No Such Family", "DejaVu Sans"))
    assert re.search(r"DejaVuSans\.ttf$", chinese_font())
    monkeypatch.setattr(style, "CHINESE_FAMILIES", ("No Such Family",))
    assert chinese_font() is None


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
