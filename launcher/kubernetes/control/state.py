"""All that is known of a run, in one object: ``apply`` changes it, ``decide`` reads it, and there is no other state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from operator import attrgetter

from atb.documents.attempt import Progress
from atb.documents.plan import Plan, PlannedJob
from launcher.kubernetes.api.client import LONGEST_WAIT
from launcher.kubernetes.control.actions import Action
from launcher.kubernetes.control.observe import Clock, Observation, observe
from launcher.kubernetes.control.rows import make_row, say_attempt
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus
from launcher.kubernetes.objects.jobs import JobAttempt
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.backend import Mode
from launcher.records.progress import Committed
from launcher.report.live_table import Row

NOTE_SECONDS = LONGEST_WAIT + 5.0
"""How long the reason for a waiting request is shown: it is given again before each further try."""
AGAIN_SECONDS = 15.0
"""Seconds before what a quota or a silent server stopped is tried again."""
COUNTED_SECONDS = 2.0
"""Seconds after an object is gone in which its quota is counted again."""


@dataclass(frozen=True, slots=True)
class PutOffCreation:
    """A creation to be tried again at ``at``; it has been put off since ``since``."""

    attempt: JobAttempt
    category: str
    reason: str
    since: float
    at: float


@dataclass
class RunState:
    """One run as it is known. Not for sharing between threads."""

    plan: Plan
    options: ClusterOptions
    mode: Mode = field(default="attach", kw_only=True)
    wait: bool = field(default=True, kw_only=True)
    began: float = field(default=0.0, kw_only=True)
    may_create: bool = field(default=False, kw_only=True)
    """Whether Jobs that are missing are to be created; else they have vanished."""
    found_owner: bool = field(default=False, kw_only=True)
    """Whether some launcher was here before: what is missing may be done already."""
    cancelled: bool = field(default=False, kw_only=True)
    """Whether the run was cancelled: what has vanished was stopped on purpose."""
    memory: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """The memory that an earlier run turned out to need, by job."""

    planned: dict[str, PlannedJob] = field(init=False)
    # what the cluster says
    listed: set[str] = field(default_factory=set, init=False)
    """Resources that were listed completely."""
    jobs: dict[str, dict[str, JobStatus]] = field(init=False)
    pods: dict[str, dict[str, PodStatus]] = field(init=False)
    warnings: dict[str, WarningEvent] = field(default_factory=dict, init=False)
    """The latest warning about a Job or Pod, by its name."""
    queue_reasons: dict[str, str] = field(default_factory=dict, init=False)
    """Why a Job waits in its queue, by its uid."""
    created: set[str] = field(init=False)
    """Jobs of which a Job has been there."""
    lost_on: set[tuple[str, str, str]] = field(default_factory=set, init=False)
    """(node, job, category) of each failure that speaks against a node."""
    interrupted: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    """The Pods of a job that were taken from spot nodes, each with its Job: their objects go with the nodes."""
    silent: dict[str, float] = field(default_factory=dict, init=False)
    """Since when the API server has not answered, by what was asked for."""
    note: str = field(default="", init=False)
    """What the launcher itself last waited for."""
    noted: float = field(default=-NOTE_SECONDS, init=False)
    """When it last said so."""
    store_note: str = field(default="", init=False)
    """Why the store was last waited for, until it is read again."""
    store_silent_since: float | None = field(default=None, init=False)
    """Since when no reading of it has succeeded."""
    # what the store says
    progress: dict[str, Progress] = field(default_factory=dict, init=False)
    results: dict[str, Committed | None] = field(default_factory=dict, init=False)
    """What was found where it was looked for."""
    looked_after: dict[str, str] = field(default_factory=dict, init=False)
    """The latest Job, by uid, when a result was looked for: a later one may have committed one since."""
    # what this launcher has done
    in_flight: dict[str, Action] = field(default_factory=dict, init=False)
    """What is being done about a job."""
    writing: int = field(default=0, init=False)
    """How many other writes are under way."""
    looking: set[type[Action]] = field(default_factory=set, init=False)
    looked_at: dict[type[Action], float] = field(default_factory=dict, init=False)
    to_restart: dict[str, JobStatus | None] = field(default_factory=dict, init=False)
    """Jobs that begin anew unless they have a result, and their last Job of before."""
    put_off: dict[str, PutOffCreation] = field(default_factory=dict, init=False)
    unanswered: dict[str, float] = field(default_factory=dict, init=False)
    """When the API server last left an action about a job without an answer; "" for one about the run."""
    refused: dict[str, str] = field(default_factory=dict, init=False)
    """Jobs that the server will never take, and why."""
    given_up: set[str] = field(default_factory=set, init=False)
    """Jobs of the cluster that were given up, by uid."""
    verdicts: dict[str, Observation] = field(default_factory=dict, init=False)
    """What was written down of jobs that ended without a result."""
    settled: set[str] = field(default_factory=set, init=False)
    """Jobs that have come to their end."""
    to_remove: dict[str, float] = field(default_factory=dict, init=False)
    """Jobs with a result whose Kubernetes Jobs are no longer needed, and since when."""
    removed: set[str] = field(default_factory=set, init=False)
    """Jobs whose Kubernetes Jobs were removed for that: what was seen of them is kept."""
    marked: bool = field(init=False)
    """Whether it is noted on the run's ConfigMap that all is created."""
    job_of: dict[str, str] = field(default_factory=dict, init=False)
    """The job that a Job or Pod belongs to, by its name."""
    answered: dict[str, float] = field(default_factory=dict, init=False)
    """When the answer to a Job's creation came, by its name and a clock that never goes back."""
    gone: set[str] = field(default_factory=set, init=False)
    """Jobs of the cluster that have been there and were deleted, by uid."""
    # which jobs to decide about: of thousands, few, and none is looked at without a reason
    line: dict[str, None] = field(default_factory=dict, init=False)
    """Jobs that are yet to be created, in the plan's order, and about which nothing else is known."""
    awake: set[str] = field(default_factory=set, init=False)
    """Jobs about which there may be something to do; the others sleep until they change or their time is over."""
    present: set[str] = field(default_factory=set, init=False)
    """Jobs not at their end whose latest Job may still run Pods, or is complete and not known to lack a result."""
    present_checked: float | None = field(default=None, init=False)
    """When it was last checked if a job needs what must be polled."""
    _alarms: list[tuple[float, str]] = field(default_factory=list, init=False)
    """When the times of sleeping jobs are over: a heap."""
    _due: dict[str, float] = field(default_factory=dict, init=False)
    """The alarm set last for each job, so that the heap grows with what changes its time, not with each change."""
    _seen: dict[str, Observation] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.planned = {job.job: job for job in self.plan.to_run}
        self.memory = dict(self.memory)
        self.jobs, self.pods = {job: {} for job in self.planned}, {job: {} for job in self.planned}
        self.created = set() if self.may_create else set(self.planned)
        if self.may_create:
            self.line = dict.fromkeys(self.planned)
        else:
            self.awake = set(self.planned)
        self.marked = not self.may_create

    # queries

    @property
    def complete(self) -> bool:
        """Whether all existing Jobs and Pods have been listed."""
        return self.listed >= {"jobs", "pods"}

    @property
    def idle(self) -> bool:
        """Whether nothing is under way that a launcher stays for."""
        return not self.in_flight and not self.writing

    def latest(self, job: str) -> JobStatus | None:
        """The Job of the last try."""
        found = self.jobs[job].values()
        return max(found, key=attrgetter("ordinal")) if len(found) > 1 else next(iter(found), None)

    def latest_uid(self, job: str) -> str:
        """Its uid; empty where there is none."""
        latest = self.latest(job)
        return latest.uid if latest else ""

    def tries(self, job: str) -> list[JobStatus]:
        """The Jobs of all tries that are still there, in order."""
        found = list(self.jobs[job].values())
        if len(found) > 1:
            found.sort(key=attrgetter("ordinal"))
        return found

    def interruptions(self, job: str) -> int:
        """How many times its latest Job and the tries that led to it were taken from spot nodes."""
        latest = self.latest(job)
        same = {one.name for one in self.tries(job) if latest and one.first_created == latest.first_created}
        return sum(name in same for name in self.interrupted.get(job, {}).values())

    def has_looked(self, job: str) -> bool:
        """Whether the store was searched for the job's result after its latest Job appeared, or has one."""
        return self.results.get(job) is not None or self.looked_after.get(job) == self.latest_uid(job)

    def wake(self, now: float) -> list[str]:
        """The jobs to decide about, those whose time is over among them, in the order of their names."""
        while self._alarms and self._alarms[0][0] < now:
            due, job = heappop(self._alarms)
            if self._due.get(job) == due:
                del self._due[job]
            self.awake.add(job)
        self.awake = self.awake - self.settled
        return sorted(self.awake)

    def sleep(self, job: str, found: Observation) -> None:
        """There is nothing to do about it until something changes, or the time of what was observed is over."""
        if found.clock is not None:
            self.awake.discard(job)
            if self._due.get(job) != (due := found.clock.since + found.clock.seconds):
                self._due[job] = due
                heappush(self._alarms, (due, job))

    def observe(self, job: str, now: float) -> Observation:
        """The state of a job, computed again when something changed or its time is over."""
        found = self._seen.get(job)
        if found is None or (found.clock is not None and found.clock.is_over(now)):
            found = self._seen[job] = self._observe(job, now)
        return found

    def shown(self, job: str, now: float) -> Observation:
        """The state to show: a job counts as ending until the store has been searched for its result."""
        found = self.observe(job, now)
        if found.final and not self.has_looked(job):
            return Observation("running", reason="ending", node=found.node, pod=found.pod, attempts=found.attempts)
        return found

    def rows(self, now: float) -> list[Row]:
        """The run as a table shows it, skipped jobs included."""
        return [
            say_attempt(
                self.latest(planned.job),
                make_row(
                    planned, self.shown(planned.job, now), self._progress(planned.job), self.results.get(planned.job)
                ),
            )
            if planned.job in self.planned
            else Row(planned.job, planned.spec.symbol, planned.spec.preset, "skipped", detail=planned.reason)
            for planned in self.plan.jobs
        ]

    def summary(self, now: float) -> str:
        """The note under the table: how many Jobs have been created, and what the launcher itself waits for."""
        if self.store_note:
            return self.store_note
        creating = self.may_create and len(self.created) < len(self.planned)
        made = f"created {len(self.created)} of {len(self.planned)}" if creating else ""
        note = self.note if abs(now - self.noted) < NOTE_SECONDS else ""
        return " · ".join(filter(None, (made, note)))

    def touch(self, job: str) -> None:
        """Something about a job has changed."""
        self._seen.pop(job, None)
        self.line.pop(job, None)
        self.awake.add(job)
        if self._is_present(job):
            self.present.add(job)
        else:
            self.present.discard(job)

    def _is_present(self, job: str) -> bool:
        latest = self.latest(job)
        if latest is None or job in self.settled:
            return False
        in_vain = self.has_looked(job) and self.results[job] is None
        return latest.live or (latest.complete is not None and not in_vain)

    def _progress(self, job: str) -> Progress | None:
        """How far its training is; what an attempt before the latest Job has left says nothing of it."""
        found, latest = self.progress.get(job), self.latest(job)
        stale = found is not None and latest is not None and found.updated.timestamp() < latest.created
        return None if stale else found

    def _observe(self, job: str, now: float) -> Observation:
        if job in self.verdicts:
            return self.verdicts[job]
        if job in self.refused:
            return Observation("failed", "refused", self.refused[job], final=True)
        if (later := self.put_off.get(job)) is not None:
            if self.cancelled:
                return Observation("failed", "cancelled", "cancelled", final=True)
            clock = Clock(later.since, self.options.schedule_seconds)
            if clock.is_over(now):
                return Observation("failed", later.category, later.reason, final=True)
            return Observation("pending", later.category, later.reason, clock=clock)
        jobs = self.tries(job)
        found = observe(
            jobs,
            list(self.pods[job].values()),
            self.options,
            now,
            committed=self.results.get(job) is not None,
            created=job in self.created and job not in self.to_restart,
            planned=self.began,
            warnings=self.warnings,
            queue_reason=self.queue_reasons.get(jobs[-1].uid, "") if jobs else "",
        )
        if found.final and found.category == "vanished" and self.cancelled:
            return replace(found, category="cancelled", reason="cancelled")
        return found
