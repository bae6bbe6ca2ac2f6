"""The calendar in force: the country's, with the corrections that ship and those of the site."""

import datetime as dt

import pytest

from pipelines.config import calendar as calendar_module
from pipelines.config.calendar import calendar_in_force, correction_files, local_today
from pipelines.config.settings import Settings, load_settings
from pipelines.errors import SettingsError
from tests.support.site import SIGNALS, Site

FEBRUARY = dt.date(2027, 2, 1), dt.date(2027, 2, 28)


@pytest.fixture
def site(tmp_path) -> Site:
    site = Site(tmp_path)
    site.configure({"power": SIGNALS["power"]})
    return site


def settings_of(site: Site) -> Settings:
    return load_settings(site.settings)


def test_the_country_gives_a_row_for_every_day(site):
    site.change("[purpose]", 'calendar = "GB"\n[purpose]')
    days = calendar_in_force(settings_of(site), dt.date(2026, 12, 24), dt.date(2026, 12, 27))
    assert days["day"].to_list() == [dt.date(2026, 12, day) for day in (24, 25, 26, 27)]
    assert days["kind"].to_list()[1] == "holiday"


def test_corrections_that_ship_are_used_until_the_site_has_a_file_of_the_same_name(site):
    settings = settings_of(site)
    (shipped,) = correction_files(settings)
    assert (shipped.parent.name, shipped.name) == ("CN", "2027.toml")
    assert calendar_in_force(settings, *FEBRUARY)["provisional"].all()
    own = site.put("calendars/CN/2027.toml", "provisional = false\n[[workdays]]\nday = 2027-02-20\n")
    other = site.put("calendars/CN/2028.toml", "")
    assert correction_files(settings) == [own, other]
    days = calendar_in_force(settings, *FEBRUARY)
    assert not days["provisional"].any()
    assert days.filter(days["day"] == dt.date(2027, 2, 20))["kind"].item() == "workday"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[holidays]\n", "not readable as TOML"),
        (
            "[[holiday]]\nday = 2027-02-20\n",
            "unknown name `holiday`; known: holidays, workdays, windows, provisional",
        ),
        ("[[holidays]]\ndate = 2027-02-20\n", r"a row of \[\[holidays\]\] has no `day`; add it"),
        ("[[windows]]\nfirst = 2027-02-20\nen = 'x'\n", r"a row of \[\[windows\]\] has no `last`; add it"),
    ],
)
def test_a_correction_that_cannot_be_used_is_refused_with_its_file(site, text, message):
    path = site.put("calendars/CN/2027.toml", text)
    with pytest.raises(SettingsError, match=message) as caught:
        calendar_in_force(settings_of(site), *FEBRUARY)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_unknown_country_is_refused(site):
    site.change("[purpose]", 'calendar = "XX"\n[purpose]')
    with pytest.raises(SettingsError, match=r"^\[site\] .*'XX'"):
        calendar_in_force(settings_of(site), *FEBRUARY)


@pytest.mark.parametrize(
    ("zone", "today"), [("Asia/Shanghai", dt.date(2026, 9, 1)), ("America/New_York", dt.date(2026, 8, 31))]
)
def test_today_is_that_of_the_sites_time_zone(site, monkeypatch, zone, today):
    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 8, 31, 20, tzinfo=dt.UTC).astimezone(tz)

    site.change("Asia/Shanghai", zone)
    monkeypatch.setattr(calendar_module.dt, "datetime", Clock)
    assert local_today(settings_of(site)) == today
