"""Work done elsewhere, and what follows it done here: one thread owns the state, a pool does the waiting."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")

GATHER_SECONDS = 0.02
"""How long what comes together is gathered."""


class RequestPool:
    """A pool of threads and an inbox. Whatever is posted is called by ``drain``, in the thread that calls it."""

    def __init__(self, count: int) -> None:
        self.busy: set[str] = set()
        """Names of works that are under way; a name has one at a time."""
        self.unnamed = 0
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="atb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.busy and self.unnamed == 0

    def post(self, message: Callable[[], None]) -> None:
        """Have something called by the owner; from any thread."""
        self._inbox.put(message)

    def poster(self, handle: Callable[[_T], None]) -> Callable[[_T], None]:
        """A function for other threads that has ``handle`` called by the owner."""
        return lambda value: self._inbox.put(partial(handle, value))

    def drain(self, seconds: float) -> None:
        """Call what has been posted, waiting for the first at most so long, and then a moment for its companions."""
        try:
            first = self._inbox.get(timeout=seconds)
            time.sleep(GATHER_SECONDS)  # in a burst each wake-up would take the interpreter from the senders
            first()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            return

    def submit(
        self,
        name: str,
        work: Callable[[], _T],
        done: Callable[[_T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Do ``work`` in the pool; ``done`` or ``failed`` is called by the owner. An empty name is not kept as busy."""
        self._begin(name)

        def finish(action: Callable[[Any], None], value: Any) -> None:
            self._end(name)
            action(value)

        def attempt() -> None:
            try:
                value = work()
            except BaseException as error:
                self._inbox.put(partial(finish, failed, error))
            else:
                self._inbox.put(partial(finish, done, value))

        self._pool.submit(attempt)

    def _begin(self, name: str) -> None:
        if name:
            assert name not in self.busy, name
            self.busy.add(name)
        else:
            self.unnamed += 1

    def _end(self, name: str) -> None:
        if name:
            self.busy.discard(name)
        else:
            self.unnamed -= 1
