import re
import string
from datetime import date
from pathlib import Path

import pytest

from anomaly import detectors, messages, tables

LANGUAGES = messages.languages()
FORBIDDEN = re.compile(r"suspect|violation|嫌疑|可疑|违法|违规", re.IGNORECASE)


def entries(language):
    return {
        key: (entry,) if isinstance(entry, str) else entry
        for key, entry in messages.catalogue(language).items()
    }


def placeholders(sentences):
    return {
        name
        for sentence in sentences
        for _, name, _, _ in string.Formatter().parse(sentence)
        if name is not None
    }


def test_the_languages():
    assert LANGUAGES == ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_same_keys_same_placeholders_same_list_lengths_in_every_language(language):
    first, other = entries("en"), entries(language)
    assert first.keys() == other.keys()
    for key in first:
        assert placeholders(first[key]) == placeholders(other[key]), key
        assert len(first[key]) == len(other[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_catalogue_accuses(language):
    for key, sentences in entries(language).items():
        assert not FORBIDDEN.search(" ".join(sentences)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tables_words_are_in_every_catalogue(language):
    for section, names in (
        ("statuses", tables.STATUSES),
        ("qualities", tables.QUALITIES),
        ("outcomes", tables.OUTCOMES),
    ):
        assert all(f"{section}.{name}" in messages.catalogue(language) for name in names)


def test_every_key_the_code_names_is_in_the_catalogue():
    folder = Path(messages.__file__).parent
    sources = [
        *folder.glob("report/*.py"),
        *folder.glob("charts/*.py"),
        folder / "words.py",
        *folder.glob("templates/*.j2"),
    ]
    call = re.compile(r"""(?:say|lines|text|t)\((?:\w+, )?["']([a-z]+\.\w+)["']""")
    named = {key for source in sources for key in call.findall(source.read_text("utf-8"))}
    assert len(named) > 60
    assert named <= set(messages.catalogue("en"))


def test_an_unknown_key_language_or_placeholder_is_an_error():
    with pytest.raises(LookupError, match="no sentence 'case.nothing' in en"):
        messages.say("en", "case.nothing")
    with pytest.raises(LookupError, match="choose among en, zh"):
        messages.say("fr", "case.home")
    with pytest.raises(LookupError):
        messages.say("en", "case.title")


@pytest.mark.parametrize(
    ("x", "told"),
    [(123_456, "120,000"), (99_600, "100,000"), (35.4, "35"), (3.2, "3"), (1.24, "1.2"), (None, "–")],
)
def test_rounded_to_two_figures(x, told):
    assert messages.rounded("en", x) == told


def test_dates():
    assert messages.day("en", date(2026, 5, 3)) == "3 May 2026"
    assert messages.day("zh", date(2026, 5, 3)) == "2026年5月3日"
    assert messages.day("en", date(2026, 5, 3), short=True) == "3 May"
    assert messages.day("zh", date(2026, 5, 3), short=True) == "5月3日"


def test_because_in_both_languages():
    ratios = {"water": 2.4, "entries": 3.1}
    assert (
        messages.because("en", ratios, "people", 9)
        == "Water 2.4× and entries 3.1× what this home, its neighbours and the calendar lead one to expect, for 9 days."
    )
    assert (
        messages.because("zh", ratios, "people", 9)
        == "用水为预期的2.4倍、进门人次为3.1倍（按本户既往、邻里与日历推算），持续9天。"
    )


def test_because_leads_with_the_signatures_own_signal_and_knows_one_day():
    ratios = {"water": 1.1, "entries": 3.1, "steam": 12.3, "power": float("nan")}
    assert messages.because("en", ratios, "door", 1) == (
        "Entries 3.1×, water 1.1× and steam 12× what this home, its neighbours and the calendar lead one to expect, for 1 day."
    )
    assert (
        messages.because("zh", {"steam": 2.0}, "steam", 1)
        == "Steam为预期的2.0倍（按本户既往、邻里与日历推算），持续1天。"
    )


def test_because_without_a_ratio_goes_without_numbers():
    assert messages.because("en", {"water": None}, "water", 2) == (
        "More than this home, its neighbours and the calendar lead one to expect, for 2 days."
    )


def test_a_further_signals_signature_is_told_by_its_name():
    assert messages.signature("en", "gas") == "Gas: more than usual"
    assert messages.signature("zh", "steam") == "Steam：多于平常"
    assert messages.signature("en", "water") == "more water than usual"


def test_a_reason_keeps_its_numbers():
    reason = "2 whole days in the last 7, half are needed"
    assert messages.reason("en", reason) == reason
    assert messages.reason("zh", reason) == "最近7天中只有2个完整日，至少需要一半"
    assert messages.reason("zh", "something else 3") == "something else 3"
    assert messages.reason("zh", "class shop: only dwellings are judged") == "类别shop：只评判住宅"
    assert (
        messages.reason_kind("en", "4 whole days between 7 and 258 days old, 10 are needed")
        == "too little history"
    )
    assert messages.note("en", "coarse").startswith("The meter counts in coarse steps")


def test_every_detector_is_known_by_name():
    for language in LANGUAGES:
        assert all(messages.known(language, "detectors", name) != name for name in detectors.REGISTER)
