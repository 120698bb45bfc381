"""Work ahead of its consumer: the next clips are decoded while the networks are busy with this one."""

import concurrent.futures
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

S, T = TypeVar("S"), TypeVar("T")
_END = object()


def in_order(function: Callable[[S], T], items: Iterable[S], *, threads: int, ready: int) -> Generator[T, None, None]:
    """Yields `function(item)` for each item in order, while threads compute the next `ready` results.

    An exception of the function is raised where its result would be taken. However the loop over the results ends, the
    threads stop after their current call, once nothing refers to this generator any more.
    """
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    rest = (pool.submit(function, item) for item in items)
    try:
        waiting = deque(itertools.islice(rest, ready))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(itertools.islice(rest, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def ahead(made: Generator[T, None, None]) -> Iterator[T]:
    """Yields what a generator yields, in order, while a thread of its own computes the next result.

    One result at most waits beside the one that was taken last; exceptions and the end are as for `in_order`.
    """
    pool = concurrent.futures.ThreadPoolExecutor(1)
    waiting = pool.submit(next, made, _END)
    try:
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, made, _END)
            yield item
    finally:
        waiting.cancel()
        pool.submit(made.close)
        pool.shutdown(wait=False)
