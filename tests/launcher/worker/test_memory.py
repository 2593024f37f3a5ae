"""A training that outgrows the container is ended alone, named, and done again with nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from atb.contract import keys
from atb.documents.attempt import ExitReport, MemoryNeed
from atb.storage import DirectoryStore
from launcher.records.attempt_facts import AttemptReader
from launcher.records.leases import Rules
from launcher.worker.machine_slots import MachineSlots
from launcher.worker.memory_meter import CgroupMeter
from launcher.worker.run import run_worker
from launcher.worker.worker import Settings
from tests.launcher.worker.test_backend import STUB, plan_of

MIB = 1 << 20


class FamilyMeter(CgroupMeter):
    """Counts what this process starts from now on against a limit, as the kernel counts a container's processes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self._earlier = {child.pid for child in self._descendants()}

    def used(self) -> int:
        return sum(self.of(child.pid) for child in self._descendants() if child.pid not in self._earlier)

    def _descendants(self) -> list[psutil.Process]:
        return psutil.Process(os.getpid()).children(recursive=True)


def test_one_that_outgrows_is_ended_named_and_done_again_alone(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    symbols = ["QUICK1", "GREEDY", "QUICK2", "QUICK3"]
    plan = plan_of(*symbols)
    settings = Settings(rules=Rules(pauses=(0.0,)))
    run_worker(plan, plan.to_run, store, STUB, MachineSlots(2, 1), settings, meter=FamilyMeter(400 * MIB))
    reader = AttemptReader(store, "r1")
    facts = {symbol: reader.read_job(f"{symbol}-fast") for symbol in symbols}
    assert all(each.done for each in facts.values())
    assert {symbol: len(each.attempts) for symbol, each in facts.items()} == dict.fromkeys(symbols, 1) | {"GREEDY": 2}
    key = keys.attempt("r1", "GREEDY-fast", 1, "exit.json")
    report = ExitReport.from_bytes(store.get(key), key)
    assert (report.code, report.category) == (137, "oom")
    assert "of 400 MiB were used" in report.message
    assert report.peak_memory_bytes > 100 * MIB
    key = keys.memory("GREEDY", "1h", "fast")
    assert MemoryNeed.from_bytes(store.get(key), key).peak_memory_bytes == report.peak_memory_bytes
