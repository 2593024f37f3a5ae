"""Threads as a value: concurrent code takes them as an argument, so that a simulation can bring its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Inbox(Protocol):
    """A queue that any thread may put something into."""

    def put(self, item: Any, /) -> None:
        """Add something at the end."""

    def get(self, *, timeout: float | None = None) -> Any:
        """Take the first item, waiting at most this many seconds. Raises queue.Empty."""


class Flag(Protocol):
    """Something that becomes true once."""

    def set(self) -> None:
        """Make it true."""

    def is_set(self) -> bool:
        """Whether it is."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, at most this many seconds. Returns whether it is set."""


class Threads(Protocol):
    """Starts threads, and makes the queues and flags they share."""

    def start(self, work: Callable[[], None], name: str) -> None:
        """Run ``work`` in a daemon thread."""

    def inbox(self) -> Inbox:
        """A new queue."""

    def flag(self) -> Flag:
        """A new flag that is false."""


class SystemThreads:
    """Real ones."""

    def start(self, work: Callable[[], None], name: str) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def inbox(self) -> Inbox:
        return queue.SimpleQueue()

    def flag(self) -> Flag:
        return threading.Event()


SYSTEM_THREADS = SystemThreads()
