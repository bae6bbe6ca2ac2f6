"""What kind of day it is: public holidays, made-up workdays and the moving windows around the great feasts.

Dates come from the `holidays` package; a site corrects or completes them with overrides. Nothing here knows a household.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches

import holidays
import polars as pl

SPRING_FESTIVAL_REACH = (
    20  # days before and after new year's day in which homes empty and fill (China's 40-day travel season)
)
RAMADAN_DAYS = 30

DAYS_SCHEMA = {
    "day": pl.Date,
    "weekday": pl.Int8,
    "kind": pl.String,
    "name_en": pl.String,
    "name_zh": pl.String,
    "provisional": pl.Boolean,
    "window": pl.String,
}


def calendar_days(country: str, first: date, last: date, overrides: Sequence[Mapping] = ()) -> pl.DataFrame:
    """One row per day from `first` to `last`, both included.

    Columns: `day`; `weekday` (0 = Monday; the week's shape as lived: a public holiday is the weekend's last day, a made-up
    workday the nearest ordinary weekday); `kind` ("", "holiday", "workday" = made-up, "window"); `name_en` and `name_zh`
    (empty on an ordinary day; English stands in where the package has no Chinese); `provisional` (that year's adjusted
    workdays or estimated feasts are not settled yet); `window` (name of the moving window around the day, or null).

    `overrides` are parsed TOML mappings `{holidays: [{day, en, zh}], workdays: [{day}], windows: [{first, last, en, zh}],
    provisional}`. A later one wins over an earlier one and over the package; its `provisional` speaks for the years of its days.
    A country is an ISO code the package knows, with a subdivision if wanted ("GB-ENG"); any other is a ValueError.
    """
    years = range(
        first.year - 1, last.year + 2
    )  # a window or a made-up workday may belong to the neighbouring year's feast
    english, chinese = _package(country, years, "en"), _package(country, years, "zh")
    off = {day: (name, chinese.get(day) or name) for day, name in english.items()}
    made_up = {day for day in english.weekend_workdays if day not in off}
    windows = [*_spring_festivals(english, years), *_ramadans(english)]
    for override in overrides:
        for row in override.get("holidays", ()):
            off[row["day"]] = (row.get("en", ""), row.get("zh", row.get("en", "")))
            made_up.discard(row["day"])
        for row in override.get("workdays", ()):
            off.pop(row["day"], None)
            made_up.add(row["day"])
        windows += [
            (row["first"], row["last"], row["en"], row.get("zh", row["en"]))
            for row in override.get("windows", ())
        ]
    provisional = {
        year: calendar_status(country, year, overrides) == "provisional"
        for year in range(first.year, last.year + 1)
    }
    weekend = english.weekend
    rows = []
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        window = next(((en, zh) for begin, end, en, zh in reversed(windows) if begin <= day <= end), None)
        kind = "holiday" if day in off else "workday" if day in made_up else "window" if window else ""
        en, zh = off.get(day) or (("Made-up workday", "调休上班") if day in made_up else window or ("", ""))
        rows.append(
            (
                day,
                _weekday(day, kind, weekend),
                kind,
                en,
                zh,
                provisional[day.year],
                window[0] if window else None,
            )
        )
    return pl.DataFrame(rows, schema=DAYS_SCHEMA, orient="row")


def calendar_status(country: str, year: int, overrides: Sequence[Mapping] = ()) -> str:
    """ "official" or "provisional": whether the days off of a year are settled.

    Where weekdays and weekend days are swapped by decree (China), a year is settled once the package knows such a swap in it
    or after it; elsewhere, once none of its feasts is an estimate. Years outside the package's range are never settled.
    """
    for override in reversed(overrides):
        days = [row["day"] for key in ("holidays", "workdays") for row in override.get(key, ())]
        if "provisional" in override and any(day.year == year for day in days):
            return "provisional" if override["provisional"] else "official"
    package = _package(country, range(year, year + 3), "en")
    if not package.start_year <= year <= package.end_year:
        return "provisional"
    if package.has_substituted_holidays and max(package.weekend_workdays, default=date.min).year < year:
        return "provisional"
    estimated = any("estimated" in name for day, name in package.items() if day.year == year)
    return "provisional" if estimated else "official"


def _package(country: str, years: range, language: str) -> holidays.HolidayBase:
    """The package's days, named in the wanted language where it has it, else in its English or own words."""
    code, _, subdivision = country.partition("-")
    known = holidays.list_supported_countries(include_aliases=True)
    if code not in known:
        near = get_close_matches(code.upper(), known, n=3, cutoff=0.5) or ["CN", "GB", "US"]
        raise ValueError(
            f"calendar: unknown country {country!r}; did you mean {', '.join(near)}? Use an ISO code such as CN or GB-ENG"
        )
    if subdivision and subdivision not in known[code]:
        raise ValueError(
            f"calendar: {code} has no subdivision {subdivision!r}; known: {', '.join(known[code]) or 'none'}"
        )
    spoken = holidays.country_holidays(code).supported_languages
    wanted = ["zh_CN", "zh_TW", "zh_HK", "en_US"] if language == "zh" else ["en_US"]
    wanted += [name for name in spoken if name.startswith("en")]
    chosen = next((name for name in wanted if name in spoken), None)
    return holidays.country_holidays(code, subdiv=subdivision or None, years=years, language=chosen)


def _weekday(day: date, kind: str, weekend: set[int]) -> int:
    plain = day.weekday()
    if kind == "holiday":
        return 6 if 6 in weekend else max(weekend)
    if kind == "workday" and plain in weekend:
        before, after = (plain - 1) % 7, (plain + 1) % 7
        return before if before not in weekend else after
    return plain


def _spring_festivals(package: holidays.HolidayBase, years: range) -> Iterator[tuple[date, date, str, str]]:
    """The travel season around each lunar new year (dates as China has them), where the country itself keeps the feast."""
    china = _package("CN", years, "en")
    for year in years:
        first = min(
            (
                day
                for day, name in china.items()
                if day.year == year and name.startswith("Chinese New Year (")
            ),
            default=None,
        )
        if first is not None and any(
            "New Year" in package.get(first + timedelta(days=n), "") for n in range(3)
        ):
            reach = timedelta(days=SPRING_FESTIVAL_REACH)
            yield first - reach, first + reach, "Spring Festival", "春节"


def _ramadans(package: holidays.HolidayBase) -> Iterator[tuple[date, date, str, str]]:
    """The 30 days before each Eid al-Fitr the package gives; as exact as the package's first day of Eid."""
    previous = date.min
    for day in sorted(day for day, name in package.items() if "Eid al-Fitr" in name):
        if (day - previous).days > 20:  # the feast lasts some days; only its first ends the fast
            yield day - timedelta(days=RAMADAN_DAYS), day - timedelta(days=1), "Ramadan", "斋月"
        previous = day
