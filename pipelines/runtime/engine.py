"""Work over many items, on this machine or on a Ray cluster. What the work is is not known here.

On a cluster every item is a Ray task. What a machine was at work on when it was lost is done again on another
one; what the work itself raises is raised here. Nothing of Ray is imported unless a cluster is asked for.
"""

import contextlib
import itertools
import logging
import os
import pickle
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipelines.errors import EngineLost, EngineUnavailable
from pipelines.runtime import process_pool

LOCAL, RAY = KINDS = ("local", "ray")
CORES_PER_TASK = 1  # more tasks at a time keep a machine busier than more threads in each
MAX_RETRIES = 5  # of a task whose machine, or worker, is lost under it
MIN_PREFETCHED_ITEMS = 9  # with fewer, what the next item needs is not worth its memory
TASKS_PER_CORE = 2  # handed over at a time, so that no core waits for the next one
CONNECT_TIMEOUT = 5  # seconds until a cluster must have answered
CHECK_INTERVAL = 10  # seconds between two looks whether there is still a cluster
PACKAGES = [str(Path(__file__).parents[2] / name) for name in ("anomaly", "pipelines")]
"""Folders of the code that the machines run, instead of what is installed there."""

Item = TypeVar("Item")
Fetched = TypeVar("Fetched")
Result = TypeVar("Result")
ItemIn = TypeVar("ItemIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Task(Protocol[ItemIn, Fetched, ResultOut]):
    """Work to be done for each of many items; for a cluster it, the items and the results must be
    picklable."""

    def fetch(self, item: ItemIn) -> Fetched:
        """Read what the work on the item needs; this may happen in a thread, ahead of the work."""

    def work(self, item: ItemIn, fetched: Fetched) -> ResultOut:
        """Return the item's result."""


class Engine(Protocol):
    """Where tasks are done."""

    def map(self, task: Task[Item, Fetched, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of every item, in the order of the items."""


@contextlib.contextmanager
def open_engine(kind: str, address: str) -> Iterator[Engine]:
    """Give the engine for as long as it is needed; raises EngineUnavailable.

    A path must mean the same on all machines of a cluster.
    """
    if kind == LOCAL:
        yield LocalEngine()
        return
    ray = _connect(address)
    try:
        yield RayEngine(ray)
    finally:
        ray.shutdown()


class LocalEngine:
    """This machine; of many items the next one is fetched in a thread while one is worked on."""

    def map(self, task: Task[Item, Fetched, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of every item, in the order of the items."""
        items = iter(items)
        first = list(itertools.islice(items, MIN_PREFETCHED_ITEMS))
        map_items = map if len(first) < MIN_PREFETCHED_ITEMS else process_pool.prefetch_map
        # popped, so that nothing here holds on to what was fetched while the next one is
        for item, fetched in map_items(
            lambda item: (item, [task.fetch(item)]), itertools.chain(first, items)
        ):
            yield task.work(item, fetched.pop())


class RayEngine:
    """A Ray cluster. ray: the module, connected."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def map(self, task: Task[Item, Fetched, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of every item, in the order of the items; raises EngineLost if no machine is
        left."""
        ray = self._ray
        run = ray.remote(num_cpus=CORES_PER_TASK, max_retries=MAX_RETRIES)(_run_and_pickle)
        shared_task = ray.put(task)
        waiting: deque = deque()
        for item in items:
            waiting.append(run.remote(shared_task, item))
            if len(waiting) > TASKS_PER_CORE * _cores(ray) // CORES_PER_TASK:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _result(self, reference: Any) -> Any:
        """Wait for what a task gives; raise what it raised."""
        ray = self._ray
        try:
            while not ray.wait([reference], timeout=CHECK_INTERVAL)[0]:
                if _cores(ray) < CORES_PER_TASK:
                    raise _lost("none of its machines is left")
            return pickle.loads(ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ImportError | ray.exceptions.RayError):
                raise _lost(str(error.cause)) from None
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise _lost(str(error)) from None


def _run_and_pickle(task: Task, item: Any) -> bytes:
    """Do the task for an item; as bytes its result does not stay in the cluster's memory once it is
    received."""
    return pickle.dumps(task.work(item, task.fetch(item)), protocol=pickle.HIGHEST_PROTOCOL)


def _connect(address: str) -> Any:
    """Import Ray and connect to the cluster."""
    try:
        import ray
    except ImportError:
        raise EngineUnavailable(
            f"[engine] kind = {RAY!r}: Ray is not installed;"
            f" pip install '.[ray]' where this tool came from, or write kind = {LOCAL!r}"
        ) from None
    threads = {
        name: str(CORES_PER_TASK) for name in ("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS")
    }
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address != "auto" and not _is_reachable(address):  # Ray itself would try for minutes
        raise _unavailable(address, "nobody answers")
    # what it says of lost machines, among other things, goes to stdout
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"py_modules": PACKAGES, "env_vars": threads},
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unavailable(address, str(error)) from None
    if _cores(ray) < CORES_PER_TASK:
        ray.shutdown()
        raise _unavailable(address, "none of its machines takes tasks")
    return ray


def _unavailable(address: str, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"[engine] address = {address!r}: no cluster to work with ({_first_sentence(why)});"
        f" begin one with `ray start --head`, or write kind = {LOCAL!r}"
    )


def _lost(why: str) -> EngineLost:
    return EngineLost(
        f"[engine] the cluster broke down at work ({_first_sentence(why)});"
        " nothing was published, yesterday's file stands: look at the cluster, then run again"
    )


def _first_sentence(text: str) -> str:
    return text.strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT).close()
    except (OSError, ValueError):
        return False
    return True


def _cores(ray: Any) -> int:
    """Count the cores of the cluster; raises EngineLost where its head does not answer."""
    # asked first, for Ray itself would wait for a minute and then end this process
    if not _is_reachable(ray.get_runtime_context().gcs_address):
        raise _lost("its head does not answer")
    return int(ray.cluster_resources().get("CPU", 0))
