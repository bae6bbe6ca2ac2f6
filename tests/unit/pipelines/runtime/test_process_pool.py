"""A function over many items in several processes: every answer once, and nobody left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from pipelines.errors import SourceError, StateError, WorkerFailed
from pipelines.runtime import process_pool
from tests.support.paths import ROOT

MANY = range(3 * process_pool.MIN_ITEMS_PER_WORKER)


def tell(item: int) -> tuple[int, int]:
    """The item doubled, and who did it."""
    return 2 * item, os.getpid()


def tell_slowly(item: int) -> tuple[int, int]:
    time.sleep(0.2)
    return tell(item)


def leave_a_mark(place: Path) -> int:
    place.touch()
    return os.getpid()


def write_and_wait(place: str) -> None:
    """Say who is at work, and never end."""
    Path(place, str(os.getpid())).touch()
    time.sleep(600)


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(process_pool, "processors", lambda: 2)


def test_many_items_are_done_once_each_by_this_process_and_another(two):
    with process_pool.Pool(len(MANY), os.getpid) as pool:
        done, by = zip(*pool.map_unordered(tell_slowly, MANY), strict=False)
    assert sorted(done) == [2 * item for item in MANY]
    assert os.getpid() in by and len(set(by)) == 2


HANDED_OUT = """
import datetime as dt, os, pickle, threading
import polars as pl
from pipelines.cases import build
from pipelines.reporting import queries

ratios = [{"key": "power", "value": 2.0}, {"key": "water", "value": 3.0}]
case = {"ratios": ratios, "signature": "people", "onset": dt.date(2026, 1, 1), "last_seen": dt.date(2026, 1, 20)}
cases = pl.DataFrame([case] * 500)
page = pl.concat([pl.DataFrame({name: range(50) for name in "abcdefgh"})] * 4, rechunk=False)

def hand_out():
    while True:
        pickle.dumps(page)

threading.Thread(target=hand_out, daemon=True).start()
for _ in range(20):
    told = build.with_reasons(cases)
    queries._escape_formulas(told.select("signature", "because_en"))
print(told["because_en"].unique().to_list(), flush=True)
os._exit(0)
"""


def test_a_night_finds_its_words_while_a_thread_hands_pages_to_the_others():
    """Pickling a frame waits for Polars without leaving the interpreter to others: no query may wait for that
    (a night once stood still)."""
    done = subprocess.run(
        [sys.executable, "-c", HANDED_OUT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (
        done.stdout
        == "['Power 2.0× and water 3.0× what is normal for this home at this time of year, for 20 days.']\n"
    ), done.stderr


def test_few_items_are_not_worth_a_process(two):
    with process_pool.Pool(3, os.getpid) as pool:
        assert list(pool.map_unordered(tell, iter(range(3)))) == [
            (0, os.getpid()),
            (2, os.getpid()),
            (4, os.getpid()),
        ]
        assert list(pool.map_unordered(tell, [])) == []


def test_the_others_are_at_work_before_anybody_asks(two, tmp_path):
    with process_pool.Pool(len(MANY), partial(leave_a_mark, tmp_path / "ready")) as pool:
        assert until((tmp_path / "ready").exists)  # and before there is anything to do
        made = pool.map_unordered(leave_a_mark, [tmp_path / str(item) for item in MANY])
        first = process_pool.FIRST_TASKS
        assert until(lambda: len(list(tmp_path.iterdir())) == first + 1)
        by = [next(made) for _ in range(first)]
    assert len(set(by)) == 1 and os.getpid() not in by


def test_a_pool_serves_several_rounds(two):
    with process_pool.Pool(len(MANY), os.getpid) as pool:
        for few in (range(3), range(5)):
            assert sorted(number for number, _ in pool.map_unordered(tell, few)) == [2 * item for item in few]


def fail(item: int) -> None:
    """Raise, in a worker, what its number stands for; this process itself does nothing."""
    if multiprocessing.parent_process() is None:
        time.sleep(0.05)
    elif item == 1:
        raise ValueError("item 1 is odd")
    elif item == 2:
        raise SourceError("water", "water.csv", "is empty", "export it again")
    elif item == 3:
        raise StateError("the state cannot be read")
    elif item == 4:
        raise OSError(28, "No space left on device", "page.html")
    elif item == 5:
        os._exit(1)


class FontPath(str):
    """A text that can be pickled and not unpickled, as some versions of libraries make them."""

    def __new__(cls, text: str, index: int):
        return super().__new__(cls, f"{text}#{index}")


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (1, WorkerFailed, r"^a worker process failed: ValueError: item 1 is odd$"),
        (
            2,
            WorkerFailed,
            r"^a worker process failed: SourceError: \[water\] water.csv is empty: export it again$",
        ),
        (3, StateError, r"^the state cannot be read$"),
        (4, OSError, r"No space left on device: 'page.html'"),
        (5, WorkerFailed, r"^a worker process ended before its work was done$"),
        (
            FontPath("font", 1),
            WorkerFailed,
            r"^a worker process failed: TypeError: FontPath.__new__\(\) missing",
        ),
    ],
)
def test_a_failure_of_a_worker_is_raised_here(two, item, error, message):
    with pytest.raises(error, match=message), process_pool.Pool(len(MANY), os.getpid) as pool:
        list(pool.map_unordered(fail, [item, *[0] * 40]))


FAILING = """
import time
from pipelines.runtime import process_pool
from tests.unit.pipelines.runtime.test_process_pool import FontPath, wait_long

