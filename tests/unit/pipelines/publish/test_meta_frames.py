"""What describes the published file, in schema meta."""

import json

from anomaly import __version__, tables
from pipelines.config.settings import load_settings
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.meta_frames import SCHEMA_VERSION, meta_frames, settings_json
from tests.support.published_rows import CALENDAR
from tests.support.site import make_site


def test_a_frame_for_every_table_of_meta(tmp_path):
    settings = load_settings(make_site(tmp_path, ["power"]).settings)
    frames = meta_frames(settings, CALENDAR)
    assert frames.keys() == tables.META.keys()
    assert frames["schema_version"].rows() == [(SCHEMA_VERSION, __version__)]
    assert frames["calendar"].equals(CALENDAR) and frames["dictionary"].equals(data_dictionary())
    ((text,),) = frames["settings"].rows()
    assert json.loads(text)["site"]["name"] == "Tiny"
    assert json.loads(text)["purpose"]["expires"] == "2099-12-31"
    assert json.loads(text)["worklist"]["doors_per_night"] == 20


def test_the_settings_in_the_file_name_no_place_and_no_key(tmp_path):
    toml = """[site]
name = "Nanming"
[purpose]
name = "Leaks"
legal_basis = "rule 12"
owner = "the office"
contact = "objections@example.org"
expires = 2099-12-31
signatures = ["water"]
[store]
path = "/srv/li-wei/store/anomaly.duckdb"
[reports]
path = "/srv/li-wei/reports"
[households]
files = "/srv/li-wei/register.csv"
columns = { household = "li-wei-id" }
[pseudonyms]
key = "/srv/li-wei/secret.key"
map = "/srv/li-wei/map.csv"
[signals.water]
files = "/srv/li-wei/water*"
kind = "register"
unit = "m3"
columns = { household = "id", time = "li-wei-day", value = "reading" }
"""
    (tmp_path / "anomaly.toml").write_text(toml, encoding="utf-8")
    text = settings_json(load_settings(tmp_path / "anomaly.toml"))
    assert "li-wei" not in text and "secret" not in text and str(tmp_path) not in text
    assert (
        json.loads(text)["site"]["name"] == "Nanming" and json.loads(text)["rules"]["water"]["unit"] == "m3"
    )
