"""Creating a run's objects so that doing it twice, or half and then again, comes to the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from atb.contract import labels
from atb.errors import SpecError
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.objects.job_status import JobStatus, read_job
from launcher.kubernetes.objects.jobs import build_owner, owner_name
from launcher.kubernetes.objects.pod import Target

GOING_SECONDS = 300.0
"""How long an object of the same name that is being deleted is waited for."""
SWEPT_SECONDS = 2 * 86_400.0
"""How long a run's ConfigMap stays at least: its last Jobs may have been deleted by hand, to be resumed."""


def create_owner(cluster: Cluster, target: Target) -> dict[str, Any]:
    """The run's ConfigMap, created or found. Raises SpecError where one of that name belongs to something else."""

    def accept(found: dict[str, Any]) -> None:
        there = (found.get("data") or {}).get("store")
        if there != target.store:
            raise SpecError(
                f"run {target.run} is already in namespace {cluster.namespace} with the store {there}, not "
                f"{target.store}; use that --store or another --run"
            )

    return _create(cluster, "configmaps", build_owner(target), accept)


def find_owner(cluster: Cluster, run: str) -> dict[str, Any] | None:
    """The run's ConfigMap, or None. Raises ApiError."""
    try:
        found: dict[str, Any] = cluster.send(requests.get("configmaps", cluster.namespace, owner_name(run)), _object)
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return found


def notes_of(owner: dict[str, Any] | None) -> dict[str, str]:
    """The annotations of a run's ConfigMap, if there is one."""
    return (owner["metadata"].get("annotations") or {}) if owner else {}


def mark_owner(cluster: Cluster, run: str, notes: Mapping[str, str | None]) -> dict[str, Any]:
    """Note something on the run's ConfigMap, or with None take the note away; returns it as it is then.

    Raises ApiError.
    """
    change = {"metadata": {"annotations": dict(notes)}}
    call = requests.patch("configmaps", cluster.namespace, owner_name(run), change)
    owner: dict[str, Any] = cluster.send(call, _object)
    return owner


def sweep_owners(cluster: Cluster) -> None:
    """Delete the ConfigMaps of runs that were created days ago and whose Jobs are all gone.

    A finished Job is removed by its TTL; nothing but this removes its owner then. Raises ApiError.
    """

    def read(item: dict[str, Any]) -> tuple[str, str, str]:
        created = notes_of(item).get(labels.CREATED_ANNOTATION, "")
        return item["metadata"]["labels"][labels.RUN_LABEL], created, item["metadata"]["resourceVersion"]

    owners, _ = cluster.list("configmaps", read, selector=labels.RUN_LABEL)
    before = format_time(cluster.now() - SWEPT_SECONDS)
    old = {name: (run, version) for name, (run, created, version) in owners.items() if created and created < before}
    if not old:
        return
    jobs, _ = cluster.list("jobs", lambda job: job["metadata"]["labels"][labels.RUN_LABEL], selector=labels.RUN_LABEL)
    in_use = set(jobs.values())
    for name, (run, version) in old.items():
        if run not in in_use:
            delete_object(cluster, "configmaps", name, version=version)  # not one that is resumed at this moment


def create_job(cluster: Cluster, body: dict[str, Any]) -> JobStatus:
    """The Job, created or found with the same spec. Raises SpecError where one of that name has another spec."""
    wanted = body["metadata"]["annotations"][labels.SPEC_ANNOTATION]

    def accept(found: dict[str, Any]) -> None:
        there = (found["metadata"].get("annotations") or {}).get(labels.SPEC_ANNOTATION, "none")
        if there != wanted:
            name = body["metadata"]["name"]
            raise SpecError(
                f"Job {name} is already there for the spec {there[:16]}, this run wants {wanted[:16]}; "
                f"choose another --run, or remove it: kubectl delete job {name}"
            )

    # the answer to a creation is its metadata alone: neither side spends time on what we have sent
    made = _create(cluster, "jobs", body, accept, metadata_only=True)
    with cluster.understood("a Job"):
        return read_job({**body, **made})


def give_up_job(cluster: Cluster, job: JobStatus, category: str, reason: str) -> bool:
    """End a live Job and note why on it, in one request: the Job controller stops its Pods, the Job stays to be read.

    Its deadline is moved to one second, which is over. False where the Job is already gone. Raises ApiError.
    """
    change = {
        "metadata": {"annotations": {labels.VERDICT_ANNOTATION: f"{category}: {reason}"[:1000]}},
        "spec": {"activeDeadlineSeconds": 1},
    }
    try:
        cluster.send(requests.patch("jobs", cluster.namespace, job.name, change))
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def delete_object(cluster: Cluster, resource: str, name: str, *, version: str = "") -> bool:
    """Delete an object and what it owns; False where it was not there, or has another ``version``. Raises ApiError."""
    try:
        cluster.send(requests.delete(resource, cluster.namespace, name, version=version))
    except ApiError as error:
        if error.status != 404 and not (version and error.status == 409):
            raise
        return False
    return True


def _object(found: dict[str, Any]) -> dict[str, Any]:
    """As it is, where it is one that the server stores."""
    found["metadata"]["uid"], dict(found["metadata"].get("annotations") or {}), dict(found.get("data") or {})
    return found


def _create(
    cluster: Cluster,
    resource: str,
    body: dict[str, Any],
    accept: Callable[[dict[str, Any]], None],
    *,
    metadata_only: bool = False,
) -> dict[str, Any]:
    name = body["metadata"]["name"]
    call = requests.create(resource, cluster.namespace, body, metadata_only=metadata_only)
    give_up = cluster.clock.monotonic() + GOING_SECONDS
    while True:
        try:
            made: dict[str, Any] = cluster.send(call, _object)
            return made
        except ApiError as error:
            if error.status != 409:  # also a quota that two requests wrote at once answers 409: nothing is there then
                raise
            conflict = error
        try:
            found: dict[str, Any] = cluster.send(requests.get(resource, cluster.namespace, name), _object)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            if "deletionTimestamp" not in found["metadata"]:
                accept(found)
                return found
            cluster.on_wait(f"waiting for the old {name} to be deleted")
        if cluster.clock.monotonic() > give_up:
            raise conflict
        cluster.pause(0.5, conflict)
