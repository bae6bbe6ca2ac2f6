"""A folder to start from: a settings file that loads once it is filled in."""

import pytest

from pipelines.config.sections import REFERENCE
from pipelines.config.settings import load_settings
from pipelines.errors import SettingsError
from pipelines.jobs.init_site import create_site, next_step


def test_the_reference_and_empty_folders_are_written(tmp_path):
    made = create_site(tmp_path / "new")
    assert made == [tmp_path / "new" / name for name in ("anomaly.toml", "access", "calendars")]
    assert made[0].read_bytes() == REFERENCE.read_bytes()
    assert all(folder.is_dir() and not list(folder.iterdir()) for folder in made[1:])


def test_the_settings_load_once_the_purpose_is_filled_in(tmp_path):
    target = create_site(tmp_path / "new")[0]
    with pytest.raises(SettingsError, match=r"\[purpose\] name still reads 'State what the visits are for'"):
        load_settings(target)
    target.write_text(target.read_text(encoding="utf-8").replace('"State ', '"We state '), encoding="utf-8")
    assert set(load_settings(target).rules) == {"entries", "water", "power"}


def test_a_settings_file_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "anomaly.toml"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="is there already; name another folder"):
        create_site(tmp_path)
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="below: cannot be written"):
        create_site(tmp_path / "file" / "below")


def test_the_next_step_can_be_pasted_whatever_the_folder_is_called(tmp_path):
    assert next_step(tmp_path / "my site" / "anomaly.toml").endswith(
        f"then: anomaly doctor --settings '{tmp_path}/my site/anomaly.toml'"
    )


def test_another_unit_needs_no_other_cap(tmp_path):
    """A cap in the settings would be 50 litres once `unit` is litre: more than most homes use in a day."""
    target = create_site(tmp_path / "new")[0]
    text = target.read_text(encoding="utf-8").replace('"State ', '"We state ')
    caps = []
    for unit in ("m3", "litre"):
        target.write_text(text.replace('unit = "m3"', f'unit = "{unit}"'), encoding="utf-8")
        caps.append(load_settings(target).rules["water"].day_cap)
    assert caps == [50_000, 50_000]
