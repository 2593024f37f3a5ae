"""The one Job of a packed run: as many Pods as there are workers, each of which takes jobs until none is left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from atb.contract import labels
from atb.contract.exits import PERMANENT_CODES
from atb.contract.names import decimal_number, whole_number
from atb.documents.plan import Plan
from launcher.kubernetes.objects.job_status import JobStatus, read_job
from launcher.kubernetes.objects.jobs import PRIORITY_LABEL, QUEUE_LABEL, owner_reference, run_labels
from launcher.kubernetes.objects.pod import CONTAINER, PodShape, Target, build_template
from launcher.kubernetes.options import DAY, ClusterOptions

MIN_PARALLELISM_ANNOTATION = "kueue.x-k8s.io/job-min-parallelism"
"""Lets Kueue admit fewer workers if there is no room for all."""
LONGEST_SECONDS = 30 * DAY


@dataclass(frozen=True, kw_only=True)
class WorkerRound(PodShape):
    """One such Job. Of a run there is one, and another one where workers were lost before all was done."""

    workers: int
    ordinal: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """Such a Job as the cluster has it."""

    status: JobStatus
    workers: int
    since: float


def worker_job_name(run: str, ordinal: int = 0) -> str:
    """The name of a run's workers, or of those that follow them."""
    extra = [f"try-{ordinal}"] if ordinal else []
    return labels.object_name("atb", run, "workers", *extra, limit=labels.INDEXED_JOB_NAME_MAX)


def build_worker_job(plan: Plan, target: Target, options: ClusterOptions, shape: WorkerRound) -> dict[str, Any]:
    """The Job. The same arguments give the same object; nothing is read from anywhere else."""
    marks = {**options.labels, **run_labels(target.run)}
    command = worker_command(target, options, shape)
    if options.queue:
        marks[QUEUE_LABEL] = options.queue
    if options.workload_priority:
        marks[PRIORITY_LABEL] = options.workload_priority
    notes = {
        **options.annotations,
        labels.SPEC_ANNOTATION: _digest(plan),
        labels.TRY_ANNOTATION: str(shape.ordinal),
        labels.WORKERS_ANNOTATION: str(shape.workers),
        labels.SINCE_ANNOTATION: f"{shape.since:.3f}",
    }
    if options.queue:
        notes[MIN_PARALLELISM_ANNOTATION] = "1"
    jobs = len(plan.to_run)
    deadline = min(options.deadline_seconds * -(-jobs // shape.workers), LONGEST_SECONDS)
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": shape.workers,
        "parallelism": shape.workers,
        "backoffLimitPerIndex": options.backoff_limit,
        "activeDeadlineSeconds": deadline,
        "ttlSecondsAfterFinished": options.ttl_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules()},
        "template": build_template(marks, options.annotations, command, target, options, shape),
    }
    if options.queue:
        spec["suspend"] = True
    metadata: dict[str, Any] = {
        "name": worker_job_name(target.run, shape.ordinal),
        "labels": marks,
        "annotations": notes,
        **owner_reference(target),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def worker_command(target: Target, options: ClusterOptions, shape: WorkerRound) -> list[str]:
    """The exec form of a worker, whose index Kubernetes gives in the environment."""
    accelerator = "cpu" if not options.gpus else "gpu" if options.require_gpu else "auto"
    words = ["atb-launch", "worker", target.run, "--store", target.store, "--workers", str(shape.workers)]
    words += ["--slots", str(options.worker_slots), "--accelerator", accelerator]
    words += ["--deadline", str(options.deadline_seconds)]
    return words + (["--since", f"{shape.since:.3f}"] if shape.since else [])


def read_worker_job(item: dict[str, Any]) -> WorkerJob | None:
    """What is kept of a Job; None for one that has no workers."""
    notes = item["metadata"].get("annotations") or {}
    if labels.WORKERS_ANNOTATION not in notes:
        return None
    return WorkerJob(
        read_job(item),
        whole_number(notes[labels.WORKERS_ANNOTATION]) or 1,
        decimal_number(notes.get(labels.SINCE_ANNOTATION, "")) or 0.0,
    )


def _failure_rules() -> list[dict[str, Any]]:
    # An index that fails for good leaves its jobs to the others. One that was killed (137) begins again: which
    # training needed the memory is in the store, and the worker runs that one alone.
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailIndex",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": sorted(PERMANENT_CODES)},
        },
    ]


def _digest(plan: Plan) -> str:
    return hashlib.sha256("\n".join(job.spec_digest for job in plan.to_run).encode()).hexdigest()
