"""The clock as a value: code that waits or reads the time takes one, so that a test can bring its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Times are seconds; ``now`` counts since 1970 UTC, ``monotonic`` from anywhere and never back."""

    def now(self) -> float:
        """The time of day, which may jump."""

    def monotonic(self) -> float:
        """For measuring how long something takes."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """This machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
