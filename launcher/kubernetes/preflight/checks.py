"""What can be known before anything is created: who we are, what we may, whether this can ever run. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

from atb.documents.plan import Plan, PlannedJob
from atb.errors import AtbError
from atb.storage import Store
from atb.storage.probe import probe_store
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.control.retry import first_attempt
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.kueue import get_queue, queue_version
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.worker_job import WorkerRound, build_worker_job
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.preflight.namespace_fit import check_limits, check_quotas
from launcher.kubernetes.preflight.node_fit import check_nodes, describe_sharing
from launcher.plan.backend import Check

# verb, group, resource, subresource, whether the launcher can't do without
RIGHTS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("create", "batch", "jobs", "", True),
    ("get", "batch", "jobs", "", True),
    ("list", "batch", "jobs", "", True),
    ("watch", "batch", "jobs", "", True),
    ("patch", "batch", "jobs", "", True),
    ("delete", "batch", "jobs", "", False),
    ("list", "", "pods", "", True),
    ("watch", "", "pods", "", True),
    ("get", "", "pods", "", False),
    ("get", "", "pods", "log", False),
    ("create", "", "configmaps", "", True),
    ("get", "", "configmaps", "", True),
    ("patch", "", "configmaps", "", True),
    ("delete", "", "configmaps", "", False),
    ("list", "", "configmaps", "", False),
    ("list", "", "events", "", False),
)
WORKERS = 8
VERSION = Call("GET", "/version")
REACH_WAITS = (1.0, 2.0, None)
"""Seconds after each failed try to reach the server; after the last it is given up."""


def check_all(cluster: Cluster, store: Store, plan: Plan, options: ClusterOptions) -> list[Check]:
    """Everything that can be checked, in the order of the screen. Raises nothing that a check can report instead.

    Raises ApiError where no server answers: soon, for a wrong address is likelier here than a server that restarts.
    """
    reach(cluster)
    jobs = plan.to_run
    hints: tuple[Callable[[], Iterable[Check]], ...] = (
        lambda: check_server(cluster),
        lambda: check_rights(cluster),
        lambda: check_namespace(cluster),
        lambda: check_references(cluster, options),
        lambda: check_fit(cluster, options, pods_at_once(options, len(jobs))),
        lambda: check_bounds(cluster, options, pods_at_once(options, len(jobs))),
        lambda: check_queue(cluster, options),
    )
    tries: tuple[Callable[[], Iterable[Check]], ...] = (
        lambda: check_admission(cluster, store, plan, options, jobs[:1]),
        lambda: check_store(store),
        lambda: check_image(options),
    )
    with ThreadPoolExecutor(WORKERS) as pool:
        hinted = pool.map(partial(_collect, unanswered="warning"), hints)
        tried = pool.map(partial(_collect, unanswered="error"), tries)
        return [check for found in (*hinted, *tried) for check in found]


def pods_at_once(options: ClusterOptions, jobs: int) -> int:
    """How many Pods a run has at most at a time."""
    if options.workers is None:
        return min(jobs, options.max_parallel or jobs)
    needed = -(-jobs // options.worker_slots)
    return needed if options.workers == "auto" else min(options.workers, needed)


def reach(cluster: Cluster) -> None:
    """Ask the server for any answer at all. Raises ApiError."""
    for wait in REACH_WAITS:
        try:
            cluster.send_once(VERSION)
        except ApiError as error:
            if error.status:
                return
            if wait is None:
                raise ApiError(f"{error}; correct the kubeconfig, or add --backend local") from None
            cluster.pause(wait, error)
        else:
            return


def check_server(cluster: Cluster) -> Iterator[Check]:
    """Which server answers, and whom it takes us for."""

    def read(version: dict[str, Any]) -> tuple[int, str]:
        return int("".join(filter(str.isdigit, version.get("minor", ""))) or 0), version.get("gitVersion", "?")

    minor, version = cluster.send(VERSION, read)
    text = f"{cluster.host}, Kubernetes {version}"
    yield Check(
        "ok" if minor >= 33 else "warning", "cluster", text if minor >= 33 else f"{text}; 1.33 is the oldest known"
    )
    try:
        user = cluster.send(requests.who_am_i(), lambda found: str(found["status"]["userInfo"]["username"]))
    except ApiError as error:
        yield Check("note", "identity", f"the server does not say: {error.reason or error.status}")
    else:
        yield Check("ok", "identity", user)


def check_rights(cluster: Cluster) -> Iterator[Check]:
    """What we may do in the namespace."""

    def ask(right: tuple[str, str, str, str, bool]) -> bool:
        verb, group, resource, sub, _ = right
        question = requests.may_i(verb, group, resource, cluster.namespace, sub)
        return bool(cluster.send(question, lambda answer: answer["status"].get("allowed")))

    with ThreadPoolExecutor(WORKERS) as pool:
        allowed = list(pool.map(ask, RIGHTS))
    missing = [right for right, may in zip(RIGHTS, allowed, strict=True) if not may]
    names = {must: ", ".join(_right(right) for right in missing if right[4] is must) for must in (True, False)}
    if names[True]:
        yield Check("error", "permissions", f"missing: {names[True]}; ask for the chart's launcher role")
    if names[False]:
        yield Check("note", "permissions", f"without: {names[False]}; logs, why, cancel or clean may not work")
    if not missing:
        yield Check("ok", "permissions", f"all {len(RIGHTS)} that are needed")


def check_namespace(cluster: Cluster) -> Iterator[Check]:
    """Whether the namespace is there and not going away."""
    namespace = _look_up(cluster, "namespaces", cluster.namespace)
    if namespace is _FORBIDDEN:
        yield Check("note", "namespace", f"{cluster.namespace} (not allowed to look at it)")
    elif namespace is None:
        how = f"kubectl create namespace {cluster.namespace}"
        yield Check("error", "namespace", f"{cluster.namespace} is not there; create it ({how}) or name another")
    elif "deletionTimestamp" in namespace:
        yield Check("error", "namespace", f"{cluster.namespace} is being deleted; name another --namespace")
    else:
        yield Check("ok", "namespace", cluster.namespace)


def check_references(cluster: Cluster, options: ClusterOptions) -> Iterator[Check]:
    """Whether everything that the Pods refer to by name is there. Only the metadata of Secrets is requested."""
    named = [
        *(("secrets", "Secret", name) for name in (*options.env_from_secrets, *options.image_pull_secrets)),
        *(("configmaps", "ConfigMap", name) for name in options.env_from_config_maps),
        ("serviceaccounts", "ServiceAccount", options.service_account),
        ("priorityclasses", "PriorityClass", options.priority_class),
        ("runtimeclasses", "RuntimeClass", options.runtime_class),
    ]
    for resource, kind, name in named:
        if name is None:
            continue
        found = _look_up(cluster, resource, name)
        if found is None:
            yield Check("error", kind, f"{name} is not there; create it in {cluster.namespace} or name another")
        elif found is not _FORBIDDEN:
            yield Check("ok", kind, name)


def check_fit(cluster: Cluster, options: ClusterOptions, jobs: int) -> Iterator[Check]:
    """Whether a Pod can ever find a node."""
    try:
        nodes, _ = cluster.list("nodes", lambda node: node)
    except ApiError as error:
        if error.status != 403:
            raise
        yield Check("note", "nodes", "not allowed to list them")
    else:
        with cluster.understood("nodes"):
            level, text = check_nodes(list(nodes.values()), options, jobs)
            shared = describe_sharing(list(nodes.values()), options) if options.gpus else ""
        yield Check(level, "nodes", text)
        if shared:
            yield Check("note", "GPU sharing", shared)


def check_bounds(cluster: Cluster, options: ClusterOptions, jobs: int) -> Iterator[Check]:
    """Whether the namespace's LimitRanges let a Pod through, and the run has its place in the quota."""
    ranges, quotas = (_list_allowed(cluster, resource) for resource in ("limitranges", "resourcequotas"))
    with cluster.understood("LimitRanges and ResourceQuotas"):
        found = [Check(level, "quota", text) for level, text in check_quotas(quotas, options, jobs, ranges)]
        found += [Check(level, "limits", text) for level, text in check_limits(ranges, options)]
    yield from found


