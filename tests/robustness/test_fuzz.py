"""Whatever lies where an export should, the night says so in a line or refuses rows: no traceback, no hang,
no memory without bound."""

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from pipelines.config.sections import Source
from pipelines.errors import SourceError
from pipelines.ingest.formats import read_file
from tests.support.broken_exports import MAX_BYTES, MAX_SECONDS
from tests.support.paths import ROOT
from tests.support.site import HOMES, SIGNALS, daily, make_site, rows

LEAST_SHARE = 0.05  # of the files for each outcome: a generator that only makes rubbish finds nothing
PEAK = 2 << 30  # bytes that reading these files may take at most, code and threads included


def taken(folder: Path, first: int, count: int) -> list[dict]:
    """What came of each of these broken files, in a process of its own."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.support.broken_exports",
        str(folder),
        str(first),
        str(count),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=count * MAX_SECONDS,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    was = {line["number"]: line["done"] for line in lines if "done" in line}
    assert done.returncode == 0, f"ended at {lines[-1:]} with {done.returncode}: {done.stderr[-3000:]}"
    return [line | {"done": was[line["number"]]} for line in lines if "outcome" in line]


@pytest.mark.parametrize(
    ("first", "count"),
    [
        (0, 60),
        pytest.param(100, 300, marks=pytest.mark.long),
        pytest.param(1_000, 2_400, marks=pytest.mark.endurance),
    ],
)
def test_a_broken_file_is_told_in_a_line_or_its_rows_are_refused(tmp_path, first, count):
    found = taken(tmp_path, first, count)
    assert not [line for line in found if line["outcome"] == "failed"]
    outcomes = Counter(line["outcome"] for line in found)
    assert (
        outcomes.total() == count
        and set(outcomes) == {"refused", "rejects", "read"}
        and min(outcomes.values()) >= LEAST_SHARE * count
    ), outcomes
    assert max(line["peak"] for line in found) < PEAK < MAX_BYTES


# bombs, each of which [limits] file_mb ends


def zeros(megabytes: int) -> bytes:
    return gzip.compress(b"0" * (1 << 20), 9) * megabytes


def lines(megabytes: int) -> bytes:
    return gzip.compress(b"id,day,used\n") + gzip.compress(b"\n" * (1 << 20), 9) * megabytes


def workbook(megabytes: int) -> bytes:
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet,
    ):
        for _ in range(megabytes):
            sheet.write(b" " * (1 << 20))
    return content.getvalue()


def equal_cells(megabytes: int) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(
        {name: pl.repeat(1, megabytes << 16, dtype=pl.Int64, eager=True) for name in ("id", "day", "used")}
    ).write_parquet(content)
    return content.getvalue()


def long_cells(megabytes: int) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(
        {"id": pl.repeat("x" * (1 << 20), megabytes, eager=True), "day": "2026-05-01", "used": 1}
    ).write_parquet(content)
    return content.getvalue()


BOUNDED = """import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
from pipelines.cli.commands import main
try:
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "bomb", "megabytes"),
    [
        ("a.csv.gz", zeros, 2_000),
        ("b.csv.gz", lines, 200),
        ("c.xlsx", workbook, 2_000),
        ("d.parquet", equal_cells, 400),
        ("e.parquet", long_cells, 1_000),
    ],
)
def test_a_bomb_stops_its_source_within_a_bound_of_memory(tmp_path, name, bomb, megabytes):
    """Two hundred to two thousand megabytes from a few kilobytes, where a file may hold a hundred."""
    site = make_site(tmp_path, ["entries"])
    site.configure(
        {"entries": SIGNALS["entries"], "power": SIGNALS["power"].replace("power*.csv", "power/*")},
        more="[limits]\nfile_mb = 100\n",
    )
    assert site.put(f"power/{name}", bomb(megabytes)).stat().st_size < 4 << 20
    code = BOUNDED.format(bytes=MAX_BYTES)
    command = [sys.executable, "-c", code, "nightly", "--settings", str(site.settings)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.returncode == 3 and "power stopped" in done.stderr and "holds more than 100 MB" in done.stderr
    ), done.stderr[-2000:]
    assert int(done.stdout) < PEAK


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("XFD1048576", "reaches to row 1,048,576 of column 16,384: delete what lies beyond the table"),
        ("ZZ40", None),
    ],
)
def test_a_cell_far_off_makes_a_sheet_endless(tmp_path, place, told):
    """A sheet is read as a rectangle: up to its far corner it has 17,000 million cells."""
    with xlsxwriter.Workbook(str(tmp_path / "w.xlsx")) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate([("id", "day", "used"), ("1", "2026-05-01", "3")]):
            sheet.write_row(at, 0, row)
        sheet.write(place, "x")
    source = Source("power", "w.xlsx", {"household": "id", "time": "day", "value": "used"})
    if told:  # and a number that no sheet has, which the reader would take as well
        with zipfile.ZipFile(tmp_path / "w.xlsx") as book, zipfile.ZipFile(tmp_path / "x.xlsx", "w") as other:
            for name in book.namelist():
                other.writestr(name, book.read(name).replace(b'"XFD1048576"', b'"B4294967295"'))
        with pytest.raises(SourceError, match="reaches to row 4,294,967,295 of column 3"):
            read_file(tmp_path / "x.xlsx", source)
        with pytest.raises(SourceError, match=told):
            read_file(tmp_path / "w.xlsx", source)
    else:
        assert read_file(tmp_path / "w.xlsx", source).row(0)[:3] == ("1", "2026-05-01", "3")


