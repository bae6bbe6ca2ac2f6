"""No cell of an export and no absolute path is quoted in anything that is kept.

One site has a good source and many broken ones, each with an id, a phone number and a plate at another place
of a file of another format; after a night every file that the tool has left is searched for them.
"""

import gzip
import io

import duckdb
import polars as pl
import pytest
import xlsxwriter

from pipelines.config.settings import load_settings
from pipelines.ingest.loader import load
from pipelines.storage.state import Store
from tests.support.export_files import parquet, workbook
from tests.support.site import LAST, SIGNALS, Site, make_site, with_pseudonyms

ID, PHONE, PLATE = "MTR77031", "13812340000", "京A12345"
PLANTED = f"{ID}/{PHONE}/{PLATE}"
"""One cell with all three, as an unmapped remark may hold them."""
DAYS = [f"2026-05-{number:02}" for number in range(1, 15)]


def csv(*rows: tuple, header: tuple = ("id", "day", "used")) -> bytes:
    return "".join(",".join(row) + "\n" for row in (header, *rows)).encode()


def sheet_named(name: str) -> bytes:
    """A workbook whose first sheet has that name and no cell."""
    book = io.BytesIO()
    with xlsxwriter.Workbook(book, {"in_memory": True}) as made:
        made.add_worksheet(name)
    return book.getvalue()


BROKEN: dict[str, tuple[str, bytes]] = {
    "headerless": ("csv", csv(*((ID, day, "5") for day in DAYS), header=(ID, PHONE, "5.0"))),
    "headerless_tabs": ("tsv", csv(header=(ID, PHONE, PLATE)).replace(b",", b"\t")),
    "other_separator": ("csv", csv(header=(f"{ID};{PHONE}", PLATE[0]))),
    "one_column": ("csv", f"{ID};{PHONE};{PLATE}\n{ID};2026-05-01;5\n".encode()),
    "near_header": ("csv", csv((ID, DAYS[0], "5"), header=(f"id{ID}", f"day{PHONE}", f"used{PLATE}"))),
    "header_twice": ("csv", csv(header=("id", "day", "used", PHONE, PHONE))),
    "person_named": ("csv", csv((ID, DAYS[0], "5", ""), header=("id", "day", "used", f"phone {PHONE}"))),
    "person_seen": ("csv", csv((ID, DAYS[0], "5", PLATE), header=("id", "day", "used", PHONE))),
    "time_is_phone": ("csv", csv((ID, PHONE, "5"))),
    "value_is_phone": ("csv", csv((ID, DAYS[0], f"tel {PHONE}"))),
    "value_is_plate": ("csv", csv((ID, DAYS[0], PLATE))),
    "endless_quote": ("csv", csv(*((f'"{ID}', PHONE, PLATE),) * 1200)),
    "wrong_count": ("csv", csv((ID, PHONE, PLATE, PLANTED))),
    "no_encoding": ("csv", csv((ID, DAYS[0], PHONE)) + b"\xff\xff\x81 \n"),
    "half_written": ("csv", csv((f"é{ID}", DAYS[0], PHONE)) + b"\xe6\xb0"),
    "no_gzip": ("csv.gz", f"{ID} {PHONE}".encode()),
    "cut_gzip": ("csv.gz", gzip.compress(csv((ID, DAYS[0], PHONE)) * 99)[:-9]),
    "no_workbook": ("xlsx", f"PK{ID} {PHONE}".encode()),
    "empty_sheet": ("xlsx", sheet_named(PHONE)),
    "sheet_header": ("xlsx", workbook([(ID, PHONE, PLATE), (ID, PHONE, PLATE)])),
    "sheet_cells": ("xlsx", workbook([("id", "day", "used"), (ID, PHONE, PLATE)])),
    "no_parquet": ("parquet", f"PAR1 {ID} {PHONE} PAR1".encode()),
    "parquet_names": ("parquet", parquet(pl.DataFrame({ID: ["1"], PHONE: ["5"], PLATE: ["x"]}))),
    "parquet_cells": ("parquet", parquet(pl.DataFrame({"id": [ID], "day": [PHONE], "used": [PLATE]}))),
    "parquet_picture": ("parquet", parquet(pl.DataFrame({"id": [ID], PHONE: [b"\xff\xd8\xff\xe0"]}))),
    "unknown_kind": ("xls", PLANTED.encode()),
}


