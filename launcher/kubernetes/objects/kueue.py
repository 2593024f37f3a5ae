"""What a Kueue queue says of a Job that waits in it."""

from __future__ import annotations

from typing import Any

from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError, Call

GROUP = "kueue.x-k8s.io"
TOO_LARGE = "it requests more than its ClusterQueue can ever give"


def queue_version(cluster: Cluster) -> str | None:
    """The version of Kueue's API that the server prefers; None where Kueue is not installed. Raises ApiError."""
    try:
        return str(cluster.send(Call("GET", f"/apis/{GROUP}"))["preferredVersion"]["version"])
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


def queue_reasons(cluster: Cluster, version: str) -> dict[str, str]:
    """Why each waiting Job waits, by the Job's uid. One list, whatever the number of Jobs. Raises ApiError."""
    answer = cluster.send(Call("GET", f"{_path(cluster, version)}/workloads"))
    return {
        owner["uid"]: reason
        for workload in answer.get("items") or []
        if (reason := waiting_reason(workload))
        for owner in workload["metadata"].get("ownerReferences", [])
    }


def waiting_reason(workload: dict[str, Any]) -> str:
    """Why a Workload has not been admitted: its QuotaReserved or Admitted condition's message; empty when it has."""
    conditions = {c["type"]: c for c in workload.get("status", {}).get("conditions") or []}
    if conditions.get("Admitted", {}).get("status") == "True":
        return ""
    for kind in ("QuotaReserved", "Admitted"):
        if conditions.get(kind, {}).get("status") == "False":
            message = " ".join((conditions[kind].get("message") or conditions[kind].get("reason") or "").split())
            return f"{TOO_LARGE}: {message}" if _is_too_large(message) else message
    return "waits for its queue"


def _is_too_large(message: str) -> bool:
    """Whether no flavor of the ClusterQueue is large enough, however empty: its message has a reason for each."""
    return (
        "> maximum capacity" in message and "insufficient unused quota" not in message and "preemption" not in message
    )


def _path(cluster: Cluster, version: str) -> str:
    return f"/apis/{GROUP}/{version}/namespaces/{cluster.namespace}"
