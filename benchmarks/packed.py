"""The launcher of a packed run: what it creates, how soon, and what memory it takes, for hundreds of symbols.

    python -m benchmarks.packed --symbols 500

An API server in a process of its own takes its objects; a thread plays the workers and commits a result for each job,
fifty a second. Prints the objects created, the seconds until the workers' Job was accepted, the calls to the API server
and the launcher's peak memory, each with its target.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from atb.contract import keys
from atb.storage import DirectoryStore
from benchmarks.fanout import make_plan
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.packed.controller import PackedController

OBJECTS_TARGET, SECONDS_TARGET, MIB_TARGET = 5, 1.0, 120
RESULTS_PER_SECOND = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--workers", type=int, default=20)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = context.Pipe()
        server = context.Process(target=serve, args=(theirs, folder), daemon=True)
        server.start()
        kubeconfig = ours.recv()
        answers = context.Queue()
        launcher = context.Process(
            target=launch, args=(answers, kubeconfig, arguments.symbols, arguments.workers, folder)
        )
        launcher.start()
        found = answers.get()
        launcher.join()
        ours.send("stop")
        calls, accepted_at = ours.recv()
        server.join(10)
    created = sum(count for kind, count in calls.items() if kind.startswith("POST"))
    print(f"objects created    {created} for {arguments.symbols} symbols; target: at most {OBJECTS_TARGET}")
    print(f"accepted after     {accepted_at - found['began']:.2f} s; target: under {SECONDS_TARGET} s")
    print(f"followed           {found['done']} of {arguments.symbols} done in {found['seconds']:.1f} s")
    print(f"API calls          {calls}")
    print(f"peak memory        {found['peak_mib']:.0f} MiB; target: under {MIB_TARGET} MiB")


def launch(answers: Any, kubeconfig: str, symbols: int, workers: int, folder: str) -> None:
    """The launcher itself."""
    cluster, store, plan = open_cluster(kubeconfig), DirectoryStore(folder), make_plan("fan", symbols)
    store.put(keys.plan(plan.run), plan.to_bytes())
    options = ClusterOptions(image="registry.example/atb@sha256:" + "0" * 64, workers=workers, slots=2)
    players = multiprocessing.get_context("spawn").Process(target=play, args=(symbols, folder), daemon=True)
    began, steady = time.time(), time.monotonic()
    controller = PackedController(cluster, store, plan, options, workers)
    players.start()
    controller.run("create")
    answers.put(
        {
            "began": began,
            "seconds": time.monotonic() - steady,
            "done": sum(row.state == "done" for row in controller.rows()),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )


def play(symbols: int, folder: str) -> None:
    """Commit a result for each job, one after another."""
    from tests.launcher.fixtures import commit

    store, plan = DirectoryStore(folder), make_plan("fan", symbols)
    for planned in plan.jobs:
        commit(store, plan.run, planned)
        time.sleep(1 / RESULTS_PER_SECOND)


def serve(pipe: Connection, folder: str) -> None:
    """An API server that runs until it is stopped, then reports its calls and when the workers' Job was created."""
    from tests.apiserver.http import ApiServer

    server = ApiServer()
    server.state.create("namespaces", "", {"metadata": {"name": "lab"}})
    pipe.send(str(server.kubeconfig(Path(folder), "lab")))
    accepted: list[float] = []
    stopping = threading.Event()

    def watch() -> None:
        while not stopping.wait(0.005):
            if server.state.items("jobs", "lab"):
                accepted.append(time.time())
                return

    threading.Thread(target=watch, daemon=True).start()
    pipe.recv()
    stopping.set()
    kinds = Counter(f"{request.method} {request.path.split('/lab/')[-1].split('/')[0]}" for request in server.requests)
    pipe.send((dict(kinds), accepted[0]))


if __name__ == "__main__":
    main()
