"""The memory of this process: how much it was, what stays, and giving back what is free."""

from __future__ import annotations

import ctypes
import gc
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def peak_memory() -> int:
    """The most memory this process has had resident, in bytes."""
    try:
        if found := re.search(rb"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_bytes(), re.MULTILINE):
            return int(found[1]) * 1024
    except OSError:
        pass  # not Linux
    # counts what the process that started this one held, so it comes second
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Exclude objects created in this block from garbage collection: for imports, which last until the process ends.

    Looking for garbage among all that TensorFlow loads takes a fifth of its import and two seconds of the process's
    end. A forked child that looked would write to every page it shares with its parent, and so copy it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune_malloc() -> None:
    """Have freed memory go back to the system from now on, where the C library can.

    glibc keeps ever more of it as a process frees ever larger pieces, and Arrow's own pool keeps what a table took.
    Call it once, before the work begins.
    """
    import pyarrow

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_TRIM_THRESHOLD, 128 << 10)
        set_option(_M_MMAP_THRESHOLD, 1 << 20)


def trim_malloc() -> None:
    """Return what is free now, where the C library can: XLA's compiler leaves tens of MB of it behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
