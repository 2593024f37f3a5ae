"""A packed run on a cluster whose Pods run real workers with trainings that do what their symbol says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.documents.plan import Plan
from atb.errors import StoreError
from atb.storage import DirectoryStore, Entry
from launcher.kubernetes.backend import KubernetesBackend
from launcher.kubernetes.cleanup import cancel_run
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.worker_job import WorkerRound, build_worker_job
from launcher.kubernetes.options import ClusterOptions
from launcher.kubernetes.packed.controller import PackedController
from launcher.kubernetes.packed.look import explain_packed
from launcher.records.manifest import build_manifest
from launcher.records.run_record import RunRecord
from launcher.report.live_table import Row
from tests.launcher.fixtures import ClusterFixture, make_options, make_plan
from tests.launcher.worker.share import RULES

Look = Callable[[Sequence[Row]], None]


def pods_that_work(store: DirectoryStore) -> Callable[[Plan, Target, ClusterOptions, WorkerRound], dict[str, Any]]:
    """A builder of worker Jobs whose Pods work on this machine."""

    def build(plan: Plan, target: Target, options: ClusterOptions, shape: WorkerRound) -> dict[str, Any]:
        body = build_worker_job(plan, target, options, shape)
        command = f"exec {sys.executable} -m tests.launcher.worker.pod {store.root} {plan.run} {shape.since}"
        body["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", command]
        return body

    return build


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def follow(
    fake: ClusterFixture,
    store: DirectoryStore,
    plan: Plan,
    *,
    mode: Any = "create",
    workers: int = 2,
    look: Look | None = None,
    options: ClusterOptions | None = None,
) -> PackedController:
    store.put(keys.plan(plan.run), plan.to_bytes())
    controller = PackedController(
        fake.cluster,
        store,
        plan,
        options or make_options(workers=workers, slots=2),
        workers,
        show=lambda rows, note: look(rows) if look else None,
        leases=RULES,
        poll=0.2,
        build=pods_that_work(store),
    )
    controller.run(mode)
    return controller


def states(store: DirectoryStore, plan: Plan) -> dict[str, tuple[str, str, int]]:
    return {
        job.symbol: (job.state, job.category, job.attempts) for job in build_manifest(RunRecord.of(store, plan)).jobs
    }


def test_workers_do_the_plan_with_three_objects_and_what_fails_is_named(
    fake: ClusterFixture, store: DirectoryStore
) -> None:
    plan = make_plan("QUICK1", "BADBARS", "QUICK2", "KILLEDONCE", "QUICK3", "FLAKY")
    controller = follow(fake, store, plan)
    assert states(store, plan) == {
        "QUICK1": ("done", "", 1),
        "BADBARS": ("failed", "bad-data", 1),
        "QUICK2": ("done", "", 1),
        "KILLEDONCE": ("done", "", 2),
        "QUICK3": ("done", "", 1),
        "FLAKY": ("done", "", 3),
    }
    assert fake.server is not None
    assert len(fake.server.state.items("jobs", "lab")) == 1
    assert len(fake.server.state.items("configmaps", "lab")) == 1
    lines = list(explain_packed(fake.cluster, store, controller, plan, plan.jobs[1]))
    assert lines[:2] == ["BADBARS-fast: failed (bad-data)", "reason    40 bars where 500 are needed"]
    assert any(line.startswith("attempt   1 in ") and line.endswith("ended with code 10 (bad-data)") for line in lines)
    assert any(line.startswith("worker    ") for line in lines)
    lines = list(explain_packed(fake.cluster, store, controller, plan, plan.jobs[3]))
    assert next(line for line in lines if line.startswith("attempt   2")).endswith("ended with code 0 (done)")


def test_a_resumed_run_tries_again_what_failed_and_nothing_else(fake: ClusterFixture, store: DirectoryStore) -> None:
    plan = make_plan("QUICK1", "BADONCE")
    follow(fake, store, plan)
    assert states(store, plan)["BADONCE"] == ("failed", "bad-data", 1)
    follow(fake, store, plan, mode="resume")
    assert states(store, plan) == {"QUICK1": ("done", "", 1), "BADONCE": ("done", "", 2)}
    assert fake.server is not None
    assert len(fake.server.state.items("jobs", "lab")) == 2


def test_a_killed_worker_is_begun_again_and_its_jobs_lose_one_attempt(
    fake: ClusterFixture, store: DirectoryStore
) -> None:
    plan = make_plan("SLOW", "QUICK1")
    killed: list[str] = []

    def kill(rows: Sequence[Row]) -> None:
        assert fake.server is not None
        slow = next(row for row in rows if row.symbol == "SLOW")
        if not killed and slow.epoch:
            pods = fake.server.state.items("pods", "lab")
            killed.append(pods[0]["metadata"]["name"])
            fake.server.state.delete("pods", "lab", killed[0])

    follow(fake, store, plan, workers=1, look=kill)
    assert killed
    assert {symbol: found[0] for symbol, found in states(store, plan).items()} == {"SLOW": "done", "QUICK1": "done"}
    assert states(store, plan)["SLOW"][2] == 2


def test_workers_that_no_node_takes_are_given_up_with_the_cause(fake: ClusterFixture, store: DirectoryStore) -> None:
    plan = make_plan("QUICK1", "QUICK2")
    seen: list[tuple[str, str]] = []
    options = fake.hurried(node_selector={"disk": "ssd"}, workers=1)
    follow(
        fake,
        store,
        plan,
        workers=1,
        options=options,
        look=lambda rows: seen.extend((row.state, row.category) for row in rows),
    )
    assert ("pending", "affinity") in seen
    assert states(store, plan) == {"QUICK1": ("failed", "affinity", 0), "QUICK2": ("failed", "affinity", 0)}
    key = keys.verdict(plan.run, "QUICK1-fast")
    assert "given up after" in Verdict.from_bytes(store.get(key), key).reason


class Outage(DirectoryStore):
    """A store that does not answer while ``away``."""

    away = False

    def list(self, prefix: str) -> Iterator[Entry]:
        if self.away:
            raise StoreError(f"store {self.url} did not answer")
        return super().list(prefix)


def test_the_table_says_that_the_store_does_not_answer_and_the_run_goes_on_once_it_does(
    fake: ClusterFixture, store: DirectoryStore, tmp_path: Path
) -> None:
    plan, notes = make_plan("QUICK1"), list[str]()
    store.put(keys.plan(plan.run), plan.to_bytes())
    outage = Outage(tmp_path / "store")

    def show(rows: Sequence[Row], note: str) -> None:
        notes.append(note)
        outage.away = not any(notes)

    build, options = pods_that_work(store), make_options(workers=1, slots=2)
    PackedController(fake.cluster, outage, plan, options, 1, show=show, leases=RULES, poll=0.2, build=build).run(
        "create"
    )
    words = f"store {store.url} did not answer; workers wait for it, and so does this launcher"
    assert {note for note in notes if note} == {words}
    assert states(store, plan) == {"QUICK1": ("done", "", 1)}


def test_attach_follows_and_creates_nothing(fake: ClusterFixture, store: DirectoryStore) -> None:
    plan = make_plan("QUICK1")
    follow(fake, store, plan)
    before = store.get(keys.result(plan.run, "QUICK1-fast"))
    follow(fake, store, plan, mode="attach")
    assert store.get(keys.result(plan.run, "QUICK1-fast")) == before
    assert fake.server is not None
    assert len(fake.server.state.items("jobs", "lab")) == 1


def test_a_cancelled_run_is_stopped_and_its_jobs_say_so(fake: ClusterFixture, store: DirectoryStore) -> None:
    plan = make_plan("SLOW", "QUICK1")
    cancelled: list[str] = []

    def cancel(rows: Sequence[Row]) -> None:
        if not cancelled and rows[0].epoch and rows[1].state == "done":
            cancelled.append(cancel_run(fake.cluster, plan.run, lambda question: None))

    rows = follow(fake, store, plan, workers=1, look=cancel).rows()
    assert {row.symbol: row.state for row in rows} == {"SLOW": "interrupted", "QUICK1": "done"}
    assert cancelled[0].startswith("cancelled run run-1: 1 Jobs stopped")
    assert states(store, plan) == {"SLOW": ("interrupted", "cancelled", 1), "QUICK1": ("done", "", 1)}
    follow(fake, store, plan, workers=1, mode="resume")
    assert states(store, plan)["SLOW"] == ("done", "", 2)


def test_without_waiting_it_leaves_once_the_workers_are_created(fake: ClusterFixture, store: DirectoryStore) -> None:
    plan = make_plan("SLOW")
    store.put(keys.plan(plan.run), plan.to_bytes())
    build = pods_that_work(store)
    PackedController(fake.cluster, store, plan, make_options(workers=1), 1, build=build).run("create", wait=False)
    assert fake.server is not None
    assert len(fake.server.state.items("jobs", "lab")) == 1


def test_a_dry_run_is_the_configmap_and_the_workers_as_the_server_takes_them(
    fake: ClusterFixture, store: DirectoryStore
) -> None:
    plan = make_plan(*(f"S{number}" for number in range(500)))
    backend = KubernetesBackend(fake.cluster, make_options(workers=20, slots=4))
    for server in (False, True):
        objects = [yaml.safe_load(text.removeprefix("---")) for text in backend.render(plan, store, server=server)]
        assert [body["kind"] for body in objects] == ["ConfigMap", "Job"]
        assert objects[1]["spec"]["completions"] == 20
    assert backend.describe(500).endswith("by 20 workers, 4 at a time in each, on the CPU")
