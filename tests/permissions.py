"""Permissions that count for root as well: the suite may run as root, whom no mode keeps out."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_SYSTEM = ctypes.CDLL(None, use_errno=True)
_VERSION_3 = 0x20080522
_OVERRIDES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
_Words = ctypes.c_uint32 * 6
"""Effective, permitted and inheritable capabilities, the lower 32 of each and then the upper."""


@contextlib.contextmanager
def kept_out(*paths: Path, mode: int = 0) -> Iterator[None]:
    """These files and folders have that mode, and nobody is above it, in this thread and in those that it begins.

    It does not hold for a subprocess: ``exec`` gives root its rights back.
    """
    before = [(path, path.stat().st_mode) for path in paths]
    words = _Words()
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    if os.geteuid() == 0:
        assert _SYSTEM.capget(header, words) == 0
    kept = words[0]
    try:
        for path in paths:
            path.chmod(mode)
        _set(words, kept & ~_OVERRIDES)
        yield
    finally:
        _set(words, kept)
        for path, old in before:
            path.chmod(old)


def _set(words: ctypes.Array[ctypes.c_uint32], effective: int) -> None:
    if os.geteuid() == 0:
        words[0] = effective
        assert _SYSTEM.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), words) == 0, os.strerror(ctypes.get_errno())
