"""Creates a run's Jobs in parallel under the rate cap, and remembers what was refused and what was put off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from atb.documents.plan import PlannedJob
from atb.errors import SpecError
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.rate_limit import RateLimit
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.control.object_cache import ObjectCache
from launcher.kubernetes.control.observe import Observation
from launcher.kubernetes.control.request_pool import RequestPool
from launcher.kubernetes.control.retry import bad_nodes
from launcher.kubernetes.objects.ensure import create_job
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.jobs import JobAttempt, Target, build_job
from launcher.kubernetes.options import ClusterOptions

Build = Callable[[PlannedJob, Target, ClusterOptions, JobAttempt], dict[str, Any]]

CREATE_AGAIN = 15.0
"""Seconds before a creation that a quota or a silent server stopped is tried again."""


class Creator:
    """Used by the thread that owns the state; the requests are sent by ``workers``."""

    def __init__(
        self,
        cluster: Cluster,
        planned: Mapping[str, PlannedJob],
        known: ObjectCache,
        options: ClusterOptions,
        build: Build = build_job,
    ) -> None:
        self.refused: dict[str, tuple[str, str]] = {}
        """Creations that will never go well: category and reason."""
        self._put_off: dict[str, tuple[float, JobAttempt, str, str]] = {}
        """Creations to be tried again: when, what, category and reason."""
        self._cluster, self._planned, self._known, self._options, self._build = cluster, planned, known, options, build
        self._rate = RateLimit(options.create_rate)
        self._ends = cluster.now() + options.schedule_seconds

    @property
    def bad_nodes(self) -> dict[str, frozenset[str]]:
        """Nodes that later attempts are kept off, and the symbols that failed there."""
        lost = self._known.lost_on
        return dict(bad_nodes((node, self._planned[job].spec.symbol, category) for node, job, category in lost))

    def create(self, workers: RequestPool, target: Target, job: str, attempt: JobAttempt) -> None:
        """Have a Job created; what becomes of it is known later."""
        planned = self._planned[job]
        attempt = replace(attempt, exclude=tuple(sorted(self.bad_nodes)))

        def work() -> JobStatus:
            self._rate.wait()
            return create_job(self._cluster, self._build(planned, target, self._options, attempt))

        def made(facts: JobStatus) -> None:
            self._put_off.pop(job, None)
            self._known.dirty.add(job)
            self._known.keep_created(facts)

        def failed(error: BaseException) -> None:
            self._known.dirty.add(job)
            quota = isinstance(error, ApiError) and "exceeded quota" in str(error)
            if isinstance(error, ApiError) and (quota or error.transient):
                category = "quota" if quota else "unavailable"
                self._put_off[job] = (self._cluster.now() + CREATE_AGAIN, attempt, category, str(error))
            elif isinstance(error, ApiError | SpecError):
                self.refused[job] = ("refused", str(error))
            else:
                raise error

        workers.submit(job, work, made, failed)

    def create_put_off(self, workers: RequestPool, target: Target) -> None:
        """JobAttempt those again whose time has come."""
        for job, (at, attempt, _, _) in list(self._put_off.items()):
            if job not in workers.busy and at <= self._cluster.now() <= self._ends:
                self.create(workers, target, job, attempt)

    def observe(self, job: str, now: float) -> Observation | None:
        """The state of a job whose creation did not go well; None of any other."""
        if job in self.refused:
            category, reason = self.refused[job]
            return Observation("failed", category, reason, final=True)
        if job in self._put_off:
            _, _, category, reason = self._put_off[job]
            over = now > self._ends
            return Observation("failed" if over else "pending", category, reason, final=over)
        return None