def _list_allowed(cluster: Cluster, resource: str) -> list[dict[str, Any]]:
    """The namespace's objects of a kind; none where they may not be listed. Raises ApiError."""
    try:
        return list(cluster.list(resource, lambda found: found)[0].values())
    except ApiError as error:
        if error.status != 403:
            raise
        return []


def check_queue(cluster: Cluster, options: ClusterOptions) -> Iterator[Check]:
    """Whether the named queue is there and takes work."""
    if options.queue is None:
        return
    version = queue_version(cluster)
    if version is None:
        yield Check("error", "queue", "Kueue is not installed in this cluster; leave --queue out")
        return
    queue = get_queue(cluster, version, options.queue)
    if queue is None:
        yield Check("error", "queue", f"there is no LocalQueue {options.queue} in {cluster.namespace}")
        return
    with cluster.understood("a LocalQueue"):
        status = queue.get("status") or {}
        active = {c["type"]: c for c in status.get("conditions") or []}.get("Active", {})
    if active.get("status") == "False":
        yield Check("error", "queue", f"{options.queue} takes no work: {active.get('message', '')}")
    else:
        yield Check("ok", "queue", f"{options.queue}, {status.get('pendingWorkloads', 0)} waiting")


def check_admission(
    cluster: Cluster, store: Store, plan: Plan, options: ClusterOptions, jobs: Sequence[PlannedJob]
) -> Iterator[Check]:
    """Whether the server would take the first Job: schema, admission and webhooks, without creating it."""
    target = Target(plan.run, store.url, store.endpoint_url)
    for planned in jobs:
        if options.workers is None:
            body = build_job(planned, target, options, first_attempt(options, cluster.now()))
        else:
            shape = WorkerRound(memory=options.memory, workers=pods_at_once(options, len(plan.to_run)))
            body = build_worker_job(plan, target, options, shape)
        try:
            cluster.send(requests.create("jobs", cluster.namespace, body, dry_run=True))
        except ApiError as error:
            if error.status == 409:
                yield Check("note", "dry run", f"{body['metadata']['name']} is there already")
            elif "exceeded quota" in str(error):
                yield Check("warning", "dry run", str(error))
            else:
                yield Check("error", "dry run", str(error))
        else:
            yield Check("ok", "dry run", "the server accepts the Job as it is")


