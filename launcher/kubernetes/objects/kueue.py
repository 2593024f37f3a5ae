"""What a Kueue queue says of a Job that waits in it."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.api.responses import read_words

GROUP = "kueue.x-k8s.io"
TOO_LARGE = "it requests more than its ClusterQueue can ever give"


def queue_version(cluster: Cluster) -> str | None:
    """The version of Kueue's API that the server prefers; None where Kueue is not installed. Raises ApiError."""
    try:
        return str(cluster.send(Call("GET", f"/apis/{GROUP}"), lambda found: found["preferredVersion"]["version"]))
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def get_queue(cluster: Cluster, version: str, name: str) -> dict[str, Any] | None:
    """A LocalQueue; None where it is not there. Raises ApiError."""
    try:
        found: dict[str, Any] = cluster.send(Call("GET", f"{_path(cluster, version)}/localqueues/{name}"))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found


def get_cluster_queue(cluster: Cluster, version: str, queue: dict[str, Any]) -> dict[str, Any] | None:
    """The ClusterQueue behind a LocalQueue; None where it is not there or we may not look. Raises ApiError."""
    try:
        with cluster.understood("a LocalQueue"):
            name = queue["spec"]["clusterQueue"]
        found: dict[str, Any] = cluster.send(Call("GET", f"/apis/{GROUP}/{version}/clusterqueues/{name}"))
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise
    return found


def quota_of(cluster_queue: dict[str, Any]) -> dict[str, Any]:
    """What a ClusterQueue has of its own and what is reserved of it, in the form of a ResourceQuota. One in a cohort
    may borrow, which bounds nothing. Pure."""
    spec, status = cluster_queue.get("spec", {}), cluster_queue.get("status", {})
    hard: dict[str, Decimal] = defaultdict(Decimal)
    used: dict[str, Decimal] = defaultdict(Decimal)
    if not (spec.get("cohort") or spec.get("cohortName")):
        flavors = [flavor for group in spec.get("resourceGroups") or [] for flavor in group.get("flavors") or []]
        for resource in (each for flavor in flavors for each in flavor.get("resources") or []):
            hard[_quota_name(resource["name"])] += parse_quantity(str(resource["nominalQuota"]))
        for flavor in status.get("flavorsReservation") or []:
            for resource in flavor.get("resources") or []:
                used[_quota_name(resource["name"])] += parse_quantity(str(resource.get("total", "0")))
    return {
        "status": {
            kind: {name: f"{total:f}" for name, total in found.items()}
            for kind, found in (("hard", hard), ("used", used))
        }
    }


def _quota_name(resource: str) -> str:
    return resource if resource in ("cpu", "memory", "pods") else f"requests.{resource}"


def queue_reasons(cluster: Cluster, version: str) -> dict[str, str]:
    """Why each waiting Job waits, by the Job's uid. One list, whatever the number of Jobs. Raises ApiError."""

    def read(answer: dict[str, Any]) -> dict[str, str]:
        return {
            owner["uid"]: reason
            for workload in answer.get("items") or []
            if (reason := waiting_reason(workload))
            for owner in workload["metadata"].get("ownerReferences") or []
        }

    found: dict[str, str] = cluster.send(Call("GET", f"{_path(cluster, version)}/workloads"), read)
    return found


def waiting_reason(workload: dict[str, Any]) -> str:
    """Why a Workload has not been admitted: its QuotaReserved or Admitted condition's message; empty when it has."""
    conditions = {c["type"]: c for c in workload.get("status", {}).get("conditions") or []}
    if conditions.get("Admitted", {}).get("status") == "True":
        return ""
    for kind in ("QuotaReserved", "Admitted"):
        if conditions.get(kind, {}).get("status") == "False":
            message = read_words(conditions[kind].get("message") or conditions[kind].get("reason"))
            return f"{TOO_LARGE}: {message}" if _is_too_large(message) else message
    return "waits for its queue"


def _is_too_large(message: str) -> bool:
    """Whether no flavor of the ClusterQueue is large enough, however empty: its message has a reason for each."""
    return (
        "> maximum capacity" in message and "insufficient unused quota" not in message and "preemption" not in message
    )


def _path(cluster: Cluster, version: str) -> str:
    return f"/apis/{GROUP}/{version}/namespaces/{cluster.namespace}"
