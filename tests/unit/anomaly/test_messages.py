"""The catalogues of all languages, and the numbers, dates, reasons and sentences made from them."""

import math
import re
import string
from datetime import date, datetime
from pathlib import Path

import pytest

from anomaly import detectors, messages, tables
from tests.support.html_reader import ACCUSING

LANGUAGES = messages.languages()


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
        assert not ACCUSING.search(" ".join(sentences)), key


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
    sources = [*folder.rglob("*.py"), *folder.glob("templates/*.j2")]
    call = re.compile(r"""\b(?:message|message_list|t)\(\s*(?:\w+,\s*)?["']([a-z_]+\.\w+)["']""")
    named = {key for source in sources for key in call.findall(source.read_text("utf-8"))}
    assert len(named) > 200
    assert named <= set(messages.catalogue("en"))


def test_an_unknown_key_language_or_placeholder_is_an_error():
    with pytest.raises(LookupError, match="no sentence 'case.nothing' in en"):
        messages.message("en", "case.nothing")
    with pytest.raises(LookupError, match="choose among en, zh"):
        messages.message("fr", "case.home")
    with pytest.raises(LookupError):
        messages.message("en", "case.title")


@pytest.mark.parametrize(
    ("x", "told"),
    [(123_456, "120,000"), (99_600, "100,000"), (35.4, "35"), (3.2, "3"), (1.24, "1.2"), (None, "–")],
)
def test_rounded_to_two_figures(x, told):
    assert messages.format_rounded("en", x) == told


def test_dates():
    assert messages.format_day("en", date(2026, 5, 3)) == "3 May 2026"
    assert messages.format_day("zh", date(2026, 5, 3)) == "2026年5月3日"
    assert messages.format_day("en", date(2026, 5, 3), short=True) == "3 May"
    assert messages.format_day("zh", date(2026, 5, 3), short=True) == "5月3日"


EXPECTED = "what is normal for this home at this time of year"


def test_because_in_both_languages():
    ratios = {"water": 2.4, "entries": 3.1}
    english = f"Water 2.4× and entries 3.1× {EXPECTED}, for 9 days."
    chinese = "与本户同期正常水平相比，用水为2.4倍、进门人次为3.1倍，已持续9天。"
    assert messages.because_sentence("en", ratios, "people", 9) == english
    assert messages.because_sentence("zh", ratios, "people", 9) == chinese


def test_because_leads_with_the_signatures_own_signal_and_knows_one_day():
    ratios = {"water": 1.1, "entries": 3.1, "steam": 12.3, "power": float("nan")}
    english = f"Entries 3.1×, water 1.1× and steam 12× {EXPECTED}, for 1 day."
    chinese = "与本户同期正常水平相比，steam为2.0倍，持续1天。"
    assert messages.because_sentence("en", ratios, "door", 1) == english
    assert messages.because_sentence("zh", {"steam": 2.0}, "steam", 1) == chinese


def test_because_without_a_ratio_goes_without_numbers():
    assert messages.because_sentence("en", {"water": None}, "water", 2) == (
        "More than is normal for this home at this time of year, for 2 days."
    )


def test_a_further_signals_signature_is_told_by_its_name():
    assert messages.translate_signature("en", "gas") == "Gas: more than usual"
    assert messages.translate_signature("zh", "steam") == "Steam：多于平常"
    assert messages.translate_signature("en", "water") == "more water than usual"


def test_a_reason_keeps_its_numbers():
    reason = "2 whole days in the last 7, half are needed"
    told = "only 2 complete days in the last 7; at least half are needed"
    assert messages.translate_reason("en", reason) == told
    assert messages.translate_reason("zh", reason) == "最近7天中只有2个完整日，至少需要一半"
    assert messages.translate_reason("zh", "something else 3") == "something else 3"
    assert (
        messages.translate_reason("zh", "class shop: only dwellings are judged") == "类别“shop”：只评估住宅"
    )
    assert (
        messages.translate_reason_group("en", "4 whole days between 7 and 258 days old, 10 are needed")
        == "too little history"
    )
    assert messages.translate_note("en", "coarse").startswith("The meter counts in coarse steps")


def test_every_detector_is_known_by_name():
    for language in LANGUAGES:
        assert all(messages.translate(language, "detectors", name) != name for name in detectors.REGISTER)


def test_numbers_shares_ranges_and_ratios():
    assert messages.format_number("en", 1234.56, 1) == "1,234.6"
    assert [messages.format_number("en", x) for x in (None, math.nan, math.inf)] == ["–", "–", "–"]
    assert messages.format_percent("en", 0.756) == "76 %" and messages.format_percent("en", None) == "–"
    assert messages.format_percent("en", 0.025, 1) == "2.5 %"
    assert messages.format_range("en", 2.1, 7.4) == "2–7"
    assert messages.format_percent_range("en", 0.3, None) == "30––"
    assert [messages.format_ratio("en", x) for x in (3.14, 9.94, 9.96, None)] == ["3.1", "9.9", "10", "–"]


