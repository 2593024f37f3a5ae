"""What a launcher does before it follows a run: the ConfigMap is there, and the state has what it begins with."""

from __future__ import annotations

from dataclasses import replace

from atb.contract import labels
from atb.documents.plan import Plan
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.ensure import create_owner, find_owner, mark_owner, notes_of, sweep_owners
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.backend import Mode
from launcher.records.memory_needs import read_memory_needs


def prepare(
    cluster: Cluster, store: Store, plan: Plan, options: ClusterOptions, mode: Mode, *, wait: bool
) -> tuple[RunState, Target]:
    """The state to begin with, and what all Jobs of the run share; the run's ConfigMap is there, unless in ``attach``.

    Raises SpecError where the cluster holds another run of that name, NetworkError, StoreError.
    """
    target = Target(plan.run, store.url, store.endpoint_url)
    owner = find_owner(cluster, plan.run)
    notes = notes_of(owner)
    found_owner = owner is not None
    cancelled = mode == "attach" and labels.CANCELLED_ANNOTATION in notes
    may_create = mode != "attach" or (found_owner and labels.CREATED_ANNOTATION not in notes and not cancelled)
    if mode != "attach":
        owner = create_owner(cluster, target)
        if notes:
            forgotten = (labels.CANCELLED_ANNOTATION, labels.CREATED_ANNOTATION)
            mark_owner(cluster, plan.run, dict.fromkeys(forgotten))
    if mode == "create":
        _sweep(cluster)
    if owner is not None:
        target = replace(target, owner_uid=owner["metadata"]["uid"])
    state = RunState(
        plan,
        options,
        mode=mode,
        wait=wait,
        began=cluster.now(),
        may_create=may_create,
        found_owner=found_owner,
        cancelled=cancelled,
        memory=read_memory_needs(store, plan.to_run) if may_create else {},
    )
    return state, target


def _sweep(cluster: Cluster) -> None:
    try:
        sweep_owners(cluster)
    except ApiError:
        pass  # housekeeping: the next run retries, and the preflight reports a missing right
