"""The questions that the documentation asks of the published file, with the answers it gives.

Each query is run on the sample city and its answer compared with the one on the page; UPDATE_README=1 writes
the answers anew instead.
"""

import re
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.reporting.queries import format_columns
from tests.support.documentation import (
    PAGES,
    RENEW,
    RENEW_COMMAND,
    agrees,
    blocks,
    page_name,
    printed_by,
    renew,
)
from tests.support.paths import ROOT

pytestmark = pytest.mark.long
PAGE = ROOT / "pipelines" / "publish" / "README.md"
ANSWERED = re.compile(r"^```sql answer\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = "--settings sample_data/city/anomaly.toml"
BROKEN = """household_id,day,entries,exits
GA-01-0101,2026-08-30,-3,4
GA-01-0102,31st of August,3,4
XX-99-9999,2026-08-31,6,6
"""
FIELD = """case,day,outcome,reason,by,minutes
c260701-59ceb00886,2026-07-10,benign,new sensor,team 1,10
c260708-cd495cae0a,2026-07-14,confirmed,eight people in two rooms,team 2,35
c260714-bb9103404e,2026-07-22,confirmed,rented by the bed,team 2,40
c260805-ea4f9eaaa7,2026-08-12,benign,a shop's parcels,team 1,15
"""


def answered() -> list:
    """One test a query: its page, the query, and the answer on the page."""
    return [
        pytest.param(page, query, answer, id=f"{page_name(page)} {number}")
        for page in PAGES
        for number, (query, answer) in enumerate(ANSWERED.findall(page.read_text(encoding="utf-8")), start=1)
    ]


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    """The folder of the sample city with two months judged, three broken rows and four doors answered."""
    folder = tmp_path_factory.mktemp("questions")
    sample = folder / "sample_data" / "city"
    shutil.copytree(ROOT / "sample_data" / "city", sample, ignore=shutil.ignore_patterns("out"))
    (sample / "access" / "broken.csv").write_text(BROKEN, encoding="utf-8")
    (folder / "field.csv").write_text(FIELD, encoding="utf-8")
    printed_by(folder, f"anomaly backfill {SETTINGS} --from 2026-07-01 --to 2026-08-31")
    recorded = printed_by(folder, f"anomaly outcomes import field.csv {SETTINGS}")
    assert recorded.startswith("4 recorded, 0 were there already")
    return sample


def test_there_are_ten_questions():
    text = PAGE.read_text(encoding="utf-8")
    asked = re.findall(r"^\*\*(\d+)\. [^*]+\*\*\n\n```sql answer$", text, re.MULTILINE)
    assert asked == [str(number) for number in range(1, 11)]


def test_every_query_with_an_answer_has_it_below():
    queries = [block for block in blocks("sql") if "answer" in block.words]
    assert len(queries) == len(answered())


@pytest.mark.parametrize(("page", "query", "answer"), answered())
def test_the_answer_on_the_page(city, monkeypatch, page, query, answer):
    monkeypatch.chdir(city)
    with duckdb.connect("out/anomaly.duckdb", read_only=True) as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description]
        frame = pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)
    assert frame.height, query
    fresh = format_columns(frame)
    if RENEW:
        fence = f"```sql answer\n{query}```\n\n```text\n"
        renew(page, f"{fence}{answer}", f"{fence}{fresh}")
    else:
        assert agrees(answer, fresh), f"{fresh}\n{RENEW_COMMAND}"
    if query.startswith("COPY"):
        exported = pl.read_csv(re.search(r"TO '([^']+)'", query)[1])
        assert exported.height == int(fresh.split()[-1])
        assert "case_id" in exported.columns
