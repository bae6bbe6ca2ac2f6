"""A function over many items: on this machine, or on a Ray cluster. What the function does is not known here.

On a cluster every item is a task. What a machine was at work on when it was lost is done again on another one; what the
function itself raises is raised here. Nothing of Ray is imported unless a cluster is asked for.
"""

import contextlib
import functools
import itertools
import logging
import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pipelines.errors import EngineLost, EngineUnavailable
from pipelines.runtime import process_pool

LOCAL, RAY = KINDS = ("local", "ray")
CORES = 1  # of a task: more tasks at a time keep a machine busier than more threads in each
TRIES_AGAIN = 5  # of a task whose machine, or worker, is lost under it
FEW = 8  # items, for which what a second one needs is not worth its memory
AHEAD = 2  # tasks handed over for every core, so that none waits for the next one
ANSWERS_WITHIN, PATIENCE = (
    5,
    10,
)  # seconds: until a cluster answers; between two looks whether there is still one
PACKAGES = [
    str(Path(__file__).parents[1] / name) for name in ("anomaly", "pipelines")
]  # which the machines run, not what is installed there

Over = Callable[[Callable, Callable, object, Iterable], Iterator]
"""over(fetch, function, shared, items): function(shared, item, fetch(shared, item)) of every item, in their order.

On this machine, where there are many, what the next item needs is fetched in a thread while the function is at work on the one before.
"""


@contextlib.contextmanager
def at(kind: str, address: str) -> Iterator[Over]:
    """The engine for as long as it is needed; raises EngineUnavailable.

    With a cluster the function, `shared`, the items and what comes of them must be picklable, and a path must mean the
    same on all its machines.
    """
    if kind == LOCAL:
        yield _here
        return
    ray = _connected(address)
    try:
        yield functools.partial(_on_cluster, ray)
    finally:
        ray.shutdown()


def _here(fetch: Callable, function: Callable, shared: object, items: Iterable) -> Iterator:
    items = iter(items)
    first = list(itertools.islice(items, FEW + 1))
    over = map if len(first) <= FEW else process_pool.prefetch_map
    for fetched in over(lambda item: [item, fetch(shared, item)], itertools.chain(first, items)):
        yield function(
            shared, fetched[0], fetched.pop()
        )  # nothing here holds on to it while the next one is fetched


def _connected(address: str):
    """Ray, connected to the cluster."""
    try:
        import ray
    except ImportError:
        raise EngineUnavailable(
            f"[engine] kind = {RAY!r}: Ray is not installed; pip install '.[ray]' where this tool came from, or write kind = {LOCAL!r}"
        ) from None
    threads = {name: str(CORES) for name in ("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address != "auto" and not _answers(address):  # Ray itself would try for minutes
        raise _none_at(address, "nobody answers")
    ray._private.worker._worker_logs_enabled = (
        False  # what it says of lost machines, among them, goes to stdout
    )
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"py_modules": PACKAGES, "env_vars": threads},
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _none_at(address, str(error)) from None
    if _cores(ray) < CORES:
        ray.shutdown()
        raise _none_at(address, "none of its machines takes tasks")
    return ray


def _none_at(address: str, why: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"[engine] address = {address!r}: no cluster to work with ({_short(why)}); begin one with `ray start --head`, or write kind = {LOCAL!r}"
    )


def _lost(why: str) -> EngineLost:
    return EngineLost(
        f"[engine] the cluster broke down at work ({_short(why)}); nothing was published, yesterday's file stands: look at the cluster, then run again"
    )


def _short(why: str) -> str:
    return why.strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWERS_WITHIN).close()
    except (OSError, ValueError):
        return False
    return True


def _cores(ray) -> int:
    if not _answers(
        ray.get_runtime_context().gcs_address
    ):  # Ray itself would wait for a minute, and then end this process
        raise _lost("its head does not answer")
    return int(ray.cluster_resources().get("CPU", 0))


def _on_cluster(ray, fetch: Callable, function: Callable, shared: object, items: Iterable) -> Iterator:
    task = ray.remote(num_cpus=CORES, max_retries=TRIES_AGAIN)(_pickled)
    held, waiting = ray.put(shared), deque()
    for item in items:
        waiting.append(task.remote(fetch, function, held, item))
        if len(waiting) > AHEAD * _cores(ray) // CORES:
            yield _result(ray, waiting.popleft())
    while waiting:
        yield _result(ray, waiting.popleft())


def _pickled(fetch: Callable, function: Callable, shared: object, item: object) -> bytes:
    """As bytes a result does not stay in the cluster's memory once it has been received."""
    return pickle.dumps(function(shared, item, fetch(shared, item)), protocol=pickle.HIGHEST_PROTOCOL)


def _result(ray, asked) -> object:
    """What a task gives, or what it raised."""
    try:
        while not ray.wait([asked], timeout=PATIENCE)[0]:
            if _cores(ray) < CORES:
                raise _lost("none of its machines is left")
        return pickle.loads(ray.get(asked))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImportError | ray.exceptions.RayError):
            raise _lost(str(error.cause)) from None
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise _lost(str(error)) from None
