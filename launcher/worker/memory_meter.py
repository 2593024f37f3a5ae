"""How much memory this container may use and does use, from its control groups of either version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from atb.machine import MEMORY_LIMITS, group_folders, read_limit

ROOT, PROCESSES = Path("/sys/fs/cgroup"), Path("/proc")
UNLIMITED = 1 << 60
"""What version 1 shows where there is no limit is no less than this."""
_USED = (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file"))
"""The file of what is used, by version as the limits, and the field of ``memory.stat`` for what can be reclaimed."""


@dataclass(frozen=True, slots=True)
class Group:
    """A control group with a limit, and what its version calls its files."""

    limit: int
    folder: Path
    used: str
    reclaimable: str


class MemoryMeter(Protocol):
    """All amounts are bytes."""

    @property
    def limit(self) -> int | None:
        """Where the kernel ends the container; None where it has no limit."""

    def used(self) -> int:
        """Memory that counts against the limit and can't be reclaimed."""

    def of(self, process: int) -> int:
        """What one process holds, pages that it shares counted in parts; 0 where that can't be read."""


class CgroupMeter:
    """The tightest limit of this process's control groups."""

    def __init__(self, root: Path = ROOT, processes: Path = PROCESSES) -> None:
        self._processes = processes
        self._group = _find_limited(root, processes / "self")
        self.limit: int | None = self._group.limit if self._group else None

    def used(self) -> int:
        if self._group is None:
            return 0
        folder = self._group.folder
        reclaimable = _read_fields(folder / "memory.stat").get(self._group.reclaimable, 0)
        return max(0, (read_limit(folder / self._group.used) or 0) - reclaimable)

    def of(self, process: int) -> int:
        folder = self._processes / str(process)
        held = _read_fields(folder / "smaps_rollup").get("Pss:") or _read_fields(folder / "status").get("VmRSS:", 0)
        return held * 1024


def _find_limited(root: Path, process: Path) -> Group | None:
    """The group, of this process's and those above it, with the lowest memory limit; None where none has one."""
    names = dict(zip(MEMORY_LIMITS, _USED, strict=True))
    found = (
        Group(limit, folder, *names[name])
        for folder in group_folders("memory", root, process)
        for name in names
        if (limit := read_limit(folder / name)) is not None and limit < UNLIMITED
    )
    return min(found, key=lambda group: group.limit, default=None)


def _read_fields(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}
