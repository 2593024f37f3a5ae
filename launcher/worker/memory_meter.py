"""How much memory this container may use and does use, from its control groups of either version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT, PROCESSES = Path("/sys/fs/cgroup"), Path("/proc")
UNLIMITED = 1 << 60
"""What version 1 shows where there is no limit is no less than this."""


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
        self._group = _find_limited(root, processes)
        self.limit: int | None = self._group.limit if self._group else None

    def used(self) -> int:
        if self._group is None:
            return 0
        folder = self._group.folder
        reclaimable = _read_fields(folder / "memory.stat").get(self._group.reclaimable, 0)
        return max(0, (_read_number(folder / self._group.used) or 0) - reclaimable)

    def of(self, process: int) -> int:
        folder = self._processes / str(process)
        held = _read_fields(folder / "smaps_rollup").get("Pss:") or _read_fields(folder / "status").get("VmRSS:", 0)
        return held * 1024


def _find_limited(root: Path, processes: Path) -> Group | None:
    """The group, of this process's and those above it, with the lowest memory limit; None where none has one."""
    try:
        lines = (processes / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    found: list[Group] = []
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers:
            found += _limits(root, own, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):  # in a container its own group may be shown as the root
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            found += _limits(root / "memory", own, *names)
    return min(found, key=lambda group: group.limit, default=None)


def _limits(root: Path, own: str, limit: str, used: str, reclaimable: str) -> list[Group]:
    """The groups on the way from ``own`` up to the root that have a limit."""
    own = own.strip("/")
    folders = [folder for folder in (root / own, *(root / own).parents) if folder.is_relative_to(root)]
    limits = ((_read_number(folder / limit), folder) for folder in folders)
    return [Group(at, folder, used, reclaimable) for at, folder in limits if at is not None and at < UNLIMITED]


def _read_number(path: Path) -> int | None:
    """The number in a file; None for ``max``, or where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _read_fields(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}
