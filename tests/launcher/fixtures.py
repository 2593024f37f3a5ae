"""Plans, stores, clusters and results for the launcher's tests: the fake API server, or a real cluster.

With ATB_TEST_KUBECONFIG the tests marked ``cluster`` run on that cluster, in a namespace of their own that enforces the
``restricted`` Pod Security level, with the image ATB_TEST_IMAGE (anything with a ``sh``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atb.contract import keys
from atb.contract.spec import resolve_spec
from atb.documents.plan import Plan, PlannedJob
from atb.documents.result import BarsSummary, CodeIdentity, FeatureSummary, FitSummary, Result, SplitSummary
from atb.storage import MemoryStore, Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.objects.jobs import JobAttempt, build_job
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.options import ClusterOptions
from tests.apiserver.controller import JobController
from tests.apiserver.http import ApiServer
from tests.apiserver.kubelet import Kubelet

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
KUBECONFIG = os.environ.get("ATB_TEST_KUBECONFIG")
IMAGE = os.environ.get("ATB_TEST_IMAGE", "busybox:1.37")
TINY: dict[str, Any] = {"gpus": 0, "cpu": "10m", "memory": "64Mi", "max_memory": "256Mi", "scratch_size": "64Mi"}
TINY |= {"termination_grace_seconds": 5}


def make_options(**changes: Any) -> ClusterOptions:
    """Small options for small clusters."""
    return ClusterOptions(**{"image": IMAGE, **TINY, **changes})


def make_plan(*symbols: str, run: str = "run-1", preset: str = "fast") -> Plan:
    """A plan of one job a symbol."""
    specs = [resolve_spec(symbol, preset, {"source": "sample"}, now=NOW) for symbol in symbols]
    jobs = [PlannedJob(job=keys.job_id(spec.symbol, preset), spec=spec, spec_digest=spec.digest) for spec in specs]
    return Plan(run=run, created=NOW, backend="kubernetes", jobs=tuple(jobs))


def make_try(**changes: Any) -> JobAttempt:
    """A first try."""
    return JobAttempt(**{"memory": "8Gi", "deadline_seconds": 86_400, "first_created": NOW, **changes})


def make_result(run: str, planned: PlannedJob, *, attempt: int = 1, peak: int = 1 << 20) -> Result:
    """What a training would commit."""
    return Result(
        run=run,
        job=planned.job,
        attempt=attempt,
        spec=planned.spec,
        spec_digest=planned.spec_digest,
        code=CodeIdentity(version="0", digest="0"),
        bars=BarsSummary(digest="0", rows=1, first=NOW, last=NOW, segments=1),
        features=FeatureSummary(name="classic", hash="0", columns=()),
        split=SplitSummary(train=1, validation=1, test=1, purged=0),
        fit=FitSummary(
            device="cpu",
            path="plain",
            parameters=1,
            epochs=3,
            best_epoch=2,
            best_validation_loss=0.5,
            stopped_by="epochs",
            steps_per_second=1.0,
        ),
        metrics={},
        baselines={},
        stages=(),
        peak_memory_bytes=peak,
        started=NOW,
        finished=NOW,
        files=(),
    )


def commit(store: Store, run: str, planned: PlannedJob, *, peak: int = 1 << 20) -> None:
    """Write the job's result, as its training would."""
    store.put(keys.result(run, planned.job), make_result(run, planned, peak=peak).to_bytes())


def running(script: str | Callable[[PlannedJob, JobAttempt], str]) -> Callable[..., dict[str, Any]]:
    """A builder of Jobs whose container runs a script in ``sh`` instead of the trainer."""

    def build(planned: PlannedJob, target: Target, options: ClusterOptions, attempt: JobAttempt) -> dict[str, Any]:
        body = build_job(planned, target, options, attempt)
        text = script if isinstance(script, str) else script(planned, attempt)
        body["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", text]
        return body

    return build


@dataclass
class ClusterFixture:
    """A cluster to launch into. ``server`` is None on a real one."""

    cluster: Cluster
    store: MemoryStore = field(default_factory=MemoryStore)
    server: ApiServer | None = None
    controller: JobController | None = None
    kubelet: Kubelet | None = None

    def hurried(self, **changes: Any) -> ClusterOptions:
        """Options whose budgets end as soon as this cluster can have reported what is wrong."""
        seconds = 30 if self.server is None else 2
        return make_options(**changes).model_copy(update={"schedule_seconds": seconds, "start_seconds": seconds})

    def run_controller(self, plan: Plan, options: ClusterOptions | None = None, **parts: Any) -> RunController:
        """A controller of the plan's run."""
        self.store.put(keys.plan(plan.run), plan.to_bytes())
        return RunController(self.cluster, self.store, plan, options or make_options(), **parts)


@dataclass(frozen=True)
class LabClock:
    """This machine's clock, as far ahead as the fake server says; ``sleep`` as the test wants it."""

    server: ApiServer | None = None
    sleep: Callable[[float], None] = time.sleep

    def now(self) -> float:
        return time.time() + (self.server.advanced if self.server else 0.0)

    def monotonic(self) -> float:
        return time.monotonic()


def connect(server: ApiServer, folder: Path, sleep: Callable[[float], None] = time.sleep) -> Cluster:
    """The real client, on the fake server's namespace ``lab``. The two share the server's skewed clock."""
    kubeconfig = str(server.kubeconfig(folder, "lab"))
    return open_cluster(kubeconfig, clock=LabClock(server, sleep), retry_seconds=5.0)
