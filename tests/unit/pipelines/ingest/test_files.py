import os
from pathlib import Path

import pytest

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.files import file_name, file_sha256, find_files, system_errors_as_source_errors
from tests.support.export_files import COLUMNS


def names(root, files) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files(root, Source("water", files, COLUMNS))]


def test_files_come_by_folder_stem_and_suffix(tmp_path):
    for name in [
        "b/water.csv",
        "a/water-late.csv",
        "a/water.csv",
        "a/water.parquet",
        "a/water-10.csv",
        "a/water-2.csv",
        "a/2024-02.csv.gz",
        "a/2024-02.csv",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    in_a = [
        "2024-02.csv",
        "2024-02.csv.gz",
        "water.csv",
        "water.parquet",
        "water-2.csv",
        "water-10.csv",
        "water-late.csv",
    ]
    assert names(tmp_path, "a/*") == [f"a/{name}" for name in in_a]
    assert names(tmp_path, "*/water.csv") == ["a/water.csv", "b/water.csv"]
    assert names(tmp_path, "**/*late*") == ["a/water-late.csv"]
    assert names(tmp_path, str(tmp_path / "b" / "*")) == ["b/water.csv"]


def test_hidden_files_locks_and_half_copies_are_passed_over(tmp_path):
    for name in [
        ".water.csv",
        "~$water.xlsx",
        "water.csv.tmp",
        "water.csv.part",
        "water.csv~",
        "water [1].csv",
    ]:
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert names(tmp_path, "*") == names(tmp_path, "water [1].csv") == ["water [1].csv"]


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    for name in ["exports [1]/b.csv", "exports [1]/a.csv", "exports [1]/.hidden", "exports [1]/old/c.csv"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    in_folder = ["exports [1]/a.csv", "exports [1]/b.csv"]
    assert names(tmp_path, "exports [1]") == names(tmp_path, "exports [1]/") == in_folder
    assert names(tmp_path, str(tmp_path / "exports [1]")) == in_folder


@pytest.mark.parametrize("files", ["water*", "no/such.csv", "access", "access/*"])
def test_no_file_is_told_with_what_to_do(tmp_path, files):
    (tmp_path / "access").mkdir()
    with pytest.raises(SourceError) as caught:
        find_files(tmp_path, Source("entries", files, COLUMNS))
    assert str(caught.value).startswith(f"[entries] {files} matches no file")


def test_the_hash_of_a_file(tmp_path):
    path = tmp_path / "a" / "w.csv"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    assert (
        file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1


def test_a_file_goes_by_its_name_below_the_settings(tmp_path):
    assert file_name(tmp_path / "access" / "1.csv", tmp_path) == "access/1.csv"
    assert file_name(Path("/elsewhere/1.csv"), tmp_path) == "/elsewhere/1.csv"
    assert (
        file_name(tmp_path / os.fsdecode(b"w\xff.csv"), tmp_path) == "w\\xff.csv"
    )  # a name need not be text


def test_what_the_system_refuses_is_a_source_error(tmp_path):
    source = Source("water", "w.csv", COLUMNS)
    with (
        pytest.raises(SourceError, match=r"\[water\] .*w.csv cannot be opened \(No such file or directory\)"),
        system_errors_as_source_errors(tmp_path / "w.csv", source),
    ):
        (tmp_path / "w.csv").stat()
