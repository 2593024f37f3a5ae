"""Workers of a packed run in a simulation: they share nothing but the store, and some are killed, set wrong or out of
memory."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from atb.contract import keys
from atb.documents.attempt import KILLED, Claim, Progress
from atb.documents.plan import PlannedJob
from atb.documents.result import ResultPointer
from atb.documents.worker import WorkerState
from atb.errors import AtbError
from launcher.records.attempt_facts import AttemptReader
from launcher.records.board import Board
from launcher.records.leases import DEFAULT_RULES, OOM, JobFacts, Standing, classify_job, order_jobs
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.worker import Settings, Worker
from tests.simulation.container import LIMIT, Appetite, draw_appetite
from tests.simulation.forks import SimulatedTrainings
from tests.simulation.kernel import START, Kernel, Process, VirtualClock
from tests.simulation.object_store import ObjectStore, StoreFaults, frozen_view, open_store
from tests.simulation.trainings import make_candidate
from tests.simulation.upkeep import draw_repairs, watch_repairs
from tests.simulation.world import RUN, plan_of
from trainer.pipeline.attempt import Attempt, commit_result

BEAT_SECONDS = 10.0
END_SECONDS = 3600.0
NOBODY = 0
"""Whose claim a repair puts in the place of one that can't be read."""
_SPOILED = (Claim, Progress, ResultPointer)


class HastyBoard(Board):
    """A fault planted on purpose: claims lapse by this machine's own clock."""

    def standing(self, job: str) -> Standing:
        return classify_job(self.facts.get(job, JobFacts(job)), self._clock.now(), self.since, self._rules)


class CrowdedBoard(Board):
    """Another one: who has outgrown the memory is tried again beside others."""

    def standing(self, job: str) -> Standing:
        return replace(super().standing(job), alone=False)


