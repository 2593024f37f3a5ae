"""Many calls of a store, as many at a time as it answers faster for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from atb.storage.store import Store

_A = TypeVar("_A")
_B = TypeVar("_B")

_AHEAD = 4
"""Calls begun ahead for each thread: what they return can be large, so never all of it is held."""


def map_calls(store: Store, call: Callable[[_A], _B], items: Iterable[_A]) -> Iterator[_B]:
    """What ``call`` returns for each item, in order; it is called from up to ``store.concurrency`` threads. Raises what
    the call raises."""
    if store.concurrency == 1:
        yield from map(call, items)
        return
    begun: deque[Future[_B]] = deque()
    with ThreadPoolExecutor(store.concurrency) as pool:
        try:
            for item in items:
                begun.append(pool.submit(call, item))
                if len(begun) >= _AHEAD * store.concurrency:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
