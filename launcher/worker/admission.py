"""Which job a worker begins next, and which it ends when memory runs out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FULL = 0.92
"""The share of the memory at which a training is ended: the kernel would end the whole container a little later."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that can be taken. ``need``: the bytes it is known to need, 0 where nothing is known."""

    job: str
    attempt: int
    alone: bool = False
    need: int = 0


@dataclass(frozen=True, slots=True)
class Occupant:
    """A training that runs. ``used``: what it holds now, in bytes, the shared pages counted in parts."""

    job: str
    alone: bool = False
    reserved: int = 0
    used: int = 0


def admit(candidates: Iterable[Candidate], running: Sequence[Occupant], slots: int, memory: int | None) -> str | None:
    """The first candidate that fits besides what runs. ``memory``: the bytes all trainings may have, if known.

    One that runs alone waits until nothing else does, and whatever needs more than all of the memory runs alone too.
    """
    if len(running) >= slots or any(occupant.alone for occupant in running):
        return None
    taken = sum(max(occupant.reserved, occupant.used) for occupant in running)
    for candidate in candidates:
        if not running:
            return candidate.job
        if candidate.alone:
            continue
        if memory is None or taken + reserve(candidate, slots, memory) <= memory:
            return candidate.job
    return None


def reserve(candidate: Candidate, slots: int, memory: int | None) -> int:
    """The bytes kept for a job: all of them where it runs alone, a slot's share where its need is not known."""
    if memory is None:
        return 0
    if candidate.alone:
        return memory
    return min(candidate.need or memory // slots, memory)


def find_outgrown(running: Sequence[Occupant], used: int, limit: int) -> Occupant | None:
    """The training to end, where the memory is nearly full: the one that is furthest above what is kept for it."""
    if used < FULL * limit or not running:
        return None
    return max(running, key=lambda occupant: occupant.used - occupant.reserved)
