"""The objects of a run, built as plain data: one ConfigMap that owns one Job for each planned job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from atb.contract import labels
from atb.contract.exits import PERMANENT_CODES
from atb.documents.plan import PlannedJob
from launcher.kubernetes.objects.pod import CONTAINER, PodShape, Target, build_template
from launcher.kubernetes.options import ClusterOptions

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
KILLED = 137
"""The exit code of a container that the kernel killed: almost always for its memory."""


@dataclass(frozen=True, kw_only=True)
class JobAttempt(PodShape):
    """One Job of a job. The first has ordinal 0; each later one differs in its name and in what had to change."""

    deadline_seconds: int
    first_created: datetime
    ordinal: int = 0
    oom: int = 0
    infrastructure: int = 0
    cause: str = ""


@lru_cache(16)
def owner_name(run: str) -> str:
    """The name of a run's ConfigMap."""
    return labels.object_name("atb", run)


def job_name(run: str, job: str, ordinal: int = 0) -> str:
    """The name of a job's Kubernetes Job: always the same for the same try."""
    return labels.object_name("atb", run, job, *([f"try-{ordinal}"] if ordinal else []))


def run_selector(run: str) -> str:
    """Selects all objects of a run."""
    return f"{labels.RUN_LABEL}={labels.label_value(run)}"


def build_owner(target: Target) -> dict[str, Any]:
    """The ConfigMap that owns a run's Jobs: one delete cleans up. It says where the run's documents are."""
    data = {"run": target.run, "store": target.store}
    if target.endpoint_url:
        data["endpoint-url"] = target.endpoint_url
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": owner_name(target.run), "labels": run_labels(target.run)},
        "data": data,
    }


def build_job(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
    """One Job. The same arguments give the same object; nothing is read from anywhere else."""
    spec = planned.spec
    marks = {
        **options.labels,
        **run_labels(target.run),
        labels.JOB_LABEL: labels.label_value(planned.job),
        labels.SYMBOL_LABEL: labels.label_value(spec.symbol),
        labels.PRESET_LABEL: spec.preset,
    }
    if options.queue:
        marks[QUEUE_LABEL] = options.queue
    if options.workload_priority:
        marks[PRIORITY_LABEL] = options.workload_priority
    identity = {
        **options.annotations,
        labels.SYMBOL_ANNOTATION: spec.symbol,
        labels.JOB_ANNOTATION: planned.job,
        labels.SPEC_ANNOTATION: planned.spec_digest,
        labels.TRY_ANNOTATION: str(attempt.ordinal),
    }
    notes = {
        labels.OOM_ANNOTATION: str(attempt.oom),
        labels.INFRASTRUCTURE_ANNOTATION: str(attempt.infrastructure),
        labels.FIRST_ANNOTATION: attempt.first_created.astimezone(UTC).isoformat(timespec="seconds"),
    }
    if attempt.on_demand:
        notes[labels.ON_DEMAND_ANNOTATION] = "true"
    if attempt.cause:
        notes[labels.CAUSE_ANNOTATION] = attempt.cause
    command = training_command(planned, target, options)
    metadata: dict[str, Any] = {
        "name": job_name(target.run, planned.job, attempt.ordinal),
        "labels": marks,
        "annotations": {**identity, **notes},
        **owner_reference(target),
    }
    job_spec: dict[str, Any] = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": options.backoff_limit,
        "activeDeadlineSeconds": attempt.deadline_seconds,
        "ttlSecondsAfterFinished": options.ttl_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules()},
        "template": build_template(marks, identity, command, target, options, attempt),
    }
    if options.queue:
        job_spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job_spec}


def training_command(planned: PlannedJob, target: Target, options: ClusterOptions) -> list[str]:
    """The exec form of a training."""
    spec = planned.spec.model_dump_json()
    words = ["atb", "train", "job", spec, "--run", target.run, "--store", target.store, "--log-format", "json"]
    if not options.gpus:
        return [*words, "--accelerator", "cpu"]
    return [*words, "--accelerator", "gpu" if options.require_gpu else "auto", "--gpus", str(options.gpus)]


def owner_reference(target: Target) -> dict[str, Any]:
    """The reference to the run's ConfigMap in an object's metadata; empty before there is one."""
    if not target.owner_uid:
        return {}
    # no blockOwnerDeletion: it needs a right to the owner's finalizers where that admission is on
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner_name(target.run), "uid": target.owner_uid}
    return {"ownerReferences": [owner]}


def run_labels(run: str) -> dict[str, str]:
    """The labels of everything of a run."""
    return {"app.kubernetes.io/name": "atb", labels.RUN_LABEL: labels.label_value(run)}


def _failure_rules() -> list[dict[str, Any]]:
    # The first rule that matches decides, so a disrupted Pod that left with 137 is not mistaken for one out of memory.
    # 137 ends the Job: the same memory would end the same way, and the launcher makes a Job with more.
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": sorted(PERMANENT_CODES)},
        },
        {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [KILLED]}},
    ]
