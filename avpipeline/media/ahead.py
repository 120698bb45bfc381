"""Runs a generator ahead of its consumer: the next clips are decoded while the networks are busy with this one."""

import concurrent.futures
from collections import deque
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(made: Generator[T, None, None], ready: int = 1) -> Iterator[T]:
    """Yields what a generator yields, in order, while a thread of its own computes the next results.

    At most `ready` results wait beside the one that was taken last. An exception of the generator is raised where its
    result would be taken. However the loop over the results ends, the thread stops after its current call.
    """
    waiting: deque[concurrent.futures.Future] = deque()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        waiting.extend(pool.submit(next, made, _END) for _ in range(ready))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, made, _END))
            yield item
    finally:
        for future in waiting:
            future.cancel()
        pool.submit(made.close)
        pool.shutdown(wait=False)
