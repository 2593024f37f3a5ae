"""SIGTERM to a container's first process, which the kernel drops until there is a handler for it."""

from __future__ import annotations

import os
import signal


def end_on_sigterm() -> None:
    """As process 1, end at SIGTERM from here on; whoever has something to save puts a handler of its own in place.

    Called before anything is imported that takes a while. In our Pods nothing of ours is process 1, so that not even
    the interpreter's first moment is deaf; this is for ``docker run`` and Pods made by others.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
