"""The questions that the README asks of the file: each is run on the sample city and its answer compared with the one on the page.

UPDATE_README=1 writes the answers anew instead.
"""

import re
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.reporting.queries import format_columns
from tests.end_to_end.test_readme import HOW, README, RENEW, ROOT, answer, renew, same

pytestmark = pytest.mark.long
PAIR = re.compile(
    r"^\*\*(\d+\. [^*]+)\*\*\n\n```sql answer\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
BROKEN = "household_id,day,entries,exits\nGA-01-0101,2026-08-30,-3,4\nGA-01-0102,31st of August,3,4\nXX-99-9999,2026-08-31,6,6\n"
FIELD = """case,day,outcome,reason,by,minutes
c260701-59ceb00886,2026-07-10,benign,new sensor,team 1,10
c260708-cd495cae0a,2026-07-14,confirmed,eight people in two rooms,team 2,35
c260714-bb9103404e,2026-07-22,confirmed,rented by the bed,team 2,40
c260805-ea4f9eaaa7,2026-08-12,benign,a shop's parcels,team 1,15
"""


def questions() -> list[tuple[str, str, str]]:
    """What is asked, the query, and the answer on the page."""
    return PAIR.findall(README.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    """The folder of the sample city with two months judged, three broken rows and four doors answered."""
    place = tmp_path_factory.mktemp("questions")
    sample = place / "sample_data" / "city"
    shutil.copytree(ROOT / "sample_data" / "city", sample, ignore=shutil.ignore_patterns("out"))
    (sample / "access" / "broken.csv").write_text(BROKEN, encoding="utf-8")
    (place / "field.csv").write_text(FIELD, encoding="utf-8")
    answer(
        place, "anomaly backfill --settings sample_data/city/anomaly.toml --from 2026-07-01 --to 2026-08-31"
    )
    assert answer(
        place, "anomaly outcomes import field.csv --settings sample_data/city/anomaly.toml"
    ).startswith("4 recorded, 0 were there already")
    return sample


def test_there_are_ten():
    assert [asked.partition(".")[0] for asked, *_ in questions()] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize(
    ("asked", "query", "told"), questions(), ids=lambda text: text[:40] if text[:1].isdigit() else ""
)
def test_the_answer_on_the_page(city, monkeypatch, asked, query, told):
    monkeypatch.chdir(city)
    with duckdb.connect("out/anomaly.duckdb", read_only=True) as con:
        found = con.execute(query)
        names = [column[0] for column in found.description]
        frame = pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)
    assert frame.height, asked
    fresh = format_columns(frame)
    if RENEW:
        renew(
            f"```sql answer\n{query}```\n\n```text\n{told}", f"```sql answer\n{query}```\n\n```text\n{fresh}"
        )
    else:
        assert same(told, fresh), f"{fresh}\n{HOW}"
    if query.startswith("COPY"):
        exported = pl.read_csv(re.search(r"TO '([^']+)'", query)[1])
        assert exported.height == int(fresh.split()[-1]) and "case_id" in exported.columns