def check_store(store: Store) -> Iterator[Check]:
    """Whether the store answers here, who we are there, and whether it honours conditional writes."""
    if not store.url.startswith("s3://"):
        yield Check("error", "store", f"{store.url} can't be reached from a Pod; name an s3:// store")
        return
    probe = probe_store(store)
    yield Check("ok", "store", f"{store.url} as {probe.identity}")
    if not probe.conditional:
        yield Check("warning", "store", "it ignores conditional writes: champions are not moved without --force")


def check_image(options: ClusterOptions) -> Iterator[Check]:
    """Whether every attempt is sure to run the same code."""
    if options.image_is_pinned:
        yield Check("ok", "image", options.image)
    else:
        yield Check("note", "image", f"{options.image} is not pinned by digest: a retry may run other code")


def _right(right: tuple[str, str, str, str, bool]) -> str:
    verb, _, resource, sub, _ = right
    return f"{verb} {resource}/{sub}" if sub else f"{verb} {resource}"


_FORBIDDEN: dict[str, Any] = {}


def _look_up(cluster: Cluster, resource: str, name: str) -> dict[str, Any] | None:
    """The object's metadata, None where it is not there, or ``_FORBIDDEN``."""
    call = requests.get(resource, cluster.namespace, name, metadata_only=True)
    try:
        return dict(cluster.send(call, lambda found: found["metadata"].items()))
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        return None if error.status == 404 else _FORBIDDEN


def _collect(check: Callable[[], Iterable[Check]], unanswered: Literal["warning", "error"]) -> list[Check]:
    """``unanswered``: what it means where no answer comes. What can't be known is no reason to create nothing."""
    found: list[Check] = []
    try:
        found.extend(check())  # what came before an error is kept
    except AtbError as error:
        found.append(Check(unanswered, "unanswered", str(error)))
    return found
