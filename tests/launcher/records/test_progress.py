"""What a launcher reads of the jobs it follows."""

from __future__ import annotations

from pathlib import Path

from atb.contract import keys
from atb.documents.result import Result
from atb.storage import MemoryStore
from launcher.records.progress import Committed, committed, read_result
from tests.launcher.fixtures import make_plan, make_result

EARLIER = Path(__file__).parents[2] / "atb" / "documents" / "schema_1_0" / "result.json"


def test_of_a_result_only_the_part_is_kept_that_a_launcher_needs() -> None:
    store, planned = MemoryStore(), make_plan("BTCUSDT").jobs[0]
    result = make_result("run-1", planned, attempt=3, peak=7)
    store.put(keys.result("run-1", planned.job), result.to_bytes())
    assert read_result(store, "run-1", planned.job) == committed(result)
    assert set(Committed.model_fields) == {"schema_version", "run", "job", "attempt", "fit", "peak_memory_bytes"}


def test_a_result_of_an_earlier_version_is_read_whole_and_kept_as_small() -> None:
    store, data = MemoryStore(), EARLIER.read_bytes()
    result = Result.from_bytes(data, "result.json")
    store.put(keys.result(result.run, result.job), data)
    assert read_result(store, result.run, result.job) == committed(result)


def test_one_that_is_damaged_or_of_another_job_is_none() -> None:
    store, planned = MemoryStore(), make_plan("BTCUSDT").jobs[0]
    data = make_result("run-1", planned).to_bytes()
    store.put(keys.result("run-1", planned.job), data[:-40])
    store.put(keys.result("run-1", "ETHUSDT-fast"), data)
    assert read_result(store, "run-1", planned.job) is None
    assert read_result(store, "run-1", "ETHUSDT-fast") is None
    assert read_result(store, "run-1", "SOLUSDT-fast") is None
