"""Work done beside this process's own: items in worker processes, or the next item in a thread.

Workers are started afresh, not forked: Polars and DuckDB hold threads, and a process that holds threads must
not be forked. A worker ends with its parent, whatever ends that, and leaves an interruption to it.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pipelines.errors import AnomalyError, WorkerFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

MIN_ITEMS_PER_WORKER = 12
"""Starting a worker takes as long as it saves on so many pages."""
FIRST_TASKS, NEXT_TASKS = 8, 2
"""Tasks a worker is given at a time: at first enough while this process does something else, later few, so
that none is left with much to do when all others are through."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool(contextlib.AbstractContextManager):
    """Worker processes, as many as there are processors left; none for fewer items than are worth their
    start.

    They start at once and do `warm_up`, while this process still does something else.
    """

    def __init__(self, expected_items: int, warm_up: Callable[[], object]):
        self._executor: ProcessPoolExecutor | None = None
        self._workers: set[multiprocessing.process.BaseProcess] = set()
        self._count = processors() - 1
        if expected_items >= 2 * MIN_ITEMS_PER_WORKER and self._count > 0:
            others = set(multiprocessing.active_children())
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._count, context, initializer=_start_worker)
            for _ in range(self._count):
                self._executor.submit(warm_up)
            self._workers = set(multiprocessing.active_children()) - others

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if raised is not None:  # nobody waits for what they are at work on
            for worker in self._workers:
                worker.kill()
        self._executor.shutdown()

    def map_unordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Return an iterator over the function's results, in no order; the workers begin now.

        Workers take items from the front, and whoever goes through the results takes some from the back.
        Function, items and results must be picklable. Raises WorkerFailed where a worker ends, or raises what
        is neither an AnomalyError nor an OSError.
        """
        if self._executor is None:
            return map(function, items)
        waiting: deque[Item] = deque()
        handed_over: list[Future[bytes]] = []
        for item in items:
            waiting.append(item)
            self._hand_over(function, waiting, handed_over, FIRST_TASKS)
        return self._results(function, waiting, handed_over)

    def _results(
        self, function: Callable[[Item], Result], waiting: deque[Item], handed_over: "list[Future[bytes]]"
    ) -> Iterator[Result]:
        while waiting or handed_over:
            self._hand_over(function, waiting, handed_over, NEXT_TASKS)
            if not waiting:
                futures.wait(handed_over, return_when=futures.FIRST_COMPLETED)
            finished = next((future for future in handed_over if future.done()), None)
            if finished is not None:
                handed_over.remove(finished)
                yield _result(finished)
            else:
                yield function(waiting.pop())

    def _hand_over(
        self,
        function: Callable[[Item], Result],
        waiting: deque[Item],
        handed_over: "list[Future[bytes]]",
        tasks: int,
    ) -> None:
        """Give the workers items from the front until each has so many tasks.

        As bytes: what a worker cannot unpickle is then an error of that task, and does not break the queue of
        all.
        """
        assert self._executor is not None
        unfinished = sum(not future.done() for future in handed_over)
        for _ in range(min(len(waiting), self._count * tasks - unfinished)):
            task = pickle.dumps((function, waiting.popleft()), pickle.HIGHEST_PROTOCOL)
            with _worker_lost_as_failed():
                handed_over.append(self._executor.submit(_work, task))


@contextlib.contextmanager
def _worker_lost_as_failed() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerFailed("a worker process ended before its work was done") from error


def _work(task: bytes) -> bytes:
    """Do a task in a worker; return, pickled, whether it was done and its result or error."""
    try:
        function, item = pickle.loads(task)
        return pickle.dumps((True, function(item)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        if isinstance(error, AnomalyError | OSError) and _can_be_pickled(error):
            return pickle.dumps((False, error))
        failure = WorkerFailed(f"a worker process failed: {type(error).__name__}: {error}")
        return pickle.dumps((False, failure))


def _can_be_pickled(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is made again
        return False
    return True


def _result(future: "Future[bytes]") -> Any:
    """Wait for what a worker made; raise what it raised."""
    with _worker_lost_as_failed():
        done, result = pickle.loads(future.result())
    if not done:
        raise result
    return result


def _start_worker() -> None:
    """Prepare a worker: it leaves an interruption to its parent and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is there stays: looking through it again and again takes a tenth of the time
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def prefetch_map(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the function's result of every item in order; a thread makes the next while one is used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = None
        for item in items:
            ready, waiting = waiting, thread.submit(function, item)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()


def prefetch(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield the items; each is made in a thread while the one before it is used, none once this is closed."""
    end = object()
    for item in prefetch_map(lambda _: next(items, end), itertools.count()):
        if item is end:
            return
        yield item  # type: ignore[misc]


def run_in_background(function: Callable[[], object]) -> None:
    """Run a function in a thread that ends with this process; nobody asks what came of it."""
    threading.Thread(target=function, daemon=True).start()
