"""Work done elsewhere, and what follows it done here: one thread owns the state, a pool does the waiting."""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from atb.clock import SYSTEM_CLOCK, Clock
from atb.threads import SYSTEM_THREADS, Threads

_T = TypeVar("_T")

GATHER_SECONDS = 0.02
"""How long what comes together is gathered."""


class RequestPool:
    """A pool of threads and an inbox. Whatever is posted is called by ``drain``, in the thread that calls it."""

    def __init__(self, count: int, clock: Clock = SYSTEM_CLOCK, threads: Threads = SYSTEM_THREADS) -> None:
        self._count, self._clock, self._threads = count, clock, threads
        self._inbox = threads.inbox()
        self._work = threads.inbox()
        self._started = 0
        self._under_way = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_what_is_not_begun()
        while kind is None and self._under_way > 0:  # leave no request in the middle
            self._inbox.get()()
        for _ in range(self._started):
            self._work.put(None)

    def poster(self, handle: Callable[[Any], None]) -> Callable[[Any], None]:
        """A function for any thread, which has ``handle`` called by the owner."""
        return lambda value: self._inbox.put(partial(handle, value))

    def drain(self, seconds: float) -> None:
        """Run the posted callbacks: wait up to ``seconds`` for the first, then a moment for its companions."""
        try:
            first = self._inbox.get(timeout=seconds)
            self._clock.sleep(GATHER_SECONDS)  # in a burst each wake-up would take the interpreter from the senders
            first()
            while True:
                self._inbox.get(timeout=0)()
        except queue.Empty:
            return

    def submit(self, work: Callable[[], _T], done: Callable[[_T], None]) -> None:
        """Do ``work`` in the pool; the owner then calls ``done``, or gets what ``work`` has raised."""
        self._under_way += 1
        if self._started < min(self._count, self._under_way):
            self._started += 1
            self._threads.start(self._serve, f"atb-{self._started}")
        self._work.put((work, done))

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, done = item
            try:
                value = work()
            except BaseException as error:
                self._inbox.put(partial(self._end, _raise, error))
            else:
                self._inbox.put(partial(self._end, done, value))

    def _end(self, action: Callable[[Any], None], value: Any) -> None:
        self._under_way -= 1
        action(value)

    def _forget_what_is_not_begun(self) -> None:
        try:
            while True:
                self._work.get(timeout=0)
                self._under_way -= 1
        except queue.Empty:
            return


def _raise(error: BaseException) -> None:
    raise error
