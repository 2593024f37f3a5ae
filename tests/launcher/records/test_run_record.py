"""One document that can't be read is named, and everything around it goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport, Verdict
from atb.documents.manifest import Manifest
from atb.documents.plan import Plan
from atb.errors import SpecError, Unreadable
from atb.storage import DirectoryStore, Entry, MemoryStore, Store
from launcher.plan.build import build_plan, commit_plan, jobs_left
from launcher.records.manifest import build_manifest, collect, list_runs
from launcher.records.promotion import promote_run, weigh_record
from launcher.records.run_record import RunRecord
from launcher.report.page import write_report
from tests.atb.documents.test_reading import DAMAGED
from tests.atb.registry.candidates import NOW, commit, make_result

SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")


def run_of(store: Store, run: str = "r1") -> Plan:
    """A planned run of three jobs: two with a result, one that failed."""
    plan = build_plan(run, SYMBOLS, ["fast"], {"as_of": NOW}, backend="local", now=NOW)
    commit_plan(plan, store)
    commit(store, run, "BTCUSDT")
    commit(store, run, "ETHUSDT")
    verdict = Verdict(job="LTCUSDT-fast", state="failed", category="oom", reason="no memory", recorded=NOW)
    store.put(keys.verdict(run, "LTCUSDT-fast"), verdict.to_bytes())
    return plan


def states(store: Store, run: str = "r1") -> list[tuple[str, str]]:
    return [(job.state, job.category) for job in build_manifest(RunRecord.load(store, run)).jobs]


class Watched(MemoryStore):
    """Keeps the order of what is read and what is listed of the jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def get(self, key: str) -> bytes:
        self.seen.append(f"read {key}")
        return super().get(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        for entry in super().list(prefix):
            self.seen.append(f"listed {entry.key}")
            yield entry


def test_results_are_read_while_the_jobs_are_still_listed() -> None:
    store = Watched()
    run_of(store)
    store.seen.clear()
    RunRecord.load(store, "r1")
    first = store.seen.index(f"read {keys.result('r1', 'BTCUSDT-fast')}")
    assert first < store.seen.index(f"listed {keys.verdict('r1', 'LTCUSDT-fast')}")


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_an_unreadable_result_is_a_row_that_says_so_and_no_result(data: bytes) -> None:
    store = MemoryStore()
    plan, key = run_of(store), keys.result("r1", "BTCUSDT-fast")
    store.put(key, data)
    record = RunRecord.load(store, "r1")
    manifest = build_manifest(record)
    assert [(job.state, job.category) for job in manifest.jobs] == [
        ("failed", "unreadable"),
        ("done", ""),
        ("failed", "oom"),
    ]
    assert [problem.key for problem in manifest.problems] == [key]
    assert manifest.jobs[0].reason.startswith(key)
    assert [job.job for job in jobs_left(plan, store)] == ["BTCUSDT-fast", "LTCUSDT-fast"]
    assert [each.job for each in promote_run(store, record, weigh_record(store, record, 0.05))] == ["ETHUSDT-fast"]
    assert key.encode() in store.get(write_report(store, record))
    assert Manifest.from_bytes(collect(store, record).to_bytes(), "key") == manifest


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_done_again_leaves_the_unreadable_result_in_the_quarantine(data: bytes) -> None:
    store = MemoryStore()
    plan, key = run_of(store), keys.result("r1", "BTCUSDT-fast")
    store.put(key, data)
    (place,) = RunRecord.of(store, plan).set_aside_results(store)
    assert place.startswith(f"quarantine/{key}@")
    assert store.get(place) == data
    assert key not in [entry.key for entry in store.list("runs/")]
    assert RunRecord.of(store, plan).set_aside_results(store) == []


PLACES: dict[str, Callable[[], str]] = {
    "verdict": lambda: keys.verdict("r1", "LTCUSDT-fast"),
    "exit report": lambda: keys.attempt("r1", "LTCUSDT-fast", 1, "exit.json"),
    "manifest": lambda: keys.manifest("r1"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("damage", ["empty", "nested deeply", "a newer major version", "wrong types"])
def test_an_unreadable_document_is_named_and_the_other_jobs_are_shown(place: str, damage: str) -> None:
    store, key = MemoryStore(), PLACES[place]()
    run_of(store)
    store.put(key, DAMAGED[damage])
    record = RunRecord.load(store, "r1")
    assert states(store)[:2] == [("done", ""), ("done", "")]
    assert key in [problem.key for problem in record.problems]
    assert all(str(problem).isprintable() for problem in record.problems)


@pytest.mark.parametrize("data", [*DAMAGED.values(), b"x" * 100])
def test_a_stranger_s_file_beside_the_documents_changes_nothing(data: bytes) -> None:
    store = MemoryStore()
    run_of(store)
    before = build_manifest(RunRecord.load(store, "r1"))
    for name in (
        "notes.txt",
        "jobs/readme",
        "jobs/XUSDT-fast/result.json",
        "jobs/BTCUSDT-fast/mine.json",
        "progress/x",
    ):
        store.put(f"runs/r1/{name}", data)
    store.put("runs/loose-file", data)
    store.put("runs/another/thing.json", data)
    assert build_manifest(RunRecord.load(store, "r1")) == before
    assert [each.run for each in list_runs(store)] == ["r1"]


def test_a_plan_that_can_not_be_read_leaves_the_jobs_that_have_a_result() -> None:
    store = MemoryStore()
    run_of(store)
    store.put(keys.plan("r1"), b"{")
    record = RunRecord.load(store, "r1")
    assert states(store) == [("done", ""), ("done", "")]
    assert record.problems[0].key == keys.plan("r1")
    store.put(keys.plan("r2"), b"")
    with pytest.raises(Unreadable, match=r"runs/r2/plan.json .*nothing of run r2 is known without it"):
        RunRecord.load(store, "r2")
    with pytest.raises(SpecError, match="there is no run r3"):
        RunRecord.load(store, "r3")


def test_a_run_with_an_unreadable_manifest_is_listed_with_what_to_do() -> None:
    store = MemoryStore()
    for run in ("r1", "r2", "r3"):
        plan = run_of(store, run)
        collect(store, RunRecord.of(store, plan))
    store.put(keys.manifest("r2"), b"\x00" * 40)
    words = {each.run: each.words for each in list_runs(store)}
    assert words["r1"] == words["r3"] == "2026-01-31 06:00 UTC  2 done, 1 failed"
    assert words["r2"].startswith("unreadable: runs/r2/manifest.json is not a manifest")
    assert words["r2"].endswith("make it again with: atb-launch collect r2")


def test_runs_are_listed_by_when_they_were_planned_and_not_by_their_names() -> None:
    store = MemoryStore()
    for number, run in enumerate(("second", "first", "third")):
        plan = run_of(store, run)
        plan = plan.model_copy(update={"created": plan.created + timedelta(hours=number)})
        store.put(keys.plan(run), plan.to_bytes())
        collect(store, RunRecord.of(store, plan))
    assert [each.run for each in list_runs(store)] == ["third", "first", "second"]


def test_a_result_that_belongs_elsewhere_is_refused() -> None:
    store = MemoryStore()
    run_of(store)
    store.put(keys.result("r1", "LTCUSDT-fast"), make_result("r1", "BTCUSDT").to_bytes())
    assert states(store)[2] == ("failed", "oom")
    (problem,) = RunRecord.load(store, "r1").problems
    assert "is the result of another job (BTCUSDT-fast)" in str(problem)
    other = make_result("r1", "LTCUSDT").model_copy(update={"spec_digest": "0" * 64})
    store.put(keys.result("r1", "LTCUSDT-fast"), other.to_bytes())
    (problem,) = RunRecord.load(store, "r1").problems
    assert "is the result of a different spec (000000000000, the plan says" in str(problem)


class Counting(MemoryStore):
    """Remembers which keys were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        self.read.append(key)
        return super().get_with_etag(key)


def test_each_document_is_read_once_and_a_collected_result_not_again() -> None:
    store = Counting()
    plan = run_of(store)
    store.read.clear()
    record = RunRecord.load(store, "r1")
    collect(store, record)
    assert sorted(store.read) == [
        keys.result("r1", "BTCUSDT-fast"),
        keys.result("r1", "ETHUSDT-fast"),
        keys.verdict("r1", "LTCUSDT-fast"),
        keys.plan("r1"),
    ]
    store.read.clear()
    again = RunRecord.load(store, "r1")
    assert keys.result("r1", "BTCUSDT-fast") not in store.read
    assert build_manifest(again) == build_manifest(record)
    store.put(keys.result("r1", "BTCUSDT-fast"), b"damaged since")
    assert [job.job for job in jobs_left(plan, store)] == ["BTCUSDT-fast", "LTCUSDT-fast"]


def claim(store: Store, job: str, attempt: int = 1) -> None:
    found = Claim(attempt=attempt, host="h", process=1, started=NOW)
    store.put(keys.attempt("r1", job, attempt, "claim.json"), found.to_bytes())


def age(store: DirectoryStore, key: str, seconds: float) -> None:
    """Make an object as old as that by the store's clock."""
    then = time.time() - seconds
    os.utime(store.root / key, (then, then))


def test_an_attempt_that_was_not_heard_of_for_a_lease_is_lost_and_not_running(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    run_of(store)
    store.delete(keys.verdict("r1", "LTCUSDT-fast"))
    claim(store, "LTCUSDT-fast")
    assert states(store)[2] == ("running", "")
    age(store, keys.attempt("r1", "LTCUSDT-fast", 1, "claim.json"), 61)
    assert states(store)[2] == ("interrupted", "lost")
    reason = build_manifest(RunRecord.load(store, "r1")).jobs[2].reason
    assert reason.startswith("not heard of since ")
    claim(store, "LTCUSDT-fast", attempt=2)
    assert states(store)[2] == ("running", "")
    report = ExitReport(
        attempt=2,
        code=143,
        category="stopped",
        message="stopped",
        stage="training",
        started=NOW,
        finished=NOW,
    )
    store.put(keys.attempt("r1", "LTCUSDT-fast", 2, "exit.json"), report.to_bytes())
    assert states(store)[2] == ("interrupted", "stopped")
