"""What runs on a cluster now: the fake or a real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from launcher.kubernetes.logs import find_pods
from launcher.kubernetes.objects.job_status import PodStatus, read_job
from launcher.kubernetes.objects.jobs import run_selector
from tests.launcher.fixtures import ClusterFixture

FOREVER = "trap 'exit 143' TERM; while true; do sleep 1; done"


def until(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    """Its value, as soon as it has one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def pods_of(testbed: ClusterFixture, run: str = "run-1") -> list[PodStatus]:
    return find_pods(testbed.cluster, run_selector(run))


def jobs_of(testbed: ClusterFixture, run: str = "run-1") -> dict[str, Any]:
    return testbed.cluster.list("jobs", read_job, selector=run_selector(run))[0]


def started(testbed: ClusterFixture, but: str = "") -> PodStatus | None:
    return next(
        (pod for pod in pods_of(testbed) if pod.phase == "Running" and not pod.deleted and pod.name != but), None
    )
