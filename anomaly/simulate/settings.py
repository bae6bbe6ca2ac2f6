"""The settings file that goes with a synthetic city."""

from collections.abc import Sequence

SETTINGS = """\
# {name}: a synthetic city. Every home, number and event in it is invented.

[site]
name = "{name}"
calendar = "{calendar}"
timezone = "{timezone}"
languages = [{languages}]

[purpose]
name = "Trying the tool on invented homes"
legal_basis = "none needed: no real person is in these data"
owner = "whoever runs this"
contact = "objections@example.org"
expires = 2099-12-31
signatures = ["people", "water", "power", "door"]

[store]
path = "out/anomaly.duckdb"

[reports]
path = "{reports}"

[households]
files = "households.csv"
columns = {{ household = "household_id", building = "building", district = "district", class = "class", \
moved_in = "moved_in" }}

[signals.entries]
files = "access/*"
kind = "count"
columns = {{ household = "household_id", time = "day", value = "entries", exits = "exits" }}

[signals.water]
files = "water.csv.gz"
kind = "register"
unit = "m3"
columns = {{ household = "household_id", time = "day", value = "reading" }}

[signals.power]
files = "power.csv.gz"
kind = "register"
unit = "kWh"
columns = {{ household = "household_id", time = "day", value = "reading" }}

[worklist]
doors_per_night = 20
"""


def settings_text(
    name: str,
    calendar: str = "CN",
    timezone: str = "Asia/Shanghai",
    languages: Sequence[str] = ("en", "zh"),
    reports: str = "out/reports",
) -> str:
    """Return the text of `anomaly.toml` for the files of a city.

    Paths in it are relative to that file.
    """
    quoted = ", ".join(f'"{language}"' for language in languages)
    return SETTINGS.format(name=name, calendar=calendar, timezone=timezone, languages=quoted, reports=reports)
