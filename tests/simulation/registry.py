"""The morning after a night: collections, rollbacks and demotions at once, over champions that earlier runs left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from atb.contract import keys
from atb.contract.runs import DEFAULT_FDR
from atb.documents.plan import PlannedJob
from atb.documents.record import RecordEntry, RecordSpan
from atb.documents.result import FileEntry
from atb.errors import AtbError
from atb.registry.champions import ModelKey, read_champion
from atb.registry.demote import demote_behind
from atb.registry.promote import evaluate_candidate, roll_back
from atb.registry.record import scan_records
from atb.storage import Store
from launcher.records.manifest import collect
from launcher.records.promotion import promote_run, weigh_record
from launcher.records.run_record import RunRecord
from tests.simulation.kernel import START, Kernel, Process, VirtualClock
from tests.simulation.object_store import ObjectStore, frozen_view, readable
from tests.simulation.trainings import make_candidate
from tests.simulation.world import RUN, plan_of

if TYPE_CHECKING:
    from tests.simulation.night import Night

END_SECONDS = 6 * 3600.0
RUNS_BEFORE = ("before-1", "before-2")


def served_before(jobs: int) -> tuple[PlannedJob, ...]:
    """The jobs whose models earlier runs have promoted twice: a third of them."""
    return plan_of(jobs).jobs[jobs - jobs // 3 :]


def behind(jobs: int) -> tuple[PlannedJob, ...]:
    """Those of them whose champion's record shows it behind its bar."""
    return served_before(jobs)[::2]


@lru_cache
def left_before(jobs: int) -> dict[str, bytes]:
    """What earlier runs left in the store: champions with a predecessor, and records. Made once, by the real code."""
    server = ObjectStore(Kernel(0))
    store = frozen_view(server)
    for planned in served_before(jobs):
        model_key = ModelKey.of(planned.spec)
        for day, run in enumerate(RUNS_BEFORE, -len(RUNS_BEFORE)):
            data = f"{run} {planned.job}".encode()
            key = keys.bundle(run, planned.job, 1, "model.onnx")
            store.put(key, data)
            digest = hashlib.sha256(data).hexdigest()
            file = FileEntry(path="model.onnx", key=key, size=len(data), sha256=digest)
            result = make_candidate(plan_of(jobs), planned, 1).model_copy(update={"run": run, "files": (file,)})
            at = datetime.fromtimestamp(START, UTC) + timedelta(days=day)
            evaluate_candidate(store, result, None, by="operator", why="", force=True, now=at)
        if planned in behind(jobs):
            champion = read_champion(store, model_key)
            assert champion is not None
            store.put(keys.record_entry(model_key.prefix, 1), _make_record(champion[0].entry).to_bytes())
    left = {key: data for key, (data, _, _, _) in server.objects.items() if not key.startswith("probes/")}
    return dict(sorted(left.items(), key=lambda item: item[0].endswith(keys.CHAMPION)))  # pointers last


def _make_record(entry: str) -> RecordEntry:
    at = datetime.fromtimestamp(START, UTC)
    return RecordEntry(
        number=1,
        champion=entry,
        run=RUNS_BEFORE[-1],
        recorded=at,
        rows=100,
        until=at,
        total_rows=100,
        squares=2.0,
        bar_squares=1.0,
        window=(RecordSpan(rows=100, logs=(9.0,)),),
        log_behind=9.0,
    )


def spend_the_morning(night: Night) -> None:
    """Everybody at once, each killed now and then; and a last collection that is left alone."""
    draw, drawn = night.random, night.fate is None
    if drawn:
        night.store.faults.lost = draw.choice([0.0, 0.3])
        night.store.faults.error = draw.choice([0.0, 0.2])
    processes = [start_collection(night, f"collect-{number}") for number in range(draw.choice([1, 2]) if drawn else 2)]
    if night.moves:
        processes += [start_demotions(night, f"demote-{number}") for number in range(2)]
        processes += [start_rollbacks(night, "rollback")]
    for process in processes:
        if drawn and draw.random() < 0.5:
            night.kernel.at(draw.uniform(0, 10), process.kill)
    night.kernel.run(lambda: not any(process.running for process in processes), END_SECONDS)
    night.store.faults.lost = night.store.faults.error = 0.0
    for begin in (start_collection, start_demotions) if night.moves else (start_collection,):
        last = begin(night, f"{begin.__name__.removeprefix('start_')}-last")
        if not night.kernel.run(lambda last=last: not last.running, END_SECONDS):  # type: ignore[misc]
            night.invariants.violate(f"{last.name} never ends")


def start_collection(night: Night, name: str) -> Process:
    """Collect the run and promote what it has trained."""

    def work(store: Store, clock: VirtualClock) -> None:
        record = RunRecord.load(store, RUN, afresh=True)
        night.invariants.check_record(record)
        weighed = weigh_record(store, record, DEFAULT_FDR)
        collect(store, record)
        for promotion in promote_run(store, record, weighed, accept_first=True, clock=clock):
            night.kernel.log(name, readable(f"{promotion.job}: {promotion.decided}: {promotion.reason[:60]}"))
            night.invariants.check_promotion(promotion, alone=len(night.collectors) == 1 or "last" in name)

    return _start(night, name, work)


def start_demotions(night: Night, name: str) -> Process:
    """Demote the champions whose record shows them behind."""
    model_keys = [ModelKey.of(planned.spec) for planned in behind(night.jobs)]

    def work(store: Store, clock: VirtualClock) -> None:
        for line in demote_behind(store, scan_records(store, model_keys), auto=True, by=name, clock=clock):
            night.kernel.log(name, readable(line[:100]))

    return _start(night, name, work)


def start_rollbacks(night: Night, name: str) -> Process:
    """Somebody rolls back, model after model."""

    def work(store: Store, clock: VirtualClock) -> None:
        for planned in served_before(night.jobs):
            now = datetime.fromtimestamp(clock.now(), UTC)
            model_key = ModelKey.of(planned.spec)
            try:
                served = roll_back(store, model_key, by=name, why="", now=now)
            except AtbError as error:
                night.kernel.log(name, readable(f"{planned.job}: {str(error)[:80]}"))
            else:
                night.kernel.log(name, f"{planned.job}: {served.run} serves")
                night.invariants.check_rollback(model_key, served)

    return _start(night, name, work)


def _start(night: Night, name: str, act: Callable[[Any, VirtualClock], None]) -> Process:
    process = Process(night.kernel, name)
    store, clock = night.open_store(process), VirtualClock(process)
    night.collectors.append(process)

    def work() -> None:
        try:
            act(store, clock)
        except AtbError as error:
            night.kernel.log(name, readable(f"leaves: {str(error)[:100]}"))
            if night.fate is not None or name.endswith("-last"):
                night.invariants.violate(f"without faults {name} fails: {error}")
        process.end()

    process.start(work)
    return process
