"""The trainings of a simulated worker: what its fork server does, and what the kernel does to its container."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from atb.contract import keys
from atb.errors import AtbError
from launcher.worker.admission import FULL
from launcher.worker.forkserver_client import Ended, Event, Started
from tests.simulation.container import STEP, STEP_SECONDS, Appetite, Container
from tests.simulation.kernel import Process, VirtualInbox
from tests.simulation.world import RUN

if TYPE_CHECKING:
    from tests.simulation.shift import Shift

FIRST_PROCESS = 1 << 23
"""Above every number that a real process can have."""


@dataclass(frozen=True, slots=True)
class Running:
    """A training: its process, under what number, and the attempt it is to claim."""

    number: int
    process: Process
    attempt: int


class SimulatedTrainings:
    """What a worker's fork server does, on virtual time."""

    def __init__(self, shift: Shift, worker: Process, number: int) -> None:
        self.container = Container(shift.limit)
        self._shift, self._worker, self._number = shift, worker, number
        self._inbox = VirtualInbox(worker.kernel)
        self._children: dict[str, Running] = {}

    def start(
        self, name: str, arguments: Sequence[str], log: str, environment: Mapping[str, str] | None = None
    ) -> None:
        shift, kernel = self._shift, self._worker.kernel
        if beside := [each for each in (name, *self._children) if self._children and shift.outgrown[each]]:
            shift.violate(f"{beside[0]} is to have a worker to itself, and {name} begins beside {list(self._children)}")
        own = FIRST_PROCESS + len(shift.children)
        child = shift.children[own] = Process(kernel, f"{self._worker.name}-{name[:3]}", self._worker.skew)
        number = int(arguments[list(arguments).index("--attempt") + 1])
        planned = next(each for each in shift.plan.jobs if each.job == name)
        self._children[name] = Running(own, child, number)
        self._inbox.put(Started(name, own))

        def work() -> None:
            try:
                shift.train(planned, number, child, own)
                code = 0
            except AtbError as error:
                code = error.exit_code
            self._forget(name)
            child.alive = False
            self._inbox.put(Ended(name, code, None))

        child.start(work)
        if shift.limit is not None:
            self._let_grow(own, child, shift.appetites[name])

    def stop(self, name: str, number: int = 15) -> None:
        if name in self._children:
            if self.container.limit and self.container.used() >= FULL * self.container.limit:
                self._count(name)
            self._kill(name)

    def events(self, seconds: float) -> Iterator[Event]:
        try:
            yield self._inbox.get(timeout=max(seconds, 1.0))
        except queue.Empty:
            return

    def kill_all(self) -> None:
        """They die with their worker."""
        for name in list(self._children):
            self._cut_off(name)

    def _count(self, name: str) -> None:
        """An attempt is lost for memory; a process that has not claimed one yet is none."""
        claim = keys.attempt(RUN, name, self._children[name].attempt, "claim.json")
        self._shift.outgrown[name] += claim in self._shift.store.objects

    def _cut_off(self, name: str) -> None:
        self._shift.cut_off[name] += 1
        self._kill(name)

    def _kill(self, name: str) -> None:
        child = self._forget(name)
        child.kill()
        self._inbox.put(Ended(name, None, 9))

    def _forget(self, name: str) -> Process:
        child = self._children.pop(name)
        self.container.held.pop(child.number, None)
        return child.process

    def _let_grow(self, own: int, child: Process, appetite: Appetite) -> None:
        kernel, held = self._worker.kernel, self.container.held
        held[own] = min(appetite.most, 100)

        def grow() -> None:
            if not child.alive:
                return
            held[own] = appetite.most if appetite.sudden else min(appetite.most, held[own] + STEP)
            if self.container.full:
                self._overflow()
            elif held[own] < appetite.most:
                kernel.at(STEP_SECONDS, grow)

        # soon enough that what is too large reaches the limit before it has trained to its end
        kernel.at(self._shift.random.uniform(1, 20), grow)

    def _overflow(self) -> None:
        """The kernel ends the largest training, or all there is in the container, which begins again."""
        shift = self._shift
        largest = max(self._children, key=lambda name: self.container.of(self._children[name].number))
        shift.kernel.log(self._worker.name, "has no memory left")
        for name in list(self._children) if shift.ends_all else [largest]:
            self._count(name)
        if shift.ends_all:
            self._worker.kill()
            shift.restart(self._number, shift.random.uniform(10, 30))
        else:
            self._cut_off(largest)
