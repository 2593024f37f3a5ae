"""A worker: takes jobs of a run and has them done by forked trainings, until nothing is left that it could take."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from atb.clock import Clock
from atb.contract import exits
from atb.documents.attempt import KILLED
from atb.documents.plan import Plan
from atb.errors import StoreError
from atb.machine import machine_id
from atb.storage import Store
from launcher.plan.backend import Show
from launcher.plan.signals import Breakable
from launcher.records.board import Board
from launcher.records.leases import DEADLINE, DEFAULT_RULES, OOM, STOPPED, Rules
from launcher.records.memory_needs import known_need, remember_use
from launcher.report.board_rows import build_rows
from launcher.worker.admission import Candidate, admit, reserve
from launcher.worker.children import Child, MemoryGuard, Trainings
from launcher.worker.ending import Cause, explain, write_report, write_verdict
from launcher.worker.forkserver_client import Ended, Event, Ready, Started, signal_name
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.memory_meter import MemoryMeter

TICK = 0.25
"""Seconds to wait for events: how often memory and signals are checked."""
COMMITTED_SECONDS = 30.0
"""How long a training may continue after its job has a result: its own, or another's."""


@dataclass(frozen=True)
class Settings:
    """How a worker works. ``lingers``: it stays while others work, to take over from them and to show the run.

    ``place``: which of how many workers that begin together it is. ``deadline``: seconds that a training may take.
    """

    rules: Rules = DEFAULT_RULES
    lingers: bool = True
    arguments: tuple[str, ...] = ()
    """For every training, such as ``--accelerator gpu``."""
    place: tuple[int, int] = (0, 1)
    deadline: float | None = None


