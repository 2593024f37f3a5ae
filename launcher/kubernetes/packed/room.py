"""How many workers fit now: on the nodes, besides what runs there, in the namespace's quotas and in its queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.objects.kueue import get_cluster_queue, get_queue, queue_version, quota_of
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.preflight.namespace_fit import count_quota
from launcher.kubernetes.preflight.node_fit import count_places, why_not


def find_room(cluster: Cluster, options: ClusterOptions) -> int | None:
    """Workers that would be scheduled at once; None where we may not list the nodes. Raises ApiError."""
    nodes = _list(cluster, "/api/v1/nodes")
    if nodes is None:
        return None
    own = f"/api/v1/namespaces/{cluster.namespace}"
    pods = _list(cluster, "/api/v1/pods")
    if pods is None:
        pods = _list(cluster, f"{own}/pods") or []
    quotas = _list(cluster, f"{own}/resourcequotas") or []
    queues = _queue_quotas(cluster, options)
    with cluster.understood("nodes, Pods and quotas"):
        return count_room(nodes, pods, [*quotas, *queues], options)


def count_room(
    nodes: Sequence[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    quotas: Sequence[Mapping[str, Any]],
    options: ClusterOptions,
) -> int:
    """Workers that fit on the nodes besides the pods, and into the quotas. Pure."""
    used: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for pod in pods:
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        node = used[pod.get("spec", {}).get("nodeName", "")]
        node["pods"] += 1
        for container in pod.get("spec", {}).get("containers", []):
            for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
                node[name] += parse_quantity(amount)
    places = sum(
        count_places(node, options, used.get(node["metadata"]["name"], {}))
        for node in nodes
        if why_not(node, options) is None
    )
    return min([places, *(count_quota(quota, options) for quota in quotas)])


def _queue_quotas(cluster: Cluster, options: ClusterOptions) -> list[dict[str, Any]]:
    """What the named queue has left, where we may look: its admission decides in any case. Raises ApiError."""
    version = queue_version(cluster) if options.queue else None
    if version is None or options.queue is None:
        return []
    queue = get_queue(cluster, version, options.queue)
    cluster_queue = get_cluster_queue(cluster, version, queue) if queue else None
    with cluster.understood("a ClusterQueue"):
        return [quota_of(cluster_queue)] if cluster_queue else []


def _list(cluster: Cluster, path: str) -> list[dict[str, Any]] | None:
    """Everything there; None where we may not look. Raises ApiError."""
    try:
        found: list[dict[str, Any]] = cluster.send(Call("GET", path)).get("items") or []
    except ApiError as error:
        if error.status == 403:
            return None
        raise
    return found
