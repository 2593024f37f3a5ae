"""A rate limit of our own on requests to the API server."""

from __future__ import annotations

import threading

from atb.clock import SYSTEM_CLOCK, Clock


class RateLimit:
    """At most ``rate`` a second from however many threads, evenly spaced after a burst of a tenth of a second."""

    def __init__(
        self,
        rate: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._interval = 1 / rate
        self._slack = max(0.1, self._interval)
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock.monotonic() - self._slack

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock.monotonic()
            self._next = max(self._next, now - self._slack) + self._interval
            wait = self._next - now
        if wait > 0:
            self._clock.sleep(wait)
