"""The plan on this machine, by one worker in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from atb.contract.exits import EXITS
from atb.documents.plan import Plan, PlannedJob
from atb.errors import SpecError
from atb.storage import Store
from launcher.plan.backend import Check, Mode, Say, Setup, Show, not_in_cluster
from launcher.plan.build import find_job, jobs_left
from launcher.plan.cost import Shape
from launcher.records.leases import DEFAULT_RULES, Rules
from launcher.report.live_table import Row
from launcher.worker.forkserver_client import SERVER
from launcher.worker.logs import print_local_logs
from launcher.worker.machine_slots import MachineSlots, share_slots, usable_gpus
from launcher.worker.run import run_worker
from launcher.worker.worker import Settings


def detect(environment: Mapping[str, str]) -> str | None:
    """This machine is always there."""
    return "no cluster is configured"


def open_backend(setup: Setup) -> LocalBackend:
    """This machine. Raises SpecError for what only a cluster can do."""
    if not setup.launch.wait and "wait" in setup.given:
        raise SpecError(
            "--no-wait is for the kubernetes backend: trainings on this machine live as long as the launcher"
        )
    of_run = setup.plan is not None and not setup.launch.resume  # status and others also take a cluster's flags
    if not of_run and (extra := [name for name in setup.flags if name in setup.given]):
        raise SpecError(f"--{extra[0].replace('_', '-')} is for the kubernetes backend; add --backend kubernetes")
    if setup.launch.dry_run == "server":
        raise SpecError("--dry-run=server asks an API server; on this machine write --dry-run")
    parallel = setup.launch.max_parallel
    kept = None if setup.plan is None else setup.plan.options.get("max_parallel")
    if "max_parallel" not in setup.given and type(kept) is int and kept > 0:
        parallel = kept
    return LocalBackend(parallel)


def shape_of(plan: Plan) -> Shape:
    """All of this machine, whose trainings share its cores and GPUs."""
    limit = plan.options.get("max_parallel")
    here = share_slots(len(plan.jobs), limit if type(limit) is int and limit > 0 else None, gpus=usable_gpus())
    return Shape(len(here.gpus), here.parallel, here.parallel)


class LocalBackend:
    """This machine. ``parallel`` trainings at a time share its cores and its gpus."""

    name = "local"
    image: str | None = None
    outlives_launcher = False
    exit_codes: Mapping[str, int] = {entry.category: entry.code for entry in EXITS}

    def __init__(
        self, parallel: int | None = None, *, server: Sequence[str] = SERVER, rules: Rules = DEFAULT_RULES
    ) -> None:
        self._parallel, self._server, self._rules = parallel, server, rules

    @property
    def options(self) -> Mapping[str, Any]:
        return {} if self._parallel is None else {"max_parallel": self._parallel}

    def describe(self, jobs: int) -> str:
        return f"on this machine, {self._share(jobs).words}"

    def check(self, plan: Plan, store: Store) -> Sequence[Check]:
        return ()

    def render(self, plan: Plan, store: Store, *, server: bool) -> Iterator[str] | None:
        return None

    def run(self, plan: Plan, store: Store, show: Show, *, mode: Mode, wait: bool = True) -> int | None:
        if mode == "attach":
            raise not_in_cluster(plan)
        waiting = jobs_left(plan, store) if mode == "resume" else plan.to_run
        if not waiting:
            return None
        slots = self._share(len(waiting))
        settings = Settings(rules=self._rules)
        return run_worker(plan, waiting, store, self._server, slots, settings, show, resumed=mode == "resume").stopped

    def rows(self, plan: Plan, store: Store) -> Sequence[Row]:
        return ()

    def explain(self, plan: Plan, store: Store, planned: PlannedJob) -> Sequence[str]:
        return ()

    def print_logs(
        self, plan: Plan, store: Store, job: str | None, say: Say, *, follow: bool, tail: int | None
    ) -> None:
        jobs = [find_job(plan, job)] if job else plan.to_run
        print_local_logs(plan, store, jobs, say, named=job is None, follow=follow, tail=tail)

    def cancel(self, plan: Plan, confirm: Say) -> str:
        raise not_in_cluster(plan)

    def clean(self, plan: Plan, *, force: bool) -> str:
        raise not_in_cluster(plan)

    def _share(self, jobs: int) -> MachineSlots:
        return find_slots(jobs, self._parallel)


def find_slots(jobs: int, requested: int | None = None) -> MachineSlots:
    """How this machine is shared out; ``requested``: trainings at a time."""
    return share_slots(jobs, requested, gpus=usable_gpus() if _has_gpu_build() else ())


def _has_gpu_build() -> bool:
    """Whether the TensorFlow here is the one for GPUs; ``tensorflow-cpu`` is a distribution of its own."""
    try:
        metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        return False
    return True
