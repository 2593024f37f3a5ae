"""The objects of a run, built as plain data: one ConfigMap that owns one Job for each planned job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from atb.code import IMAGE_VARIABLE
from atb.contract import labels
from atb.contract.exits import PERMANENT_CODES
from atb.documents.plan import PlannedJob
from launcher.kubernetes.objects.patch import merge_patch
from launcher.kubernetes.options import ClusterOptions

CONTAINER = "trainer"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
KILLED = 137
"""What a container leaves with that the kernel killed: almost always for its memory."""
SCRATCH = "/tmp"  # noqa: S108  the only writable path in the Pod; HOME and TMPDIR point to it


@dataclass(frozen=True)
class Target:
    """What all Jobs of one run share. ``owner_uid`` is the ConfigMap's, empty where nothing has been created."""

    run: str
    store: str
    endpoint_url: str | None = None
    owner_uid: str = ""


@dataclass(frozen=True)
class JobAttempt:
    """One Job of a job. The first has ordinal 0; each later one differs in its name and in what had to change."""

    memory: str
    deadline_seconds: int
    first_created: datetime
    ordinal: int = 0
    oom: int = 0
    infrastructure: int = 0
    cause: str = ""
    avoid: tuple[str, ...] = ()
    """Nodes that are chosen last: this job has failed there."""
    exclude: tuple[str, ...] = ()
    """Nodes that are never chosen: several symbols have failed there."""


def owner_name(run: str) -> str:
    """The name of a run's ConfigMap."""
    return labels.object_name("atb", run)


def job_name(run: str, job: str, ordinal: int = 0) -> str:
    """The name of a job's Job: the same for the same try, whoever computes it."""
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
        "metadata": {"name": owner_name(target.run), "labels": _run_labels(target.run)},
        "data": data,
    }


def build_job(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
    """One Job. The same arguments give the same object; nothing is read from anywhere else."""
    spec = planned.spec
    marks = {
        **options.labels,
        **_run_labels(target.run),
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
    if attempt.cause:
        notes[labels.CAUSE_ANNOTATION] = attempt.cause
    metadata: dict[str, Any] = {
        "name": job_name(target.run, planned.job, attempt.ordinal),
        "labels": marks,
        "annotations": {**identity, **notes},
    }
    if target.owner_uid:
        # no blockOwnerDeletion: it needs a right to the owner's finalizers where that admission is on
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": owner_name(target.run), "uid": target.owner_uid}
        ]
    job_spec: dict[str, Any] = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": options.backoff_limit,
        "activeDeadlineSeconds": attempt.deadline_seconds,
        "ttlSecondsAfterFinished": options.ttl_seconds,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": _failure_rules()},
        "template": _pod_template(marks, identity, _pod_spec(planned, target, options, attempt), options),
    }
    if options.queue:
        job_spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job_spec}


def training_command(planned: PlannedJob, target: Target, options: ClusterOptions) -> list[str]:
    """The exec form of a training; ``$`` is doubled because the kubelet expands ``$(NAME)``."""
    spec = planned.spec.model_dump_json()
    words = ["atb", "train", "job", spec, "--run", target.run, "--store", target.store, "--log-format", "json"]
    if not options.gpus:
        words += ["--accelerator", "cpu"]
    elif options.require_gpu:
        words += ["--accelerator", "gpu", "--gpus", str(options.gpus)]
    return [word.replace("$", "$$") for word in words]


def _pod_template(
    marks: Mapping[str, str], identity: Mapping[str, str], pod: Mapping[str, Any], options: ClusterOptions
) -> dict[str, Any]:
    """The Pod template with the user's patch; what the launcher finds and retries its Pods by is written last."""
    template = {"metadata": {"labels": {}, "annotations": _stay_put()}, "spec": dict(pod)}
    needed = {"metadata": {"labels": marks, "annotations": identity}, "spec": {"restartPolicy": "Never"}}
    merged: dict[str, Any] = merge_patch(merge_patch(template, options.pod_patch), needed)
    return merged


def _run_labels(run: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "atb", labels.RUN_LABEL: labels.label_value(run)}


