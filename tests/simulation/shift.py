"""Workers of a packed run in a simulation: they share nothing but the store, and some are killed or set wrong."""

from __future__ import annotations

import queue
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from atb.contract import keys
from atb.documents.plan import PlannedJob
from atb.documents.worker import WorkerState
from atb.errors import AtbError
from launcher.records.board import Board
from launcher.records.leases import DEFAULT_RULES, JobFacts, Standing, classify_job, order_jobs
from launcher.worker.forkserver_client import Ended, Event, Started
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.worker import Settings, Worker
from tests.simulation.kernel import Kernel, Process, VirtualClock, VirtualInbox
from tests.simulation.object_store import ObjectStore, StoreFaults, open_store
from tests.simulation.trainings import make_candidate
from tests.simulation.world import RUN, plan_of
from trainer.pipeline.attempt import Attempt, commit_result

BEAT_SECONDS = 10.0
END_SECONDS = 7200.0


class HastyBoard(Board):
    """A fault planted on purpose: claims lapse by this machine's own clock."""

    def standing(self, job: str) -> Standing:
        return classify_job(self.facts.get(job, JobFacts(job)), self._clock.now(), self.since, self._rules)


@dataclass(frozen=True)
class NoLimit:
    """A container without a memory limit."""

    limit: int | None = None

    def used(self) -> int:
        return 0

    def of(self, process: int) -> int:
        return 0


class Shift:
    """Some workers and a few jobs, as one seed has it."""

    def __init__(
        self, seed: int, jobs: int = 4, workers: int = 3, board: type[Board] = Board, *, drawn: bool = True
    ) -> None:
        """``drawn``: whether faults are drawn; else there are none but those that the caller adds."""
        self.kernel, self.random, self.board, self.drawn = Kernel(seed), random.Random(seed), board, drawn
        self.plan, self.store = plan_of(jobs), ObjectStore(self.kernel)
        chance = self.random
        if drawn:
            self.store.faults = StoreFaults(error=chance.choice([0.0, 0.1]), lost=chance.choice([0.0, 0.1]))
        self.workers = workers
        self.training: dict[str, Process] = {}
        self.processes: list[Process] = []
        self.violations: list[str] = []
        self.store.on_write = self._on_write

    def run(self) -> list[str]:
        """Live through it; the violations, of which there should be none."""
        processes = self.processes = [self._start(number) for number in range(self.workers)]
        for number, process in enumerate(processes[:-1]):
            if self.drawn and self.random.random() < 0.5:
                self.kernel.at(self.random.uniform(5, 200), process.kill)
                self.kernel.at(self.random.uniform(200, 400), partial(self._start, number))
        self.kernel.run(self._is_done, END_SECONDS)
        if not self._is_done():
            self.violations.append("not every job is done")
        self.kernel.close()
        return [*self.violations, *self.kernel.crashes]

    def train(self, planned: PlannedJob, number: int, process: Process) -> None:
        """A training that renews its claim while it works. Nobody else may have the job meanwhile."""
        clock, store = VirtualClock(process), open_store(self.store, process)
        attempt = Attempt(store, RUN, planned.job, number, clock)
        other = self.training.get(planned.job)
        if other is not None and other.alive:
            self.violations.append(f"{self.kernel.time:.3f} {process.name} takes {planned.job} from {other.name}")
        self.training[planned.job] = process
        for _ in range(9):
            clock.sleep(BEAT_SECONDS)
            attempt.renew()
        commit_result(store, make_candidate(self.plan, planned, attempt.number))
        attempt.end(0, "", "end", b"")

    def _is_done(self) -> bool:
        return all(keys.result(RUN, planned.job) in self.store.objects for planned in self.plan.jobs)

    def _on_write(self, key: str, old: bytes | None, new: bytes) -> None:
        if old is not None and old != new and key.endswith(("result.json", "claim.json")):
            self.violations.append(f"{self.kernel.time:.3f} {key} is changed")

    def replace_worker(self, number: int) -> None:
        """Kill a worker, and start it again some minutes later."""
        self.processes[number].kill()
        self.kernel.at(300.0, partial(self._start, number))

    def _start(self, number: int) -> Process:
        skew = self.random.choice([0.0, 0.0, -7200.0, 7200.0]) if self.drawn else 0.0
        process = Process(self.kernel, f"worker-{number}", skew)
        clock, store = VirtualClock(process), open_store(self.store, process).within(5.0)
        now = datetime.fromtimestamp(clock.now(), UTC)
        name = f"{process.name}-{self.kernel.time:.0f}"
        me = WorkerState(worker=name, host="sim", slots=1, gpus=0, started=now, updated=now)

        def work() -> None:
            mine = order_jobs(self.plan.to_run, number, self.workers)
            board = self.board(self.plan, mine, store, me, clock, DEFAULT_RULES)
            trainings = SimulatedTrainings(self, process)
            process.on_kill = trainings.kill_all
            try:
                board.open()
                settings, slots = Settings(place=(number, self.workers)), MachineSlots(1, 1)
                Worker(self.plan, board, store, trainings, slots, NoLimit(), Path("none"), clock, settings).work(
                    lambda: None
                )
            except AtbError as error:
                self.kernel.log(process.name, f"leaves: {error}")
            trainings.kill_all()
            process.end()

        process.start(work)
        return process


class SimulatedTrainings:
    """What a worker's fork server does, on virtual time."""

    def __init__(self, shift: Shift, worker: Process) -> None:
        self._shift, self._worker = shift, worker
        self._inbox = VirtualInbox(worker.kernel)
        self._children: dict[str, Process] = {}

    def start(
        self, name: str, arguments: Sequence[str], log: str, environment: Mapping[str, str] | None = None
    ) -> None:
        shift, kernel = self._shift, self._worker.kernel
        # a moment apart from all others, since claims tell trainings by process, host and time, and here only by time
        skew = self._worker.skew + kernel.random.uniform(0, 0.01)
        child = Process(kernel, f"{self._worker.name}-{name[:3]}", skew)
        number = int(arguments[list(arguments).index("--attempt") + 1])
        planned = next(each for each in shift.plan.jobs if each.job == name)
        self._children[name] = child
        self._inbox.put(Started(name, 1))  # not what claims say: all of them are of this one process

        def work() -> None:
            try:
                shift.train(planned, number, child)
                code = 0
            except AtbError as error:
                code = error.exit_code
            self._children.pop(name, None)
            child.alive = False
            self._inbox.put(Ended(name, code, None))

        child.start(work)

    def stop(self, name: str, number: int = 15) -> None:
        if child := self._children.pop(name, None):
            child.kill()
            self._inbox.put(Ended(name, None, 9))

    def events(self, seconds: float) -> Iterator[Event]:
        try:
            yield self._inbox.get(timeout=max(seconds, 1.0))
        except queue.Empty:
            return

    def kill_all(self) -> None:
        """They die with their worker."""
        for child in self._children.values():
            child.kill()
