"""The errors a run can end with: one line each, and an exit code."""

import pytest

from pipelines import errors
from pipelines.errors import AnomalyError, SettingsError, SourceError

EXIT_CODES = {
    "SettingsError": 2,
    "SourceError": 4,
    "NothingReadable": 4,
    "NothingToPlant": 4,
    "NoSuchNight": 2,
    "StateError": 2,
    "StateDamaged": 4,
    "StoreLocked": 11,
    "NotFound": 2,
    "NotRecorded": 2,
    "PruneRefused": 2,
    "NotReported": 2,
    "WorkerFailed": 2,
    "NoCacheFolder": 2,
    "PublicationRefused": 4,
    "AuditLogBroken": 3,
    "FolderNotFree": 2,
    "EngineUnavailable": 2,
    "EngineLost": 4,
}


def test_every_error_has_its_exit_code():
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    ends = {one.__name__: one.exit_code for one in classes if issubclass(one, AnomalyError)}
    assert ends == {"AnomalyError": 1} | EXIT_CODES


def test_a_name_with_a_line_break_leaves_a_settings_error_in_one_line():
    assert str(SettingsError("unknown name `a\nb`")) == "unknown name `a b`"


def test_a_source_error_names_source_file_and_remedy():
    error = SourceError("water", "water.csv", "is empty", "export it again")
    assert str(error) == "[water] water.csv is empty: export it again"
    assert (error.source, error.file, error.remedy) == ("water", "water.csv", "export it again")


@pytest.mark.parametrize("name", ["a\nb.csv", "a\x1b[31mb.csv"])
def test_a_file_name_cannot_break_the_line_or_colour_the_terminal(name):
    text = str(SourceError("water", name, "is empty", "export it again"))
    assert "\n" not in text and "\x1b" not in text and text.endswith("is empty: export it again")
