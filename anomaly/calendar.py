"""Say what kind of day each day is: holiday, made-up workday, or within the window around a feast.

Dates come from the `holidays` package; a site corrects or completes them with overrides. Nothing here knows a
household.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches
from typing import NamedTuple

import holidays
import polars as pl

SPRING_FESTIVAL_REACH = 20  # days before and after new year's day in which homes empty and fill
RAMADAN_DAYS = 30
FEAST_GAP = 20  # days; Eid days closer together belong to one feast

CALENDAR_SCHEMA = {
    "day": pl.Date,
    "weekday": pl.Int8,
    "kind": pl.String,
    "name_en": pl.String,
    "name_zh": pl.String,
    "provisional": pl.Boolean,
    "window": pl.String,
}


class Window(NamedTuple):
    """Days around a feast, both included, on which homes live differently, and its name."""

    first: date
    last: date
    en: str
    zh: str


def calendar_days(country: str, first: date, last: date, overrides: Sequence[Mapping] = ()) -> pl.DataFrame:
    """Return CALENDAR_SCHEMA, one row for each day from `first` to `last`, both included.

    weekday: 0 = Monday; the week's shape as lived: a public holiday is the weekend's last day, a made-up
    workday the nearest ordinary weekday.
    kind: "", "holiday", "workday" (made up) or "window".
    name_en, name_zh: empty on an ordinary day; English stands in where the package has no Chinese.
    provisional: that year's adjusted workdays or estimated feasts are not settled yet.
    window: name of the window around the day, or null.

    country: an ISO code the package knows, with a subdivision if wanted ("GB-ENG"); any other is a
    ValueError.
    overrides: parsed TOML mappings `{holidays: [{day, en, zh}], workdays: [{day}], windows: [{first, last,
    en, zh}], provisional}`. A later one wins over an earlier one and over the package; its `provisional`
    speaks for the years of its days.
    """
    # a window or a made-up workday may belong to the neighbouring year's feast
    years = range(first.year - 1, last.year + 2)
    english, chinese = _country_days(country, years, "en"), _country_days(country, years, "zh")
    holiday_names = {day: (name, chinese.get(day) or name) for day, name in english.items()}
    made_up = {day for day in english.weekend_workdays if day not in holiday_names}
    windows = [*_spring_festivals(english, years), *_ramadans(english)]
    for override in overrides:
        for row in override.get("holidays", ()):
            holiday_names[row["day"]] = (row.get("en", ""), row.get("zh", row.get("en", "")))
            made_up.discard(row["day"])
        for row in override.get("workdays", ()):
            holiday_names.pop(row["day"], None)
            made_up.add(row["day"])
        for row in override.get("windows", ()):
            windows.append(Window(row["first"], row["last"], row["en"], row.get("zh", row["en"])))
    provisional = {
        year: calendar_status(country, year, overrides) == "provisional"
        for year in range(first.year, last.year + 1)
    }
    rows = []
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        window = next((one for one in reversed(windows) if one.first <= day <= one.last), None)
        if day in holiday_names:
            kind, (en, zh) = "holiday", holiday_names[day]
        elif day in made_up:
            kind, en, zh = "workday", "Made-up workday", "调休上班"
        elif window:
            kind, en, zh = "window", window.en, window.zh
        else:
            kind, en, zh = "", "", ""
        weekday = _weekday_as_lived(day, kind, english.weekend)
        rows.append((day, weekday, kind, en, zh, provisional[day.year], window and window.en))
    return pl.DataFrame(rows, schema=CALENDAR_SCHEMA, orient="row")


def calendar_status(country: str, year: int, overrides: Sequence[Mapping] = ()) -> str:
    """Return "official" or "provisional": whether the days off of a year are settled.

    Where weekdays and weekend days are swapped by decree (China), a year is settled once the package knows
    such a swap in it or after it; elsewhere, once none of its feasts is an estimate. Years outside the
    package's range are never settled.
    """
    for override in reversed(overrides):
        days = [row["day"] for key in ("holidays", "workdays") for row in override.get(key, ())]
        if "provisional" in override and any(day.year == year for day in days):
            return "provisional" if override["provisional"] else "official"
    package = _country_days(country, range(year, year + 3), "en")
    if not package.start_year <= year <= package.end_year:
        return "provisional"
    if package.has_substituted_holidays and max(package.weekend_workdays, default=date.min).year < year:
        return "provisional"
    estimated = any("estimated" in name for day, name in package.items() if day.year == year)
    return "provisional" if estimated else "official"


def _country_days(country: str, years: range, language: str) -> holidays.HolidayBase:
    """Return the package's days of a country, named in the language, or else in English or its own."""
    code, _, subdivision = country.partition("-")
    known = holidays.list_supported_countries(include_aliases=True)
    if code not in known:
        near = get_close_matches(code.upper(), known, n=3, cutoff=0.5) or ["CN", "GB", "US"]
        raise ValueError(
            f"calendar: unknown country {country!r}; did you mean {', '.join(near)}? "
            "Use an ISO code such as CN or GB-ENG"
        )
    if subdivision and subdivision not in known[code]:
        raise ValueError(
            f"calendar: {code} has no subdivision {subdivision!r}; known: {', '.join(known[code]) or 'none'}"
        )
    languages = holidays.country_holidays(code).supported_languages
    wanted = ["zh_CN", "zh_TW", "zh_HK", "en_US"] if language == "zh" else ["en_US"]
    wanted += [name for name in languages if name.startswith("en")]
    chosen = next((name for name in wanted if name in languages), None)
    return holidays.country_holidays(code, subdiv=subdivision or None, years=years, language=chosen)


def _weekday_as_lived(day: date, kind: str, weekend: set[int]) -> int:
    """Return the weekday that the day is lived as, 0 = Monday."""
    plain = day.weekday()
    if kind == "holiday":
        return 6 if 6 in weekend else max(weekend)
    if kind == "workday" and plain in weekend:
        before, after = (plain - 1) % 7, (plain + 1) % 7
        return before if before not in weekend else after
    return plain


def _spring_festivals(country_days: holidays.HolidayBase, years: range) -> Iterator[Window]:
    """Yield the travel season around each lunar new year, where the country keeps the feast.

    Dates are those of China.
    """
    china, reach = _country_days("CN", years, "en"), timedelta(days=SPRING_FESTIVAL_REACH)
    for year in years:
        of_feast = [
            day for day, name in china.items() if day.year == year and name.startswith("Chinese New Year (")
        ]
        if not of_feast:
            continue
        first = min(of_feast)
        if any("New Year" in country_days.get(first + timedelta(days=n), "") for n in range(3)):
            yield Window(first - reach, first + reach, "Spring Festival", "春节")


def _ramadans(country_days: holidays.HolidayBase) -> Iterator[Window]:
    """Yield the 30 days before each Eid al-Fitr of the package; as exact as its first day of Eid."""
    previous = date.min
    for day in sorted(day for day, name in country_days.items() if "Eid al-Fitr" in name):
        if (day - previous).days > FEAST_GAP:  # the feast lasts some days; only its first ends the fast
            yield Window(day - timedelta(days=RAMADAN_DAYS), day - timedelta(days=1), "Ramadan", "斋月")
        previous = day
