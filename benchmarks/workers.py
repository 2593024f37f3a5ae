"""Many symbols: one process a job, as a Pod a symbol costs it, against one worker that forks its trainings.

    python -m benchmarks.workers --symbols 32 --epochs 12
    python -m benchmarks.workers --kubernetes --image NAME@sha256:… --store s3://… -- --env-from-secret atb-store

Both do the same jobs, two at a time, in turn. Prints the wall time, the seconds that a slot is held for a symbol, those
of them in the stage "training", the rest, and the CPU time, which other processes on a busy machine change least:
medians, with the targets; and whether the models are the same. With ``--kubernetes`` both are done by ``atb-launch`` on
the cluster of the kubeconfig, as Jobs and as one worker, with as many CPUs requested for both; what follows ``--`` is
for it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from atb.contract import bundle, keys
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.storage import DirectoryStore, Store, open_store
from launcher.plan.build import build_plan, commit_plan
from launcher.worker.forkserver_client import SERVER
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.run import run_worker
from launcher.worker.worker import Settings

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TRAINING, CPU = "  in training, s", "CPU a symbol, s"
OUTSIDE_TARGET, HERE_TARGET, CLUSTER_TARGET = 1.5, 1.7, 1.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--slots", type=int, default=2, help="trainings at a time, for both")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--kubernetes", action="store_true", help="on the cluster of the kubeconfig, with real Pods")
    parser.add_argument("--cpu", type=float, default=1.0, help="CPUs requested there for each training at a time")
    parser.add_argument("--image", help="the trainer's image there")
    parser.add_argument("--store", help="the store there: s3://bucket/prefix")
    parser.add_argument("--endpoint-url")
    parser.add_argument("flags", nargs="*", help="for atb-launch, after --")
    arguments = parser.parse_args()
    if arguments.kubernetes and not (arguments.image and arguments.store):
        parser.error("--kubernetes needs --image and --store")
    what = f"{arguments.symbols} symbols × {arguments.epochs} epochs of fast, {arguments.slots} at a time"
    print(f"{what}; load {os.getloadavg()[0]:.1f}")
    measures: dict[str, Callable[[int], dict[str, Any]]] = {
        "apart": lambda turn: measure_here(arguments, do_processes),
        "worker": lambda turn: measure_here(arguments, do_worker),
    }
    if arguments.kubernetes:
        each = ["--max-parallel", str(arguments.slots), "--cpu", str(arguments.cpu)]
        packed = ["--workers", "1", "--slots", str(arguments.slots), "--cpu", str(arguments.cpu * arguments.slots)]
        measures = {
            "apart": lambda turn: measure_cluster(arguments, f"bench-jobs-{turn}-{os.getpid()}", each),
            "worker": lambda turn: measure_cluster(arguments, f"bench-worker-{turn}-{os.getpid()}", packed),
        }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in measures}
    for turn in range(arguments.repeat):
        for name, measure in measures.items():
            found[name].append(measure(turn))
    compare_models(list(found.values()))
    show(
        found, "Jobs" if arguments.kubernetes else "processes", CLUSTER_TARGET if arguments.kubernetes else HERE_TARGET
    )


def compare_models(runs: list[list[dict[str, Any]]]) -> None:
    """Say how many models are the same, byte for byte, however they were trained."""
    digests = [run.pop("models") for each in runs for run in each]
    same = sum(len({digest[symbol] for digest in digests}) == 1 for symbol in digests[0])
    print(f"{same} of {len(digests[0])} models are the same byte for byte in all {len(digests)} ways and turns")


def show(found: dict[str, list[dict[str, Any]]], apart: str, target: float) -> None:
    """The medians side by side."""
    middle = {
        who: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for who, runs in found.items()
    }
    print(f"{'':<34}{apart:>12}{'one worker':>12}")
    for name in middle["worker"]:
        print(f"{name:<34}{middle['apart'][name]:>12.2f}{middle['worker'][name]:>12.2f}")
    ratio = middle["apart"]["wall, s"] / middle["worker"]["wall, s"]
    print(f"one worker is {ratio:.2f} times as fast; target: at least {target}")
    print(f"outside training: target at most {OUTSIDE_TARGET} s a symbol by the worker")


def make_plan(run: str, symbols: int, epochs: int, backend: str) -> Plan:
    """That many symbols with made-up bars."""
    names = [f"S{number:03}USDT" for number in range(symbols)]
    options = {"source": "sample", "epochs": epochs, "patience": epochs}
    return build_plan(run, names, ["fast"], options, backend=backend, now=NOW)


def measure_here(arguments: Any, do: Callable[[Plan, Store, int], None]) -> dict[str, Any]:
    """All jobs on this machine, into a store of their own."""
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore(folder)
        plan = make_plan("bench", arguments.symbols, arguments.epochs, "local")
        commit_plan(plan, store)
        began, used = time.monotonic(), children_cpu()
        do(plan, store, arguments.slots)
        found = summarise(plan, store, time.monotonic() - began, arguments.slots)
        return {**found, CPU: (children_cpu() - used) / arguments.symbols}


def children_cpu() -> float:
    """CPU seconds of all processes that this one has started, and theirs, once they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def do_processes(plan: Plan, store: Store, slots: int) -> None:
    """A process a job, with its own imports and compiler, as the container of a Job runs it."""

    def train(job: Any) -> None:
        command = [sys.executable, "-m", "trainer.cli", "train", "job", job.spec.model_dump_json()]
        command += ["--run", plan.run, "--store", store.url, "--log-format", "json", "--accelerator", "cpu"]
        subprocess.run(command, check=True, capture_output=True)

    with ThreadPoolExecutor(slots) as pool:
        list(pool.map(train, plan.to_run))


