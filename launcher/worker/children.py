"""The trainings of a worker while they run, and the one that is ended when they need more memory than there is."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atb.clock import Clock
from launcher.records.leases import OOM
from launcher.worker.admission import Occupant, find_outgrown
from launcher.worker.ending import Cause
from launcher.worker.forkserver_client import Event
from launcher.worker.memory_meter import MemoryMeter

MEASURE_SECONDS = 1.0
"""How often each training is measured while there is room; where there is little, at every tick."""
USABLE = 0.85
"""The share of the container's memory that goes to trainings; the rest is for the worker and its fork server."""


class Trainings(Protocol):
    """What starts, stops and reports trainings: ``ForkServerClient``, or a simulation's."""

    def start(
        self, name: str, arguments: Sequence[str], log: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Have a training started. Raises Unavailable."""

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """Send a training a signal. Raises Unavailable."""

    def events(self, seconds: float) -> Iterator[Event]:
        """The events so far, waiting up to ``seconds`` for the first. Raises Unavailable."""


@dataclass
class Child:
    """A training of this worker's."""

    job: str
    attempt: int
    gpu: str
    alone: bool
    reserved: int
    began: float
    """By the monotonic clock."""
    pid: int = 0
    used: int = 0
    peak: int = 0
    cause: Cause | None = None
    """Why it was ended by this worker."""
    committed_at: float | None = None
    """When its job was first seen to have a result."""

    @property
    def occupant(self) -> Occupant:
        """What admission counts of it."""
        return Occupant(self.job, self.alone, self.reserved, self.used)


class MemoryGuard:
    """Measures trainings, and names the one to end before the kernel ends all of them."""

    def __init__(self, meter: MemoryMeter, clock: Clock) -> None:
        self._meter, self._clock = meter, clock
        self._measured = clock.monotonic() - MEASURE_SECONDS

    @property
    def memory(self) -> int | None:
        """The bytes that all trainings together may have; None without a limit."""
        return None if self._meter.limit is None else int(self._meter.limit * USABLE)

    def watch(self, children: Sequence[Child]) -> tuple[Child, Cause] | None:
        """The training to end, and why; one at a time, since what it held takes a moment to be free."""
        limit, now = self._meter.limit, self._clock.monotonic()
        if limit is None or not children or any(child.cause for child in children):
            return None
        used = self._meter.used()
        full = find_outgrown([child.occupant for child in children], used, limit) is not None
        if not full and now - self._measured < MEASURE_SECONDS:
            return None
        self._measured = now
        for child in children:
            child.used = self._meter.of(child.pid) if child.pid else 0
            child.peak = max(child.peak, child.used)
        outgrown = find_outgrown([child.occupant for child in children], used, limit)
        if outgrown is None:
            return None
        words = f"it used {outgrown.used >> 20} MiB when {used >> 20} of {limit >> 20} MiB were used"
        return next(child for child in children if child.job == outgrown.job), Cause(137, OOM, words)
