"""A worker's view of its run: each job's state, as the store had it a moment ago."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from atb.clock import Clock
from atb.contract import keys
from atb.documents.attempt import Claim, MemoryNeed, Progress
from atb.documents.plan import Plan, PlannedJob
from atb.documents.worker import WorkerState
from atb.errors import Denied, StoreError
from atb.machine import is_gone
from atb.storage import Store
from launcher.records.attempt_facts import AttemptReader
from launcher.records.leases import OOM, JobFacts, Rules, Standing, classify_job
from launcher.records.memory_needs import read_needs
from launcher.records.progress import ProgressReader
from launcher.records.store_time import StoreTime

LOOK_SECONDS = 2.0
"""How often the whole run is listed; less often where a listing takes long, but at every beat."""
PATIENCE_SECONDS = 900.0
"""How long a store may be unavailable before a worker gives up."""


class Board:
    """One run, for one worker. ``me`` is its state, None for who only looks. Not for sharing between threads.

    ``gone`` says whether a process of a machine is known to have ended.
    """

    def __init__(
        self,
        plan: Plan,
        jobs: Sequence[PlannedJob],
        store: Store,
        me: WorkerState | None,
        clock: Clock,
        rules: Rules,
        gone: Callable[[str | None, int], bool] = is_gone,
    ) -> None:
        self.jobs = {job.job: job for job in jobs}
        """What this worker may take, in its order."""
        self.facts: dict[str, JobFacts] = {}
        self.progress: dict[str, Progress] = {}
        self.needs: Mapping[str, MemoryNeed] = {}
        """What is remembered of jobs that ran out of memory."""
        self.since = 0.0
        """When the session began: what failed earlier is tried again."""
        self.trouble = ""
        """Why the store could not be read the last time."""
        self._plan, self._store, self._me, self._clock, self._rules = plan, store, me, clock, rules
        self._reader = AttemptReader(store, plan.run, gone)
        self._progress_reader = ProgressReader(store, plan.run)
        self._time = StoreTime(store, keys.worker(plan.run, me.worker), clock, rules.beat) if me else None
        self._looked = -1e9
        self._every = min(LOOK_SECONDS, rules.beat)
        self._answered = clock.monotonic()

    def open(self, *, resumed: bool = False, since: float = 0.0) -> None:
        """Look for the first time. What failed before ``since``, or where ``resumed`` before now, is tried again.

        Raises StoreError.
        """
        self._look({})
        self.since = self.now() if resumed else since

    def look(self, running: Mapping[str, int], *, at_once: bool = False) -> bool:
        """See how things are, where that was long enough ago. Raises StoreError, Denied where it could not for long.

        ``running``: the attempts of this worker, by job.
        """
        now = self._clock.monotonic()
        if not at_once and now < self._looked + self._every:
            return False
        try:
            self._look(running)
        except (StoreError, Denied) as error:  # a folder may be given back as well
            self.trouble = str(error)
            self._looked = self._clock.monotonic()
            if self._looked - self._answered > PATIENCE_SECONDS:
                raise
            return False
        return True

    def refresh(self, job: str) -> JobFacts:
        """One job as it is now. Raises StoreError."""
        self.facts[job] = self._reader.read_job(job)
        return self.facts[job]

    def standing(self, job: str) -> Standing:
        """A job's state, as last seen."""
        # until the store has answered for a while, only those are lapsed whose process is known to be gone
        steady = self._time is None or self._time.steady
        rules = self._rules if steady else replace(self._rules, lease=float("inf"))
        return classify_job(self.facts.get(job, JobFacts(job)), self.now(), self.since, rules)

    def claim(self, job: str, attempt: int) -> Claim | None:
        """The owner of an attempt; None without one. Raises StoreError."""
        return self._reader.claim(job, attempt)

    def now(self) -> float:
        """The store's time; this machine's for who only looks."""
        return self._clock.now() if self._time is None else self._time.now()

    def say(self, **changes: object) -> None:
        """Write this worker's state, with changes. Raises StoreError."""
        if self._me is None or self._time is None:
            return
        updated = datetime.fromtimestamp(self._clock.now(), UTC)
        self._me = self._me.model_copy(update={"updated": updated, **changes})
        self._time.beat(self._me.to_bytes())

    def mark_ready(self) -> None:
        """Remember, for the next time the state is written, that trainings can be forked from now on."""
        if self._me is not None:
            self._me = self._me.model_copy(update={"ready": datetime.fromtimestamp(self._clock.now(), UTC)})

    def _look(self, running: Mapping[str, int]) -> None:
        began = self._clock.monotonic()
        if self._time is not None and self._time.due:
            self.say(running=tuple(running))
        self.facts = self._reader.read_all()
        self.progress.update(self._progress_reader.read_changed())
        if self._memory_matters():
            self.needs = read_needs(self._store, self.jobs.values())
        self.trouble = ""
        self._answered = self._looked = self._clock.monotonic()
        self._every = min(max(LOOK_SECONDS, 50 * (self._looked - began)), self._rules.beat)

    def _memory_matters(self) -> bool:
        """At the beginning, and whenever a job has run out of memory since."""
        return self._looked < 0 or any(
            attempt.category == OOM for facts in self.facts.values() for attempt in facts.attempts
        )
