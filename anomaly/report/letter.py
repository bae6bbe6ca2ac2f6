"""The letter to the resident of a case: plain text, plain words, one page."""

from anomaly.messages import (
    format_day,
    format_list,
    format_ratio,
    join_sentences,
    message,
    message_list,
    more_people_numbers,
    translate,
)
from anomaly.report.case import CasePage, reason_and_people, texts_kind
from anomaly.report.page import RISE, is_measured, per_hundred, ratios_of, render


def resident_letter(page: CasePage, language: str) -> str:
    """Return the letter to the resident of a case."""
    case, purpose = page.case, page.site.purpose
    signals = format_list(language, [translate(language, "plain", signal) for signal in page.series])
    legal_basis = purpose["legal_basis"]
    return render(
        "letter.txt.j2",
        page.site,
        language,
        case_id=case["case_id"],
        night=format_day(language, page.night),
        why=message(language, "letter.why", purpose=purpose["name"], legal_basis=legal_basis),
        home=case["household"],
        because=_what_was_seen(page, language),
        onset=format_day(language, case["onset"]),
        last=format_day(language, case["last_seen"]),
        explanations=message_list(language, f"explain.{texts_kind(case['signature'])}"),
        used=join_sentences(
            language,
            message(language, "letter.used", signals=signals),
            _chance_sentence(case.get("chance_wrong"), language),
        ),
    )


def _chance_sentence(chance: float | None, language: str) -> str:
    if is_measured(chance):
        return message(language, "letter.wrong", number=per_hundred(language, chance))
    return message(language, "letter.wrong_unknown")


def _what_was_seen(page: CasePage, language: str) -> str:
    """Return what rose and how many people that is like, as one says it to those who live there."""
    case, ratios = page.case, ratios_of(page.case["ratios"])
    risen = {signal: ratio for signal, ratio in ratios.items() if ratio >= RISE} or ratios
    items = []
    for signal, ratio in risen.items():
        name = translate(language, "plain", signal)
        items.append(message(language, "letter.item", signal=name, ratio=format_ratio(language, ratio)))
    days = (page.night - case["onset"]).days + 1
    if items:
        key = "letter.seen_one_day" if days == 1 else "letter.seen_days"
        seen = message(language, key, list=format_list(language, items), days=days)
    else:
        seen = reason_and_people(page, language)
    if case.get("extra_people") is None:
        return seen
    key = "letter.people_one" if round(case["extra_people"]) <= 1 else "letter.people_many"
    return join_sentences(language, seen, message(language, key, **more_people_numbers(language, case)))
