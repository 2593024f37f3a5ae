"""Logs of a packed run's jobs, and why one is where it is: from the store, and from the Pod that has it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from atb.contract import keys
from atb.documents.attempt import Claim
from atb.documents.plan import Plan, PlannedJob
from atb.errors import AtbError, NotFound, SpecError
from atb.options.stores import store_words
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.logs import find_pods, follow_log, read_log, stored_log
from launcher.kubernetes.objects.jobs import run_selector
from launcher.kubernetes.packed.controller import PackedController
from launcher.kubernetes.why import LAST_LINES, say_pod
from launcher.plan.backend import Say
from launcher.records.attempt_facts import AttemptReader
from launcher.records.categories import CATEGORIES, fill_remedy


def explain_packed(
    cluster: Cluster, store: Store, controller: PackedController, plan: Plan, planned: PlannedJob
) -> Iterator[str]:
    """Lines about one job. Raises NetworkError, StoreError."""
    row = next(row for row in controller.look() if row.job == planned.job)
    yield f"{planned.job}: {row.state}{f' ({row.category})' if row.category else ''}"
    if row.detail:
        yield f"reason    {row.detail}"
    for attempt in AttemptReader(store, plan.run).read_job(planned.job, whole=True).attempts:
        claim = _claim(store, plan.run, planned.job, attempt.number)
        where = f" in {claim.pod or claim.host}" + (f" on {claim.node}" if claim.node else "") if claim else ""
        how = f"ended with code {attempt.code} ({attempt.category})" if attempt.ended else "has not ended"
        yield f"attempt   {attempt.number}{where} {how}"
    for pod in find_pods(cluster, run_selector(plan.run)):
        yield f"worker    {say_pod(pod)}"
    category = CATEGORIES.get(row.category)
    if category is not None:
        yield f"meaning   {category.meaning}"
        yield f"remedy    {fill_remedy(category.remedy, plan.run, planned.spec, store_words(store, os.environ))}"
    if row.state != "done":
        yield from (f"log       {line}" for line in _last_lines(cluster, store, plan.run, planned))


def print_packed_log(
    cluster: Cluster, store: Store, run: str, planned: PlannedJob, say: Say, *, follow: bool, tail: int | None
) -> None:
    """Print the log of the latest attempt: from its worker while it runs there, else what it left in the store.

    Raises ApiError, StoreError.
    """
    pod = _pod_of(store, run, planned.job)
    if pod is not None and follow:
        for line in follow_log(cluster, pod):
            if _is_of(line, planned):
                say(line)
        return
    found = _own(list(read_log(cluster, pod)), planned) if pod is not None else stored_log(store, run, planned.job)
    for line in found[-(tail or 0) :]:
        say(line)


def _last_lines(cluster: Cluster, store: Store, run: str, planned: PlannedJob) -> list[str]:
    try:
        pod = _pod_of(store, run, planned.job)
        if pod is not None and (lines := _own(list(read_log(cluster, pod)), planned)):
            return lines[-LAST_LINES:]
    except AtbError:
        pass  # the node or its log is gone; the attempt left a tail in the store
    return stored_log(store, run, planned.job)[-LAST_LINES:]


def _pod_of(store: Store, run: str, job: str) -> str | None:
    """The Pod whose worker has the latest attempt, where that attempt has left no log. Raises StoreError."""
    facts = AttemptReader(store, run).read_job(job)
    if facts.latest is None or facts.latest.ended or facts.done:
        return None
    claim = _claim(store, run, job, facts.latest.number)
    return claim.pod if claim else None


def _claim(store: Store, run: str, job: str, number: int) -> Claim | None:
    key = keys.attempt(run, job, number, "claim.json")
    try:
        return Claim.from_bytes(store.get(key), key)
    except (NotFound, SpecError):
        return None


def _own(lines: list[str], planned: PlannedJob) -> list[str]:
    return [line for line in lines if _is_of(line, planned)]


def _is_of(line: str, planned: PlannedJob) -> bool:
    """Whether an event in a worker's log is of one of its trainings."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return False
    own = (planned.spec.symbol, planned.spec.preset)
    return isinstance(event, dict) and (event.get("symbol"), event.get("preset")) == own
