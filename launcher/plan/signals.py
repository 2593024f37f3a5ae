"""SIGINT and SIGTERM, held back until the work can stop in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from atb.patience import INTERRUPT


@contextmanager
def catch_stop(*, at_once: bool = False) -> Iterator[Callable[[], int | None]]:
    """Hold back SIGINT and SIGTERM; the value is the first that came, negative once a second has come.

    Waits for a store or a network end at once. ``at_once``: so does the block, whatever it is in the middle of, even
    the silence of a server.
    """
    came: list[int] = []

    def hear(number: int, _: object) -> None:
        came.append(number)
        INTERRUPT.stop()
        if at_once:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: None if not came else came[0] if len(came) == 1 else -came[0]
    except KeyboardInterrupt:
        if not came:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
