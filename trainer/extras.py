"""Libraries that other libraries load only because they are there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Within, these packages can't be found by whoever would use them if they were there; those loaded already can.

    Keras wraps scikit-learn and draws by matplotlib, TA-Lib takes pandas' columns: loading all that for nothing is a
    quarter of a training's start and 70 MB.
    """
    names = [name for name in packages if name not in sys.modules]
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # what the import system reads as absent
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