def test_months_minutes_lists_and_sentences_in_a_row():
    assert messages.format_month("zh", date(2026, 5, 3)) == "2026年5月"
    assert messages.format_minute("en", datetime(2026, 5, 3, 4, 5, 59)) == "3 May 2026, 04:05"
    assert messages.format_minute("en", None) == "–"
    rows = [messages.format_list("en", list("abc")[:n]) for n in range(4)]
    assert rows == ["", "a", "a and b", "a, b and c"]
    assert messages.join_sentences("en", "One.", "", "Two.") == "One. Two."
    assert messages.join_sentences("zh", "一。", "二。") == "一。二。"


@pytest.mark.parametrize(
    ("base_unit", "largest", "shown"),
    [
        ("litre", 9_999.0, ("litre", 1.0, 0)),
        ("litre", 10_000.0, ("m3", 1000.0, 1)),
        ("Wh", 1.0, ("Wh", 1000.0, 1)),
        ("cent", 1.0, ("cent", 100.0, 2)),
        ("count", 1e6, ("count", 1.0, 0)),
    ],
)
def test_values_are_shown_in_a_unit_of_their_size(base_unit, largest, shown):
    assert messages.display_unit(base_unit, largest) == shown


def test_what_comes_from_outside_does_nothing_to_a_terminal_or_a_spreadsheet():
    assert messages.printable("a\nb\x1b[31m\u202e 室\u3000户") == "a\\nb\\x1b[31m\\u202e 室\u3000户"
    cells = ["=1+1", "+1", "-1", "@x", "\tx", "x=1"]
    assert [messages.formula_safe(text) for text in cells] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "x=1"]


@pytest.mark.parametrize(
    ("estimate", "english", "chinese"),
    [
        (
            (4.2, 2.1, 7.4),
            "That is about what 4 extra people would add (2–7).",
            "约相当于增加4人（2～7人）。",
        ),
        (
            (1.2, 0.3, 2.3),
            "That is about what 1 extra person would add (0–2).",
            "约相当于增加1人（0～2人）。",
        ),
        (
            (0.3, 0.0, 1.0),
            "That is less than 1 extra person would add (0–1).",
            "约相当于增加不到1人（0～1人）。",
        ),
        ((None, None, None), "", ""),
    ],
)
def test_how_many_more_people_in_a_sentence(estimate, english, chinese):
    case = dict(zip(("extra_people", "extra_people_low", "extra_people_high"), estimate, strict=True))
    assert messages.more_people_sentence("en", case) == english
    assert messages.more_people_sentence("zh", case) == chinese


def test_how_many_more_people_in_a_cell():
    case = {"extra_people": 4.2, "extra_people_low": 2.1, "extra_people_high": 7.4}
    assert messages.more_people_cell("en", case) == "4 (2–7)"
    assert messages.more_people_cell("en", {"extra_people": None}) == ""


LOCALE_README = Path(messages.__file__).parent / "locale" / "README.md"
PLACEHOLDER = re.compile(r"\{\w*\}")


def words_of(language):
    """Return everything the catalogue says, in lower case and without placeholders."""
    said = " ".join(sentence for sentences in entries(language).values() for sentence in sentences)
    return PLACEHOLDER.sub("", said).lower()


def rows_under(heading):
    """Return the rows of the table under a heading of the locale's README."""
    section = LOCALE_README.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_term_of_the_glossary_is_used():
    english, chinese = words_of("en"), words_of("zh")
    glossary = rows_under("Glossary")
    assert len(glossary) > 20
    for english_term, chinese_term, meaning in glossary:
        assert english_term in english or english_term.replace("home ", "homes ") in english, english_term
        assert chinese_term in chinese and meaning, chinese_term


def test_replaced_words_are_not_used_again():
    dictionary = [
        text
        for table in (tables.PUBLISHED | tables.META).values()
        for column in table.columns().values()
        for name, text in (column.metadata or {}).items()
        if name.endswith("zh")
    ]
    said = {"en": words_of("en"), "zh": words_of("zh") + " ".join(dictionary)}
    replaced = [old for old, _ in rows_under("Replaced words")]
    assert len(replaced) > 20 and dictionary
    assert not [(language, old) for old in replaced for language in LANGUAGES if old in said[language]]


def test_chinese_sentences_hold_no_english_words():
    names = {"UTC", "HMAC", "SHA", "Wilson", "csv", "cases", "anomaly", "evaluate", "pseudonyms"}
    found = {
        key: words
        for key, sentences in entries("zh").items()
        if (words := set(re.findall("[A-Za-z]{2,}", PLACEHOLDER.sub("", " ".join(sentences)))) - names)
    }
    assert not found


def test_columns_are_aligned_by_their_width_on_a_terminal():
    assert messages.align_columns([]) == []
    rows = [["用水", "1", "a"], ["ab", "20", ""]]
    assert messages.align_columns(rows, to_the_right=[1]) == ["用水   1  a", "ab    20"]
