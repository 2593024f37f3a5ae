"""The same work on many items at once, which Ctrl-C and SIGTERM end immediately: no waiting thread is joined."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from atb.threads import SYSTEM_THREADS, Threads

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def work_all(
    work: Callable[[_Item], _Found], items: Sequence[_Item], at_once: int, threads: Threads = SYSTEM_THREADS
) -> Iterator[tuple[_Item, _Found]]:
    """Each item with what ``work`` makes of it, as they are done. After a failure nothing more is
    begun; work in progress is still given, and then the failure is raised.

    When the caller leaves early, that is left to threads which the process does not wait for.
    """
    waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_Item, _Found | None, BaseException | None]] = queue.SimpleQueue()
    stopped, begun = threads.flag(), list[_Item]()
    for item in items:
        waiting.put(item)

    def take() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            begun.append(item)
            try:
                done.put((item, work(item), None))
            except BaseException as error:
                done.put((item, None, error))

    for number in range(min(at_once, len(items))):
        threads.start(take, f"bars-{number}")
    failure: BaseException | None = None
    ended = 0
    try:
        while ended < (len(items) if failure is None else len(begun)):
            item, found, error = done.get()
            ended += 1
            if error is None:
                yield item, found  # type: ignore[misc]
            else:
                failure = failure or error
                stopped.set()
    finally:
        stopped.set()
    if failure is not None:
        raise failure
