"""The fan-out: Jobs created, followed to the end and collected, against an API server in a process of its own.

    python -m benchmarks.fanout --jobs 2000 --repeat 3

Prints Jobs a second accepted next to what 16 bare threads get from the same server, in turn, the API calls by kind, the
launcher's peak memory, and how long planning 10,000 symbols takes: medians, each with its target. The server plays the
Job controller and the kubelet: a Pod that runs, ten seconds later its end, and a Job that is complete.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import urllib3

from atb.contract import keys
from atb.contract.spec import Spec
from atb.documents.plan import Plan, PlannedJob
from atb.storage import DirectoryStore
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.control.retry import first_attempt
from launcher.kubernetes.objects.jobs import build_job, run_selector
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.build import build_plan
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BARE_THREADS = 16
TRAINING_SECONDS = 10.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--symbols", type=int, default=10_000, help="how many are planned")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the numbers alone")
    arguments = parser.parse_args()
    bare: list[dict[str, Any]] = []
    fan: list[dict[str, Any]] = []
    planning: list[float] = []
    for _ in range(arguments.repeat):
        planning.append(measure_planning(arguments.symbols))
        for measure, found in ((measure_bare, bare), (measure_fanout, fan)):
            with tempfile.TemporaryDirectory() as folder:
                found.append(in_process(measure, arguments.jobs, folder))

    def middle(runs: list[dict[str, Any]], name: str) -> float:
        return statistics.median(float(run[name]) for run in runs)

    accepted, bare_accepted = middle(fan, "accepted_per_s"), middle(bare, "accepted_per_s")
    planned_s = statistics.median(planning)
    report = {
        "jobs": arguments.jobs,
        "accepted_per_s": round(accepted, 1),
        "bare_per_s": round(bare_accepted, 1),
        "of_bare": round(accepted / bare_accepted, 3),
        "followed_to_the_end_s": round(middle(fan, "seconds"), 1),
        "collected_s": round(middle(fan, "collected_s"), 2),
        "done": min(run["done"] for run in fan),
        "calls": fan[-1]["calls"],
        "watches": max(run["watches"] for run in fan),
        "peak_mib": round(max(run["peak_mib"] for run in fan), 1),
        f"plan_{arguments.symbols}_s": round(planned_s, 2),
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"jobs accepted      {report['accepted_per_s']}/s, bare {report['bare_per_s']}/s: {report['of_bare']} of it")
    print("                   target: at least 0.8 of what 16 bare threads get while the server feeds the same watches")
    print(f"followed           {report['done']} of {report['jobs']} done in {report['followed_to_the_end_s']} s")
    print(f"collected          in {report['collected_s']} s")
    print(f"API calls          {report['calls']}")
    print(
        f"watch requests     {report['watches']}; target: the same for any number of Jobs, one per 5 min and resource"
    )
    print(f"peak memory        {report['peak_mib']} MiB; target: under 150 for 2,000 Jobs")
    print(f"planning           {arguments.symbols:,} symbols in {planned_s:.2f} s; target: under 2 s")


def measure_planning(symbols: int) -> float:
    """Seconds to plan that many symbols."""
    began = time.perf_counter()
    make_plan("plan", symbols)
    return time.perf_counter() - began


def make_plan(run: str, jobs: int) -> Plan:
    """A plan of that many jobs."""
    names = [f"S{number:05}USDT" for number in range(jobs)]
    return build_plan(run, names, ["fast"], {"source": "sample"}, backend="kubernetes", now=NOW)


def make_options() -> ClusterOptions:
    """Options without a rate cap that would be what is measured."""
    return ClusterOptions(image="registry.example/atb@sha256:" + "0" * 64, create_rate=10_000)


def measure_bare(kubeconfig: str, jobs: int, folder: str) -> dict[str, Any]:
    """Threads that post bytes made beforehand, with nothing between them and the wire."""
    context = json.loads(Path(kubeconfig).read_text())
    headers = {"Authorization": f"Bearer {context['users'][0]['user']['token']}", "Content-Type": "application/json"}
    url = f"{context['clusters'][0]['cluster']['server']}{requests.path_of('jobs', 'lab')}?fieldValidation=Strict"
    options, target = make_options(), Target("bare", "s3://bucket")
    attempt = first_attempt(options, time.time())
    plan = make_plan("bare", jobs)
    bodies = [json.dumps(build_job(planned, target, options, attempt)).encode() for planned in plan.jobs]
    pool = urllib3.PoolManager(maxsize=BARE_THREADS)
    # the server's work is to be the same: another process keeps the two watches open that a launcher has
    bystander = multiprocessing.get_context("spawn").Process(target=watch_idly, args=(kubeconfig,), daemon=True)
    bystander.start()
    time.sleep(2.0)
    with ThreadPoolExecutor(BARE_THREADS) as threads:
        answers = threads.map(lambda body: pool.request("POST", url, body=body, headers=headers).status, bodies)
        assert set(answers) == {201}
    bystander.terminate()
    return {}


def watch_idly(kubeconfig: str) -> None:
    """Read two watches and do nothing with what they tell."""
    cluster = open_cluster(kubeconfig)

    def read(resource: str) -> None:
        with cluster.stream(requests.watch(resource, "lab", "0", selector=run_selector("bare"))) as chunks:
            for _ in chunks:
                pass

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(read, ("jobs", "pods")))


def measure_fanout(kubeconfig: str, jobs: int, folder: str) -> dict[str, Any]:
    """The launcher itself."""
    cluster = open_cluster(kubeconfig)
    store = DirectoryStore(folder)
    plan = make_plan("fan", jobs)
    store.put(keys.plan(plan.run), plan.to_bytes())
    began = time.perf_counter()
    found = RunController(cluster, store, plan, make_options()).run("create")
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    collect(store, RunRecord.load(store, plan.run))
    return {
        "seconds": seconds,
        "collected_s": time.perf_counter() - began,
        "done": sum(one.state == "done" for one in found.values()),
        "watches": cluster.watches,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_process(measure: Any, jobs: int, folder: str) -> dict[str, Any]:
    """Run one measurement in a fresh process, against a server in another."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, folder), daemon=True)
    server.start()
    kubeconfig = ours.recv()
    answers = context.Queue()
    worker = context.Process(target=_measure, args=(answers, measure, kubeconfig, jobs, folder))
    worker.start()
    found: dict[str, Any] = answers.get()
    worker.join()
    ours.send("stop")
    found |= ours.recv()
    server.join(10)
    return found