class Worker:
    """One thread. ``work`` returns when every job has ended, when nothing is left to take, or when it is stopped."""

    def __init__(
        self,
        plan: Plan,
        board: Board,
        store: Store,
        trainings: Trainings,
        slots: MachineSlots,
        meter: MemoryMeter,
        logs: Path,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._plan, self._board, self._store, self._trainings = plan, board, store, trainings
        self._slots, self._logs, self._clock, self._settings = slots, logs, clock, settings
        self._guard = MemoryGuard(meter, clock)
        self._children: dict[str, Child] = {}
        self._unclaimed: Counter[str] = Counter()
        """Trainings of a job that ended before they had claimed an attempt."""
        self._due: dict[str, float] = {}
        """When such a job is started again, by the monotonic clock."""
        self._peaks: dict[str, int] = {}
        """The most that a training of a preset has used here."""
        self._attempts = 0
        self._note = "loading TensorFlow"
        self.unfit = ""
        """Why this machine should take no further jobs; empty while it may."""

    def work(
        self,
        stopped_by: Callable[[], int | None],
        show: Show = lambda rows, note: None,
        breakable: Breakable = nullcontext,
    ) -> None:
        """Take jobs until none is left. Raises StoreError, and Unavailable where trainings can't be started."""
        handled: set[int] = set()
        while True:
            number = stopped_by()
            if number is None:
                self._start_due()
            elif number not in handled:
                handled.add(number)
                self._stop(abs(number), hard=number < 0)
            for event in self._trainings.events(TICK):
                self._take(event, stopping=number is not None)
            self._watch()
            looked = False
            with breakable():
                looked = self._board.look({name: child.attempt for name, child in self._children.items()})
            if looked and number is None:
                self._end_overtaken()
            show(build_rows(self._plan, self._board, self._children, stopping=number is not None), self._say())
            if not self._children and (number is not None or self.unfit or self._nothing_left()):
                return

    def close(self) -> None:
        """Say that this worker is done. A store that can't take it stops nothing."""
        ended = datetime.fromtimestamp(self._clock.now(), UTC)
        try:
            self._board.say(running=(), attempts=self._attempts, finished=ended)
        except StoreError:
            pass

    def running(self) -> Sequence[Child]:
        """The trainings that run now."""
        return list(self._children.values())

    def give_up(self, child: Child, reason: str) -> None:
        """Record that a training has ended with the process that started it. Raises StoreError."""
        self._settle(child, Cause(137, KILLED, reason))

    def _start_due(self) -> None:
        while not self.unfit and len(self._children) < self._slots.parallel and not self._board.trouble:
            candidates = {each.job: each for each in self._candidates()}
            occupants = [child.occupant for child in self._children.values()]
            chosen = admit(candidates.values(), occupants, self._slots.parallel, self._guard.memory)
            if chosen is None:
                return
            try:
                self._board.refresh(chosen)
            except StoreError as error:
                self._board.trouble = str(error)
                return
            standing = self._board.standing(chosen)
            if standing.state == "free" and standing.attempt == candidates[chosen].attempt:
                self._start(candidates[chosen])

    def _candidates(self) -> Iterator[Candidate]:
        now, here = self._board.now(), self._clock.monotonic()
        for name, planned in self._board.jobs.items():
            if name in self._children or self._due.get(name, 0.0) > here:
                continue
            standing = self._board.standing(name)
            if standing.state == "free" and standing.due <= now:
                need = known_need(self._board.needs.get(name), self._peaks.get(planned.spec.preset, 0))
                yield Candidate(name, standing.attempt, standing.alone, need)

    def _start(self, chosen: Candidate) -> None:
        planned = self._board.jobs[chosen.job]
        arguments = ["train", "job", planned.spec.model_dump_json(), "--run", self._plan.run]
        arguments += ["--store", self._store.url, "--attempt", str(chosen.attempt)]
        arguments += ["--threads", str(self._slots.threads), *self._settings.arguments]
        if self._store.endpoint_url:
            arguments += ["--endpoint-url", self._store.endpoint_url]
        environment = self._slots.environment(Counter(child.gpu for child in self._children.values()))
        kept = reserve(chosen, self._slots.parallel, self._guard.memory)
        gpu, began = self._slots.gpu_of(environment), self._clock.monotonic()
        child = Child(chosen.job, chosen.attempt, gpu, chosen.alone, kept, began)
        self._trainings.start(chosen.job, arguments, str(self._log(chosen.job)), environment)
        self._children[chosen.job] = child

    def _stop(self, number: int, *, hard: bool) -> None:
        for name in self._children:
            self._trainings.stop(name, signal.SIGKILL if hard else signal.SIGTERM)
        what, count = "killing" if hard else "stopping", len(self._children)
        self._note = f"{signal_name(number)}: {what} {count} training{'s' * (count != 1)}"
        self._note += "" if hard else "; each saves a checkpoint first"

    def _take(self, event: Event, *, stopping: bool) -> None:
        match event:
            case Ready():
                self._note = ""
                self._board.mark_ready()
            case Started(name, pid):
                self._children[name].pid = pid
            case Ended(name):
                child = self._children.pop(name)
                self._attempts += 1
                cause = child.cause or explain(event, self._log(name))
                if stopping and event.signal and child.cause is None:
                    cause = Cause(143, STOPPED, event.words)
                try:
                    self._settle(child, cause)
                except StoreError as error:
                    self._board.trouble = str(error)  # its process is gone, which the next look sees

    def _settle(self, child: Child, cause: Cause) -> None:
        """See what an ended training left, and write down what it could not."""
        job, run = child.job, self._plan.run
        facts = self._board.refresh(job)
        preset = self._board.jobs[job].spec.preset
        self._peaks[preset] = max(self._peaks.get(preset, 0), child.peak if cause.category != OOM else 0)
        if facts.done:
            return
        attempt = next((attempt for attempt in facts.attempts if attempt.number == child.attempt), None)
        claim = None if attempt is None else self._board.claim(job, child.attempt)
        if claim is None:
            self._count_unclaimed(child, cause)
        elif attempt is not None and not attempt.ended and _is_of(claim.machine, claim.process, child.pid):
            now = self._clock.now()
            write_report(self._store, run, job, claim, cause, self._log(job), peak=child.peak, now=now)
            if cause.category == OOM:
                remember_use(self._store, run, self._board.jobs[job], child.used, now)
            facts = self._board.refresh(job)
        if any(each.number == child.attempt and each.category == "no-accelerator" for each in facts.attempts):
            self.unfit = f"{job}: no accelerator was found here; another machine may have one"

    def _count_unclaimed(self, child: Child, cause: Cause) -> None:
        self._unclaimed[child.job] += 1
        count, rules = self._unclaimed[child.job], self._settings.rules
        if cause.category == STOPPED:
            return
        if cause.code in exits.PERMANENT_CODES or count >= rules.attempts:
            write_verdict(self._store, self._plan.run, child.job, child.attempt - 1, cause, self._clock.now())
            self._board.refresh(child.job)
        elif rules.pauses:
            self._due[child.job] = self._clock.monotonic() + rules.pauses[min(count, len(rules.pauses)) - 1]

    def _watch(self) -> None:
        """End the training that outgrows the memory, and those past their deadline."""
        found = self._guard.watch(list(self._children.values()))
        if found is not None:
            self._end(*found)
        limit = self._settings.deadline
        for child in self._children.values():
            if limit is not None and child.cause is None and self._clock.monotonic() - child.began > limit:
                self._end(child, Cause(77, DEADLINE, f"ran longer than its deadline of {limit:.0f} s"))

    def _end_overtaken(self) -> None:
        """End the trainings whose job another worker has taken over or done, and those that hang."""
        now = self._clock.monotonic()
        for child in self._children.values():
            facts, standing = self._board.facts.get(child.job), self._board.standing(child.job)
            if child.cause or facts is None or not any(each.number == child.attempt for each in facts.attempts):
                continue
            if standing.state == "done":
                child.committed_at = child.committed_at or now
                if now - child.committed_at > COMMITTED_SECONDS:
                    self._end(child, Cause(143, STOPPED, "its job has a result"))
            elif standing.state == "live" and standing.attempt > child.attempt:
                words = f"attempt {standing.attempt} has taken over"
                self._end(child, Cause(143, STOPPED, words))
            elif standing.state == "free" and not facts.attempts[-1].ended and not facts.attempts[-1].gone:
                words = f"it hung: its claim was not renewed for {self._settings.rules.lease:.0f} s"
                self._end(child, Cause(137, KILLED, words))

    def _end(self, child: Child, cause: Cause) -> None:
        child.cause = cause
        self._trainings.stop(child.job, signal.SIGKILL)

    def _nothing_left(self) -> bool:
        """Whether no job is left for this worker, as the store has it now."""
        if self._open_jobs():
            return False
        return self._board.look({}, at_once=True) and not self._open_jobs()

    def _open_jobs(self) -> bool:
        states = {self._board.standing(name).state for name in self._board.jobs}
        return "free" in states or (self._settings.lingers and "live" in states)

    def _log(self, job: str) -> Path:
        return self._logs / f"{job}.log"

    def _say(self) -> str:
        return self._note or (f"the store does not answer: {self._board.trouble}" if self._board.trouble else "")


def _is_of(machine: str | None, process: int, pid: int) -> bool:
    return process == pid and machine in (None, machine_id())
