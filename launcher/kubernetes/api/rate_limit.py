"""A rate cap of our own: the API server is asked no faster than we chose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """At most ``rate`` a second from however many threads, evenly spaced after a burst of a tenth of a second."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / rate
        self._slack = max(0.1, self._interval)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = clock() - self._slack

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock()
            self._next = max(self._next, now - self._slack) + self._interval
            wait = self._next - now
        if wait > 0:
            self._sleep(wait)