def _failure_rules() -> list[dict[str, Any]]:
    # The first rule that matches decides, so a disrupted Pod that left with 137 is not taken for one out of memory.
    # 137 ends the Job: the same memory would end the same way, and the launcher makes a Job with more.
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": sorted(PERMANENT_CODES)},
        },
        {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [KILLED]}},
    ]


def _stay_put() -> dict[str, str]:
    """Consolidation kills more training than spot prices do."""
    return {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


def _pod_spec(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if options.run_as_user is not None:
        security |= {"runAsUser": options.run_as_user, "runAsGroup": options.run_as_user}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": options.termination_grace_seconds,
        "securityContext": security,
        "containers": [_container(planned, target, options, attempt)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": options.scratch_size}}],
    }
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if tolerations := [*gpu_tolerations(options), *_node_loss_tolerations(options), *options.tolerations]:
        pod["tolerations"] = tolerations
    if affinity := keep_off_nodes(options.affinity, avoid=attempt.avoid, exclude=attempt.exclude):
        pod["affinity"] = affinity
    named = {
        "serviceAccountName": options.service_account,
        "nodeSelector": options.node_selector,
        "runtimeClassName": options.runtime_class,
        "priorityClassName": options.priority_class,
    }
    return pod | {key: value for key, value in named.items() if value}


def _container(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
    plain = {**options.env, IMAGE_VARIABLE: options.image, "HOME": SCRATCH, "TMPDIR": SCRATCH}
    if target.endpoint_url:
        plain["AWS_ENDPOINT_URL_S3"] = target.endpoint_url
    env: list[dict[str, Any]] = [{"name": name, "value": value.replace("$", "$$")} for name, value in plain.items()]
    for name, field in ((labels.POD_VARIABLE, "metadata.name"), (labels.NODE_VARIABLE, "spec.nodeName")):
        env.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}})
    limits: dict[str, str] = {"memory": attempt.memory}
    if options.gpus:
        limits[options.gpu_resource] = str(options.gpus)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": options.image_pull_policy,
        "command": training_command(planned, target, options),
        "env": env,
        "resources": {"requests": {"cpu": options.cpu, **limits}, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }
    sources = [{"secretRef": {"name": name}} for name in options.env_from_secrets]
    sources += [{"configMapRef": {"name": name}} for name in options.env_from_config_maps]
    if sources:
        container["envFrom"] = sources
    return container


def _node_loss_tolerations(options: ClusterOptions) -> list[dict[str, Any]]:
    """How long a Pod stays bound to a node that has gone away; the admission plug-in adds 300 s where none is given."""
    if options.node_loss_seconds is None:
        return []
    seconds = options.node_loss_seconds
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds} for key in _NODE_TAINTS
    ]


def gpu_tolerations(options: ClusterOptions) -> list[dict[str, Any]]:
    """The tolerations that every Pod with a GPU has."""
    if not options.gpus:
        return []
    vendor = options.gpu_resource.partition("/")[0]
    # slices of a GPU are resources of their own, their nodes still carry the whole GPU's taint
    keys = sorted({options.gpu_resource, f"{vendor}/gpu"})
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def keep_off_nodes(affinity: Mapping[str, Any], *, avoid: Sequence[str], exclude: Sequence[str]) -> dict[str, Any]:
    """The affinity, with nodes that are chosen last or never. A field requirement takes one value, so each has its own.

    Required terms are alternatives, so the exclusion goes into every one of them.
    """
    if not avoid and not exclude:
        return dict(affinity)
    node = dict(affinity.get("nodeAffinity", {}))
    if exclude:
        bans = [{"key": "metadata.name", "operator": "NotIn", "values": [name]} for name in sorted(exclude)]
        required = node.get("requiredDuringSchedulingIgnoredDuringExecution", {})
        terms = required.get("nodeSelectorTerms") or [{}]
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{**term, "matchFields": [*term.get("matchFields", []), *bans]} for term in terms]
        }
    if avoid:
        shuns = [
            {
                "weight": 100,
                "preference": {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [name]}]},
            }
            for name in sorted(avoid)
        ]
        preferred = [*node.get("preferredDuringSchedulingIgnoredDuringExecution", []), *shuns]
        node["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    return {**affinity, "nodeAffinity": node}
