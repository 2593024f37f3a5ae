"""Follows a packed run to its end. Two lists of the API server and two of the store, every few seconds.

Everything this knows can be found again in the cluster and the store, so another launcher can continue at any time.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from atb.contract import keys, labels
from atb.documents.attempt import Verdict
from atb.documents.plan import Plan
from atb.documents.worker import WorkerState
from atb.errors import NetworkError, SpecError
from atb.storage import Store
from launcher.kubernetes.api.client import BACK, Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.control.decide import SILENCE_SECONDS
from launcher.kubernetes.control.prepare import prepare
from launcher.kubernetes.objects.ensure import create_job, delete_object, find_owner, give_up_job, mark_owner, notes_of
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus, keep_pull_error, read_pod
from launcher.kubernetes.objects.jobs import run_selector
from launcher.kubernetes.objects.kueue import queue_reasons, queue_version
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.warnings import WarningEvent, read_warnings
from launcher.kubernetes.objects.worker_job import WorkerJob, WorkerRound, build_worker_job, read_worker_job
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.packed import decide as rules
from launcher.kubernetes.packed.view import PackedView, explain_waiting
from launcher.plan.backend import Mode, Show
from launcher.records.board import Board
from launcher.records.leases import DEFAULT_RULES, OOM, Rules
from launcher.report.board_rows import build_rows
from launcher.report.live_table import Row

Build = Callable[[Plan, Target, ClusterOptions, WorkerRound], dict[str, Any]]

POLL_SECONDS = 3.0
TICK = 0.25
CALL_SECONDS = 5.0
"""How long one look at the store waits for an answer: meanwhile nothing is shown."""
WARNINGS_SECONDS = 30.0


class PackedController:
    """One packed run on one cluster. ``workers``: how many Pods a worker Job has at most."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        plan: Plan,
        options: ClusterOptions,
        workers: int,
        *,
        show: Show = lambda rows, note: None,
        leases: Rules = DEFAULT_RULES,
        poll: float = POLL_SECONDS,
        build: Build = build_worker_job,
    ) -> None:
        self._cluster, self._store, self._plan, self._options = cluster, store, plan, options
        self._workers, self._show, self._poll, self._build = workers, show, poll, build
        self._leases = leases
        self._board = Board(plan, plan.to_run, store, None, cluster.clock, leases)
        self._rounds: dict[str, WorkerJob] = {}
        self._pods: dict[str, PodStatus] = {}
        self._warnings: dict[str, WarningEvent] = {}
        self._queue_reasons: dict[str, str] = {}
        self._looked = -WARNINGS_SECONDS
        self._polled_at = -1e9
        self._silent_since: float | None = None
        self._put_off_since = 0.0
        self._note = ""
        self._before = -1
        self._ended: set[str] = set()
        """The worker Jobs that had ended when the store was last looked at: what they left has been seen."""
        self._created = self.cancelled = self._may_create = False

    def run(self, mode: Mode, *, wait: bool = True, stopped: Callable[[], bool] = lambda: False) -> None:
        """Create the workers as the mode says and, unless ``wait`` is false, follow to the end, or until ``stopped``.

        Raises SpecError where the cluster holds another run of that name, NetworkError where it stays silent,
        StoreError.
        """
        store, clock = self._store.within(CALL_SECONDS), self._cluster.clock
        self._board = Board(self._plan, self._plan.to_run, store, _launcher(self._cluster), clock, self._leases)
        self._store.on_wait = lambda words: self._show(self.rows(), words)
        state, target = prepare(self._cluster, self._store, self._plan, self._options, mode, wait=wait)
        self._may_create, self.cancelled = state.may_create, state.cancelled
        self._look_at_cluster()
        self._begin(mode)
        while not stopped():
            self._look_at_cluster()
            ended = {name for name, job in self._rounds.items() if not job.status.live}
            if self._board.look({}, at_once=ended != self._ended):
                self._ended = ended
            known = ended == self._ended  # else a job that a worker has just done would be taken for undone
            action = rules.decide(self.view(), self._workers, self._board.since) if known else None
            self._show(self.rows(), self._say())
            if isinstance(action, rules.Leave) or (self._created and not wait):
                return
            if action is not None:
                self._perform(action, target)
            else:
                self._cluster.clock.sleep(TICK)

    @property
    def too_large(self) -> list[str]:
        """The jobs that a whole worker has too little memory for."""
        standings = {job: self._board.standing(job) for job in self._board.jobs}
        return [job for job, standing in standings.items() if (standing.state, standing.category) == ("failed", OOM)]

    def view(self) -> PackedView:
        """What is known now."""
        rounds = sorted(self._rounds.values(), key=lambda job: job.status.ordinal)
        return PackedView(
            options=self._options,
            standings={job: self._board.standing(job) for job in self._board.jobs},
            now=self._cluster.now(),
            rounds=rounds,
            pods=list(self._pods.values()),
            before=self._before,
            created=self._created,
            may_create=self._may_create,
            cancelled=self.cancelled,
            queue_reason=self._queue_reasons.get(rounds[-1].status.uid, "") if rounds else "",
            warnings=self._warnings,
        )

    def rows(self) -> list[Row]:
        """The run as a table shows it."""
        return explain_waiting(build_rows(self._plan, self._board, (), stopping=False), self.view().workers())

    def look(self) -> list[Row]:
        """The rows as things are now. Nothing is created or changed. Raises NetworkError, StoreError."""
        self._look_at_cluster()
        self._begin("attach")
        return self.rows()

    def _begin(self, mode: Mode) -> None:
        """Find the session: a new one where a run is resumed, else that of the workers that are there."""
        rounds = self.view().rounds
        if mode == "resume":
            self._before = max((job.status.ordinal for job in rounds if not job.status.live), default=-1)
        self._board.open(resumed=mode == "resume", since=rounds[-1].since if rounds else 0.0)

    def _look_at_cluster(self) -> None:
        clock = self._cluster.clock
        if clock.monotonic() < self._polled_at + self._poll:
            return
        selector = run_selector(self._plan.run)
        try:
            jobs, _ = self._cluster.list("jobs", read_worker_job, selector=selector)
            pods, _ = self._cluster.list("pods", read_pod, selector=selector)
            self._look_for_reasons()
        except ApiError as error:
            self._silent_since = clock.monotonic() if self._silent_since is None else self._silent_since
            self._note = error.trouble
            if not error.transient or clock.monotonic() > self._silent_since + SILENCE_SECONDS:
                raise NetworkError(f"{error}; the workers continue without this launcher") from None
            return
        finally:
            self._polled_at = clock.monotonic()
        self._note = BACK if self._silent_since is not None else ""
        self._silent_since = None
        self._rounds = {name: job for name, job in jobs.items() if job is not None}
        self._pods = {name: keep_pull_error(self._pods.get(name), pod) for name, pod in pods.items()}
        self._created = self._created or bool(self._rounds)
        if self._created and not self._rounds:
            self.cancelled = self._is_cancelled()

    def _look_for_reasons(self) -> None:
        """What only matters where no worker runs."""
        now = self._cluster.clock.monotonic()
        if any(pod.phase == "Running" for pod in self._pods.values()) or now < self._looked + WARNINGS_SECONDS:
            return
        self._looked = now
        self._warnings = read_warnings(self._cluster)
        if self._options.queue and (version := queue_version(self._cluster)):
            self._queue_reasons = queue_reasons(self._cluster, version)

    def _perform(self, action: rules.Action, target: Target) -> None:
        match action:
            case rules.CreateWorkers(shape):
                self._create(shape, target)
            case rules.GiveUpWorkers(status, category, reason):
                give_up_job(self._cluster, status, category, reason)
            case rules.DeleteWorkers(status):
                delete_object(self._cluster, "jobs", status.name)
            case rules.WriteVerdicts(jobs, category, reason, interrupted):
                for job in jobs:
                    self._write_verdict(job, category, reason, interrupted)
                self._board.look({}, at_once=True)
        self._polled_at = -1e9

    def _create(self, shape: WorkerRound, target: Target) -> None:
        for job in self.view().open:  # a new run has none, and asking for each would take long
            if (facts := self._board.facts.get(job)) is not None and facts.verdict_at:
                self._store.delete(keys.verdict(self._plan.run, job))
        body = self._build(self._plan, target, self._options, shape)
        try:
            status: JobStatus = create_job(self._cluster, body)
        except ApiError as error:
            quota = "exceeded quota" in str(error)
            if not error.transient and not quota:
                raise SpecError(f"the API server rejects the workers' Job: {error}") from None
            self._note = str(error)
            self._put_off_since = self._put_off_since or self._cluster.now()
            if self._cluster.now() > self._put_off_since + self._options.schedule_seconds:
                raise SpecError(f"given up: the workers' Job could not be created: {error}") from None
            self._cluster.clock.sleep(self._poll)
            return
        self._put_off_since = 0.0
        self._rounds[status.name] = WorkerJob(status, shape.workers, shape.since)
        self._created = True
        owner = mark_owner(self._cluster, self._plan.run, {labels.CREATED_ANNOTATION: format_time(self._cluster.now())})
        self.cancelled = labels.CANCELLED_ANNOTATION in notes_of(owner)

    def _write_verdict(self, job: str, category: str, reason: str, interrupted: bool) -> None:
        facts = self._board.facts.get(job)
        verdict = Verdict(
            job=job,
            state="interrupted" if interrupted else "failed",
            category=category,
            reason=reason,
            attempts=facts.latest.number if facts and facts.latest else 0,
            memory_limit=self._options.memory,
            recorded=datetime.fromtimestamp(self._cluster.now(), UTC),
        )
        self._store.put(keys.verdict(self._plan.run, job), verdict.to_bytes())

    def _is_cancelled(self) -> bool:
        return labels.CANCELLED_ANNOTATION in notes_of(find_owner(self._cluster, self._plan.run))

    def _say(self) -> str:
        trouble = self._board.trouble
        return self._note or (f"{trouble}; workers wait for it, and so does this launcher" if trouble else "")


def _launcher(cluster: Cluster) -> WorkerState:
    """This launcher's note in the store, by whose time it reads the store's clock."""
    now = datetime.fromtimestamp(cluster.clock.now(), UTC)
    name = f"launcher-{socket.gethostname()}-{os.getpid()}"
    return WorkerState(worker=name, host=socket.gethostname(), slots=0, started=now, updated=now)
