"""The plan on this machine: one process an attempt, forked from a parent that has imported TensorFlow once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from atb.documents.plan import Plan
from atb.errors import Unavailable
from atb.storage import Store
from launcher.plan.backend import Mode, Show
from launcher.plan.build import BackendName, jobs_left
from launcher.plan.signals import catch_stop
from launcher.worker.forkserver_client import SERVER, ForkServerClient
from launcher.worker.machine_slots import MachineSlots, share_slots, usable_gpus
from launcher.worker.runner import PAUSES, LocalRunner


class LocalBackend:
    """This machine. ``parallel`` trainings at a time share its cores and its gpus."""

    name: BackendName = "local"
    image: str | None = None

    def __init__(
        self, parallel: int | None = None, *, server: Sequence[str] = SERVER, pauses: Sequence[float] = PAUSES
    ) -> None:
        self._parallel, self._server, self._pauses = parallel, server, pauses

    @property
    def options(self) -> Mapping[str, Any]:
        return {} if self._parallel is None else {"max_parallel": self._parallel}

    def describe(self, jobs: int) -> str:
        return f"on this machine, {self._share(jobs).words}"

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool = True) -> int | None:
        waiting = jobs_left(plan, store) if mode == "resume" else plan.to_run
        if not waiting:
            return None
        share = self._share(len(waiting))
        environment = {"OMP_NUM_THREADS": str(share.threads)}
        logs = Path(tempfile.mkdtemp(prefix=f"atb-{plan.run}-"))
        try:
            with catch_stop() as stopped_by, ForkServerClient(self._server, environment) as forks:
                crew = LocalRunner(plan, waiting, store, forks, share, logs, self._pauses, resumed=mode == "resume")
                try:
                    crew.work(stopped_by, show)
                except Unavailable:
                    crew.abandon()
                    raise
                return stopped_by()
        finally:
            shutil.rmtree(logs, ignore_errors=True)

    def _share(self, jobs: int) -> MachineSlots:
        return share_slots(jobs, self._parallel, gpus=usable_gpus() if _has_gpu_build() else ())


def _has_gpu_build() -> bool:
    """Whether the TensorFlow here is the one for GPUs; ``tensorflow-cpu`` is a distribution of its own."""
    try:
        metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        return False
    return True
