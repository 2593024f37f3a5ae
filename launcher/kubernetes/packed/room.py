"""How many workers fit now: on the nodes, besides what runs there, and in the namespace's quotas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.preflight.node_fit import count_places, count_quota, why_not


def find_room(cluster: Cluster, options: ClusterOptions) -> int | None:
    """Workers that would be scheduled at once; None where we may not list the nodes. Raises ApiError."""
    nodes = _list(cluster, "/api/v1/nodes")
    if nodes is None:
        return None
    pods = _list(cluster, "/api/v1/pods") or []
    quotas = _list(cluster, f"/api/v1/namespaces/{cluster.namespace}/resourcequotas") or []
    return count_room(nodes, pods, quotas, options)


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


def _list(cluster: Cluster, path: str) -> list[dict[str, Any]] | None:
    """Everything there; None where we may not look. Raises ApiError."""
    try:
        found: list[dict[str, Any]] = cluster.send(Call("GET", path)).get("items") or []
    except ApiError as error:
        if error.status == 403:
            return None
        raise
    return found
