"""One worker from its beginning to its end: its fork server, its signals, what it leaves when that server dies."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from atb.clock import SYSTEM_CLOCK, Clock
from atb.contract.labels import NODE_VARIABLE, POD_VARIABLE
from atb.documents.plan import Plan, PlannedJob
from atb.documents.worker import WorkerState
from atb.errors import StoreError, Unavailable
from atb.storage import Store
from launcher.plan.backend import Show
from launcher.plan.signals import catch_stop
from launcher.records.board import Board
from launcher.records.leases import order_jobs
from launcher.worker.forkserver_client import ForkServerClient
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.memory_meter import CgroupMeter, MemoryMeter
from launcher.worker.worker import Settings, Worker

ABANDON_SECONDS = 60.0
"""How long trainings have for their checkpoints after their server has died."""
CALL_SECONDS = 5.0
"""How long one call waits for a store that does not answer: nobody watches memory and trainings meanwhile. The
worker itself waits much longer, between two looks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: the signal that stopped it, and why its machine takes no further jobs."""

    stopped: int | None
    unfit: str


def run_worker(
    plan: Plan,
    jobs: Sequence[PlannedJob],
    store: Store,
    server: Sequence[str],
    slots: MachineSlots,
    settings: Settings,
    show: Show = lambda rows, note: None,
    *,
    resumed: bool = False,
    since: float = 0.0,
    meter: MemoryMeter | None = None,
    clock: Clock = SYSTEM_CLOCK,
    logs: str | None = None,
) -> Ended:
    """Do what is left of the jobs, here, until none is left to take or a signal comes.

    ``resumed``: what failed before now is tried again; ``since``: before then. The trainings' logs go to the folder
    ``logs``. Raises StoreError, Unavailable.
    """
    folder = Path(logs or tempfile.mkdtemp(prefix=f"atb-{plan.run}-"))
    mine = order_jobs(jobs, *settings.place)
    store = store.within(CALL_SECONDS)
    board = Board(plan, mine, store, describe_worker(slots, clock), clock, settings.rules)
    environment, unfit = {"OMP_NUM_THREADS": "1"}, ""
    try:
        with catch_stop() as stopped_by, ForkServerClient(server, environment) as forks:
            board.open(resumed=resumed, since=since)
            worker = Worker(plan, board, store, forks, slots, meter or CgroupMeter(), folder, clock, settings)
            try:
                worker.work(stopped_by, show, stopped_by.breakable)
            except StoreError:
                raise  # the fork server still lives: leaving its context stops the trainings
            except Unavailable:
                abandon(worker, clock)
                raise
            finally:
                worker.close()
                unfit = worker.unfit
        return Ended(stopped_by(), unfit)
    finally:
        if logs is None:
            shutil.rmtree(folder, ignore_errors=True)


def describe_worker(slots: MachineSlots, clock: Clock) -> WorkerState:
    """This process as a worker, under a name that no other one has."""
    pod, now = os.environ.get(POD_VARIABLE) or None, datetime.fromtimestamp(clock.now(), UTC)
    name = f"{pod or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    return WorkerState(
        worker=name,
        host=socket.gethostname(),
        pod=pod,
        node=os.environ.get(NODE_VARIABLE) or None,
        slots=slots.parallel,
        gpus=len(slots.gpus),
        started=now,
        updated=now,
    )


def abandon(worker: Worker, clock: Clock) -> None:
    """The fork server has died, and the kernel has signalled its trainings to stop: wait for what they leave.

    They count as killed, and run alone the next time: nobody asked them to stop, and memory may have run out."""
    deadline = clock.monotonic() + ABANDON_SECONDS
    for child in worker.running():
        while child.pid and Path(f"/proc/{child.pid}").exists() and clock.monotonic() < deadline:
            clock.sleep(0.1)
        try:
            worker.give_up(child, "the process that starts trainings has died")
        except StoreError:
            return  # the caller collects next, and reports what is wrong with the store
