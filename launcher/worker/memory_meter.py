"""How much memory this container may use and does use, from its control groups (version 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

ROOT, PROCESSES = Path("/sys/fs/cgroup"), Path("/proc")


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
    """The tightest limit of this process's control groups (version 2)."""

    def __init__(self, root: Path = ROOT, processes: Path = PROCESSES) -> None:
        self._processes = processes
        self._group = _find_limited(root, processes)
        self.limit: int | None = _read_number(self._group / "memory.max") if self._group else None

    def used(self) -> int:
        if self._group is None:
            return 0
        reclaimable = _read_fields(self._group / "memory.stat").get("inactive_file", 0)
        return max(0, (_read_number(self._group / "memory.current") or 0) - reclaimable)

    def of(self, process: int) -> int:
        folder = self._processes / str(process)
        held = _read_fields(folder / "smaps_rollup").get("Pss:") or _read_fields(folder / "status").get("VmRSS:", 0)
        return held * 1024


def _find_limited(root: Path, processes: Path) -> Path | None:
    """The group, of this process's and those above it, with the lowest memory limit; None where none has one."""
    try:
        lines = (processes / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return None
    folders = [folder for folder in (root / own, *(root / own).parents) if folder.is_relative_to(root)]
    limits = ((_read_number(folder / "memory.max"), folder) for folder in folders)
    limited = [(limit, folder) for limit, folder in limits if limit is not None]
    return min(limited)[1] if limited else None


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
