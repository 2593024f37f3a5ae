"""A packed run from its workers to the jobs that a worker is too small for, which get Jobs of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from atb.documents.plan import Plan
from atb.errors import SpecError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.control.controller import RunController
from launcher.kubernetes.objects.worker_job import WorkerRound, build_worker_job
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.packed.controller import Build, PackedController
from launcher.kubernetes.packed.room import find_room
from launcher.plan.backend import Mode, Show
from launcher.report.live_table import Row


def run_packed(
    cluster: Cluster,
    store: Store,
    plan: Plan,
    options: ClusterOptions,
    show: Show,
    stopped_by: Callable[[], int | None],
    *,
    mode: Mode,
    wait: bool,
    build: Build = build_worker_job,
) -> int | None:
    """Do the plan by workers, then what needs more memory than one of them has, by Jobs that have more.

    Returns the signal that stopped this launcher. Raises SpecError, NetworkError, StoreError.
    """
    if not plan.to_run:
        return None
    workers = count_workers(cluster, options) if mode != "attach" else 1
    packed = PackedController(cluster, store, plan, options, workers, show=show, build=build)
    packed.run(mode, wait=wait, stopped=lambda: stopped_by() is not None)
    if stopped_by() is not None or not wait:
        return stopped_by()
    too_large = set(packed.too_large)
    if too_large and not packed.cancelled and options.oom_retries:
        rest = plan.model_copy(update={"jobs": tuple(job for job in plan.jobs if job.job in too_large)})
        others = {row.job: row for row in packed.rows()}

        def show_all(rows: Sequence[Row], note: str) -> None:
            shown = others | {row.job: row for row in rows}
            show([shown[job.job] for job in plan.jobs], note)

        alone = options.model_copy(update={"workers": None, "slots": None})
        controller = RunController(cluster, store, rest, alone, show=show_all)
        controller.run("resume" if mode == "resume" else "create", stopped=lambda: stopped_by() is not None)
    return stopped_by()


def count_workers(cluster: Cluster, options: ClusterOptions) -> int:
    """How many workers are requested, or fit. Raises SpecError where that is unknown, ApiError."""
    assert options.workers is not None
    if options.workers != "auto":
        return options.workers
    room = find_room(cluster, options)
    if room is None:
        raise SpecError("--workers auto needs the right to list nodes; grant it, or write --workers N")
    return max(1, room)


def first_round(plan: Plan, options: ClusterOptions, workers: int) -> WorkerRound:
    """The first worker Job: no more workers than have jobs to begin with."""
    needed = -(-len(plan.to_run) // options.worker_slots)
    return WorkerRound(memory=options.memory, workers=max(1, min(workers, needed)))
