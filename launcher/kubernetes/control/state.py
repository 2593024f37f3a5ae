"""What is seen of a run's jobs, in its cluster and its store. Looking creates and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from atb.contract import labels
from atb.documents.attempt import Progress
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import Listed
from launcher.kubernetes.control.object_cache import ObjectCache
from launcher.kubernetes.control.observe import Observation, observe
from launcher.kubernetes.control.rows import build_rows
from launcher.kubernetes.objects.ensure import find_owner, notes_of
from launcher.kubernetes.objects.job_status import JobStatus, read_job, read_pod
from launcher.kubernetes.objects.jobs import run_selector
from launcher.kubernetes.options import ClusterOptions
from launcher.records.progress import ProgressReader, read_result
from launcher.report.live_table import Row

READERS = 16
WARNED_AFTER = 20.0
"""Seconds a Job waits for no known reason before its warnings are looked at."""


class RunState:
    """One run as it was last seen. Not for sharing between threads."""

    def __init__(self, cluster: Cluster, store: Store, plan: Plan, options: ClusterOptions) -> None:
        self.planned = {job.job: job for job in plan.to_run}
        self.known = ObjectCache(self.planned)
        self.observations: dict[str, Observation] = {}
        self.progress: dict[str, Progress] = {}
        self.results: dict[str, Result | None] = {}
        """What was found in the store where it was looked for."""
        self.settled: set[str] = set()
        """Jobs that have come to their end and are not looked at again."""
        self.queue_reasons: dict[str, str] = {}
        self.cancelled = False
        """Whether somebody has cancelled the run: what has vanished was stopped on purpose."""
        self.began = cluster.now()
        self._cluster, self._store, self._plan, self._options = cluster, store, plan, options
        self._looked_after: dict[str, str] = {}
        """The latest Job, by uid, when its result was looked for: a later one may have committed one since."""

    def rows(self) -> list[Row]:
        """The run as a table shows it, skipped jobs included."""
        return build_rows(self._plan, self.observations, self.progress, self.results)

    def tries(self, job: str) -> list[JobStatus]:
        """The Jobs of a job's tries that are in the cluster, in order."""
        return self.known.tries(job)

    def look(self) -> list[Row]:
        """The rows as things are now, all asked for. Raises ApiError, StoreError."""
        owner = find_owner(self._cluster, self._plan.run)
        self.cancelled = labels.CANCELLED_ANNOTATION in notes_of(owner)
        if owner is None or labels.CREATED_ANNOTATION in notes_of(owner):
            self.known.created.update(self.planned)
        selector = run_selector(self._plan.run)
        self.known.apply_job(Listed(self._cluster.list("jobs", read_job, selector=selector)[0]))
        self.known.apply_pod(Listed(self._cluster.list("pods", read_pod, selector=selector)[0]))
        ended = [job for job in self.planned if not (latest := self.known.latest(job)) or not latest.live]
        with ThreadPoolExecutor(READERS) as pool:
            results = pool.map(lambda job: read_result(self._store, self._plan.run, job), ended)
            self.results = dict(zip(ended, results, strict=True))
        self.progress = ProgressReader(self._store, self._plan.run).read_changed()
        self.observations = {job: self.observe(job, self._cluster.now()) for job in self.planned}
        return self.rows()

    def observe(self, job: str, now: float, *, restarting: bool = False) -> Observation:
        """The state of a job from what is known; ``restarting`` while a Job that is gone is about to be made again."""
        jobs = self.known.tries(job)
        found = observe(
            jobs,
            list(self.known.pods[job].values()),
            self._options,
            now,
            committed=self.results.get(job) is not None,
            created=job in self.known.created and not restarting,
            planned=self.began,
            warnings=self.known.warnings,
            queue_reason=self.queue_reasons.get(jobs[-1].uid, "") if jobs else "",
        )
        if found.final and found.category == "vanished" and self.cancelled:
            return replace(found, category="cancelled", reason="cancelled")
        return found

    def open(self) -> Iterator[Observation]:
        """What was last seen of the jobs that have not come to their end."""
        return (found for job, found in self.observations.items() if job not in self.settled)

    def overdue(self, now: float) -> list[str]:
        """Those of them whose time in their state is over."""
        seen = self.observations.items()
        return [job for job, one in seen if job not in self.settled and one.clock and one.clock.is_over(now)]

    def has_unexplained(self, now: float) -> bool:
        """Whether one of them has waited for a while and nothing says why."""
        waiting = (one.clock for one in self.open() if one.state == "pending" and not one.category)
        return any(clock is not None and now > clock.since + WARNED_AFTER for clock in waiting)

    def latest_uid(self, job: str) -> str:
        """The uid of the Job of the last try; empty where there is none."""
        latest = self.known.latest(job)
        return latest.uid if latest else ""

    def keep_result(self, job: str, result: Result | None, after: str) -> None:
        """Take in what the store said of a job's result when its latest Job was ``after``."""
        self.results[job], self._looked_after[job] = result, after

    def has_looked(self, job: str) -> bool:
        """Whether the store was asked for the job's result after its latest Job came, or has one."""
        return self.results.get(job) is not None or self._looked_after.get(job) == self.latest_uid(job)
