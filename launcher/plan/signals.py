"""SIGINT and SIGTERM, held back until whoever works can stop in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def catch_stop() -> Iterator[Callable[[], int | None]]:
    """Hold back SIGINT and SIGTERM; the value tells the first that came, negative once a second has come."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in (2, 15)}
    try:
        yield lambda: None if not came else came[0] if len(came) == 1 else -came[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
