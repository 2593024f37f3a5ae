"""A run as it is now, read all at once. Reading creates and changes nothing."""

from __future__ import annotations

from atb.contract import labels
from atb.documents.plan import Plan
from atb.storage import Store
from atb.storage.read import map_calls
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import Listed
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.control.apply import apply_job, apply_pod, apply_queue_reasons
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.ensure import find_owner, notes_of
from launcher.kubernetes.objects.job_status import read_job, read_pod
from launcher.kubernetes.objects.jobs import run_selector
from launcher.kubernetes.objects.kueue import queue_reasons, queue_version
from launcher.kubernetes.options import ClusterOptions
from launcher.records.progress import ProgressReader, read_result

READERS = 16


def _read_queue(cluster: Cluster, options: ClusterOptions) -> dict[str, str]:
    """Why Jobs wait in their queue; nothing where that can't be read. Raises NetworkError."""
    if not options.queue:
        return {}
    try:
        version = queue_version(cluster)
        return queue_reasons(cluster, version) if version else {}
    except ApiError:
        return {}


def read_state(cluster: Cluster, store: Store, plan: Plan, options: ClusterOptions) -> RunState:
    """What is known of a run once cluster and store have been read. Raises ApiError, StoreError."""
    owner = find_owner(cluster, plan.run)
    notes = notes_of(owner)
    state = RunState(
        plan,
        options,
        began=cluster.now(),
        may_create=owner is not None and labels.CREATED_ANNOTATION not in notes,
        cancelled=labels.CANCELLED_ANNOTATION in notes,
    )
    selector, now = run_selector(plan.run), cluster.now()
    apply_job(state, now, Listed(cluster.list("jobs", read_job, selector=selector)[0]))
    apply_pod(state, now, Listed(cluster.list("pods", read_pod, selector=selector)[0]))
    apply_queue_reasons(state, _read_queue(cluster, options))
    state.to_restart.clear()
    ended = [job for job in state.planned if not (latest := state.latest(job)) or not latest.live]
    found = map_calls(store, lambda job: read_result(store, plan.run, job), ended)
    for job, result in zip(ended, found, strict=True):
        state.results[job], state.looked_after[job] = result, state.latest_uid(job)
        state.touch(job)
    state.progress = ProgressReader(store, plan.run).read_changed()
    return state
