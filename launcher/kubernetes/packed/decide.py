"""What is to be done about a packed run now: every rule, as a pure function of what is known."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.kubernetes.control.decide import giving_up
from launcher.kubernetes.objects.job_status import JobStatus
from launcher.kubernetes.objects.worker_job import WorkerRound
from launcher.kubernetes.packed.view import PackedView

MOST_ROUNDS = 3
"""Worker Jobs of one launch: the first, and two more where workers were lost before all was done."""


@dataclass(frozen=True, slots=True)
class CreateWorkers:
    """Create the Job of the workers, or find it where another launcher has."""

    shape: WorkerRound


@dataclass(frozen=True, slots=True)
class GiveUpWorkers:
    """End the workers' Job, none of whose Pods can start."""

    status: JobStatus
    category: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeleteWorkers:
    """Delete the workers' Job of a cancelled run."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class WriteVerdicts:
    """Write down why jobs end without a result."""

    jobs: tuple[str, ...]
    category: str
    reason: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Every job has come to its end."""


Action = CreateWorkers | GiveUpWorkers | DeleteWorkers | WriteVerdicts | Leave


def decide(view: PackedView, workers: int, since: float) -> Action | None:
    """What to do now; None: wait. ``workers``: how many a new Job has. ``since``: when the session began."""
    if not view.open:
        return Leave()
    latest = view.latest
    if latest is not None and latest.status.live:
        if view.cancelled:
            return DeleteWorkers(latest.status)
        return _watch(view, latest.status)
    if any(standing.state == "live" for standing in view.standings.values()):
        return None  # its process still ends, or its lease does
    if latest is not None and latest.status.deleting:
        return None
    if view.cancelled:
        return WriteVerdicts(tuple(view.open), "cancelled", "cancelled", interrupted=True)
    ordinal = 0 if latest is None else latest.status.ordinal + 1
    fresh = latest is None or latest.status.ordinal <= view.before
    if view.may_create and fresh and not (latest is None and view.created):
        return CreateWorkers(_round(view, workers, ordinal, since))
    category, reason = view.failure()
    lost = category in ("node-lost", "no-accelerator", "evicted", "preempted", "oom", "stopped", "unavailable")
    if view.may_create and (lost or category == "no-result") and ordinal - view.before - 1 < MOST_ROUNDS:
        return CreateWorkers(_round(view, workers, ordinal, since))
    return WriteVerdicts(tuple(view.open), category, reason, interrupted=category == "vanished")


def _watch(view: PackedView, status: JobStatus) -> GiveUpWorkers | None:
    """Give the workers up where none runs and the time of all of them is over."""
    seen = view.workers()
    if any(worker.state == "running" for worker in seen):
        return None
    if not all(worker.clock is not None and worker.clock.is_over(view.now) for worker in seen):
        return None
    return GiveUpWorkers(status, *giving_up(seen[0]))


def _round(view: PackedView, workers: int, ordinal: int, since: float) -> WorkerRound:
    needed = -(-len(view.open) // view.options.worker_slots)
    count = max(1, min(workers, needed))
    return WorkerRound(memory=view.options.memory, avoid=view.bad_nodes(), workers=count, ordinal=ordinal, since=since)
