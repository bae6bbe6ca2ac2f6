"""A function over many items in several processes, this one among them, or one item ahead in a thread.

The other processes are started afresh: polars and DuckDB hold threads, and a process that holds threads must not be forked. A worker ends
with its parent, whatever ends that, and leaves an interruption to it.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

Item, Made = TypeVar("Item"), TypeVar("Made")
MIN_ITEMS_PER_WORKER = 12  # items: to start one takes as long as it saves on so many pages


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool(contextlib.AbstractContextManager):
    """Further processes, as many as there are processors left, for so many items to come; none where these are not worth their start.

    They begin at once, with `first`, while this process still does something else.
    """

    def __init__(self, items: int, first: Callable[[], object]):
        self._others = None
        if items >= 2 * MIN_ITEMS_PER_WORKER and processors() > 1:
            self._others = ProcessPoolExecutor(
                processors() - 1, multiprocessing.get_context("spawn"), initializer=_begin
            )
            for _ in range(processors() - 1):
                self._others.submit(first)

    def __exit__(self, *raised) -> None:
        if self._others is not None:
            self._others.shutdown(cancel_futures=True)

    def map_unordered(self, function: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """`function` of every item, in no order; what a worker raises is raised here. Both must be picklable.

        The others take items from the front; whoever goes through what is made takes, from the back, those that nobody has begun.
        """
        if self._others is None:
            return map(function, items)
        return _made(function, deque((item, self._others.submit(function, item)) for item in items))


def _made(function: Callable[[Item], Made], left: deque[tuple[Item, Future]]) -> Iterator[Made]:
    while left:
        if not left[0][1].done() and left[-1][1].cancel():
            yield function(left.pop()[0])
        else:
            yield left.popleft()[1].result()


def prefetch_map(function: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """`function` of every item, in their order, each worked out in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = None
        for item in items:
            made, waiting = waiting, thread.submit(function, item)
            if made is not None:
                yield made.result()
        if waiting is not None:
            yield waiting.result()


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The items themselves, each worked out in a thread while the one before it is used; once this is closed the thread is through."""
    end = object()
    for item in prefetch_map(lambda _: next(items, end), itertools.count()):
        if item is end:
            return
        yield item


def run_in_background(function: Callable[[], object]) -> None:
    """Let a thread begin with what will be needed later; it ends with this process, and nobody asks what came of it."""
    threading.Thread(target=function, daemon=True).start()


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is there stays: looking through it again and again takes a tenth of the time
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
