"""The Pod of a training or a worker, built as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atb.code import IMAGE_VARIABLE
from atb.contract import labels
from launcher.kubernetes.objects.patch import merge_patch
from launcher.kubernetes.options import ClusterOptions

CONTAINER = "trainer"
CLAIM = "devices"
"""What the Pod calls the resource claim that is made for it."""
COMPILED = "/compile-cache"
"""Where the volume of compiled code is mounted."""
_GROUP = 10001
"""Who may write to that volume where the image chooses the user."""
SCRATCH = "/tmp"  # noqa: S108  the writable path in every Pod; HOME and TMPDIR point to it


@dataclass(frozen=True)
class Target:
    """What all Jobs of one run share. ``owner_uid`` is the ConfigMap's, empty where nothing has been created."""

    run: str
    store: str
    endpoint_url: str | None = None
    owner_uid: str = ""


@dataclass(frozen=True, kw_only=True)
class PodShape:
    """What differs from one attempt to the next."""

    memory: str
    avoid: tuple[str, ...] = ()
    """Nodes that are chosen last: this job has failed there."""
    exclude: tuple[str, ...] = ()
    """Nodes that are never chosen: several symbols have failed there."""
    on_demand: bool = False
    """Keeps off the nodes with the label of spot, instead of on them."""


_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_STAY_PUT = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
"""Annotations: consolidation kills more training than spot prices do."""


def build_template(
    marks: Mapping[str, str],
    notes: Mapping[str, str],
    command: Sequence[str],
    target: Target,
    options: ClusterOptions,
    shape: PodShape,
) -> dict[str, Any]:
    """The Pod template with the user's patch; what the launcher finds and retries its Pods by is written last."""
    template = {"metadata": {"labels": {}, "annotations": _STAY_PUT}, "spec": _pod(command, target, options, shape)}
    needed = {"metadata": {"labels": marks, "annotations": notes}, "spec": {"restartPolicy": "Never"}}
    merged: dict[str, Any] = merge_patch(merge_patch(template, options.pod_patch), needed)
    return merged


def _pod(command: Sequence[str], target: Target, options: ClusterOptions, shape: PodShape) -> dict[str, Any]:
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if options.run_as_user is not None:
        security |= {"runAsUser": options.run_as_user, "runAsGroup": options.run_as_user}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The kernel drops a SIGTERM to process 1 that has no handler yet, so nothing of ours is process 1: else a Job
        # that is deleted as it starts would train to its end
        **({"shareProcessNamespace": True} if options.share_process_namespace else {}),
        "terminationGracePeriodSeconds": options.termination_grace_seconds,
        "securityContext": security,
        "containers": [_container(command, target, options, shape)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": options.scratch_size}}],
    }
    if options.compile_cache:
        security["fsGroup"] = options.run_as_user or _GROUP
        pod["volumes"].append({"name": "compiled", "persistentVolumeClaim": {"claimName": options.compile_cache}})
    if options.resource_claim_template:
        pod["resourceClaims"] = [{"name": CLAIM, "resourceClaimTemplateName": options.resource_claim_template}]
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if tolerations := [*gpu_tolerations(options), *_node_loss_tolerations(options), *options.tolerations]:
        pod["tolerations"] = tolerations
    spot = options.spot_label
    chosen = keep_off_labels(options.affinity, spot) if shape.on_demand else options.affinity
    if affinity := keep_off_nodes(chosen, avoid=shape.avoid, exclude=shape.exclude):
        pod["affinity"] = affinity
    named = {
        "serviceAccountName": options.service_account,
        "nodeSelector": options.node_selector if shape.on_demand else {**options.node_selector, **spot},
        "runtimeClassName": options.runtime_class,
        "priorityClassName": options.priority_class,
    }
    return pod | {key: value for key, value in named.items() if value}


def _container(command: Sequence[str], target: Target, options: ClusterOptions, shape: PodShape) -> dict[str, Any]:
    plain = {**options.env_plain, **options.env, IMAGE_VARIABLE: options.image, "HOME": SCRATCH, "TMPDIR": SCRATCH}
    if options.compile_cache:
        plain[labels.COMPILE_CACHE_VARIABLE] = COMPILED
    if target.endpoint_url:
        plain["AWS_ENDPOINT_URL_S3"] = target.endpoint_url
    env: list[dict[str, Any]] = [{"name": name, "value": value.replace("$", "$$")} for name, value in plain.items()]
    for name, field in ((labels.POD_VARIABLE, "metadata.name"), (labels.NODE_VARIABLE, "spec.nodeName")):
        env.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}})
    limits: dict[str, str] = {"memory": shape.memory, **options.resources}
    if options.gpus:
        limits[options.gpu_resource] = str(options.gpus)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": options.image_pull_policy,
        "command": [word.replace("$", "$$") for word in command],  # the kubelet expands $(NAME)
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
    if options.compile_cache:
        container["volumeMounts"].append({"name": "compiled", "mountPath": COMPILED})
    if options.resource_claim_template:
        container["resources"]["claims"] = [{"name": CLAIM}]
    sources = [{"secretRef": {"name": name}} for name in options.env_from_secrets]
    sources += [{"configMapRef": {"name": name}} for name in options.env_from_config_maps]
    if sources:
        container["envFrom"] = sources
    return container


def _node_loss_tolerations(options: ClusterOptions) -> list[dict[str, Any]]:
    """How long a Pod stays bound to an unreachable node; the admission plug-in adds 300 s where none is given."""
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
    """The affinity, with nodes that are chosen last or never. A field requirement takes one value, so each has its
    own."""
    if not avoid and not exclude:
        return dict(affinity)
    node = dict(affinity.get("nodeAffinity", {}))
    if exclude:
        bans = [{"key": "metadata.name", "operator": "NotIn", "values": [name]} for name in sorted(exclude)]
        node = _require(node, "matchFields", bans)
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


def keep_off_labels(affinity: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """The affinity, for nodes without these labels; nodes that don't have the key at all are such."""
    bans = [{"key": key, "operator": "NotIn", "values": [value]} for key, value in labels.items()]
    return {**affinity, "nodeAffinity": _require(affinity.get("nodeAffinity", {}), "matchExpressions", bans)}


def _require(node: Mapping[str, Any], kind: str, wanted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A node affinity with more requirements. Required terms are alternatives, so they go into every one of them."""
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms") or [{}]
    selector = {"nodeSelectorTerms": [{**term, kind: [*term.get(kind, []), *wanted]} for term in terms]}
    return {**node, "requiredDuringSchedulingIgnoredDuringExecution": selector}
