"""Stopping a run on its cluster, and removing what it has there."""

from __future__ import annotations

from collections.abc import Callable

from atb.contract import labels
from atb.errors import SpecError
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.objects.ensure import delete_object, find_owner, mark_owner, notes_of
from launcher.kubernetes.objects.job_status import read_job
from launcher.kubernetes.objects.jobs import owner_name, run_selector


def cancel_run(cluster: Cluster, run: str, confirm: Callable[[str], None]) -> str:
    """Stop the live Jobs of a run. Raises SpecError where the cluster does not have it, ApiError."""
    owner = find_owner(cluster, run)
    if owner is None:
        raise _not_here(run, cluster)
    live = _live_jobs(cluster, run)
    if not live and labels.CREATED_ANNOTATION in notes_of(owner):
        return f"run {run} has ended: no Job of it is left to stop; see: atb-launch status {run}"
    if live:
        confirm(f"stop {len(live)} Jobs of run {run}?")
    # marked before they are listed to be deleted: a launcher that creates one later sees the mark and deletes it
    mark_owner(cluster, run, {labels.CANCELLED_ANNOTATION: format_time(cluster.now())})
    stopped = sum(delete_object(cluster, "jobs", name) for name in _live_jobs(cluster, run))
    return f"cancelled run {run}: {stopped} Jobs stopped; resume later with: atb-launch --resume {run}"


def clean_run(cluster: Cluster, run: str, *, force: bool) -> str:
    """Remove the run's objects. Raises SpecError where Jobs are live and not ``force``, ApiError."""
    jobs, _ = cluster.list("jobs", read_job, selector=run_selector(run))
    live = sum(facts.live for facts in jobs.values())
    if live and not force:
        raise SpecError(f"{live} Jobs of run {run} are live; stop them with: atb-launch cancel {run}, or add --force")
    if not delete_object(cluster, "configmaps", owner_name(run)):
        raise _not_here(run, cluster)
    return f"removed run {run} from {cluster.namespace}: {len(jobs)} Jobs go with it"


def clean_namespace(cluster: Cluster, *, force: bool) -> str:
    """Remove the objects of all runs. Raises SpecError where Jobs are live and not ``force``, ApiError."""
    jobs, _ = cluster.list("jobs", read_job, selector=labels.RUN_LABEL)
    live = sum(facts.live for facts in jobs.values())
    if live and not force:
        raise SpecError(f"{live} Jobs in {cluster.namespace} are live; stop their runs first, or add --force")
    owners, _ = cluster.list("configmaps", lambda owner: owner, selector=labels.RUN_LABEL)
    removed = sum(delete_object(cluster, "configmaps", name) for name in owners)
    return f"removed {removed} runs from {cluster.namespace}: {len(jobs)} Jobs go with them"


def _live_jobs(cluster: Cluster, run: str) -> list[str]:
    jobs, _ = cluster.list("jobs", read_job, selector=run_selector(run))
    return [job.name for job in jobs.values() if job.live]


def _not_here(run: str, cluster: Cluster) -> SpecError:
    return SpecError(f"run {run} is not in namespace {cluster.namespace} of {cluster.host}; name its --namespace")
