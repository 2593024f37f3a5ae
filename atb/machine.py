"""Which machine a process runs on, whether another one on it still lives, and how many CPUs a process may use."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")
_CGROUP = Path("/sys/fs/cgroup")


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
    if not machine or machine != machine_id() or process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # another user's
    return False


def process_seconds(process: Path = Path("/proc/self")) -> float:
    """How long this process has lived; 0 where the system does not say. A forked one begins at the fork."""
    words = _read(process / "stat").rpartition(")")[2].split()
    if len(words) < 20 or not words[19].isdigit():
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK"))


def cpu_quota(cgroup: Path = _CGROUP) -> float | None:
    """The container's CPU limit; None where there is none. A Pod sees its node's cores all the same.

    Read from ``cpu.max`` of cgroup v2 or ``cpu.cfs_quota_us`` of v1.
    """
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(cgroup / "cpu" / "cpu.cfs_quota_us"), _read(cgroup / "cpu" / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """The whole CPUs that this process may use: those it may run on, within the container's limit; at least one."""
    cores, quota = len(os.sched_getaffinity(0)), cpu_quota(cgroup)
    return max(1, min(cores, int(quota))) if quota is not None else cores


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
