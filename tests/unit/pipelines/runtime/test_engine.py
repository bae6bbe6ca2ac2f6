"""A function over many items on this machine, and what is said where a cluster is asked for and cannot be
had."""

import sys

import pytest

from pipelines.errors import StateError
from pipelines.runtime import engine
from pipelines.scoring import blocks
from tests.support.site import make_site
from tests.support.town import town
from tests.unit.pipelines.runtime.test_process_pool import until


class TimesEleven:
    """A task that gives 100 and eleven times the item, a tenth of which is fetched."""

    def fetch(self, item: int) -> int:
        if item < 0:
            raise ValueError(f"item {item} is below nothing")
        return 10 * item

    def work(self, item: int, fetched: int) -> int:
        return 100 + item + fetched


@pytest.mark.parametrize(
    ("many", "ahead"), [(engine.MIN_PREFETCHED_ITEMS - 1, 0), (engine.MIN_PREFETCHED_ITEMS, 1)]
)
def test_results_come_in_the_order_of_the_items_and_of_many_one_is_fetched_ahead(many, ahead):
    fetched = []

    class Noted(TimesEleven):
        def fetch(self, item):
            fetched.append(item)
            return super().fetch(item)

        def work(self, item, ten_times):
            assert until(lambda: len(fetched) == min(item + 1 + ahead, many))
            return super().work(item, ten_times)

    with engine.open_engine("local", "auto") as local:
        assert list(local.map(Noted(), range(many))) == [100 + 11 * item for item in range(many)]
        for items in ([1, -1], [*range(many), -1]):
            results = local.map(TimesEleven(), items)
            assert [next(results) for _ in items[:-1]] == [100 + 11 * item for item in items[:-1]]
            with pytest.raises(ValueError, match="item -1 is below nothing"):
                next(results)


def asks(tmp_path, **wanted: str):
    """A site whose settings ask for an engine."""
    site = make_site(tmp_path, ["power"])
    site.change(
        "[site]",
        "[engine]\n" + "".join(f'{name} = "{value}"\n' for name, value in wanted.items()) + "\n[site]",
    )
    return site


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"kind": "spark"}, "kind = 'spark'; choose local or ray"),
        ({"address": "10.0.0.1:6379"}, "kind = 'local' uses none; write kind = 'ray'"),
        ({"kind": "ray", "address": "ray://10.0.0.1:10001"}, "write auto, or host:port"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, wanted, said):
    told = asks(tmp_path, **wanted).run("nightly")
    assert (
        told.exit_code == 2
        and said in told.stderr
        and "engine" in told.stderr
        and told.stderr.count("\n") == 1
    )


def test_without_the_extra_one_line_says_how_to_install_it_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    site = asks(tmp_path, kind="ray")
    told = site.run("nightly")
    assert told.exit_code == 2 and "pip install '.[ray]'" in told.stderr and told.stderr.count("\n") == 1
    assert not (site.root / "out/state/days").exists() and not (site.root / "out/run.holder").exists()
    told = site.run("doctor")
    assert told.exit_code == 3 and "engine: [engine] kind = 'ray': Ray is not installed" in told.stdout


@pytest.mark.parametrize("address", ["127.0.0.1:9", "auto"])
def test_where_no_cluster_answers_one_line_says_so_at_once(tmp_path, monkeypatch, address):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # the port of nobody
    site = asks(tmp_path, kind="ray", address=address)
    told = site.run("nightly")
    assert (
        told.exit_code == 2
        and "[engine] address = '127.0.0.1:9': no cluster to work with (nobody answers)" in told.stderr
    )
    assert told.stderr.count("\n") == 1 and not (site.root / "out/state/days").exists()


def test_nothing_of_ray_is_imported_where_no_cluster_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    make_site(tmp_path, ["power"]).nightly()


def test_what_a_block_raises_stops_the_night_and_the_next_run_judges_it(tmp_path, monkeypatch):
    site = town(tmp_path / "town", sample=130, days=60)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "rate_scores", broken)
        told = site.nightly(code=2)
    assert "the block cannot be read" in told.stderr and not site.file.exists()
    site.nightly()
    assert site.view("runs")["judged"].to_list() == [245]


def broken(*args):
    raise StateError("the block cannot be read")


def test_a_machine_that_finds_other_readings_judges_nothing(tmp_path, monkeypatch):
    site = town(tmp_path / "town", sample=130, days=60)
    seen = iter([["one"], ["another"]])
    monkeypatch.setattr(blocks, "stored_files", lambda stored: next(seen))
    told = site.nightly(code=2)
    assert (
        "finds other readings there; it must lie on storage that all machines of the cluster share"
        in told.stderr
    )
