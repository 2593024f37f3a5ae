"""What state a job is in: a pure function of its Jobs, their Pods, warnings and the store. Asking twice is harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atb.documents.manifest import State
from launcher.kubernetes.control.diagnose import (
    Finding,
    diagnose_ended,
    diagnose_failed_job,
    diagnose_unscheduled,
    diagnose_waiting,
)
from launcher.kubernetes.control.retry import describe_memory
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus
from launcher.kubernetes.objects.warnings import WarningEvent
from launcher.kubernetes.options import ClusterOptions

PERMANENT_GRACE = 120.0
"""Seconds an error that looks permanent may last: an image may be a moment behind, a Secret just be on its way."""
SETTLE = 5.0
"""Seconds after a Pod's end in which its reason may still arrive."""
LOST_GRACE = 120.0
"""Seconds beyond its grace period that a Pod may take to end before its node counts as lost."""
UNREACHABLE_GRACE = 15.0
"""Seconds after its eviction that a Pod's unreachable node may still come back, where node_loss_seconds is set."""
DEADLINE_GRACE = 300.0
"""Seconds beyond the deadline in which the Job controller may enforce it."""
STALE_EVENT = 300.0


@dataclass(frozen=True, slots=True)
class Clock:
    """How long something may last. ``since`` is in seconds since 1970 by the server's clock."""

    since: float
    seconds: float

    def is_over(self, now: float) -> bool:
        """Whether the time is up."""
        return now > self.since + self.seconds


@dataclass(frozen=True, slots=True)
class Observation:
    """A job's state. One that is not ``final`` has a clock, so that nothing waits forever."""

    state: State
    category: str = ""
    reason: str = ""
    node: str = ""
    pod: str = ""
    attempts: int = 0
    final: bool = False
    clock: Clock | None = None


def observe(
    jobs: Sequence[JobStatus],
    pods: Sequence[PodStatus],
    options: ClusterOptions,
    now: float,
    *,
    committed: bool = False,
    created: bool = False,
    planned: float = 0.0,
    warnings: Mapping[str, WarningEvent] | None = None,
    queue_reason: str = "",
) -> Observation:
    """A job's state from its Jobs in the order of their tries and all their Pods.

    ``committed``: its result.json is there, and nothing else proves success. ``created``: its first Job has been
    created, so that an absent one has vanished; ``planned`` is when it was first meant to be. ``warnings`` are by
    object name.
    """
    attempts = sum(1 for pod in pods if pod.running_since or pod.exit_code is not None)
    if committed:
        last = max(pods, key=lambda pod: pod.created, default=None)
        return Observation("done", node=last.node if last else "", attempts=attempts, final=True)
    if not jobs:
        if created:
            return Observation("interrupted", "vanished", "its Job is gone and it left no result", final=True)
        return Observation("pending", reason="not created yet", clock=Clock(planned or now, options.schedule_seconds))
    job = jobs[-1]
    own = sorted((pod for pod in pods if pod.job_name == job.name), key=lambda pod: pod.created)
    found = _observe_job(job, own, options, now, warnings or {}, queue_reason)
    if found.category == "oom" and found.final:
        found = replace(found, reason=f"{found.reason}; {describe_memory(job, options, now)}")
    return replace(found, attempts=attempts) if attempts else found


def _observe_job(
    job: JobStatus,
    pods: list[PodStatus],
    options: ClusterOptions,
    now: float,
    warnings: Mapping[str, WarningEvent],
    queue_reason: str,
) -> Observation:
    last = pods[-1] if pods else None
    node, pod_name = (last.node, last.name) if last else ("", "")
    if job.verdict:
        category, _, reason = job.verdict.partition(": ")
        return Observation("failed", category, reason, node, pod_name, final=True)
    if job.failed is not None:
        if _still_settling(job, pods, now):
            since = last.ended if last and last.ended else job.failed.since
            return Observation("running", reason="ending", node=node, clock=Clock(since, SETTLE))
        finding = diagnose_failed_job(job, pods)
        blamed = next((p for p in reversed(pods) if p.phase == "Failed" and p.disrupted is None), last)
        return Observation(
            "failed",
            finding.category,
            finding.reason,
            blamed.node if blamed else "",
            blamed.name if blamed else "",
            final=True,
        )
    if job.complete is not None:
        if last is not None and last.exit_reason == "OOMKilled":
            return Observation("failed", "oom", "a part of it was killed for its memory", node, pod_name, final=True)
        return Observation("failed", "no-result", "the Pod succeeded but left no result.json", node, final=True)
    if job.deleting:
        clock = Clock(job.deleted, options.termination_grace_seconds + LOST_GRACE)
        return Observation("interrupted", "vanished", "its Job is being deleted", node, pod_name, clock=clock)
    if job.failing is not None:
        return Observation("running", reason="ending", node=node, pod=pod_name, clock=_ending_clock(last, job, options))
    if job.suspended:
        since = job.queued.since if job.queued else job.created
        reason = queue_reason or "waits for its queue" if options.queue else "suspended"
        return Observation("pending", "queue", reason, clock=Clock(since, options.schedule_seconds))
    return _observe_pods(job, pods, options, now, warnings)


