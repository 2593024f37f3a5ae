"""Everything that is known about one job, for people: its tries, its Pods, what warned about them, what helps."""

from __future__ import annotations

import os
from collections.abc import Iterator

from atb.contract import labels
from atb.documents.plan import Plan, PlannedJob
from atb.errors import AtbError
from atb.options.stores import store_words
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.control.diagnose import diagnose_ended
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.logs import find_pods, read_log, stored_log
from launcher.kubernetes.objects.job_status import JobStatus, PodStatus
from launcher.kubernetes.objects.jobs import run_selector
from launcher.kubernetes.objects.warnings import read_warnings
from launcher.records.categories import CATEGORIES, fill_remedy

LAST_LINES = 15


def explain_job(cluster: Cluster, store: Store, state: RunState, plan: Plan, planned: PlannedJob) -> Iterator[str]:
    """Lines about one job. ``state`` is as of now. Raises ApiError, StoreError."""
    found = state.observe(planned.job, cluster.now())
    yield f"{planned.job}: {found.state}{f' ({found.category})' if found.category else ''}"
    if found.reason:
        yield f"reason    {found.reason}"
    for job in state.tries(planned.job):
        yield f"job       {_say_job(job)}"
    pods = find_pods(cluster, job_selector(plan.run, planned.job))
    for pod in pods:
        yield f"pod       {say_pod(pod)}"
    for name in (found.pod, *(job.name for job in state.tries(planned.job)[-1:])):
        for trouble in read_warnings(cluster, name).values() if name else ():
            yield f"event     {format_time(trouble.at)} {trouble.reason}: {trouble.message}"
    category = CATEGORIES.get(found.category)
    if category is not None:
        yield f"meaning   {category.meaning}"
        yield f"remedy    {fill_remedy(category.remedy, plan.run, planned.spec, store_words(store, os.environ))}"
    if found.state != "done":
        lines = _last_lines(cluster, store, plan.run, planned.job, pods)
        yield from (f"log       {line}" for line in lines)


def job_selector(run: str, job: str) -> str:
    """Selects a job's Pods, of all its tries."""
    return f"{run_selector(run)},{labels.JOB_LABEL}={labels.label_value(job)}"


def _last_lines(cluster: Cluster, store: Store, run: str, job: str, pods: list[PodStatus]) -> list[str]:
    started = [pod for pod in pods if pod.running_since]
    if started:
        try:
            return list(read_log(cluster, started[-1].name, tail=LAST_LINES))
        except AtbError:
            pass  # the node or its log is gone; the attempt left a tail in the store
    return stored_log(store, run, job)[-LAST_LINES:]


def _say_job(job: JobStatus) -> str:
    if job.deleting:
        state = "being deleted"
    elif job.verdict:
        state = "given up"
    elif job.failed or job.complete:
        state = "failed" if job.failed else "complete"
    else:
        state = "suspended" if job.suspended else "active"
    cause = f", {job.cause}" if job.cause else ""
    return f"{job.name} {state}, {job.memory}{cause}"


def say_pod(pod: PodStatus) -> str:
    """A Pod in one line: its node, its phase, what it waits for or how it ended."""
    where = f" on {pod.node}" if pod.node else ""
    if pod.phase == "Failed":
        finding = diagnose_ended(pod)
        code = "" if pod.exit_code is None else f" with code {pod.exit_code}"
        return f"{pod.name}{where} failed{code} ({finding.category}): {finding.reason}"
    message = pod.waiting_message or pod.waiting or (pod.unscheduled.message if pod.unscheduled else "")
    phase = "terminating" if pod.deleted and pod.phase in ("Pending", "Running") else pod.phase.lower()
    return f"{pod.name}{where} {phase}{f': {message}' if message else ''}"