def words_kept(site: Site, words: tuple[str, ...]) -> dict[str, list[str]]:
    """Return each file that a run has left with those words that it holds: as bytes, or in its tables."""
    found = {}
    for path in (*(site.root / "out").rglob("*"), *(site.root / "reports").rglob("*")):
        if not path.is_file():
            continue
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += pl.read_parquet(path).write_ndjson().encode()
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as con:
                tables = con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
                for schema, table in tables:
                    text += str(con.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall()).encode()
        if held := [word for word in words if word.encode() in text]:
            found[str(path.relative_to(site.root))] = held
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """A site with pseudonyms, one good source, a broken register and a broken source of every kind."""
    made = make_site(tmp_path_factory.mktemp("quoted"), ["power"])
    made.put("register.csv", csv((ID, PHONE), header=(ID, PHONE)))
    signals = {"power": SIGNALS["power"]}
    for name, (suffix, content) in BROKEN.items():
        made.put(f"{name}.{suffix}", content)
        signals[name] = SIGNALS["power"].replace("power*.csv", f"{name}.*")
    signals["absent"] = SIGNALS["power"].replace("power*.csv", f"{made.root}/nowhere/*.csv")
    made.configure(
        signals, more='[households]\nfiles = "register.csv"\ncolumns = { household = "id", building = "b" }\n'
    )
    return with_pseudonyms(made)


def test_no_cell_and_no_absolute_path_is_kept(site):
    shown = site.nightly(code=3).stderr
    (run,) = site.view("runs").rows(named=True)
    for name in ("absent", "households", *BROKEN):
        told = f"{name}: 1 of 1 rows refused" if name == "wrong_count" else f"{name} stopped: [{name}] "
        assert told in run["notes"] and told in shown, name
    assert not words_kept(site, (ID, PHONE, PLATE, str(site.root)))
    assert f"'{ID}'" in shown and f"{site.root}/headerless.csv" in shown, "the terminal tells what helps"


def test_notes_say_in_which_file_and_where(site):
    settings = load_settings(site.settings)
    kept = {name: error.kept for name, error in load(settings, Store(settings.store), LAST).failed.items()}
    assert kept["headerless"] == (
        "[headerless] headerless.csv has no column 'id', 'day', 'used': set `columns` in [headerless]"
    )
    assert "has two columns of one name (columns 4 and 5)" in kept["header_twice"]
    assert "describes persons (column 4 holds what looks like a number plate)" in kept["person_seen"]
    assert "no_parquet.parquet cannot be read as PARQUET: it is damaged" in kept["no_parquet"]


def test_ids_and_refused_cells_of_a_good_source_are_not_kept(tmp_path):
    site = with_pseudonyms(make_site(tmp_path, ["power"]))
    path = site.root / "power.csv"
    more = "".join(
        f"{ID},{day},4\n{ID},{day},{PHONE}x\n{ID},{PHONE},5\n{ID},{day},5,{PHONE}\n" for day in DAYS
    )
    path.write_text(path.read_text() + more, encoding="utf-8")
    site.nightly(code=3)
    case = site.case_id()
    wrong = f"case,day,outcome,reason,by\n{case},{PHONE},benign,{ID},{ID}\n{ID},2026-05-01,{PLATE},x,y\n"
    assert site.run("outcomes import", str(site.put("field.csv", wrong))).exit_code
    site.nightly("--night", "2026-05-12", code=3)
    assert not words_kept(site, (ID, PHONE, PLATE, str(site.root)))
