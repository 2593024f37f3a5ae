"""A run of many jobs with ``max_parallel`` on a real API server, from its first Job to its last.

    python -m benchmarks.capped --namespace NAME --jobs 10000 --max-parallel 200 [--kubeconfig FILE]

No Pod runs: the Jobs are managed by this benchmark, which writes each one's result and log and marks it as complete.
Prints the most Jobs that existed at a time, by the API server's own watch, how long the run took, and the launcher's
CPU time and peak memory, with their targets.
"""

from __future__ import annotations

import io
import queue
import tempfile
import threading
import time
from functools import partial
from typing import Any

from rich.console import Console

from atb.contract import keys, labels
from atb.documents.plan import Plan, PlannedJob
from atb.storage import DirectoryStore
from benchmarks.creation import Measured, in_process, make_parser, measured
from benchmarks.fanout import make_options, make_plan
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import Call
from launcher.kubernetes.api.responses import format_time
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.objects.ensure import delete_object
from launcher.kubernetes.objects.jobs import JobAttempt, build_job, owner_name, run_selector
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from launcher.report.run_view import RunView
from tests.launcher.fixtures import commit

RUN = "capped"
HANDS = 4
"""Threads that bring Jobs to their end."""


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--max-parallel", type=int, default=200)
    arguments = parser.parse_args()
    plan, cluster = make_plan(RUN, arguments.jobs), open_cluster(arguments.kubeconfig, namespace=arguments.namespace)
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(folder)
        store.put(keys.plan(RUN), plan.to_bytes())
        ends = Ends(cluster, store, plan)
        ends.start()
        follow = partial(follow_run, arguments.kubeconfig, arguments.namespace, folder, arguments.max_parallel)
        done, found = in_process(follow)
        delete_object(cluster, "configmaps", owner_name(RUN))
    print(f"done            {done} of {arguments.jobs} in {found.seconds:.0f} s")
    print(f"most at a time  {ends.most} Jobs; target: at most {arguments.max_parallel}")
    print(f"CPU             {found.cpu_seconds:.1f} s: {1000 * found.cpu_seconds / arguments.jobs:.2f} ms a job")
    print(f"peak memory     {found.peak_mib:.1f} MiB; target: under 300 for 10,000 jobs")


def follow_run(kubeconfig: str | None, namespace: str, folder: str, max_parallel: int) -> tuple[int, Measured]:
    """Launch and follow the run: how many jobs were done, and what the launcher took."""
    store = DirectoryStore(folder)
    plan = Plan.from_bytes(store.get(keys.plan(RUN)), "plan")
    options = make_options().model_copy(update={"max_parallel": max_parallel})
    cluster = open_cluster(kubeconfig, namespace=namespace)
    began, used = time.perf_counter(), time.process_time()
    with RunView(f"run {RUN}", Console(file=io.StringIO())) as view:
        found = RunController(cluster, store, plan, options, show=view.show, build=build_managed).run("create")
    return sum(one.state == "done" for one in found.values()), measured(began, used)


def build_managed(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
    """A run's Job that the cluster's own Job controller leaves to us."""
    body = build_job(planned, target, options, attempt)
    body["spec"]["managedBy"] = "example.com/benchmark"
    return body


class Ends:
    """Watches the run's Jobs, counts them, and brings each to its end."""

    def __init__(self, cluster: Cluster, store: DirectoryStore, plan: Plan) -> None:
        self.most = 0
        self._cluster, self._store = cluster, store
        self._planned = {job.job: job for job in plan.jobs}
        self._new: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def start(self) -> None:
        """In threads that end with the process."""
        for work in (self._watch, *[self._end] * HANDS):
            threading.Thread(target=work, daemon=True).start()

    def _watch(self) -> None:
        there: set[str] = set()
        _, version = self._cluster.list("jobs", lambda job: None, selector=run_selector(RUN))
        while True:
            for kind, job in self._cluster.watch("jobs", version, selector=run_selector(RUN)):
                if kind == "OPENED":
                    continue
                version = job["metadata"]["resourceVersion"]
                if kind == "ADDED":
                    there.add(job["metadata"]["name"])
                    self.most = max(self.most, len(there))
                    self._new.put(job)
                elif kind == "DELETED":
                    there.discard(job["metadata"]["name"])

    def _end(self) -> None:
        while True:
            job = self._new.get()["metadata"]
            planned = self._planned[job["annotations"][labels.JOB_ANNOTATION]]
            for name in ("log.txt", "exit.json"):
                self._store.put(keys.attempt(RUN, planned.job, 1, name), b"")
            commit(self._store, RUN, planned)
            now = format_time(self._cluster.now())
            conditions = [
                {"type": kind, "status": "True", "lastTransitionTime": now}
                for kind in ("SuccessCriteriaMet", "Complete")
            ]
            status = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
            path = requests.path_of("jobs", self._cluster.namespace, job["name"], "status")
            body = {"status": status}
            self._cluster.send(Call("PATCH", path, body=body, content_type=requests.MERGE_PATCH))


if __name__ == "__main__":
    main()