def _measure(answers: Any, measure: Any, kubeconfig: str, jobs: int, folder: str) -> None:
    answers.put(measure(kubeconfig, jobs, folder))


def serve(pipe: Connection, folder: str) -> None:
    """An API server and all controllers behind it, until it is stopped; then reports its calls and their rate."""
    from tests.apiserver.http import ApiServer

    server = ApiServer()
    server.state.create("namespaces", "", {"metadata": {"name": "lab"}})
    stopping = threading.Event()
    threading.Thread(target=play, args=(server, DirectoryStore(folder), stopping), daemon=True).start()
    pipe.send(str(server.kubeconfig(Path(folder), "lab")))
    pipe.recv()
    stopping.set()
    kinds = Counter(
        f"{'WATCH' if request.query.get('watch') else request.method} {request.path.split('/lab/')[-1].split('/')[0]}"
        for request in server.requests
    )
    posts = [request.at for request in server.seen("POST", "/jobs$")]
    pipe.send({"calls": dict(kinds), "accepted_per_s": (len(posts) - 1) / (max(posts) - min(posts))})


def play(server: Any, store: DirectoryStore, stopping: threading.Event) -> None:
    """Give every new Job a running Pod, and ``TRAINING_SECONDS`` later its result and a good end."""
    from tests.apiserver.kubelet import set_running, set_terminated
    from tests.apiserver.state import now
    from tests.launcher.fixtures import commit

    state = server.state
    running: deque[tuple[float, str, str, PlannedJob]] = deque()
    seen = 0
    while not stopping.is_set():
        changes = state.changes("jobs", seen)
        for version, kind, job in changes:
            seen = version
            if kind == "ADDED":
                meta, template = job["metadata"], job["spec"]["template"]
                spec = Spec.from_bytes(template["spec"]["containers"][0]["command"][3], "command")
                planned = PlannedJob(job=keys.job_id(spec.symbol, spec.preset), spec=spec, spec_digest=spec.digest)
                name = f"{meta['name'][:57]}-abcde"
                body = {
                    "metadata": {**template["metadata"], "name": name},
                    "spec": {"nodeName": "node-a", **template["spec"]},
                }
                set_running(state, state.create("pods", "lab", body))
                running.append((time.monotonic() + TRAINING_SECONDS, meta["name"], name, planned))
        while running and running[0][0] < time.monotonic():
            _, job_name, pod, planned = running.popleft()
            commit(store, "fan", planned)
            set_terminated(state, state.get("pods", "lab", pod), 0)
            done = {"type": "Complete", "status": "True", "lastTransitionTime": now()}
            state.patch("jobs", "lab", job_name, {"status": {"conditions": [done]}}, status=True)
        if not changes:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
