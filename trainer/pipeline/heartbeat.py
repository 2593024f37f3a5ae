"""A thread that reports at intervals that this process is alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atb.patience import INTERRUPT, LAST_SECONDS

HEARTBEAT_SECONDS = 10.0
"""How often an attempt renews its claim. Workers take over a job whose claim has not changed for a minute."""


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
        thread.join(LAST_SECONDS if INTERRUPT.count else None)  # it may wait for a silent store
