"""How long the books of many jobs and runs take, and how much memory: status, collect, list, store check, and Jobs
as YAML.

    python -m benchmarks.books [--jobs 5000] [--runs 5000] [--s3] [--json FILE]

Each command is a process of its own; the median of three, with the largest peak of memory. ``--s3`` asks an S3 server
on this machine beside the directory. Every job has what a training leaves: a result of 18 KB with its curves, a claim,
an exit report, a log, its progress, and thirteen files of a bundle (of one byte here: the books don't read them).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport, Progress
from atb.documents.plan import Plan
from atb.documents.result import Result
from atb.storage import Store, open_store
from atb.storage.read import map_calls
from atb.storage.s3 import S3Store
from atb.storage.s3.links import SILENCE_SECONDS, Link
from launcher.kubernetes.control.retry import first_attempt
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.render import render_yaml
from launcher.kubernetes.options import ClusterOptions
from launcher.plan.build import build_plan
from launcher.records.manifest import collect
from launcher.records.run_record import RunRecord

NOW = datetime(2026, 1, 31, 6, tzinfo=UTC)
TEMPLATE = Path(__file__).parents[1] / "tests" / "atb" / "documents" / "schema_1_0" / "result.json"
TARGETS = {
    "directory": {"status": (3.0, 150), "collect": (6.0, 300), "list": (5.0, 150), "store check": (math.inf, 300)},
    "s3": {"status": (10.0, 150), "collect": (20.0, 300), "list": (5.0, 150), "store check": (math.inf, 300)},
}
"""Seconds and MB that are aimed at, for ``FULL`` jobs and runs; collect may take twice what status may."""
FULL = 5_000
YAML_TARGET = 15.0
"""Seconds of CPU for ``FULL_YAML`` Jobs."""
FULL_YAML = 10_000
KUBECONFIG = """{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"""
"""A dry run asks no cluster."""
_WRITERS = 16


def plan_of(run: str, jobs: int) -> Plan:
    """A plan of ``jobs`` symbols."""
    symbols = [f"C{number:05}USDT" for number in range(jobs)]
    return build_plan(run, symbols, ["fast"], {"as_of": NOW}, backend="local", now=NOW)


def fill_run(store: Store, run: str, jobs: int) -> None:
    """A run whose jobs are all done, as the trainings leave it: planned, not yet collected."""
    plan, template = plan_of(run, jobs), Result.from_bytes(TEMPLATE.read_bytes(), TEMPLATE.name)
    store.put(keys.plan(run), plan.to_bytes())
    claim = Claim(attempt=1, host="node", process=7, started=NOW).to_bytes()
    ending = {"attempt": 1, "code": 0, "category": "done", "message": "done", "stage": "saving"}
    left = ExitReport.model_validate({**ending, "started": NOW, "finished": NOW}).to_bytes()
    progress = Progress(attempt=1, stage="saving", updated=NOW).to_bytes()

    def fill(number: int) -> None:
        planned = plan.jobs[number]
        files = tuple(
            file.model_copy(update={"key": keys.bundle(run, planned.job, 1, file.path), "size": 1})
            for file in template.files
        )
        changed = {"run": run, "job": planned.job, "spec": planned.spec, "spec_digest": planned.spec_digest}
        for file in files:
            store.put(file.key, b"x")
        store.put(keys.progress(run, planned.job), progress)
        for name, data in (("claim.json", claim), ("exit.json", left), ("log.txt", b"log\n")):
            store.put(keys.attempt(run, planned.job, 1, name), data)
        result = template.model_copy(update={**changed, "files": files})
        store.put(keys.result(run, planned.job), result.to_bytes())

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(fill, range(jobs)))


def fill_runs(store: Store, runs: int) -> None:
    """Collected runs of two jobs each."""
    fill_run(store, "r-template", 2)
    manifest = collect(store, RunRecord.load(store, "r-template"))
    plan = plan_of("r-template", 2)

    def fill(number: int) -> None:
        run = f"r{number:05}"
        store.put(keys.plan(run), plan.model_copy(update={"run": run}).to_bytes())
        store.put(keys.manifest(run), manifest.model_copy(update={"run": run}).to_bytes())

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(fill, range(runs)))


def measure(words: list[str], times: int = 3) -> dict[str, float]:
    """The median seconds of a command and its largest peak of memory, in MB. Raises where it fails."""
    seconds, peaks, cpu = [], [], []
    for _ in range(times):
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", "launcher.cli", *words], stdout=subprocess.DEVNULL) as process:
            _, code, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
        seconds.append(time.perf_counter() - began)
        peaks.append(usage.ru_maxrss / 1024)
        cpu.append(usage.ru_utime + usage.ru_stime)
        if process.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    return {"seconds": statistics.median(seconds), "cpu_s": statistics.median(cpu), "peak_mb": max(peaks)}


def measure_store(url: str, endpoint: str | None, jobs: int, runs: int) -> dict[str, dict[str, float]]:
    """Status and collect of one large run, and a list of many small ones."""
    store = open_store(url, endpoint)
    place = ["--store", url, *(["--endpoint-url", endpoint] if endpoint else [])]
    fill_run(store, "big", jobs)
    found = {
        "status": measure(["status", "big", *place]),
        "collect": measure(["collect", "big", *place], 1),
    }
    found["status, collected"] = measure(["status", "big", *place])
    many = open_store(f"{url}-runs", endpoint)
    fill_runs(many, runs)
    found["list"] = measure(["list", "--store", f"{url}-runs", *place[2:]])
    found["store check"] = measure(["store", "check", "--quick", *place], 1)
    return found


def measure_yaml(jobs: int, endpoint: str) -> float:
    """CPU seconds of a dry run of that many Jobs, in its own process."""
    symbols = ",".join(f"C{number:05}USDT" for number in range(jobs))
    with tempfile.TemporaryDirectory() as folder:
        names, access = Path(folder, "symbols.txt"), Path(folder, "kubeconfig")
        names.write_text(symbols)
        access.write_text(KUBECONFIG)
        words = ["--symbols", f"@{names}", "--backend", "kubernetes", "--image", "ghcr.io/x/atb:1", "--dry-run"]
        words += ["--kubeconfig", str(access), "--presets", "fast", "--store", "s3://books/yaml", "--force"]
        words += ["--as-of", "2026-01-31", "--endpoint-url", endpoint]
        return measure(words, 1)["cpu_s"]


def measure_reads(store: Store, names: list[str]) -> dict[str, float]:
    """Milliseconds of CPU for a read of a small object, by our own reader and by botocore; the median of three."""
    if not isinstance(store, S3Store):
        raise TypeError(f"{store.url} is no bucket")
    found: dict[str, list[float]] = {"our reader": [], "botocore": []}
    made = store._links._made
    link = made[SILENCE_SECONDS]
    for _ in range(3):
        for name, lean in (("our reader", link.lean), ("botocore", None)):
            made[SILENCE_SECONDS] = Link(link.client, lean)
            began = time.process_time()
            list(map_calls(store, store.get, names))
            found[name].append((time.process_time() - began) * 1000 / len(names))
    made[SILENCE_SECONDS] = link
    return {name: statistics.median(each) for name, each in found.items()}


def measure_writers(jobs: int) -> dict[str, float]:
    """Milliseconds of CPU for a Job as YAML, by our own writer and by PyYAML's in C; the median of three."""
    plan, options = plan_of("yaml", jobs), ClusterOptions.model_validate({"image": "ghcr.io/x/atb:1"})
    target, attempt = Target(plan.run, "s3://books/yaml"), first_attempt(options, NOW.timestamp())
    bodies = [build_job(planned, target, options, attempt) for planned in plan.jobs]
    found: dict[str, list[float]] = {"our writer": [], "PyYAML in C": []}
    for _ in range(3):
        for name, write in (("our writer", render_yaml), ("PyYAML in C", write_in_c)):
            began = time.process_time()
            for body in bodies:
                write([body])
            found[name].append((time.process_time() - began) * 1000 / jobs)
    return {name: statistics.median(each) for name, each in found.items()}


def write_in_c(objects: list[dict[str, Any]]) -> str:
    """The objects as YAML by PyYAML with libyaml."""
    return str(yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True))


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server on this machine with an empty bucket."""
    import boto3

    from tests.seaweed import ACCESS_KEY, SECRET_KEY, serve_s3

    os.environ.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_DEFAULT_REGION="us-east-1")
    with tempfile.TemporaryDirectory() as folder, serve_s3(Path(folder)) as endpoint:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="books")
        yield endpoint


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=FULL)
    parser.add_argument("--runs", type=int, default=FULL)
    parser.add_argument("--yaml", type=int, default=FULL_YAML, help="Jobs rendered as YAML; 0 for none.")
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    full = options.jobs == options.runs == FULL
    found: dict[str, Any] = {"jobs": options.jobs, "runs": options.runs}
    if options.jobs:
        with tempfile.TemporaryDirectory() as folder:
            found["directory"] = measure_store(f"{folder}/store", None, options.jobs, options.runs)
            print_rows("directory", found["directory"], full=full)
    if options.s3:
        with s3_server() as endpoint:
            found["s3"] = measure_store("s3://books/store", endpoint, options.jobs, options.runs)
            print_rows("s3", found["s3"], full=full)
            runs = [keys.manifest(f"r{number:05}") for number in range(min(options.runs, 1_000))]
            found["reads_ms"] = measure_reads(open_store("s3://books/store-runs", endpoint), runs)
            print(", ".join(f"{name} {each:.2f} ms of CPU a read" for name, each in found["reads_ms"].items()))
    if options.yaml:
        with s3_server() as endpoint:
            found["yaml_cpu_s"] = measure_yaml(options.yaml, endpoint)
        seconds = found["yaml_cpu_s"]
        verdict = judge(seconds <= YAML_TARGET, full=options.yaml == FULL_YAML)
        print(f"{options.yaml:,} Jobs as YAML: {seconds:.1f} s of CPU  (aim: {YAML_TARGET:g} s{verdict})")
        found["yaml_ms"] = measure_writers(1_000)
        print(", ".join(f"{name} {each:.2f} ms of CPU a Job" for name, each in found["yaml_ms"].items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def judge(met: bool, *, full: bool) -> str:
    """Whether an aim is met; nothing for a smaller trial, for which the aim does not hold."""
    return (": met" if met else ": MISSED") if full else ""


def print_rows(place: str, found: dict[str, dict[str, float]], *, full: bool) -> None:
    """One line a command. ``full``: of as many jobs and runs as the aims are for."""
    for name, row in found.items():
        seconds, memory = TARGETS[place][name.partition(",")[0]]
        verdict = judge(row["seconds"] <= seconds and row["peak_mb"] < memory, full=full)
        print(
            f"{place:<10} {name:<18} {row['seconds']:6.2f} s  {row['cpu_s']:6.2f} s CPU  {row['peak_mb']:4.0f} MB"
            f"  (aim {f'{seconds:g} s, ' * math.isfinite(seconds)}{memory} MB{verdict})",
            flush=True,
        )


if __name__ == "__main__":
    main()
