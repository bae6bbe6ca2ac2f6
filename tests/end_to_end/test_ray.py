"""The same on a cluster of two machines as on one, also when one of them is lost in the middle of the night.

The machines are two nodes of a real cluster, here, each with an address of its own that nobody outside can
reach.
"""

import contextlib
import dataclasses
import re
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from pipelines.cli import commands
from pipelines.config.settings import load_settings
from pipelines.jobs import nightly as flow
from pipelines.runtime import engine
from pipelines.runtime.progress import Progress
from pipelines.scoring import blocks
from pipelines.storage.home_numbers import home_blocks
from tests.support.site import VIEWS, Site
from tests.support.town import town

pytestmark = pytest.mark.long
ALL = (*VIEWS, "account", "assignments", "control", "misses", "outcomes")


@contextlib.contextmanager
def two_machines():
    """A cluster of a head and one more machine, of one core each: address, and how to lose either."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # not tmp_path: a socket's path is short
    machine = {"num_cpus": 1, "object_store_memory": 100_000_000}
    patch = pytest.MonkeyPatch()
    # where Ray notes the address of the cluster; it does not make that folder itself
    patch.setenv("RAY_TMPDIR", folder)
    Path(folder, "ray").mkdir()
    cluster = Cluster()
    try:
        head = cluster.add_node(
            **machine, node_ip_address="127.0.0.2", include_dashboard=False, temp_dir=folder
        )
        other = cluster.add_node(**machine, node_ip_address="127.0.0.3")
        yield (
            cluster.address,
            lambda: cluster.remove_node(other, allow_graceful=False),
            lambda: head.kill_all_processes(allow_graceful=False, check_alive=False),
        )
    finally:
        ray.shutdown()
        cluster.shutdown()
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def cluster():
    with two_machines() as found:
        yield found


@dataclasses.dataclass
class Marking:
    """A task that gives twice the item and the machine it was worked on, and leaves a file for every time it
    is begun."""

    folder: str

    def fetch(self, item: int) -> int:
        if item < 0:
            raise ValueError(f"item {item} is below nothing")
        return 2 * item

    def work(self, item: int, fetched: int) -> tuple[int, str]:
        import ray

        machine = ray.get_runtime_context().get_node_id()
        with tempfile.NamedTemporaryFile(prefix=f"{item}-{machine}-", dir=self.folder, delete=False):
            time.sleep(1)
        return fetched, machine


def started(folder: Path) -> Counter:
    """item → how often it was begun."""
    return Counter(int(path.name.partition("-")[0]) for path in folder.iterdir())


def test_items_come_back_in_order_from_both_machines_and_so_does_what_one_raises(tmp_path, cluster, capfd):
    address, _, _ = cluster
    with engine.open_engine("ray", address) as cluster_engine:
        done, machines = zip(*cluster_engine.map(Marking(str(tmp_path)), range(8)), strict=True)
        assert done == tuple(range(0, 16, 2)) and len(set(machines)) == 2
        assert started(tmp_path) == Counter(range(8))
        with pytest.raises(ValueError, match="^item -1 is below nothing$"):
            list(cluster_engine.map(Marking(str(tmp_path)), [1, -1]))
    assert capfd.readouterr().out == ""


def test_what_a_lost_machine_was_at_work_on_is_done_again(tmp_path, cluster, capfd):
    address, lose, _ = cluster
    with engine.open_engine("ray", address) as cluster_engine:
        came = cluster_engine.map(Marking(str(tmp_path)), range(10))
        first = next(came)
        while (
            len({path.name.split("-")[1] for path in tmp_path.iterdir()} | {first[1]}) < 2
            or sum(started(tmp_path).values()) < 4
        ):
            time.sleep(0.05)  # both are at work
        lose()
        done, machines = zip(first, *came, strict=True)
    assert done == tuple(range(0, 20, 2)) and len(set(machines[-3:])) == 1
    assert set(started(tmp_path)) == set(range(10)) and sum(started(tmp_path).values()) > 10
    assert capfd.readouterr().out == ""


def test_without_its_head_the_cluster_is_lost_and_one_line_says_so(tmp_path, cluster):
    address, _, lose_head = cluster
    lost = r"the cluster broke down at work \(.+\); nothing was published, yesterday's file stands: .* run again$"
    with pytest.raises(engine.EngineLost, match=lost), engine.open_engine("ray", address) as cluster_engine:
        for _ in cluster_engine.map(Marking(str(tmp_path)), range(10)):
            lose_head()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Site:
    """A town judged by this machine alone, the homes beyond the sample in many blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "home_blocks", small_blocks)
        site = town(tmp_path_factory.mktemp("alone") / "town", sample=130)
        site.nightly()
    return site


def small_blocks(homes: int):
    return home_blocks(homes, 20)


def pages(site: Site) -> dict[str, bytes]:
    """What the report of the night is made of, file by file; without what the clock says."""
    clock = rb"<div><dt>(Finished \(UTC\)|Run)</dt><dd>[^<]*</dd></div>"
    (night,) = (
        path for path in (site.root / "out/reports").iterdir() if path.is_dir() and path.name[:2] == "20"
    )
    return {
        str(path.relative_to(night)): re.sub(clock, b"", path.read_bytes())
        for path in sorted(night.rglob("*"))
        if path.is_file()
    }


def test_a_night_on_a_cluster_is_the_night_of_one_machine(tmp_path, alone, cluster, monkeypatch):
    monkeypatch.setattr(blocks, "home_blocks", small_blocks)
    site = town(tmp_path / "town", sample=130)
    settings = load_settings(site.settings)
    on_cluster = dataclasses.replace(settings.engine, kind="ray", address=cluster[0])
    flow.nightly(
        dataclasses.replace(settings, engine=on_cluster)
    )  # the same settings file, whose hash is on every page
    ours, theirs = alone.published(ALL), site.published(ALL)
    assert theirs == ours and len(ours["cases"]) >= 1 and len(ours["expected"]) > 700
    assert pages(site) == pages(alone) and any(name.startswith("cases/") for name in pages(alone))


def test_a_machine_lost_in_the_middle_of_the_night_changes_nothing(tmp_path, alone, cluster, monkeypatch):
    address, lose, _ = cluster
    blocks_done = []

    def lose_at_first_block(event: Progress) -> None:
        if event.step.startswith("judging") and event.done:
            if not blocks_done:
                lose()
            blocks_done.append(event.done)

    monkeypatch.setattr(blocks, "home_blocks", small_blocks)
    monkeypatch.setattr(commands, "progress_display", lambda as_json: lose_at_first_block)
    site = town(tmp_path / "town", sample=130)
    site.change("[engine]\n", f'[engine]\nkind = "ray"\naddress = "{address}"\n')
    said = site.nightly()
    assert said.stdout == "" and len(blocks_done) == 7
    assert site.published(ALL) == alone.published(ALL)
    assert site.nightly().stderr.count("nothing to do") == 1
