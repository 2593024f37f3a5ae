"""Which machine a process runs on, so that another one on it can tell whether it still lives."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


def machine_id() -> str:
    """What all processes share that see one another's numbers: this boot of the machine, and the process namespace.

    Empty where the system does not say.
    """
    try:
        return f"{_BOOT.read_text().strip()}:{_PROCESSES.stat().st_ino}"
    except OSError:
        return ""


def is_gone(machine: str | None, process: int) -> bool:
    """Whether a process of this machine has ended. False where it may live, or runs on another machine."""
    if not machine or machine != machine_id() or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # another user's
    return False
