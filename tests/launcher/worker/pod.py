"""A worker as a Pod runs it, by trainings of ``tests.launcher.stub_server``, with short leases: STORE RUN SINCE."""

from __future__ import annotations

import sys

from atb.storage import open_store
from launcher.plan.build import read_plan
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.run import run_worker
from launcher.worker.worker import Settings
from tests.launcher.worker.share import RULES
from tests.launcher.worker.test_backend import STUB


def main() -> int:
    store = open_store(sys.argv[1])
    plan = read_plan(store, sys.argv[2])
    settings = Settings(rules=RULES, lingers=False)
    ended = run_worker(plan, plan.to_run, store, STUB, MachineSlots(2, 1), settings, since=float(sys.argv[3]))
    return 0 if ended.stopped is None else 128 + abs(ended.stopped)


if __name__ == "__main__":
    sys.exit(main())