process_pool.processors = lambda: 3
if __name__ == "__main__":
    with process_pool.Pool(40, int) as pool:
        list(pool.map_unordered(wait_long, [(0, b"")] + [(FontPath("font", 1), b"x" * 2_000_000)] * 40))
"""


def wait_long(item: tuple[object, bytes]) -> None:
    """Work for ten minutes in a worker, for as long as it takes a worker to fail here."""
    time.sleep(0.2 if multiprocessing.parent_process() is None else 600)


def test_a_process_whose_worker_fails_ends_at_once_whatever_the_others_are_doing():
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", FAILING],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "WorkerFailed: a worker process failed: TypeError" in done.stderr and done.returncode == 1
    assert time.monotonic() - begun < 60


def alive(process: int) -> bool:
    """Whether a process is there and more than a corpse."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return held


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = "from pipelines.runtime import process_pool; from tests.unit.pipelines.runtime.test_process_pool import write_and_wait; process_pool.processors = lambda: 2\n"
    code += f"if __name__ == '__main__':\n    with process_pool.Pool(40, int) as pool: list(pool.map_unordered(write_and_wait, [{str(tmp_path)!r}] * 40))"
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert until(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    left = [int(path.name) for path in tmp_path.iterdir()]
    assert until(lambda: not any(map(alive, left)), 10)


def test_the_next_item_is_worked_out_while_one_is_used():
    begun = [threading.Event() for _ in range(3)]

    def made(item):
        begun[item].set()
        return item * 10

    told = []
    for item in process_pool.prefetch_map(made, range(3)):
        told.append(item)
        assert begun[min(len(told), 2)].wait(10)
    assert told == [0, 10, 20]
    assert list(process_pool.prefetch_map(made, [])) == []
    with pytest.raises(ZeroDivisionError):
        list(process_pool.prefetch_map(lambda item: 1 // item, [1, 0, 2]))


def test_the_next_of_an_iterator_is_made_while_one_is_used():
    begun = [threading.Event() for _ in range(3)]

    def made():
        for item in range(3):
            begun[item].set()
            yield item
        raise ZeroDivisionError

    told, items = [], process_pool.prefetch(made())
    for item in items:
        told.append(item)
        assert begun[min(len(told), 2)].wait(10)
        if item == 2:
            break
    assert told == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert (
        list(process_pool.prefetch(iter([None, 1]))) == [None, 1]
        and list(process_pool.prefetch(iter([]))) == []
    )


def test_what_is_closed_makes_nothing_any_more():
    through = []

    def made():
        for item in range(3):
            time.sleep(0.2 * item)
            through.append(item)
            yield item

    items = process_pool.prefetch(made())
    assert next(items) == 0
    items.close()
    assert through == [0, 1]
    time.sleep(0.5)
    assert through == [0, 1]
