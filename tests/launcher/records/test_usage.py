"""What a run used of what it held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atb.contract import keys
from atb.documents.manifest import Usage
from atb.documents.result import StageTime
from atb.documents.worker import WorkerState
from atb.storage import MemoryStore
from launcher.records.manifest import build_manifest
from launcher.records.run_record import RunRecord
from launcher.report.table import describe_usage
from tests.launcher.fixtures import make_plan, make_result

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def leave_worker(store: MemoryStore, name: str, seconds: float, **fields: Any) -> None:
    ended = BEGAN + timedelta(seconds=seconds)
    defaults: dict[str, Any] = {"slots": 2, "host": "here", "started": BEGAN, "updated": ended, "finished": ended}
    state = WorkerState(worker=name, **{**defaults, **fields})
    store.put(keys.worker("run-1", name), state.to_bytes())


def usage_of(store: MemoryStore) -> Usage:
    usage = build_manifest(RunRecord.of(store, plan)).usage
    assert usage is not None
    return usage


plan = make_plan("A", "B")


@pytest.fixture
def store() -> MemoryStore:
    """Both jobs done: 3 s of fit in 10 s each, after 4 s of imports."""
    found = MemoryStore()
    for planned in plan.jobs:
        stages = (StageTime(name="training", seconds=3.0), StageTime(name="total", seconds=9.0))
        times = {"stages": stages, "startup_seconds": 4.0, "started": BEGAN, "finished": BEGAN + timedelta(seconds=10)}
        result = make_result("run-1", planned).model_copy(update=times)
        found.put(keys.result("run-1", planned.job), result.to_bytes())
    return found


def test_jobs_of_their_own_hold_what_their_trainings_took(store: MemoryStore) -> None:
    usage = usage_of(store)
    assert usage == Usage(fit_seconds=6.0, held_seconds=28.0, startup_seconds=8.0, jobs=2)
    assert describe_usage(usage) == (
        "fit 6.0 s of 28.0 s held by 2 jobs (21%): 3.0 s a model in the fit, 11.0 s in all the rest; "
        "a worker (--workers 1) would import once and save 4.0 s"
    )


def test_workers_hold_their_whole_life_and_a_launcher_that_follows_holds_nothing(store: MemoryStore) -> None:
    leave_worker(store, "one", 5.0)
    leave_worker(store, "dead", 3.0, finished=None)
    leave_worker(store, "launcher", 99.0, slots=0)
    assert usage_of(store) == Usage(fit_seconds=6.0, held_seconds=8.0, jobs=2, workers=2, slots=4, slot_seconds=16.0)


def test_gpus_are_counted_each(store: MemoryStore) -> None:
    leave_worker(store, "one", 5.0, gpus=2, slots=1, ready=BEGAN + timedelta(seconds=1))
    assert describe_usage(usage_of(store)) == (
        "fit 6.0 s of 10.0 GPU-s held by 1 worker (60%): 3.0 s a model in the fit, 2.0 GPU-s in all the rest; "
        "importing once a worker and not once a model saved 2.0 GPU-s"
    )


def test_fits_side_by_side_share_the_time_of_the_slots(store: MemoryStore) -> None:
    leave_worker(store, "one", 4.0)
    assert describe_usage(usage_of(store)) == (
        "fit 6.0 s of 8.0 s held by 1 worker in 2 slots (75%): 3.0 s a model in the fit, 1.0 s in all the rest"
    )


def test_a_gpu_that_is_shared_is_paid_once(store: MemoryStore) -> None:
    leave_worker(store, "one", 4.0, gpus=1, slots=4)
    assert describe_usage(usage_of(store)) == (
        "fit 6.0 s of 16.0 s held by 1 worker in 4 slots (38%): 3.0 s a model in the fit, 5.0 s in all the rest; "
        "2.0 GPU-s a model"
    )


def test_a_run_without_a_result_has_used_nothing() -> None:
    assert build_manifest(RunRecord.of(MemoryStore(), plan)).usage is None


def test_a_worker_that_can_not_be_read_is_named_and_a_copy_of_one_is_not_counted(store: MemoryStore) -> None:
    leave_worker(store, "w1", 20)
    store.put(f"{keys.workers_prefix('run-1')}w1.json.bak", store.get(keys.worker("run-1", "w1")))
    store.put(keys.worker("run-1", "w1 (copy)"), store.get(keys.worker("run-1", "w1")))
    store.put(keys.worker("run-1", "w2"), b"{")
    record = RunRecord.of(store, plan)
    assert [worker.worker for worker in record.workers] == ["w1"]
    assert [problem.key for problem in record.problems] == [keys.worker("run-1", name) for name in ("w1 (copy)", "w2")]
