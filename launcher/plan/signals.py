"""SIGINT and SIGTERM, held back until the work can stop in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from atb.errors import Unavailable
from atb.patience import INTERRUPT

Breakable = Callable[[], AbstractContextManager[None]]
"""What to do something in that a stop signal may cut off at any point."""


class Stopping:
    """The signals that have come; called, the first of them, negative once a second has come; None before."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._breakable = False

    def __call__(self) -> int | None:
        came = self._came
        return None if not came else came[0] if len(came) == 1 else -came[0]

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Within, a signal ends the block, even if it waits for a server that says nothing."""
        self._breakable = True
        try:
            yield
        except KeyboardInterrupt:
            if not self._came:
                raise
        finally:
            self._breakable = False

    def hear(self, number: int, _: object) -> None:
        """Take in a signal."""
        self._came.append(number)
        INTERRUPT.stop()
        if self._breakable:
            self._breakable = False
            raise KeyboardInterrupt


@contextmanager
def catch_stop() -> Iterator[Stopping]:
    """Hold back SIGINT and SIGTERM. Waits between two tries at a store or a network end at once; that it did not answer
    is no error then, and only ends the block."""
    stopping = Stopping()
    before = {number: signal.signal(number, stopping.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    except (Unavailable, KeyboardInterrupt):  # a breakable block has ends where a signal is not caught
        if stopping() is None:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
