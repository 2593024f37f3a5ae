"""Which machine a process runs on, whether another one on it still lives, and how many CPUs a process may use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")
_CGROUP = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")


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


def process_seconds(process: Path = _PROCESS) -> float:
    """How long this process has lived; 0 where the system does not say. A forked one begins at the fork."""
    words = _read(process / "stat").rpartition(")")[2].split()
    if len(words) < 20 or not words[19].isdigit():
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK"))


def cpu_quota(cgroup: Path = _CGROUP, process: Path = _PROCESS) -> float | None:
    """The tightest CPU limit of this process's control groups; None where none has one. A Pod sees its node's cores all
    the same.

    Read from ``cpu.max`` of version 2 or ``cpu.cfs_quota_us`` of version 1, of its own group and those above it. In a
    container its own group is mostly shown as the root.
    """
    groups = (
        (root, each) for root, own in _cpu_groups(cgroup, process) for each in (root / own, *(root / own).parents)
    )
    limits = (_read_quota(folder) for root, folder in groups if folder.is_relative_to(root))
    return min((limit for limit in limits if limit is not None), default=None)


def _cpu_groups(cgroup: Path, process: Path) -> Iterator[tuple[Path, str]]:
    """Where the groups that limit CPUs are mounted, and this process's own group below that."""
    yield cgroup, ""
    yield cgroup / "cpu", ""
    for line in _read(process / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, own = rest.partition(":")
        below = own.strip("/")
        if ".." in below.split("/"):
            continue  # outside of what this container sees
        if not controllers:
            yield cgroup, below
        elif "cpu" in controllers.split(","):
            yield cgroup / controllers, below
            yield cgroup / "cpu", below


def _read_quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def usable_cpus(cgroup: Path = _CGROUP, process: Path = _PROCESS) -> int:
    """The whole CPUs that this process may use: those it may run on, within the container's limit; at least one."""
    cores, quota = len(os.sched_getaffinity(0)), cpu_quota(cgroup, process)
    return max(1, min(cores, int(quota))) if quota is not None else cores


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
