"""Whatever becomes of a file of the state, a night shows the same, makes it anew, or ends in one line.

Every kind of file is harmed in every way: a bit flipped, cut, replaced by another file or by its own older
content, or by valid content of another shape. In process, a trial checks the state and reads all that is
published from it; by whole nights, a trial brings tonight's exports and runs the command.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipelines.cases.build import build_cases
from pipelines.config.settings import load_settings
from pipelines.errors import AnomalyError
from pipelines.ingest.inputs import stored_inputs
from pipelines.jobs.nightly import check_state
from pipelines.publish.frames import published_frames
from pipelines.storage.raw_rows import RawRows
from pipelines.storage.state import UNFINISHED_RUN_FILE, Store
from tests.support.site import (
    LAST,
    SIGNALS,
    VALUE,
    VIEWS,
    Site,
    daily,
    day,
    rows,
    until,
    with_pseudonyms,
)

HOMES = 12
HARMS = ("flip", "cut", "swap", "older", "shape")
SEED = 20261128
SHAPES = [
    b"{}",
    b"[]",
    b"null",
    b"5",
    b'"x"',
    b'{"a": 1}',
    b"[1]",
    b'{"state": null, "lines": [], "runs": "x"}',
]
SHOWN = (*VIEWS, "outcomes", "assignments", "revisions")


def bring(site: Site, last_day: int) -> None:
    """Put the exports up to a day."""
    for name, values in daily(HOMES).items():
        site.put(f"{name}.csv", until(rows(name, values), day(last_day)))


@dataclass(frozen=True)
class Sites:
    """A site and the same site some commands earlier; `undisturbed` shows what the next night comes to."""

    earlier: Site
    now: Site
    undisturbed: dict[str, list]


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> Sites:
    """A dozen homes with a register and codes; late readings, decisions, a revised night and a prune."""
    site = Site(tmp_path_factory.mktemp("fuzz") / "now")
    site.root.mkdir()
    site.configure(
        SIGNALS,
        more='[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "d" }\n\n'
        "[retention]\nreadings_days = 36500\nnights_days = 36500\nreports_days = 36500\n\n",
    )
    site.put("homes.csv", "id,d\n" + "".join(f"{home:04},{'AB'[home % 2]}\n" for home in range(HOMES)))
    with_pseudonyms(site)
    bring(site, -4)
    site.nightly()
    assert site.decide("no_access", "--day", str(day(-4))).exit_code == 0
    assert site.run("assign", site.case_id(), "--to", "team 1").exit_code == 0
    earlier = Site(shutil.copytree(site.root, site.root.with_name("earlier")))
    late = pl.DataFrame({"id": ["0003"], "day": [str(day(-6))], VALUE["power"]: ["4.5"]})
    site.put("power-2.csv", late)
    bring(site, -2)
    site.nightly("--revise")
    assert site.decide("benign", "--day", str(day(-2))).exit_code == 0
    assert site.run("assign", site.case_id(), "--to", "team 2").exit_code == 0
    site.put("out/state/.files.json.household-anomaly.draft", "left by a kill")
    site.put("power-3.csv", late.with_columns(used=pl.lit("5.5")))
    pruned = site.run("prune")
    assert pruned.exit_code == 0, pruned.output
    assert (site.root / "out/state/kept_from.json").exists()
    other = Site(shutil.copytree(site.root, site.root.with_name("other")))
    bring(other, -1)
    other.nightly()
    return Sites(earlier, site, other.published(SHOWN))


def state_files(site: Site) -> list[str]:
    """Return every file of the state and the audit log, but locks."""
    files = sorted(path for path in (site.root / "out/state").rglob("*") if path.suffix in KINDS)
    return [str(path.relative_to(site.root)) for path in (*files, site.root / "out/audit.jsonl")]


KINDS = (".json", ".jsonl", ".parquet")


def harm(chance: random.Random, sites: Sites, site: Site) -> str:
    """Harm a file of a copy of the site; return what was done to which."""
    names = state_files(site)
    # each kind of file as often as any other, however many there are of it
    kinds = sorted({Path(name).name for name in names if "_20" not in name} | {"rows", "days"})
    kind = chance.choice(kinds)
    name = chance.choice([one for one in names if Path(one).name == kind or f"state/{kind}/" in one])
    path, how = site.root / name, chance.choice(HARMS)
    whole = path.read_bytes()
    if how == "flip":
        at = chance.randrange(len(whole))
        content = whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
    elif how == "cut":
        at = chance.randrange(len(whole))
        content = chance.choice((whole[:at], whole[at:], whole[: -1 - at % 40]))
    elif how == "swap":
        alike = [one for one in names if Path(one).suffix == path.suffix and one != name]
        content = (site.root / chance.choice(alike)).read_bytes()
    elif how == "older" and (sites.earlier.root / name).exists():
        content = (sites.earlier.root / name).read_bytes()
    elif path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        chance.choice((frame.clear(), frame.head(1), frame.select(x=1))).write_parquet(path)
        content = path.read_bytes()
    else:
        content = chance.choice(SHAPES) + chance.choice((b"", b"\n"))
    path.write_bytes(content)
    return f"{how} {name}"


def all_that_is_read(settings, store: Store) -> dict[str, pl.DataFrame]:
    """Return all that a night publishes from the state as it is, and the rows behind it."""
    inputs = stored_inputs(settings, store)
    frames = published_frames(settings, store, inputs, build_cases(settings, store))
    raw = {f"rows of {name}": RawRows(store, name).read() for name in settings.rules}
    return frames | raw | {"readings": inputs.readings}


def trials(sites: Sites, tmp_path: Path, count: int, seed: int) -> list[str]:
    """Harm a file and read the state, many times; return a line for each trial that went wrong."""
    chance = random.Random(seed)
    Store(sites.now.file).write_json(UNFINISHED_RUN_FILE, {"nights": [], "reports": [], "runs": 2})
    settings = load_settings(sites.now.settings)
    expected = all_that_is_read(settings, Store(settings.store))
    site = Site(tmp_path / "trial")
    shutil.copytree(sites.now.root, site.root)
    settings = load_settings(site.settings)
    store, wrong = Store(settings.store), []
    for number in range(count):
        shutil.rmtree(site.root / "out")
        shutil.copytree(sites.now.root / "out", site.root / "out", ignore=shutil.ignore_patterns("reports"))
        done = harm(chance, sites, site)
        try:
            store.prepare()
            checked = check_state(settings, store)
            if checked.remarks or checked.broken:
                bad = [line for line in (*checked.remarks, *checked.broken) if "\n" in line]
            else:
                found = all_that_is_read(settings, store)
                bad = [f"{name} is another" for name in expected if not found[name].equals(expected[name])]
        except AnomalyError as error:
            bad = [str(error)] * ("\n" in str(error) or str(site.root) not in str(error))
        except Exception as error:  # a bug, whatever it is
            bad = [repr(error)]
        wrong += [f"{number}: {done}: {line}" for line in bad]
    sites.now.root.joinpath("out/state", UNFINISHED_RUN_FILE).unlink()
    return wrong


def test_some_harm_to_the_state_is_told_or_does_nothing(sites, tmp_path):
    assert trials(sites, tmp_path, 60, SEED) == []


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(200, SEED + 1, marks=pytest.mark.long),
        pytest.param(2000, SEED + 1000, marks=pytest.mark.endurance),
    ],
)
def test_any_harm_to_the_state_is_told_or_does_nothing(sites, tmp_path, count, seed):
    assert trials(sites, tmp_path, count, seed) == []


NIGHTS = [
    pytest.param(number, marks=pytest.mark.long if number < 10 else pytest.mark.endurance)
    for number in range(50)
]


@pytest.mark.parametrize("number", NIGHTS)
def test_a_night_after_any_harm_shows_the_same_or_ends_in_one_line(sites, tmp_path, number):
    site = Site(shutil.copytree(sites.now.root, tmp_path / "site"))
    before = site.published(SHOWN)
    done = harm(random.Random(SEED + 2 + number), sites, site)
    bring(site, -1)
    run = site.run("nightly")
    if run.exit_code == 4:
        assert run.stderr.count("\n") == 1 and run.stderr.startswith("Error: "), (done, run.stderr)
        assert site.published(SHOWN) == before, done
    else:
        assert run.exit_code in (0, 3), (done, run.exit_code, run.output, run.exception)
        differing = [
            name for name, found in site.published(SHOWN).items() if found != sites.undisturbed[name]
        ]
        assert differing == [] or "made anew" in run.stderr, (done, differing, run.stderr)
        assert set(differing) <= {"revisions"}, (done, differing, run.stderr)
    assert LAST not in site.ask("SELECT DISTINCT night FROM v1.worklist")
