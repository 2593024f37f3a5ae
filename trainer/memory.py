"""The memory of this process: how much it was, and giving back what is free."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def peak_memory() -> int:
    """The most memory this process has had resident, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    # counts what the process that started this one held, so it comes second
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def keep_little_memory() -> None:
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


def give_back_memory() -> None:
    """Return what is free now, where the C library can: XLA's compiler leaves tens of MB of it behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
