"""Which machine a process runs on, whether another one on it still lives, and what CPUs and memory one may use."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")
_CGROUP = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")
MEMORY_LIMITS = ("memory.max", "memory.limit_in_bytes")
"""A control group's memory limit, in version 2 and 1."""
_MOST_PROCESSES = 1 << 22
"""A kernel's bound on their numbers; a document can name any."""
_MOST_DIGITS = 19
"""Of what a kernel counts, which has 63 bits."""


@cache
def machine_id() -> str:
    """What processes that see each other's PIDs share: this boot of the machine and the PID namespace.

    Empty where the system does not say.
    """
    try:
        return f"{_BOOT.read_text().strip()}:{_PROCESSES.stat().st_ino}"
    except OSError:
        return ""


def is_gone(machine: str | None, process: int) -> bool:
    """Whether a process of this machine has ended. False if it may be alive or runs on another machine."""
    if not machine or machine != machine_id() or not 0 < process < _MOST_PROCESSES:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # another user's
    return False


def process_seconds(process: Path = _PROCESS) -> float:
    """How long this process has lived; 0 where the system does not say. A forked one begins at the fork."""
    words = _read(process / "stat").rpartition(")")[2].split()
    if len(words) < 20 or not words[19].isdigit():
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK"))


def group_folders(controller: str, cgroup: Path = _CGROUP, process: Path = _PROCESS) -> list[Path]:
    """The folders of the control groups that may limit ``controller`` (``cpu``, ``memory``) for this process: its own
    and those above it, of version 1 or 2.

    The roots count in any case: in a container its own group is mostly shown as the root.
    """
    folders = [cgroup, cgroup / controller]
    for line in _read(process / "cgroup").splitlines():
        controllers, _, own = line.partition(":")[2].partition(":")
        below = own.strip("/")
        if ".." in below.split("/") or (controllers and controller not in controllers.split(",")):
            continue  # outside of what this container sees, or another's
        for root in [cgroup / controllers, cgroup / controller] if controllers else [cgroup]:
            folders += [each for each in (root / below, *(root / below).parents) if each.is_relative_to(root)]
    return list(dict.fromkeys(folders))


def read_limit(path: Path) -> int | None:
    """The number in a file of a control group; None for ``max``, nonsense, or where there is no such file."""
    return _limit(_read(path))


def cpu_quota(cgroup: Path = _CGROUP, process: Path = _PROCESS) -> float | None:
    """The tightest CPU limit of this process's control groups; None where none has one. A Pod sees its node's cores all
    the same.

    Read from ``cpu.max`` of version 2 or ``cpu.cfs_quota_us`` of version 1.
    """
    limits = (_read_quota(folder) for folder in group_folders("cpu", cgroup, process))
    return min((limit for limit in limits if limit is not None), default=None)


def _read_quota(folder: Path) -> float | None:
    words, _, more = _read(folder / "cpu.max").partition(" ")
    quota, period = _limit(words), _limit(more)
    if not words:
        quota, period = read_limit(folder / "cpu.cfs_quota_us"), read_limit(folder / "cpu.cfs_period_us")
    return None if quota is None or period is None else quota / period


def memory_limit(cgroup: Path = _CGROUP, process: Path = _PROCESS) -> int | None:
    """The tightest memory limit of this process's control groups in bytes; None where none has one."""
    files = (folder / name for folder in group_folders("memory", cgroup, process) for name in MEMORY_LIMITS)
    return min((limit for path in files if (limit := read_limit(path)) is not None), default=None)


def usable_cpus(cgroup: Path = _CGROUP, process: Path = _PROCESS) -> int:
    """The whole CPUs that this process may use: those it may run on, within the container's limit; at least one."""
    cores, quota = len(os.sched_getaffinity(0)), cpu_quota(cgroup, process)
    return max(1, min(cores, int(quota))) if quota is not None else cores


def _limit(text: str) -> int | None:
    return int(text) or None if text.isdigit() and len(text) <= _MOST_DIGITS else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # bytes that are no text
        return ""