# what may stand where a file should


NAMES = [
    "water\n2.csv",
    "water\x1b[2J.csv",
    "water\"'.csv",
    "water<script>alert(1)<!--.csv",
    "water$(id);`id`.csv",
    "water*?[1].csv",
    "water %s {0} {{7*7}}.csv",
    "水表.csv",
]
NAMES += [os.fsdecode(b"water\xff\xfe.csv"), "=cmd|x.csv"]


def test_a_file_of_any_name_is_read_and_told_of(tmp_path):
    site = make_site(tmp_path)
    site.change("water*.csv", "meters/*.csv")
    (tmp_path / "water.csv").unlink()
    water = rows("water", daily()["water"])
    for name in NAMES:
        site.put(
            f"meters/{name}",
            pl.concat([water, pl.DataFrame({"id": ["0001"], "day": ["never"], "reading": ["3"]})]),
        )
    site.nightly()
    told = {row["file"]: row["reason"] for row in site.view("rejects").rows(named=True)}
    assert set(told) == {
        f"meters/{os.fsencode(name).decode(errors='backslashreplace')}" for name in NAMES
    } and set(told.values()) == {"time not readable"}
    assert site.view("readings").filter(pl.col("signal") == "water")["household"].n_unique() == HOMES
    doctor = site.run("doctor")
    assert "\x1b" not in doctor.output and f"source water: {len(NAMES)} files" in doctor.output
    for name in NAMES:
        site.put(f"meters/{name}", b"\0")
        result = site.nightly(code=3)
        assert (
            "\x1b" not in result.output
            and result.stderr.count("degraded: water stopped: [water] ") == 1
            and 3 < len(result.stderr.splitlines()) <= 6
        )
        (tmp_path / "meters" / name).unlink()
    pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "out" / "reports").rglob("*.html")]
    assert pages and not [page for page in pages if "<script>alert" in page]
    json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))


def a_folder(place: Path) -> None:
    place.mkdir()


def a_loop(place: Path) -> None:
    place.symlink_to(place)


def a_loop_of_folders(place: Path) -> None:
    place.parent.joinpath("below").symlink_to(place.parent)


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def a_link_to_nothing(place: Path) -> None:
    place.symlink_to(place.with_name("gone.csv"))


def one_that_cannot_be_read(place: Path) -> None:
    place.symlink_to("/proc/self/mem")  # not even by root


def closed(place: Path) -> None:
    place.write_text("id,day,reading\n")
    place.chmod(0)
    if os.access(place, os.R_OK):
        pytest.skip("this user may read everything")


def empty(place: Path) -> None:
    place.touch()


@pytest.mark.parametrize(
    "what",
    [a_folder, a_loop, a_loop_of_folders, a_pipe, a_link_to_nothing, one_that_cannot_be_read, closed, empty],
)
@pytest.mark.parametrize(
    "files",
    [
        "water*.csv",
        pytest.param("water.csv", marks=pytest.mark.long),
        pytest.param("**/water*.csv", marks=pytest.mark.long),
    ],
)
def test_what_is_no_file_stops_its_source_in_a_line(tmp_path, what, files):
    site = make_site(tmp_path)
    (tmp_path / "water.csv").unlink()
    what(tmp_path / "water.csv")
    site.change("water*.csv", files)
    (line,) = [line for line in site.nightly(code=3).stderr.splitlines() if line.startswith("degraded:")]
    assert "water stopped: [water] " in line and any(
        words in line for words in ("matches no file", "cannot be opened", "is empty")
    )


@pytest.mark.parametrize("place", ["settings", "store", "reports"])
def test_a_place_in_a_circle_of_links_is_told_in_a_line(tmp_path, place):
    site = make_site(tmp_path)
    a_loop(tmp_path / "circle")
    if place == "settings":
        site.settings.unlink()
        a_loop(site.settings)
    elif place == "store":
        site.change("out/anomaly", "circle/anomaly")
    else:
        site.change("[store]", '[reports]\npath = "circle"\n[store]')
    result = site.run("nightly")
    assert result.exit_code not in (0, 1)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Too many levels of symbolic links" in line or "circle: cannot be written (File exists)" in line