class Shift:
    """Some workers and a few jobs, as one seed has it."""

    def __init__(
        self,
        seed: int,
        jobs: int = 4,
        workers: int = 3,
        board: type[Board] = Board,
        *,
        drawn: bool = True,
        memory: bool = False,
        repairs: bool = False,
    ) -> None:
        """``drawn``: whether faults are drawn; else there are none but those that the caller adds. ``memory``: whether
        workers have two slots and a limit, which some trainings outgrow. ``repairs``: whether somebody damages what
        they write, and somebody repairs the store."""
        self.kernel, self.random, self.board, self.drawn = Kernel(seed), random.Random(seed), board, drawn
        self.plan, self.store = plan_of(jobs), ObjectStore(self.kernel)
        chance = self.random
        if drawn:
            self.store.faults = StoreFaults(error=chance.choice([0.0, 0.1]), lost=chance.choice([0.0, 0.1]))
        self.workers, self.slots = workers, 2 if memory else 1
        self.limit = LIMIT if memory else None
        self.appetites = {one.job: draw_appetite(chance) if memory else Appetite() for one in self.plan.jobs}
        self.ends_all = memory and chance.random() < 0.5
        """Whether the kernel ends the whole container, and not only the largest training."""
        self.sees_dead = drawn and chance.random() < 0.5
        """Whether workers know which processes have ended, as those of one machine do."""
        self.outgrown: Counter[str] = Counter()
        """How many attempts of a job have been lost for memory, its own or another's."""
        self.cut_off: Counter[str] = Counter()
        """How many attempts of a job have ended without a word: by the kernel, or with their worker."""
        self.children: dict[int, Process] = {}
        self.training: dict[str, Process] = {}
        self.processes: dict[int, Process] = {}
        self._owners: dict[str, int] = {}
        """Who has claimed each attempt."""
        self.due = 0
        """Workers that are yet to be started."""
        self.violations: list[str] = []
        self.store.on_write = self._on_write
        watch_repairs(self.store, self.violate)
        if repairs:
            draw_repairs(self.store, self.random, partial(open_store, self.store), 300.0, _SPOILED)

    def run(self) -> list[str]:
        """Live through it; the violations, of which there should be none."""
        for number in range(self.workers):
            self._start(number)
        for number in range(self.workers - 1):
            if self.drawn and self.random.random() < 0.5:
                self.kernel.at(self.random.uniform(5, 200), self.processes[number].kill)
                self.restart(number, self.random.uniform(200, 400))
        self.kernel.run(self._is_over, END_SECONDS)
        self._check_end()
        self.kernel.close()
        return [*self.violations, *self.kernel.crashes]

    def violate(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(f"{self.kernel.time:.3f} {what}")

    def train(self, planned: PlannedJob, number: int, process: Process, own: int) -> None:
        """A training that renews its claim while it works. Nobody else may have the job meanwhile."""
        clock, store = VirtualClock(process), open_store(self.store, process)
        attempt = Attempt(store, RUN, planned.job, number, clock, own, lambda: 0)
        other = self.training.get(planned.job)
        if other is not None and other.alive:
            self.violate(f"{process.name} takes {planned.job} from {other.name}")
        self.training[planned.job] = process
        for _ in range(9):
            clock.sleep(BEAT_SECONDS)
            attempt.renew()
        commit_result(store, make_candidate(self.plan, planned, attempt.number))
        attempt.end(0, "", "end", b"")

    def gone(self, machine: str | None, process: int) -> bool:
        """Whether a training is known to have ended."""
        return self.sees_dead and process in self.children and not self.children[process].alive

    def restart(self, number: int, seconds: float) -> None:
        """Start a worker again in a while."""
        self.due += 1
        self.kernel.at(seconds, partial(self._restart, number))

    def replace_worker(self, number: int) -> None:
        """Kill a worker, and start it again some minutes later."""
        self.processes[number].kill()
        self.restart(number, 300.0)

    def _restart(self, number: int) -> None:
        self.due -= 1
        if not self.processes[number].alive:
            self._start(number)

    def _is_over(self) -> bool:
        if all(keys.result(RUN, planned.job) in self.store.objects for planned in self.plan.jobs):
            return True
        return not self.due and not any(each.running for each in self.processes.values())

    def _on_write(self, key: str, old: bytes | None, new: bytes) -> None:
        if old is not None and old != new and key.endswith("result.json"):
            self.violate(f"{key} is changed")
        if key.endswith("claim.json"):
            owner = Claim.from_bytes(new, key).process
            if owner == NOBODY and key not in self.store.spoiled:
                self.violate(f"{key} is put in the place of one that is in order")
            if owner != NOBODY and self._owners.setdefault(key, owner) != owner:
                self.violate(f"{key} is claimed twice")

    def _check_end(self) -> None:
        """Every job is done, but for those that a whole worker has too little memory for, and these are named so."""
        facts = AttemptReader(frozen_view(self.store), RUN, self.gone).read_all()
        for planned in self.plan.jobs:
            job, appetite = planned.job, self.appetites[planned.job]
            own = facts.get(job, JobFacts(job))
            standing = classify_job(own, START + self.kernel.time + 3600.0, 0.0, DEFAULT_RULES)
            if self.limit is None or appetite.fits:
                if not own.done and self.cut_off[job] < DEFAULT_RULES.attempts:
                    self.violate(f"{job} is not done, but {standing}, and lost {self.cut_off[job]} attempts")
                if self.outgrown[job] > 1:
                    self.violate(f"{job} has lost {self.outgrown[job]} attempts for memory")
            elif standing.state != "failed" or standing.category not in self._may_end_in(job):
                self.violate(f"{job} is too large for a worker, and {standing}")
            if appetite.modest and any(each.category == OOM for each in own.attempts):
                self.violate(f"{job} is modest, and is said to have outgrown the memory")

    def _may_end_in(self, job: str) -> tuple[str, ...]:
        """What a job is to be called that is too large: out of memory, unless an attempt ended without a word, or the
        store did not take what its worker said of it."""
        unsaid = self.cut_off[job] or self.store.faults.error or self.store.faults.lost
        return (OOM, KILLED) if unsaid else (OOM,)

    def _start(self, number: int) -> None:
        skew = self.random.choice([0.0, 0.0, -7200.0, 7200.0]) if self.drawn else 0.0
        process = self.processes[number] = Process(self.kernel, f"worker-{number}", skew)
        clock, store = VirtualClock(process), open_store(self.store, process).within(5.0)
        now = datetime.fromtimestamp(clock.now(), UTC)
        name = f"{process.name}-{self.kernel.time:.0f}"
        me = WorkerState(worker=name, host="sim", slots=self.slots, gpus=0, started=now, updated=now)

        def work() -> None:
            mine = order_jobs(self.plan.to_run, number, self.workers)
            board = self.board(self.plan, mine, store, me, clock, DEFAULT_RULES, self.gone)
            trainings = SimulatedTrainings(self, process, number)
            process.on_kill = trainings.kill_all
            try:
                board.open()
                settings, slots = Settings(place=(number, self.workers)), MachineSlots(self.slots, 1)
                container = trainings.container
                Worker(self.plan, board, store, trainings, slots, container, Path("none"), clock, settings).work(
                    lambda: None
                )
            except AtbError as error:
                self.kernel.log(process.name, f"leaves: {error}")
            trainings.kill_all()
            process.end()

        process.start(work)


def live_one_shift(task: tuple[int, int, bool]) -> tuple[list[str], list[str], tuple[int, int]]:
    """One shift, of which half are short of memory and a quarter has repairs: as ``night.live``."""
    seed, jobs, log = task
    shift = Shift(seed, jobs, memory=seed % 2 == 0, repairs=seed % 4 == 1)
    violations = shift.run()
    return violations, shift.kernel.history if log else [], (shift.kernel.steps, shift.store.requests)