def do_worker(plan: Plan, store: Store, slots: int) -> None:
    """One worker, as ``atb-launch worker`` and the local backend are one."""
    settings = Settings(arguments=("--accelerator", "cpu"))
    run_worker(plan, plan.to_run, store, SERVER, MachineSlots(slots, 1), settings)


def measure_cluster(arguments: Any, run: str, how: Sequence[str]) -> dict[str, Any]:
    """All jobs on the cluster, from the launcher's start to its end."""
    names = ",".join(job.spec.symbol for job in make_plan(run, arguments.symbols, arguments.epochs, "kubernetes").jobs)
    command = [sys.executable, "-m", "launcher.cli", "--symbols", names, "--preset", "fast", "--source", "sample"]
    command += [
        "--set",
        f"epochs={arguments.epochs}",
        "--set",
        f"patience={arguments.epochs}",
        "--as-of",
        NOW.isoformat(),
    ]
    command += ["--backend", "kubernetes", "--image", arguments.image, "--store", arguments.store, "--run", run]
    command += ["--gpus", "0", "--force", "--yes", *how, *arguments.flags]
    if arguments.endpoint_url:
        command += ["--endpoint-url", arguments.endpoint_url]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - began
    store = open_store(arguments.store, arguments.endpoint_url)
    plan = Plan.from_bytes(store.get(keys.plan(run)), "plan")
    return summarise(plan, store, wall, arguments.slots)


def summarise(plan: Plan, store: Store, wall: float, slots: int) -> dict[str, Any]:
    """Where the seconds went, for the middle of all symbols. Every job must be done."""
    results = [Result.from_bytes(store.get(key), key) for key in (keys.result(plan.run, job.job) for job in plan.jobs)]
    training = statistics.fmean(row.seconds for result in results for row in result.stages if row.name == "training")
    held = wall * slots / len(results)
    return {
        "models": {
            result.spec.symbol: next(file.sha256 for file in result.files if file.path == bundle.MODEL)
            for result in results
        },
        "wall, s": wall,
        "held a symbol, s": held,
        TRAINING: training,
        "  outside training, s": held - training,
    }


if __name__ == "__main__":
    main()
