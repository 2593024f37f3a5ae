"""Creating Jobs on a real API server: 16 bare threads, the same while the Jobs are watched, the launcher with
``--no-wait``, and one that follows its run.

    python -m benchmarks.creation --namespace NAME --jobs 2000 --repeat 3 [--kubeconfig FILE]

The Jobs are suspended, so no Pod starts, and each way takes its turn. Prints Jobs created per second and the client's
CPU time for each (medians), the ratios of the rates with their target, and the launcher's peak memory. A launcher that
follows its run also reads what the server reports of each Job meanwhile; so does the second way, which drops it unread.
Everything created is deleted again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from atb.contract import keys
from atb.documents.plan import PlannedJob
from atb.storage import MemoryStore
from benchmarks.fanout import BARE_THREADS, make_options, make_plan
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import Call
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.control.retry import first_attempt
from launcher.kubernetes.objects.ensure import create_owner, delete_object
from launcher.kubernetes.objects.jobs import JobAttempt, build_job, owner_name, run_selector
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions

RATIO_TARGET = 0.9
STORE = "s3://bucket"
_T = TypeVar("_T")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--launcher-only", action="store_true", help="for its memory")
    arguments = parser.parse_args()
    print(f"{arguments.jobs} Jobs, {arguments.repeat} times; load {os.getloadavg()[0]:.1f}")
    ways: dict[str, Callable[[str | None, str, int], Measured]] = {
        "bare": create_bare,
        "watched": partial(create_bare, watched=True),
        "no-wait": partial(create_by_launcher, wait=False),
        "following": partial(create_by_launcher, wait=True),
    }
    if arguments.launcher_only:
        del ways["bare"], ways["watched"]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    peaks: list[float] = []
    for _ in range(arguments.repeat):
        for name, create in ways.items():
            found = in_process(partial(create, arguments.kubeconfig, arguments.namespace, arguments.jobs))
            rates[name].append(arguments.jobs / found.seconds)
            used[name].append(1000 * found.cpu_seconds / arguments.jobs)
            peaks += [] if name in ("bare", "watched") else [found.peak_mib]
    for name, each in rates.items():
        cpu = f"{statistics.median(used[name]):.2f} ms of CPU a Job"
        print(f"{name:<12}{statistics.median(each):>8.1f} Jobs/s, {cpu}   {', '.join(f'{rate:.1f}' for rate in each)}")
    if not arguments.launcher_only:
        for name, base in (("watched", "bare"), ("no-wait", "bare"), ("following", "bare"), ("following", "watched")):
            ratios = [ours / bare for ours, bare in zip(rates[name], rates[base], strict=True)]
            target = f"   target: at least {RATIO_TARGET}" if base == "bare" and name != "watched" else ""
            print(f"{name} of {base}: {statistics.median(ratios):.2f}{target}")
    print(f"peak memory {max(peaks):>8.1f} MiB      targets: under 120 for 2,000 Jobs, under 300 for 10,000")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments of a benchmark on a real API server."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig")
    parser.add_argument("--namespace", required=True, help="an existing namespace")
    return parser


@dataclass(frozen=True)
class Measured:
    """How long something took, the CPU time of this process in that, and the most memory it has had."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def create_bare(kubeconfig: str | None, namespace: str, jobs: int, *, watched: bool = False) -> Measured:
    """Threads that post bodies made beforehand, with nothing between them and the wire. ``watched``: one more thread
    takes what the server reports of the Jobs and drops it."""
    from kubernetes import client, config

    configuration = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = BARE_THREADS
    api = client.ApiClient(configuration)
    headers = {"Content-Type": "application/json"}
    api.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
    pool = api.rest_client.pool_manager
    path = f"{configuration.host}{requests.path_of('jobs', namespace)}"
    url = f"{path}?fieldValidation=Strict"
    cluster = open_cluster(kubeconfig, namespace=namespace)
    owner = create_owner(cluster, Target("bare", STORE))
    target = Target("bare", STORE, owner_uid=owner["metadata"]["uid"])
    options = make_options()
    attempt = first_attempt(options, time.time())
    bodies = [json.dumps(build_suspended(job, target, options, attempt)) for job in make_plan("bare", jobs).jobs]
    if watched:
        changes = pool.request(
            "GET", f"{path}?watch=1&labelSelector={run_selector('bare')}", headers=headers, preload_content=False
        )
        threading.Thread(target=lambda: list(map(len, changes.stream(1 << 16))), daemon=True).start()
    began, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(BARE_THREADS) as threads:
        answers = threads.map(lambda body: pool.request("POST", url, body=body, headers=headers).status, bodies)
        assert set(answers) == {201}
    found = measured(began, used)
    remove(cluster, "bare")
    return found


def create_by_launcher(kubeconfig: str | None, namespace: str, jobs: int, *, wait: bool) -> Measured:
    """From the launcher's start until every Job is created."""
    cluster = open_cluster(kubeconfig, namespace=namespace)
    plan, store = make_plan("fan", jobs), MemoryStore()
    store.put(keys.plan(plan.run), plan.to_bytes())
    began, used = time.perf_counter(), time.process_time()
    controller = RunController(cluster, store, plan, make_options(), build=build_suspended)
    controller.run("create", wait=wait, stopped=lambda: len(controller.state.created) == jobs)
    found = measured(began, used)
    remove(cluster, "fan")
    return found


def measured(began: float, used: float) -> Measured:
    """What it took since then."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(time.perf_counter() - began, time.process_time() - used, peak)


def build_suspended(
    planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt
) -> dict[str, Any]:
    """A run's Job that waits as if for a queue."""
    body = build_job(planned, target, options, attempt)
    body["spec"]["suspend"] = True
    return body


def remove(cluster: Cluster, run: str) -> None:
    """Delete the run's objects, and wait until they are gone."""
    path, body = requests.path_of("jobs", cluster.namespace), {"propagationPolicy": "Background"}
    cluster.send(Call("DELETE", path, {"labelSelector": run_selector(run)}, body, timeout=600.0))
    delete_object(cluster, "configmaps", owner_name(run))
    while cluster.list("jobs", lambda job: None, selector=run_selector(run))[0]:
        time.sleep(2.0)


def in_process(measure: partial[_T]) -> _T:
    """What a fresh process measured."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure).result()


if __name__ == "__main__":
    main()
