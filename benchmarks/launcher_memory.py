"""How much memory a launcher's state of a run takes, without a server: all Jobs running, then all with a result.

    python -m benchmarks.launcher_memory --jobs 10000

The results are of the size that trainings write, and kept as a launcher keeps them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import psutil

import launcher.cli.run
import launcher.kubernetes.api.connect  # noqa: F401
from atb.documents.attempt import Progress
from atb.documents.result import Result
from benchmarks.fanout import NOW, make_options, make_plan
from launcher.kubernetes.api.informer import Listed
from launcher.kubernetes.control.apply import apply_job, apply_pod
from launcher.kubernetes.control.retry import first_attempt
from launcher.kubernetes.control.state import RunState
from launcher.kubernetes.objects.job_status import read_job, read_pod
from launcher.kubernetes.objects.jobs import build_job
from launcher.kubernetes.objects.pod import Target
from launcher.records.progress import committed

RESULT = Path(__file__).parents[1] / "tests" / "atb" / "documents" / "schema_1_0" / "result.json"
CREATED = "2026-11-01T12:00:00Z"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    jobs = parser.parse_args().jobs
    say("imports")
    plan = make_plan("r", jobs)
    say(f"a plan of {jobs:,} jobs")
    state = RunState(plan, make_options(), may_create=True)
    target, attempt = Target("r", "s3://bucket"), first_attempt(state.options, NOW.timestamp())
    seen_jobs, seen_pods = {}, {}
    for number, planned in enumerate(plan.jobs):
        body = build_job(planned, target, state.options, attempt)
        body["metadata"] |= {"uid": f"uid-{number}", "creationTimestamp": CREATED}
        job = seen_jobs[body["metadata"]["name"]] = read_job(body)
        meta = {"name": f"pod-{job.name}", "creationTimestamp": CREATED, "labels": body["metadata"]["labels"]}
        meta |= {"annotations": body["metadata"]["annotations"]}
        pod = {"metadata": meta, "spec": {"nodeName": f"node-{number % 100}"}, "status": {"phase": "Running"}}
        seen_pods[f"pod-{job.name}"] = read_pod(pod)
    apply_job(state, NOW.timestamp(), Listed(seen_jobs))
    apply_pod(state, NOW.timestamp(), Listed(seen_pods))
    for planned in plan.jobs:
        state.progress[planned.job] = Progress(attempt=1, stage="fit", epoch=3, epochs=9, updated=NOW)
    state.rows(NOW.timestamp())
    say("all Jobs run")
    read_results(state)
    state.rows(time.time())
    say("all have a result; target: under 120 MiB for 2,000 and under 300 MiB for 10,000")


def read_results(state: RunState) -> None:
    """Let each job have a result like one that a training wrote."""
    sample = Result.from_bytes(RESULT.read_bytes(), str(RESULT))
    for planned in state.plan.jobs:
        state.results[planned.job] = committed(sample.model_copy(update={"job": planned.job}))


def say(after: str) -> None:
    """Print what this process holds now."""
    print(f"{psutil.Process().memory_info().rss / 2**20:>8.1f} MiB  {after}", flush=True)


if __name__ == "__main__":
    main()
