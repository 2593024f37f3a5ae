"""What is known of a packed run: where its jobs stand in the store, and its workers in the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.kubernetes.control.diagnose import diagnose_ended, diagnose_failed_job
from launcher.kubernetes.control.observe import Observation, observe
from launcher.kubernetes.objects.job_status import PodStatus
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.kubernetes.objects.worker_job import WorkerJob
from launcher.kubernetes.options import ClusterOptions
from launcher.records.categories import INFRASTRUCTURE
from launcher.records.leases import Standing
from launcher.report.live_table import Row


@dataclass(frozen=True)
class PackedView:
    """One moment. ``now`` is by the API server's clock."""

    options: ClusterOptions
    standings: Mapping[str, Standing]
    now: float
    rounds: Sequence[WorkerJob] = ()
    """The run's worker Jobs that are there, in order."""
    pods: Sequence[PodStatus] = ()
    before: int = -1
    """The highest ordinal of worker Jobs that had ended before this launcher began: a resumed run needs another."""
    created: bool = False
    """Whether a worker Job has been there: one that is missing has vanished."""
    may_create: bool = False
    cancelled: bool = False
    queue_reason: str = ""
    warnings: Mapping[str, WarningEvent] = field(default_factory=dict)

    @property
    def latest(self) -> WorkerJob | None:
        """The last worker Job."""
        return self.rounds[-1] if self.rounds else None

    @property
    def open(self) -> list[str]:
        """The jobs that have not come to their end."""
        return [job for job, standing in self.standings.items() if standing.state in ("free", "live")]

    def own_pods(self) -> list[PodStatus]:
        """The Pods of the last worker Job, the newest last."""
        latest = self.latest
        found = [pod for pod in self.pods if latest is not None and pod.job_name == latest.status.name]
        return sorted(found, key=lambda pod: pod.created)

    def workers(self) -> list[Observation]:
        """The state of each of its Pods that has not ended; of the Job where there is none."""
        latest = self.latest
        if latest is None:
            return []
        live = [pod for pod in self.own_pods() if pod.phase not in ("Succeeded", "Failed")]
        return [observe([latest.status], [pod], self.options, self.now, warnings=self.warnings) for pod in live] or [
            observe([latest.status], [], self.options, self.now, warnings=self.warnings, queue_reason=self.queue_reason)
        ]

    def failure(self) -> tuple[str, str]:
        """Category and reason of a last worker Job that has ended and left jobs undone."""
        latest = self.latest
        if latest is None:
            return "vanished", "its workers' Job is gone and it has no result"
        status = latest.status
        if status.verdict:
            category, _, reason = status.verdict.partition(": ")
            return category, reason
        if status.failed is not None or status.failing is not None:
            found = diagnose_failed_job(status, self.own_pods())
            return found.category, found.reason
        return "no-result", "its workers have ended and left no result of it"

    def bad_nodes(self) -> tuple[str, ...]:
        """Nodes whose own fault ended a worker."""
        failed = (pod for pod in self.pods if pod.phase == "Failed" and pod.node)
        return tuple(sorted({pod.node for pod in failed if diagnose_ended(pod).category in INFRASTRUCTURE}))


def explain_waiting(rows: Sequence[Row], workers: Sequence[Observation]) -> list[Row]:
    """The rows, with what the workers wait for on those not yet started, unless some worker runs."""
    if any(worker.state == "running" for worker in workers) or not workers:
        return list(rows)
    cause = next((worker for worker in workers if worker.category), workers[0])
    return [
        replace(row, category=cause.category, detail=cause.reason)
        if row.state == "pending" and not row.category
        else row
        for row in rows
    ]