def _observe_pods(
    job: JobStatus, pods: list[PodStatus], options: ClusterOptions, now: float, warnings: Mapping[str, WarningEvent]
) -> Observation:
    if not pods:
        since = job.started or job.created
        warning = warnings.get(job.name)
        if warning is not None:
            finding = _diagnose_create(warning)
            seconds = PERMANENT_GRACE if finding.category == "refused" else options.schedule_seconds
            return Observation("pending", finding.category, finding.reason, clock=Clock(since, seconds))
        return Observation("pending", reason="waits for its Pod", clock=Clock(since, options.schedule_seconds))
    pod = pods[-1]
    if pod.phase == "Succeeded":
        clock = Clock(pod.ended or pod.created, options.schedule_seconds)
        return Observation("running", reason="ending", node=pod.node, pod=pod.name, clock=clock)
    if pod.phase == "Failed":
        finding = diagnose_ended(pod)
        state: State = "interrupted" if finding.category in ("preempted", "stopped", "node-lost") else "pending"
        warning = warnings.get(job.name)
        if warning is not None and now - warning.at < STALE_EVENT and warning.at > pod.ended:
            finding = _diagnose_create(warning)
        clock = Clock(pod.ended or pod.created, options.schedule_seconds)
        return Observation(state, finding.category, finding.reason, pod.node, pod.name, clock=clock)
    if pod.deleted:
        clock = Clock(pod.deleted, LOST_GRACE)  # deletionTimestamp is when the grace period ends
        if pod.disrupted is not None:
            finding = diagnose_ended(pod)
            if options.node_loss_seconds is not None and pod.disrupted.reason == "DeletionByTaintManager":
                # nothing there can end it: what its node writes later is harmless, since keys carry the attempt
                clock = Clock(pod.deleted - pod.grace, UNREACHABLE_GRACE)
            return Observation("interrupted", finding.category, finding.reason, pod.node, pod.name, clock=clock)
        return Observation("interrupted", "stopped", "stopping", pod.node, pod.name, clock=clock)
    if pod.phase == "Pending":
        return _observe_pending(pod, options, now, warnings)
    limit = job.deadline_seconds or options.deadline_seconds
    return Observation(
        "running",
        reason="the node does not answer" if pod.phase == "Unknown" else "",
        node=pod.node,
        pod=pod.name,
        clock=Clock(job.started or pod.created, limit + DEADLINE_GRACE),
    )


def _observe_pending(
    pod: PodStatus, options: ClusterOptions, now: float, warnings: Mapping[str, WarningEvent]
) -> Observation:
    if pod.scheduled is None and not pod.node:
        if pod.unscheduled is None:
            return Observation(
                "pending", reason="waits for a node", pod=pod.name, clock=Clock(pod.created, options.schedule_seconds)
            )
        finding = diagnose_unscheduled(pod.unscheduled)
        clock = Clock(pod.created, options.schedule_seconds)
        return Observation("pending", finding.category, finding.reason, pod=pod.name, clock=clock)
    since = pod.scheduled.since if pod.scheduled else pod.created
    waits = diagnose_waiting(pod.waiting, pod.waiting_message)
    if waits is None:
        warning = warnings.get(pod.name)
        if warning is not None and warning.reason in ("FailedMount", "FailedAttachVolume"):
            waits = Finding("config", warning.message)
        elif warning is not None and warning.reason.startswith("FailedCreatePodSandBox"):
            waits = Finding("start", warning.message)
    if waits is None:
        reason = "pulls the image" if pod.waiting in ("", "ContainerCreating") else pod.waiting
        return Observation("pending", "", reason, pod.node, pod.name, clock=Clock(since, options.start_seconds))
    seconds = min(PERMANENT_GRACE, options.start_seconds) if waits.category in ("image", "config") else None
    clock = Clock(since, options.start_seconds if seconds is None else seconds)
    return Observation("pending", waits.category, waits.reason, pod.node, pod.name, clock=clock)


def _diagnose_create(warning: WarningEvent) -> Finding:
    if "quota" in warning.message:
        return Finding("quota", warning.message)
    return Finding("refused" if warning.reason == "FailedCreate" else "unschedulable", warning.message)


def _still_settling(job: JobStatus, pods: list[PodStatus], now: float) -> bool:
    assert job.failed is not None
    end = pods[-1].ended if pods and pods[-1].ended else job.failed.since
    if now > end + SETTLE or job.failed.reason == "DeadlineExceeded":
        return False
    ended = [
        pod for pod in pods if pod.phase == "Failed" and (pod.exit_code is not None or pod.disrupted or pod.reason)
    ]
    # 137 without a reason yet: OOMKilled or a disruption may arrive a few seconds later
    return not ended or (
        ended[-1].exit_code == 137 and ended[-1].exit_reason in ("", "Error") and not ended[-1].disrupted
    )


def _ending_clock(pod: PodStatus | None, job: JobStatus, options: ClusterOptions) -> Clock:
    assert job.failing is not None
    since = max(job.failing.since, pod.deleted if pod else 0.0)
    return Clock(since, options.termination_grace_seconds + LOST_GRACE)
