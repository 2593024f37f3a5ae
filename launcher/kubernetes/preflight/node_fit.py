"""Whether a Pod fits on a node: labels, taints and room. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.objects.pod import gpu_tolerations
from launcher.kubernetes.options import ClusterOptions

Node = Mapping[str, Any]
Verdict = tuple[Literal["ok", "warning", "error"], str]

_INTEGER = re.compile("-?[0-9]{1,18}")
_GROWING = (
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "node.cluster.x-k8s.io/node-group",
)
"""Labels of nodes that something adds more of: what does not fit today may fit on a node that comes."""


def check_nodes(nodes: Sequence[Node], options: ClusterOptions, jobs: int) -> Verdict:
    """Whether one Pod fits on some node, and how many fit at once when the nodes are empty."""
    reasons = Counter[str]()
    places = 0
    fitting = 0
    for node in nodes:
        reason = why_not(node, options)
        if reason is None:
            fitting += 1
            places += count_places(node, options)
        else:
            reasons[reason] += 1
    if fitting:
        text = f"{fitting} of {len(nodes)} fit"
        return "ok", f"{text}, room for {places} at a time" + (f" of {jobs}" if jobs > places else "")
    summary = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "there are none"
    if any(label in (node["metadata"].get("labels") or {}) for node in nodes for label in _GROWING):
        return "warning", f"none fits now ({summary}); an autoscaler may add one"
    if options.on_demand_after is not None:
        return "warning", f"no spot node fits now ({summary}); jobs that find none in time go to other nodes"
    if options.nodes_may_come:
        return "warning", f"none fits now ({summary}); nodes may come"
    return "error", f"none of {len(nodes)} can ever take a job: {summary}; --nodes-may-come where more are added later"


def describe_sharing(nodes: Sequence[Node], options: ClusterOptions) -> str:
    """How the nodes that fit share their GPUs, by the labels of NVIDIA's device plugin; empty where they don't."""
    found = Counter[str]()
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        strategy = labels.get("nvidia.com/gpu.sharing-strategy", "none")
        replicas = labels.get("nvidia.com/gpu.replicas", "1")
        if why_not(node, options) is not None:
            continue
        if strategy != "none":
            what = {"time-slicing": "time slices", "mps": "MPS"}.get(strategy, strategy)
            found[f"by {what}, {replicas} Pods to a GPU; none has the GPU or its memory to itself"] += 1
        elif "/mig-" in options.gpu_resource or labels.get("nvidia.com/mig.strategy") == "single":
            profile = labels.get("nvidia.com/gpu.product", options.gpu_resource)
            found[f"by MIG ({profile}): each slice has memory of its own"] += 1
    return "; ".join(f"{count} node{'s' * (count > 1)} {text}" for text, count in found.most_common())


def tolerates(tolerations: Sequence[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Whether one of the tolerations is for this taint."""
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        if toleration.get("operator", "Equal") == "Exists":
            if toleration.get("key") in (None, "", taint.get("key")):
                return True
        elif (toleration.get("key"), toleration.get("value", "")) == (taint.get("key"), taint.get("value", "")):
            return True
    return False


def matches(term: Mapping[str, Any], node: Node) -> bool:
    """Whether a node meets every requirement of a node selector term; an empty term meets nothing."""
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": node["metadata"]["name"]}
    wanted = [(labels, each) for each in term.get("matchExpressions") or []]
    wanted += [(fields, each) for each in term.get("matchFields") or []]
    return bool(wanted) and all(_meets(have, each) for have, each in wanted)


def _meets(have: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    value, values = have.get(wanted["key"]), wanted.get("values") or []
    match wanted["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator if value is not None and all(map(_INTEGER.fullmatch, (value, *values[:1]))):
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return False


def why_not(node: Node, options: ClusterOptions) -> str | None:
    """Why a node can never take a Pod; None where it can when it is empty."""
    if node.get("spec", {}).get("unschedulable"):
        return "cordoned"
    ready = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or []}.get("Ready")
    if ready not in (None, "True"):
        return "not ready"
    labels = node["metadata"].get("labels") or {}
    terms = (
        options.affinity.get("nodeAffinity", {})
        .get("requiredDuringSchedulingIgnoredDuringExecution", {})
        .get("nodeSelectorTerms")
    )
    selector = {**options.node_selector, **options.spot_label}
    if any(labels.get(key) != value for key, value in selector.items()) or (
        terms and not any(matches(term, node) for term in terms)
    ):
        return "without the labels asked for"
    for taint in node.get("spec", {}).get("taints") or []:
        if taint.get("effect") != "PreferNoSchedule" and not tolerates(
            [*gpu_tolerations(options), *options.tolerations], taint
        ):
            return f"with the taint {taint['key']}"
    for resource, amount in _requests(options).items():
        have = parse_quantity(_allocatable(node).get(resource, "0"))
        if have < amount:
            return f"without {resource}" if have == 0 else f"with too little {resource}"
    return None


def count_places(node: Node, options: ClusterOptions, used: Mapping[str, Decimal] | None = None) -> int:
    """How many Pods a node has room for besides what is ``used``."""
    allocatable, taken = _allocatable(node), used or {}

    def left(name: str, otherwise: str) -> Decimal:
        return parse_quantity(allocatable.get(name, otherwise)) - taken.get(name, Decimal(0))

    counts = [int(left(name, "0") // amount) for name, amount in _requests(options).items()]
    return max(0, min([*counts, int(left("pods", "110"))]))


def _allocatable(node: Node) -> Mapping[str, str]:
    """Empty for a node that has just registered."""
    found: Mapping[str, str] = node.get("status", {}).get("allocatable") or {}
    return found


def _requests(options: ClusterOptions) -> dict[str, Decimal]:
    wanted = {"cpu": parse_quantity(options.cpu), "memory": parse_quantity(options.memory)}
    if options.gpus:
        wanted[options.gpu_resource] = Decimal(options.gpus)
    return wanted | {name: parse_quantity(amount) for name, amount in options.resources.items()}
