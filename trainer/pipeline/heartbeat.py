"""A thread that says again and again that this process lives, while it works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 10.0
"""How often an attempt writes its claim again. Workers take a job over whose claim has not moved for a minute."""


@contextmanager
def heartbeat(beat: Callable[[], None], seconds: float = HEARTBEAT_SECONDS) -> Iterator[None]:
    """Call ``beat`` every ``seconds``, in a thread, until the block is left. An exception from it ends the beats."""
    left = threading.Event()

    def go() -> None:
        while not left.wait(seconds):
            beat()

    thread = threading.Thread(target=go, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
